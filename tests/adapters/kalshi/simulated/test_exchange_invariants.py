"""S8, S16, S18: whatever members do, money is conserved and all views agree."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kalshi.simulated.domain import (
    CONTRACT,
    DOLLAR,
    DOLLAR_OF_MONEY,
    Amendment,
    Order,
    Refusal,
)
from adapters.kalshi.simulated.emitted import (
    ExchangeEvent,
    Filled,
    LevelChanged,
    OrderChanged,
    PositionChanged,
    TickerChanged,
)
from tests.adapters.kalshi.simulated.exchange_rig import BOS, Rig

MEMBERS = ("ann", "ben", "cy")
SUBMISSION = st.fixed_dictionaries(
    {
        "account": st.sampled_from(MEMBERS),
        "side": st.sampled_from(["yes", "no"]),
        "action": st.sampled_from(["buy", "sell"]),
        "price": st.integers(40, 60) | st.integers(1, 99),
        "contracts": st.integers(1, 60) | st.integers(300, 3_000),
        "time_in_force": st.sampled_from(
            ["good_till_canceled", "good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
        ),
        "post_only": st.booleans(),
        "reduce_only": st.sampled_from([False, False, True]),
        "self_trade_prevention_type": st.sampled_from(["taker_at_cross", "maker"]),
    }
)
CHANGE = st.tuples(
    st.sampled_from(["cancel", "decrease", "amend"]),
    st.integers(0, 50),
    st.integers(1, 99),
    st.integers(1, 100),
)
STEPS = st.lists(SUBMISSION | CHANGE, max_size=40)


class Views:
    """What a client could make of the events alone."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, int], int] = {}
        self.orders: dict[str, Order] = {}
        self.positions = dict.fromkeys(MEMBERS, 0)
        self.fees = 0
        self.ticker: TickerChanged | None = None

    def take(self, event: ExchangeEvent) -> None:
        match event:
            case LevelChanged():
                key = (event.side, event.price)
                self.levels[key] = self.levels.get(key, 0) + event.change
                assert self.levels[key] == event.size >= 0
                if not event.size:
                    del self.levels[key]
            case OrderChanged():
                self.orders[event.order.order_id] = event.order
            case Filled(fill=fill):
                self.fees += fill.fee
                sign = 1 if fill.outcome_side == "yes" else -1
                self.positions[event.account] += sign * fill.count
                assert self.positions[event.account] == fill.post_position
            case PositionChanged():
                assert self.positions[event.account] == event.position.position
            case TickerChanged():
                self.ticker = event
            case _:
                pass


def apply(rig: Rig, step: object) -> None:
    """Take one step; what is refused must not have done anything."""
    told = len(rig.events)
    try:
        match step:
            case dict():
                rig.submit(**step)
            case (str(kind), int(index), int(price), int(contracts)):
                change(rig, kind, index, price, contracts * CONTRACT)
    except Refusal:
        assert len(rig.events) == told


def change(rig: Rig, kind: str, index: int, price: int, count: int) -> None:
    resting = [
        order for name in MEMBERS for order, _ in rig.exchange.portfolio.queue_positions(name)
    ]
    if not resting:
        return
    order = resting[index % len(resting)]
    orders = rig.exchange.orders
    if kind == "cancel":
        orders.cancel(order.account, order.order_id)
    elif kind == "decrease":
        orders.decrease(order.account, order.order_id, to=count)
    else:
        amendment = Amendment(price=price * 100, count=count)
        orders.amend(order.account, order.order_id, amendment)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_all_views_agree_and_money_is_conserved(steps: list[object]) -> None:
    rig, views = Rig(), Views()
    rig.exchange.listen(views.take)

    for step in steps:
        apply(rig, step)

        portfolio, data = rig.exchange.portfolio, rig.exchange.data
        book, ticker = data.book(BOS), data.ticker(BOS)
        shown = {("yes", price): count for price, count in book.yes}
        shown |= {("no", price): count for price, count in book.no}
        assert shown == views.levels
        assert ticker.yes_bid == (book.yes[-1][0] if book.yes else 0)
        assert ticker.yes_ask == (DOLLAR - book.no[-1][0] if book.no else DOLLAR)
        assert ticker.yes_bid < ticker.yes_ask
        assert views.ticker is None or views.ticker.ticker == ticker
        balances = [portfolio.balance(name) for name in MEMBERS]
        held = [portfolio.position(name, BOS).position for name in MEMBERS]
        assert sum(held) == 0
        assert ticker.open_interest == sum(count for count in held if count > 0)
        cash = sum(balance.cash for balance in balances)
        assert cash + ticker.open_interest * DOLLAR + views.fees == 3_000 * DOLLAR_OF_MONEY
        assert all(balance.available >= 0 for balance in balances)
        for order in views.orders.values():
            assert portfolio.order(order.account, order.order_id) == order
            assert (order.status == "resting") == (order.remaining_count > 0)
        resting = sum(o.remaining_count for o in views.orders.values())
        assert resting == sum(views.levels.values())


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_settlement_gives_back_all_that_was_paid_in_but_the_fees(steps: list[object]) -> None:
    rig = Rig()
    for step in steps:
        apply(rig, step)

    rig.exchange.lifecycle.determine(BOS, "scalar", 3_300)
    rig.exchange.lifecycle.settle(BOS)

    fees = sum(event.fill.fee for event in rig.of(Filled))
    balances = [rig.exchange.portfolio.balance(name) for name in MEMBERS]
    assert sum(balance.available for balance in balances) + fees == 3_000 * DOLLAR_OF_MONEY
    for name, balance in zip(MEMBERS, balances, strict=True):
        position = rig.position(name)
        earned = position.realized_pnl - position.fees_paid
        assert balance.cash == 1_000 * DOLLAR_OF_MONEY + earned


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_the_same_calls_emit_the_same_events(steps: list[object]) -> None:
    rigs = Rig(), Rig()
    for rig in rigs:
        for step in steps:
            apply(rig, step)

    assert rigs[0].events == rigs[1].events
