"""What the gate's checks ask, answered from ledger, registry, market and runs."""

from decimal import Decimal

import pytest

from framework.engine.risk_inputs import KEPT_FILLS, AccountTerms, EngineRiskInputs
from framework.interfaces import BookView, BrokerCapabilities
from framework.model.account import CashBooked, CashReason
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import Fee, OrderType, Side
from framework.model.reports import EndKind, OrderEnded, OrderReplaced, OrderTriggered
from framework.model.runs import Execution, Run
from framework.risk.inputs import InputFault, Reference, Resting, Stake
from framework.risk.runaway import Runaways
from framework.settings.risk_limits import RunawaySettings
from tests.framework.orders.world import PERPETUAL, SPOT, FakeMarket, World

D = Decimal
DAY = 86_400_000_000_000
SIMULATED = Execution.SIMULATED


class SyncedBook:
    """A book with both sides, as the core keeps it."""

    is_synced = True
    best_bid = (99.0, 1.0)
    best_ask = (101.0, 1.0)
    time_ns = 9

    def bids(self, depth: int) -> list[tuple[float, float]]:
        return []

    def asks(self, depth: int) -> list[tuple[float, float]]:
        return []


class Prices(FakeMarket):
    """Whatever a test lets the market say."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[str, object] = {}

    def quote(self, instrument: str) -> Quote | None:
        return self.newest.get("quote")  # type: ignore[return-value] # a test put it there

    def trade(self, instrument: str) -> Trade | None:
        return self.newest.get("trade")  # type: ignore[return-value] # a test put it there

    def candle(self, instrument: str) -> Candle | None:
        return self.newest.get("candle")  # type: ignore[return-value] # a test put it there

    def book(self, instrument: str) -> BookView | None:
        return self.newest.get("book")  # type: ignore[return-value] # a test put it there


class Rig(World):
    """A desk whose every run is on account `main`, and the inputs beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.prices = Prices()
        self.inputs = EngineRiskInputs(
            clock=self.clock,
            ledger=self.ledger,
            registry=self.registry,
            market=self.prices,
            accounts={"main": AccountTerms(SIMULATED, "USD")},
            run_of={"r": Run("r", "main", SIMULATED)}.get,
            capabilities_of=lambda account: BrokerCapabilities(),
            is_open=lambda instrument, now_ns: True,
        )
        self.desk.after_change.append(self.inputs.after_change)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_an_account_has_terms_and_an_unknown_one_has_none(rig: Rig) -> None:
    assert rig.inputs.account_execution("main") is SIMULATED
    assert rig.inputs.account_currency("main") == "USD"
    assert rig.inputs.account_execution("other") is None
    assert rig.inputs.account_currency("other") is None
    assert rig.inputs.run("r") == Run("r", "main", SIMULATED)


@pytest.mark.parametrize(
    ("newest", "time_ns"),
    [
        ({}, 0),
        ({"quote": Quote(SPOT, 7, 7, 99.0, 101.0)}, 7),
        ({"quote": Quote(SPOT, 7, 7, 0.0, 101.0)}, 0),  # one-sided: no price is taken from it
        ({"trade": Trade(SPOT, 5, 5, 100.0, 1.0)}, 5),
        ({"candle": Candle(SPOT, 6, 6, "1m", 0, 6, 1.0, 1.0, 1.0, 1.0)}, 6),
        ({"book": SyncedBook(), "trade": Trade(SPOT, 5, 5, 100.0, 1.0)}, 9),
    ],
)
def test_a_reference_is_as_old_as_what_it_is_taken_from(
    rig: Rig, newest: dict[str, object], time_ns: int
) -> None:
    rig.prices.newest = newest

    assert rig.inputs.reference(SPOT) == Reference(D("100.0"), time_ns)


@pytest.mark.parametrize("price", [None, float("nan"), float("inf")])
def test_without_a_finite_price_there_is_no_reference(rig: Rig, price: float | None) -> None:
    """R-61."""
    rig.prices.price = price

    assert rig.inputs.reference(SPOT) is None


def test_stakes_are_what_is_held_and_open_per_run_and_instrument(rig: Rig) -> None:
    """In-doubt orders count in full, and so do those of other runs on the account."""
    rig.fill(rig.buy("3"), "2", "100")
    rig.sell("1", price=D(120), run="another")
    rig.fill(rig.sell("1", instrument=PERPETUAL), "1", "100")
    spot, perpetual = rig.instruments[SPOT], rig.instruments[PERPETUAL]

    assert rig.inputs.stakes("main", None) == [
        Stake("r", spot, D(2), D(1), D(0)),
        Stake("r", perpetual, D(-1), D(0), D(0)),
        Stake("another", spot, D(0), D(0), D(1)),
    ]
    assert [stake.run for stake in rig.inputs.stakes("main", "another")] == ["another"]
    assert rig.inputs.stakes("other", None) == []


def test_available_cash_is_what_no_open_order_reserves(rig: Rig) -> None:
    """R-77."""
    deposit = CashBooked("main", "external", "USD", D(1000), CashReason.DEPOSIT, 0, "1")
    rig.desk.apply(deposit)
    order = rig.buy("2", price=D(90))
    assert rig.inputs.available_cash("main", "USD") == 1000 - 200  # valued at the market's 100
    assert rig.inputs.available_cash("main", "EUR") == 0

    rig.desk.apply(OrderEnded(order.order_id, EndKind.CANCELLED, 0))
    assert rig.inputs.available_cash("main", "USD") == 1000


def test_an_order_costs_its_notional_or_what_the_costs_say(rig: Rig) -> None:
    spot = rig.instruments[SPOT]
    assert rig.inputs.order_cost("main", spot, Side.BUY, D(2), D(100)) == 200

    dear = EngineRiskInputs(
        clock=rig.clock,
        ledger=rig.ledger,
        registry=rig.registry,
        market=rig.prices,
        accounts={},
        run_of=lambda run: None,
        capabilities_of=lambda account: None,
        is_open=lambda instrument, now_ns: None,
        cost_of=lambda account, instrument, side, quantity, price: D(7),
    )
    assert dear.order_cost("main", spot, Side.BUY, D(2), D(100)) == 7


def test_open_orders_are_counted_by_account_run_and_instrument(rig: Rig) -> None:
    rig.buy("1")
    rig.buy("1", run="another")
    rig.buy("1", instrument=PERPETUAL)
    count = rig.inputs.open_order_count

    assert count(None, None, None) == count("main", None, None) == 3
    assert count(None, "r", None) == 2
    assert count(None, "r", SPOT) == 1
    assert count("other", None, None) == 0


def test_what_rests_may_trade_and_what_sleeps_may_not(rig: Rig) -> None:
    rig.buy("1", price=D(90))
    rig.sell("1", price=D(110), run="another")
    stop = rig.buy("1", type=OrderType.STOP, stop_price=D(120))
    held = rig.buy("1", price=D(80))
    held.facts.hold()
    resting = [Resting(Side.BUY, D(90)), Resting(Side.SELL, D(110))]
    assert rig.inputs.resting_orders("main", SPOT) == resting
    assert rig.inputs.resting_orders("main", PERPETUAL) == []

    rig.desk.apply(OrderTriggered(stop.order_id, 0))
    woken = rig.inputs.resting_orders("main", SPOT)
    assert [order for order in woken if order not in resting] == [Resting(Side.BUY, None)]


def test_an_order_whose_price_is_being_changed_may_rest_at_either(rig: Rig) -> None:
    order = rig.buy("1", price=D(90))
    assert rig.desk.modify(order.order_id, price=D(95)) is None

    prices = [resting.price for resting in rig.inputs.resting_orders("main", SPOT)]
    assert prices == [D(90), D(95)]
    rig.desk.apply(OrderReplaced(order.order_id, 1, D(1), 0, price=D(95)))
    assert [resting.price for resting in rig.inputs.resting_orders("main", SPOT)] == [D(95)]


def test_orders_that_filled_one_way_are_a_row_until_one_fills_the_other_way(rig: Rig) -> None:
    def in_a_row(side: Side, since_ns: int = 0) -> int:
        return rig.inputs.orders_filled_in_a_row("r", SPOT, side, since_ns)

    assert in_a_row(Side.BUY) == 0
    first = rig.buy("2")
    rig.fill(first, "1", "100")
    rig.fill(first, "1", "100")  # the parts of one order count once
    rig.clock.advance_to(5_000_000_000)
    rig.fill(rig.buy("1"), "1", "100")
    assert (in_a_row(Side.BUY), in_a_row(Side.SELL)) == (2, 0)
    assert in_a_row(Side.BUY, since_ns=5_000_000_000) == 1

    rig.fill(rig.sell("1"), "1", "100")
    assert (in_a_row(Side.BUY), in_a_row(Side.SELL)) == (0, 1)


def test_the_memory_of_a_row_is_bounded(rig: Rig) -> None:
    for _ in range(KEPT_FILLS + 5):
        rig.fill(rig.buy("0.001"), "0.001", "100")

    assert rig.inputs.orders_filled_in_a_row("r", SPOT, Side.BUY, 0) == KEPT_FILLS


def test_a_day_counts_realised_and_unrealised_profit_after_fees(rig: Rig) -> None:
    rig.inputs.start_day(rig.clock.now_ns)
    rig.fill(rig.buy("2"), "2", "100", fees=(Fee("USD", D(3)),))
    rig.fill(rig.sell("1"), "1", "110")
    rig.fill(rig.buy("1", run="another"), "1", "90")
    rig.prices.price = 95.0

    today = rig.inputs.profits_today
    now_ns = rig.clock.now_ns
    assert today("main", None, now_ns) == {"USD": D(10 - 5 - 3 + 5)}
    assert today("main", "r", now_ns) == {"USD": D(2)}
    assert today("main", "another", now_ns) == {"USD": D(5)}


def test_a_new_day_begins_at_nought_with_what_is_held_at_its_price(rig: Rig) -> None:
    rig.fill(rig.buy("2"), "2", "100")
    rig.prices.price = 70.0
    rig.inputs.start_day(rig.clock.now_ns)
    assert rig.inputs.profits_today("main", None, rig.clock.now_ns) == {"USD": 0}

    rig.prices.price = 65.0
    assert rig.inputs.profits_today("main", None, rig.clock.now_ns) == {"USD": -10}
    assert rig.inputs.profits_today("main", "r", rig.clock.now_ns) == {"USD": -10}
    assert rig.inputs.day_ends_ns == DAY
    assert rig.inputs.profits_today("main", None, DAY) == {"USD": 0}
    assert rig.inputs.day_ends_ns == 2 * DAY


def test_a_day_goes_on_after_a_restart(rig: Rig) -> None:
    """Else each restart would forgive the day's loss."""
    rig.inputs.start_day(rig.clock.now_ns)
    rig.fill(rig.buy("2"), "2", "100")
    rig.prices.price = 70.0
    kept = rig.inputs.day_state()

    rig.inputs.start_day(rig.clock.now_ns)  # as a new process does
    rig.inputs.restore_day(kept, rig.clock.now_ns)

    assert rig.inputs.profits_today("main", None, rig.clock.now_ns) == {"USD": -60}


def test_a_position_without_a_price_has_no_profit_to_judge(rig: Rig) -> None:
    """R-61."""
    rig.fill(rig.buy("2"), "2", "100")
    rig.prices.price = None
    rig.inputs.start_day(rig.clock.now_ns)  # at cost: nothing better is known

    with pytest.raises(InputFault, match="reference price of v:BTCUSD is missing"):
        rig.inputs.profits_today("main", None, rig.clock.now_ns)


class Trips(Rig):
    """The rig with runaway breakers."""

    def __init__(self, **limits: int | None) -> None:
        super().__init__()
        self.tripped: list[str] = []
        self.inputs.runaways = Runaways(
            RunawaySettings(**limits),
            pause=self.gate.pause,
            on_trip=lambda run, reason: self.tripped.append(reason),
        )


def test_a_strategy_in_a_submit_loop_is_stopped() -> None:
    """R-62, F-09."""
    rig = Trips(max_orders_per_second=10)

    sent = [rig.buy("1") for _ in range(30)]

    assert sum(order.is_closed for order in sent) == 19
    assert rig.tripped == ["runaway: more than 10 orders within a second"]
    assert sent[-1].reason == "paused: runaway: more than 10 orders within a second"


def test_a_strategy_that_sends_again_after_each_rejection_is_stopped() -> None:
    """R-62, F-09."""
    rig = Trips(max_resends=4, max_refusals_per_second=None)
    count = 0
    while not (order := rig.buy("1")).is_closed:
        count += 1
        rig.clock.advance_to(rig.clock.now_ns + 100_000_000)
        rig.desk.apply(OrderEnded(order.order_id, EndKind.REJECTED, 0, "no"))

    assert count == 5
    assert rig.tripped == [f"runaway: 4 times in a row an order followed a rejection in {SPOT}"]


def test_orders_that_the_venue_takes_or_ends_otherwise_are_no_rejections() -> None:
    rig = Trips(max_resends=2, max_refusals_per_second=2)
    for number in range(10):
        order = rig.buy("1")
        if number % 2:
            rig.accept(order)
        rig.desk.apply(OrderEnded(order.order_id, EndKind.CANCELLED, 0))

    assert rig.tripped == []
