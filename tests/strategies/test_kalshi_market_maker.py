"""The market maker for binary markets: its prices, and each of the limits it stays within."""

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.instrument import InstrumentKind
from framework.model.market_data import BookSnapshot, MarketPhase, MarketStatus
from framework.model.orders import Side
from framework.runtime.runner import Runtime
from framework.settings.structs import InstrumentSettings, RiskSettings, StopPolicy
from framework.simulation import venue
from strategies.kalshi_market_maker import KalshiMarketMaker
from tests.scripted_venue import (
    SECOND_NS,
    START_NS,
    orders_of,
    play,
    position_of,
    run_settings,
    settings,
)
from tests.strategies.sessions import assert_refused

RAIN, SNOW = "x:RAIN", "x:SNOW"
NO_LIMITS = RiskSettings()
MARKETS = [
    InstrumentSettings(
        symbol=name.removeprefix("x:"),
        kind=InstrumentKind.BINARY,
        tick=Decimal("0.01"),
        lot=Decimal(1),
    )
    for name in (RAIN, SNOW)
]


def book(second: float, bid: float, ask: float, *, at: str = RAIN) -> BookSnapshot:
    """Return a book of one level a side that nothing exhausts."""
    time_ns = START_NS + round(second * SECOND_NS)
    return BookSnapshot(at, time_ns, time_ns, round(second * 10) + 1, ((bid, 1e6),), ((ask, 1e6),))


def played(
    *events: Any,
    markets: tuple[str, ...] = (RAIN,),
    risk: RiskSettings = NO_LIMITS,
    **section: Any,
) -> Runtime:
    """Run the strategy over events, and leave everything as it stands at their end."""
    run = run_settings(
        KalshiMarketMaker,
        settings={"instruments": list(markets), **section},
        on_stop=StopPolicy.LEAVE,
    )
    return play(settings(run, script=list(events), venue={"instruments": MARKETS}, risk=risk))


def working(runtime: Runtime, at: str = RAIN) -> dict[str, float]:
    """Return side -> price of the working quotes."""
    return {
        order.side.value: float(order.price or 0)
        for order in orders_of(runtime)
        if order.instrument == at and not order.is_closed
    }


def test_it_quotes_both_sides_an_edge_from_the_mid() -> None:
    runtime = played(book(0, 0.40, 0.44), edge=0.03)

    assert working(runtime) == {"buy": 0.39, "sell": 0.45}
    assert all(order.post_only for order in orders_of(runtime))
    assert {order.quantity for order in orders_of(runtime)} == {Decimal(10)}


def test_prices_are_rounded_away_from_the_mid() -> None:
    assert working(played(book(0, 0.40, 0.45), edge=0.02)) == {"buy": 0.40, "sell": 0.45}


def test_quotes_follow_the_mid_beyond_the_tolerance_and_stay_within_it() -> None:
    still = played(book(0, 0.40, 0.44), book(1, 0.41, 0.45), tolerance=0.01)
    moved = played(book(0, 0.40, 0.44), book(1, 0.43, 0.47), tolerance=0.01)

    assert working(still) == {"buy": 0.40, "sell": 0.44}
    assert working(moved) == {"buy": 0.43, "sell": 0.47}
    assert len(orders_of(moved)) == 2  # changed, not given anew


def test_a_fill_moves_both_quotes_against_the_inventory() -> None:
    runtime = played(
        book(0, 0.40, 0.44),
        book(1, 0.36, 0.40),  # the bid at 0.40 is reached: 10 of at most 20 are held
        maximum_position=20,
        skew=0.04,
        tolerance=0,
    )

    assert position_of(runtime, instrument=RAIN) == 10
    assert working(runtime) == {"buy": 0.34, "sell": 0.38}  # around 0.38 - 0.04 / 2


def test_the_position_limit_holds_on_both_sides() -> None:
    long = played(book(0, 0.40, 0.44), book(1, 0.36, 0.40), maximum_position=10, tolerance=0)
    short = played(book(0, 0.40, 0.44), book(1, 0.44, 0.48), maximum_position=10, tolerance=0)

    assert (position_of(long, instrument=RAIN), set(working(long))) == (Decimal(10), {"sell"})
    assert (position_of(short, instrument=RAIN), set(working(short))) == (Decimal(-10), {"buy"})


def test_the_worst_loss_counts_all_markets_and_their_quotes() -> None:
    """Ten yes at 0.40 may cost 4.00 dollars, ten no at 1 - 0.44 5.60: each market the worse."""
    first, second = book(0, 0.40, 0.44), book(0, 0.56, 0.60, at=SNOW)

    both = played(first, second, markets=(RAIN, SNOW), maximum_loss=13)
    one = played(first, second, markets=(RAIN, SNOW), maximum_loss=7)
    none = played(first, second, markets=(RAIN, SNOW), maximum_loss=3)

    assert [set(working(both, at)) for at in (RAIN, SNOW)] == [{"buy", "sell"}] * 2
    assert [set(working(one, at)) for at in (RAIN, SNOW)] == [{"buy", "sell"}, set()]
    assert orders_of(none) == []


def test_what_reduces_the_position_is_quoted_whatever_the_loss() -> None:
    runtime = played(book(0, 0.40, 0.44), book(1, 0.36, 0.40), maximum_loss=6, tolerance=0)

    assert position_of(runtime, instrument=RAIN) == 10
    assert set(working(runtime)) == {"sell"}


@pytest.mark.parametrize(("bid", "ask"), [(0.01, 0.05), (0.95, 0.99)])
def test_near_the_outcome_it_quotes_nothing(bid: float, ask: float) -> None:
    assert orders_of(played(book(0, bid, ask))) == []
    assert working(played(book(0, 0.40, 0.44), book(1, bid, ask))) == {}


def test_a_market_that_is_not_open_is_not_quoted_until_it_is() -> None:
    def status(second: int, phase: MarketPhase) -> MarketStatus:
        time_ns = START_NS + second * SECOND_NS
        return MarketStatus(RAIN, time_ns, time_ns, phase)

    halted = [book(0, 0.40, 0.44), status(1, MarketPhase.HALTED), book(2, 0.40, 0.44)]
    opened = [*halted, status(3, MarketPhase.OPEN), book(4, 0.40, 0.44)]

    assert working(played(*halted)) == {}
    assert working(played(*opened)) == {"buy": 0.40, "sell": 0.44}


def test_a_book_without_a_side_is_not_quoted() -> None:
    empty = msgspec.structs.replace(book(1, 0.40, 0.44), asks=())

    assert working(played(book(0, 0.40, 0.44), empty)) == {}


def requests(runtime: Runtime) -> list[tuple[float, str, str]]:
    """Return (second, what, side) of every request that left, oldest first."""
    sides = {order.order_id: order.side.value for order in orders_of(runtime)}
    return [
        (
            (entry.time_ns - START_NS) / SECOND_NS,
            type(entry).__name__.removesuffix("Order").lower(),
            sides[entry.order_id],
        )
        for _, entry in runtime.engine.log.read()
        if isinstance(entry, SubmitOrder | ModifyOrder | CancelOrder)
    ]


def test_a_quote_whose_change_the_venue_refuses_is_taken_back_and_given_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F-09: asked for once, and never again at the same price; not at every book."""
    monkeypatch.setattr(venue, "modify_refusal", lambda command, order: "no amendments here")
    still = [book(1 + tenth / 10, 0.43, 0.47) for tenth in range(20)]

    runtime = played(book(0, 0.40, 0.44), *still, book(4, 0.45, 0.49))

    assert requests(runtime)[2:] == [
        (1.0, "modify", "buy"),
        (1.0, "modify", "sell"),
        (1.0, "cancel", "buy"),
        (1.0, "cancel", "sell"),
        (4.0, "submit", "buy"),
        (4.0, "submit", "sell"),
    ]
    assert working(runtime) == {"buy": 0.45, "sell": 0.49}


def test_a_quote_whose_change_our_own_gate_refuses_is_taken_back() -> None:
    """F-09: the refusal comes at once; the other side moves."""
    still = [book(1 + tenth / 10, 0.43, 0.47) for tenth in range(20)]

    runtime = played(
        book(0, 0.40, 0.44),
        *still,
        book(4, 0.40, 0.44),
        risk=RiskSettings(max_order_notional=Decimal("4.5")),
    )

    assert requests(runtime)[2:] == [
        (1.0, "modify", "buy"),
        (1.0, "cancel", "sell"),
        (4.0, "modify", "buy"),
        (4.0, "submit", "sell"),
    ]
    assert working(runtime) == {"buy": 0.40, "sell": 0.44}


@pytest.mark.parametrize("seed", range(10))
def test_the_limits_hold_at_every_fill_of_a_wild_market(seed: int) -> None:
    random, cents, events = Random(seed), 50, []
    for second in range(300):
        cents = min(97, max(3, cents + random.randint(-6, 6)))
        events.append(book(second, (cents - 1) / 100, (cents + 1) / 100))
    runtime = played(*events, maximum_position=30, maximum_loss=12, tolerance=0)

    held = Decimal(0)
    fills = 0
    for order in orders_of(runtime):
        fills += bool(order.filled)
        assert order.price is not None
        assert 0 < order.price < 1
        held += order.filled if order.side is Side.BUY else -order.filled
    position = position_of(runtime, instrument=RAIN)
    [holding] = runtime.engine.ledger.of_run("run", RAIN)
    average = holding.event(0).average_price or Decimal(0)
    at_risk = abs(position) * (average if position > 0 else 1 - average)

    assert fills > 5
    assert position == held
    assert abs(position) <= 30
    assert at_risk <= 12


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ({"instruments": []}, "", "at least one market"),
        ({"instruments": [RAIN], "quantity": 60}, "", "at most maximum_position"),
        ({"instruments": [RAIN], "lowest": 0.5, "highest": 0.5}, "", "not below highest"),
        ({"instruments": [RAIN], "edge": 0}, "edge", ">"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    section: dict[str, Any], key: str, says: str
) -> None:
    assert_refused(KalshiMarketMaker, section, key=key, says=says)
