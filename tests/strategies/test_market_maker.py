"""The market maker: where its quotes lie, when they move, and that none outlives its reason."""

from collections.abc import Sequence
from decimal import Decimal
from math import ceil, floor
from random import Random
from typing import Any

import anyio
import pytest

from framework.interfaces import AdapterContext
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.market_data import BookDelta, BookSnapshot
from framework.model.orders import OrderStatus, Side
from framework.model.reports import OrderFilled
from framework.orders import requests as order_requests
from framework.runtime.runner import Runtime
from framework.settings.decoding import decode_section
from framework.settings.modes import Mode
from framework.settings.structs import LatencySettings, RiskSettings, Settings, StopPolicy
from framework.simulation import venue
from framework.simulation.loop import run_simulated
from strategies.market_maker import MarketMaker
from tests.real_data import real_data_file
from tests.scripted_venue import (
    BTC,
    SECOND_NS,
    START_NS,
    Script,
    entries,
    orders_of,
    play,
    position_of,
    run_settings,
    settings,
)
from tests.strategies.sessions import assert_refused

Command = tuple[float, str, str, Decimal | None]
"""Seconds from the start to a request, what it asks for, the quote's side and new price."""


def maker(on_stop: StopPolicy = StopPolicy.CANCEL_ALL, **section: Any) -> Any:
    chosen = {
        "instrument": BTC,
        "can_short": True,
        "spread_bps": 200,
        "skew_bps": 100,
        "requote_bps": 100,
        **section,
    }
    return run_settings(MarketMaker, settings=chosen, on_stop=on_stop)


def book(second: float, bid: float, ask: float, number: int | None = None) -> BookSnapshot:
    """Return a book of one level a side that nothing exhausts."""
    time_ns = START_NS + round(second * SECOND_NS)
    sequence = round(second * 10) + 1 if number is None else number
    return BookSnapshot(BTC, time_ns, time_ns, sequence, ((bid, 1e6),), ((ask, 1e6),))


def requests(runtime: Runtime) -> list[Command]:
    """Return every request that left for the venue, oldest first."""
    sides = {order.order_id: order.side.value for order in orders_of(runtime)}
    found: list[Command] = []
    for _, entry in runtime.engine.log.read():
        if isinstance(entry, SubmitOrder | ModifyOrder | CancelOrder):
            what = type(entry).__name__.removesuffix("Order").lower()
            price = entry.intent.price if isinstance(entry, SubmitOrder) else None
            price = entry.price if isinstance(entry, ModifyOrder) else price
            second = (entry.time_ns - START_NS) / SECOND_NS
            found.append((second, what, sides[entry.order_id], price))
    return found


def exact(*prices: float) -> list[Decimal]:
    return [Decimal(str(price)) for price in prices]


# -- where the quotes lie ----------------------------------------------------------------------


def test_it_quotes_both_sides_half_a_spread_from_the_mid() -> None:
    runtime = play(settings(maker(quantity=2), script=[book(0, 99.5, 100.5)]))

    bid, ask = orders_of(runtime)
    assert (bid.side, bid.price, bid.quantity) == (Side.BUY, Decimal(99), Decimal(2))
    assert (ask.side, ask.price, ask.quantity) == (Side.SELL, Decimal(101), Decimal(2))
    assert bid.post_only
    assert ask.post_only


def test_quotes_are_rounded_away_from_the_mid() -> None:
    runtime = play(settings(maker(spread_bps=50), script=[book(0, 99.5, 100.5)]))

    assert [order.price for order in orders_of(runtime)] == exact(99.5, 100.5)  # not 99.75


def test_a_spot_account_bids_first_and_offers_what_it_has_bought() -> None:
    run = maker(can_short=False, maximum_position=1, skew_bps=0)
    events = [book(0, 99.5, 100.5), book(1, 98.5, 99.0), book(2, 98.5, 99.0)]

    runtime = play(settings(run, script=events))

    assert requests(runtime)[:2] == [
        (0.0, "submit", "buy", Decimal(99)),
        (1.0, "submit", "sell", Decimal("100.0")),
    ]
    assert position_of(runtime) == 1


# -- when they move ----------------------------------------------------------------------------


def test_it_requotes_on_a_move_beyond_the_threshold_and_on_no_smaller_one() -> None:
    events = [
        book(0, 99.5, 100.5),
        book(1, 100.0, 101.0),  # 50 of 100 basis points
        book(2, 100.5, 101.5),  # 99: the threshold is of the new mid
        book(3, 101.0, 102.0),  # 148
        book(4, 101.5, 102.5),  # 49 from where it last quoted
    ]

    runtime = play(settings(maker(spread_bps=400), script=events))

    moved = [request for request in requests(runtime) if request[1] == "modify"]
    assert moved == [
        (3.0, "modify", "buy", Decimal("99.0")),
        (3.0, "modify", "sell", Decimal("104.0")),
    ]


def test_while_a_request_is_unanswered_it_asks_for_nothing_more() -> None:
    venue = {"latency": LatencySettings(order_ms=1_500)}
    events = [book(second, 99.5 + 2 * second, 100.5 + 2 * second) for second in range(6)]

    runtime = play(settings(maker(), script=events, venue=venue))

    seconds = [second for second, what, *_ in requests(runtime) if what != "cancel"]
    assert seconds == [0.0, 0.0, 2.0, 2.0, 4.0, 4.0]


def test_a_fill_moves_both_quotes_against_the_inventory() -> None:
    # Bought at 99; the mid of 99 is within the threshold of the last quote: the fill asks.
    events = [book(0, 99.5, 100.5), book(1, 98.5, 99.0), book(2, 98.5, 99.5)]

    runtime = play(settings(maker(maximum_position=2, requote_bps=500), script=events))

    lean = 98.75 * (1 - 0.01 * 0.5)  # half of the maximum position is held
    bid, ask = floor(2 * (lean - 0.9875)) / 2, ceil(2 * (lean + 0.9875)) / 2
    assert requests(runtime)[:4] == [
        (0.0, "submit", "buy", Decimal(99)),
        (0.0, "submit", "sell", Decimal(101)),
        (1.0, "submit", "buy", Decimal(str(bid))),
        (1.0, "modify", "sell", Decimal(str(ask))),
    ]


class Plain:
    """The same market maker and its fills as one plain loop over tops of the book."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.position = 0
        self.quoted = 0.0
        self.prices: dict[str, float | None] = {"buy": None, "sell": None}
        self.requests: list[Command] = []

    def on_book(self, second: float, bid: float, ask: float) -> None:
        buy, sell = self.prices["buy"], self.prices["sell"]
        if buy is not None and ask <= buy:
            self.prices["buy"], self.quoted = None, 0.0
            self.position += 1
        if sell is not None and bid >= sell:
            self.prices["sell"], self.quoted = None, 0.0
            self.position -= 1
        mid = (bid + ask) / 2
        if abs(mid - self.quoted) <= mid * 0.01:
            return
        self.quoted = mid
        centre, reach = mid * (1 - 0.01 * self.position / self.maximum), mid * 0.01
        self.quote(second, "buy", floor(2 * (centre - reach)) / 2, self.position < self.maximum)
        self.quote(second, "sell", ceil(2 * (centre + reach)) / 2, self.position > -self.maximum)

    def quote(self, second: float, side: str, price: float, is_allowed: bool) -> None:
        before = self.prices[side]
        after = price if is_allowed else None
        if before is None and after is not None:
            self.note(second, "submit", side, after)
        elif before is not None and after is None:
            self.note(second, "cancel", side, None)
        elif before != after:
            self.note(second, "modify", side, after)
        self.prices[side] = after

    def note(self, second: float, what: str, side: str, price: float | None) -> None:
        exact_price = None if price is None else Decimal(str(price))
        self.requests.append((second, what, side, exact_price))


def tops(seed: int, count: int = 120) -> list[tuple[float, float]]:
    """Return a random walk of bids and asks, one unit apart."""
    random, mid, found = Random(seed), 100.0, []
    for _ in range(count):
        mid = max(80.0, min(120.0, mid + random.choice((-1.0, -0.5, -0.5, 0.0, 0.5, 0.5, 1.0))))
        found.append((mid - 0.5, mid + 0.5))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_it_asks_for_what_a_plain_loop_asks_for(seed: int) -> None:
    plain = Plain(maximum=3)
    for second, (bid, ask) in enumerate(tops(seed)):
        plain.on_book(float(second), bid, ask)
    events = [book(second, bid, ask) for second, (bid, ask) in enumerate(tops(seed))]

    runtime = play(settings(maker(StopPolicy.LEAVE, maximum_position=3), script=events))

    assert requests(runtime) == plain.requests
    assert position_of(runtime) == plain.position
    assert len(entries(runtime, OrderFilled)) > 3


# -- none outlives its reason --------------------------------------------------------------------


def gap(second: float) -> BookDelta:
    """Return a message that does not follow on."""
    time_ns = START_NS + round(second * SECOND_NS)
    return BookDelta(BTC, time_ns, time_ns, 5_000, 5_000, ((99.0, 1.0),), ())


def test_a_stale_book_takes_both_quotes_back_until_it_is_whole_again() -> None:
    events = [book(0, 99.5, 100.5), gap(1), book(2, 99.5, 100.5, 6_000)]

    runtime = play(settings(maker(StopPolicy.LEAVE), script=events))

    assert [request[:3] for request in requests(runtime)] == [
        (0.0, "submit", "buy"),
        (0.0, "submit", "sell"),
        (1.0, "cancel", "buy"),
        (1.0, "cancel", "sell"),
        (2.0, "submit", "buy"),
        (2.0, "submit", "sell"),
    ]


def test_a_book_gone_stale_between_a_fill_and_the_next_quote_takes_the_other_quote_back() -> None:
    venue = {"latency": LatencySettings(order_ms=1_000)}
    events = [
        book(0, 99.5, 100.5),
        book(5, 101.5, 102.5),  # both quotes are to move, from 6 on
        book(5.5, 98.5, 99.0),  # the old bid fills first; the ask's request is on its way
        gap(5.7),
        book(9, 98.5, 99.5, 6_000),
    ]

    runtime = play(settings(maker(StopPolicy.LEAVE), script=events, venue=venue))

    assert (5.7, "cancel", "sell", None) in requests(runtime)


def test_an_empty_side_takes_both_quotes_back() -> None:
    empty = BookSnapshot(BTC, START_NS + SECOND_NS, START_NS + SECOND_NS, 50, ((99.5, 1.0),), ())

    runtime = play(settings(maker(StopPolicy.LEAVE), script=[book(0, 99.5, 100.5), empty]))

    assert {order.status for order in orders_of(runtime)} == {OrderStatus.CANCELLED}


def test_a_refused_quote_waits_for_the_next_move() -> None:
    risk = RiskSettings(max_order_notional=Decimal(100))  # the ask is always above it
    events = [book(0, 99.5, 100.5), book(1, 99.5, 100.5), book(2, 97.5, 98.5)]

    runtime = play(settings(maker(), script=events, risk=risk))

    asks = [order for order in orders_of(runtime) if order.side is Side.SELL]
    assert [order.status for order in asks] == [OrderStatus.DENIED, OrderStatus.CANCELLED]
    assert [(order.created_ns - START_NS) // SECOND_NS for order in asks] == [0, 2]


@pytest.mark.parametrize("is_gate", [False, True])
def test_a_quote_whose_change_is_refused_is_taken_back_and_given_anew(
    is_gate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-09: by the venue or by our own gate, whose refusal comes at once."""
    module, name = (order_requests, "_unchangeable") if is_gate else (venue, "modify_refusal")
    monkeypatch.setattr(module, name, lambda *_: "no amendments here")
    events = [book(0, 99.5, 100.5), *(book(second, 97.5, 99.5) for second in (1, 2, 3, 4))]

    runtime = play(settings(maker(StopPolicy.LEAVE), script=events))

    asked = [request[:3] for request in requests(runtime)[2:]]
    modifies = [] if is_gate else [(1.0, "modify", "buy"), (1.0, "modify", "sell")]
    cancels = [(1.0, "cancel", "buy"), (1.0, "cancel", "sell")]
    assert asked == [*modifies, *cancels, (2.0, "submit", "buy"), (2.0, "submit", "sell")]


@pytest.mark.parametrize("policy", [StopPolicy.CANCEL_ENTRIES, StopPolicy.CANCEL_ALL])
def test_it_stops_without_an_order_left(policy: StopPolicy) -> None:
    events = [book(second, bid, ask) for second, (bid, ask) in enumerate(tops(1, 20))]

    runtime = play(settings(maker(policy), script=events))

    assert runtime.engine.registry.open_orders("run") == []


def test_a_live_session_stops_without_order_or_position_although_the_venue_is_slow() -> None:
    async def live(context: AdapterContext) -> None:
        for second, (bid, ask) in enumerate(tops(2, 40)):
            now_ns = context.clock.now_ns
            context.publish(
                BookSnapshot(BTC, now_ns, now_ns, second + 1, ((bid, 1e6),), ((ask, 1e6),))
            )
            await anyio.sleep(1.0)
        has_ended.set()

    has_ended = anyio.Event()
    chosen = settings(
        maker(StopPolicy.FLATTEN, maximum_position=3),
        script=Script(live=live),
        mode=Mode.PAPER,
        venue={"latency": LatencySettings(order_ms=200)},
    )

    async def main() -> Runtime:
        async with Runtime(chosen) as runtime:
            await has_ended.wait()
        return runtime

    runtime = run_simulated(main, start_ns=START_NS)

    assert len(entries(runtime, OrderFilled)) > 3
    assert runtime.engine.registry.open_orders("run") == []
    assert position_of(runtime) == 0


# -- what is refused, and a real book ----------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ({"quantity": 6}, "", "quantity 6 must be positive and at most maximum_position 5"),
        ({"quantity": 0}, "", "quantity 0 must be positive"),
        ({"spread_bps": 0}, "spread_bps", "> 0"),
        ({"skew_bps": -1}, "skew_bps", ">= 0"),
        ({"requote_bps": -0.5}, "requote_bps", ">= 0"),
        ({"requote_bps": float("inf")}, "requote_bps", "not finite"),
        ({"spread": 5}, "spread", "unknown key"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    section: dict[str, Any], key: str, says: str
) -> None:
    assert_refused(MarketMaker, {"instrument": BTC, **section}, key=key, says=says)


def recorded(path: str) -> Settings:
    """Return a backtest of the market maker over a recorded book."""
    symbol = {"symbol": "XRPUSDT", "currency": "USDT", "kind": "perpetual"}
    values = {
        "mode": "backtest",
        "venues": {
            "x": {
                "adapter": "replay",
                "source": {"files": path, "kind": "book"},
                "instruments": [{**symbol, "tick": "0.0001", "lot": "0.1"}],
            }
        },
        "accounts": {"main": {"venue": "x", "currency": "USDT", "balances": {"USDT": 100_000}}},
        "strategies": [
            {
                "id": "run",
                "class": "strategies.market_maker:MarketMaker",
                "account": "main",
                "settings": {"instrument": "x:XRPUSDT", "quantity": 10, "maximum_position": 50},
            }
        ],
    }
    return decode_section(values, Settings, key="")


def test_on_a_recorded_book_it_quotes_around_every_mid_and_nothing_raises() -> None:
    runtime = play(recorded(str(real_data_file("xrpusdt-book500-2024-12-01.jsonl.gz"))))

    (run,) = runtime.system.runs
    top = runtime.engine.market.book("x:XRPUSDT")
    assert run.subscriber.error_count == 0
    assert top is not None
    assert top.best_bid is not None
    bids: Sequence[Decimal] = [
        order.price
        for order in orders_of(runtime)
        if order.side is Side.BUY and order.price is not None
    ]
    assert bids
    assert all(float(price) == pytest.approx(top.best_bid[0], rel=0.002) for price in bids)
    assert runtime.engine.registry.open_orders("run") == []
