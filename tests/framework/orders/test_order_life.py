"""One order's life at the desk, whatever the venue says and whatever we ask (R-23, R-24, R-36)."""

import os
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from framework.model.commands import ModifyOrder
from framework.model.events import OrderAnomaly
from framework.model.orders import OrderStatus, Side
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.orders.order_state import OrderState
from tests.framework.orders.world import SPOT, World

D = Decimal
REPLAYS = 100_000 * max(1, int(os.environ.get("HEADRACE_SOAK", "1")))
EXECUTIONS = [f"E{number}" for number in range(6)]
TIMES = st.integers(1, 50)
QUANTITIES = st.integers(1, 12).map(D)
PRICES = st.integers(90, 110).map(D)


# -- what is told is never refused, what makes no sense to ask always is ---------------------


class OrderLife(RuleBasedStateMachine):
    """A venue that says anything at all about one order, and a user who asks for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.order = self.world.buy("10", price=D(100))
        self.told: dict[str, OrderFilled | FillCorrection] = {}

    def tell(self, fact: OrderFact) -> None:
        """Apply a fact; what is filled falls by a correction alone."""
        before = self.order.filled
        self.world.desk.apply(fact)
        assert self.world.recorded[-1] == fact or fact in self.world.recorded
        assert self.order.filled >= before or isinstance(fact, FillCorrection)

    @rule(time_ns=TIMES, name=st.sampled_from(["V1", "V2", ""]))
    def accepts(self, time_ns: int, name: str) -> None:
        self.tell(OrderAccepted(self.order.order_id, time_ns, name))

    @rule(name=st.sampled_from(EXECUTIONS), quantity=QUANTITIES, price=PRICES, time_ns=TIMES)
    def fills(self, name: str, quantity: Decimal, price: Decimal, time_ns: int) -> None:
        self.tell(OrderFilled(self.order.order_id, name, quantity, price, time_ns))

    @rule(name=st.sampled_from(EXECUTIONS), quantity=st.integers(0, 12).map(D), time_ns=TIMES)
    def corrects(self, name: str, quantity: Decimal, time_ns: int) -> None:
        self.tell(FillCorrection(self.order.order_id, name, quantity, D(100), time_ns))

    @rule(kind=st.sampled_from(EndKind), by=st.sampled_from(["venue", "not found"]), time_ns=TIMES)
    def ends(self, kind: EndKind, by: str, time_ns: int) -> None:
        self.tell(OrderEnded(self.order.order_id, kind, time_ns, "", by))

    @rule(revision=st.integers(1, 4), quantity=QUANTITIES, time_ns=TIMES)
    def replaces(self, revision: int, quantity: Decimal, time_ns: int) -> None:
        self.tell(OrderReplaced(self.order.order_id, revision, quantity, time_ns))

    @rule(kind=st.sampled_from(RequestKind), time_ns=TIMES, is_refused=st.booleans())
    def answers(self, kind: RequestKind, time_ns: int, is_refused: bool) -> None:
        fact = RequestRefused if is_refused else RequestInDoubt
        self.tell(fact(self.order.order_id, kind, "why", time_ns))

    @rule(time_ns=TIMES)
    def triggers(self, time_ns: int) -> None:
        self.tell(OrderTriggered(self.order.order_id, time_ns))

    @rule()
    def is_asked_to_go(self) -> None:
        was_closed, count = self.order.is_closed, len(self.world.sent)
        refusal = self.world.desk.cancel(self.order.order_id)
        if was_closed:
            assert refusal is not None
            assert len(self.world.sent) == count

    @rule(quantity=st.integers(0, 15).map(D))
    def is_asked_to_change(self, quantity: Decimal) -> None:
        order, count = self.order, len(self.world.sent)
        makes_no_sense = order.is_closed or quantity <= order.filled
        refusal = self.world.desk.modify(order.order_id, quantity=quantity)
        assert (len(self.world.sent) > count) is (refusal is None)
        if makes_no_sense:
            assert refusal is not None

    @invariant()
    def adds_up(self) -> None:
        facts = self.order.facts
        total = sum((one.quantity for one in facts.executions.values()), D(0))
        assert facts.filled == total
        assert self.world.ledger.net_quantity("r", SPOT) == total
        assert facts.remaining >= 0
        if not facts.is_closed and facts.filled <= facts.quantity:
            assert facts.filled + facts.remaining == facts.quantity
        working = self.world.registry.working("r", SPOT)
        assert (self.order.order_id in working.orders) is not facts.is_closed
        if facts.is_closed:
            assert working.open_buy == 0
        else:
            assert working.open_buy >= facts.remaining


OrderLife.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestR36FactsAreNeverRefusedAndSenselessRequestsAlways = OrderLife.TestCase


# -- once is once ----------------------------------------------------------------------------


def test_r24_f04_an_execution_is_booked_once_however_often_it_is_told() -> None:
    chance = Random(24)
    world = World()
    world.wanted = set()
    fills: list[OrderFilled] = []
    for number in range(50):
        order = world.desk.submit(world.intent(chance.choice(list(Side)), "1000", price=D(100)))
        for part in range(4):
            name, quantity = f"E{number}-{part}", D(chance.randint(1, 200))
            fills.append(
                OrderFilled(order.order_id, name, quantity, D(chance.randint(90, 110)), part)
            )
    for fill in chance.sample(fills, len(fills)):
        world.desk.apply(fill)
    orders = {order.order_id: order for order in world.registry}
    state = world.ledger.state()
    known = {name: (one.status, one.filled) for name, one in orders.items()}

    for _ in range(REPLAYS):
        world.desk.apply(fills[chance.randrange(len(fills))])
        if len(world.recorded) > 10_000:
            world.recorded.clear()

    signed = (fill.quantity * (1 if orders[fill.order_id].is_buy else -1) for fill in fills)
    assert world.ledger.net_quantity("r", SPOT) == sum(signed)
    assert world.ledger.state() == state
    assert {name: (one.status, one.filled) for name, one in orders.items()} == known


# -- every end, every late event -------------------------------------------------------------


def end(kind: EndKind, by: str = "venue") -> Callable[[World, OrderState], None]:
    def apply(world: World, order: OrderState) -> None:
        world.desk.apply(OrderEnded(order.order_id, kind, 5, "over", by))

    return apply


def part(world: World, order: OrderState) -> None:
    world.accept(order)
    world.fill(order, "4", "100", execution="E1")
    world.desk.apply(OrderEnded(order.order_id, EndKind.CANCELLED, 5, "over"))


def whole(world: World, order: OrderState) -> None:
    world.accept(order)
    world.fill(order, "10", "100", execution="E1")


def busted(world: World, order: OrderState) -> None:
    part(world, order)
    world.desk.apply(FillCorrection(order.order_id, "E1", D(0), D(100), 6))


ENDS: dict[str, Callable[[World, OrderState], None]] = {
    "cancelled": end(EndKind.CANCELLED),
    "expired": end(EndKind.EXPIRED),
    "rejected": end(EndKind.REJECTED),
    "not found": end(EndKind.REJECTED, "not found"),
    "never sent": end(EndKind.REJECTED, "core"),
    "cancelled in part": part,
    "busted": busted,
    "filled": whole,
}
LATE: dict[str, Callable[[str], OrderFact]] = {
    "accept": lambda name: OrderAccepted(name, 9, "V9"),
    "fill": lambda name: OrderFilled(name, "late", D(3), D(101), 9),
    "all": lambda name: OrderFilled(name, "late", D(10), D(101), 9),
    "correction": lambda name: FillCorrection(name, "E1", D(2), D(100), 9),
    "bust": lambda name: FillCorrection(name, "E1", D(0), D(100), 9),
    "replaced": lambda name: OrderReplaced(name, 1, D(20), 9),
    "triggered": lambda name: OrderTriggered(name, 9),
    "cancel refused": lambda name: RequestRefused(name, RequestKind.CANCEL, "gone", 9),
    "doubt": lambda name: RequestInDoubt(name, RequestKind.CANCEL, "timeout", 9),
    **{
        kind.value: lambda name, kind=kind: OrderEnded(name, kind, 9)  # type: ignore[misc]
        for kind in EndKind
    },
}


@pytest.mark.parametrize(("ended", "late"), [*product(ENDS, LATE)])
def test_r23_what_comes_after_the_end_is_booked_and_told(ended: str, late: str) -> None:
    world = World()
    order = world.buy("10", price=D(100))
    ENDS[ended](world, order)
    assert order.is_closed
    before = {name: one.quantity for name, one in order.facts.executions.items()}
    world.emitted.clear()
    fact = LATE[late](order.order_id)

    world.desk.apply(fact)
    world.desk.apply(fact)

    if isinstance(fact, OrderFilled | FillCorrection):
        before[fact.execution_id] = fact.quantity
    assert order.filled == sum(before.values(), D(0))
    assert world.ledger.net_quantity("r", SPOT) == order.filled
    anomalies = world.events(OrderAnomaly)
    if isinstance(fact, OrderFilled) or (isinstance(fact, OrderAccepted) and ended != "filled"):
        is_news = not (isinstance(fact, OrderAccepted) and ended in ("cancelled in part", "busted"))
        assert bool(anomalies) is is_news
    assert len(anomalies) <= 2  # of two contradictions at most, and none is told again
    is_refuted = ended in ("not found", "never sent") and late in ("accept", "replaced")
    if is_refuted:
        assert order.status is OrderStatus.ACCEPTED  # it lives, and counts again
        assert world.registry.working("r", SPOT).open_buy == order.quantity


def test_a_change_of_an_order_that_is_over_is_refused_whatever_it_was() -> None:
    for ended in ENDS:
        world = World()
        order = world.buy("10", price=D(100))
        ENDS[ended](world, order)

        assert world.desk.cancel(order.order_id) is not None
        assert world.desk.modify(order.order_id, quantity=D(12)) is not None
        assert not any(isinstance(command, ModifyOrder) for command in world.sent)
