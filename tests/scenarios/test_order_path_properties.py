"""The order path as a whole against an oracle that knows only the definitions.

Random orders, changes, fills, ends, doubts and corrections go through one desk. The oracle holds
plain lists in fractions and judges every submit by itself.
"""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from framework.model.account import Account, Position
from framework.model.events import OrderAnomaly
from framework.model.orders import Fee, Fill, Order, OrderStatus, OrderType, Side
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
)
from framework.orders.order_state import OrderState
from tests.framework.orders.world import PERPETUAL, SPOT, World

ORDER_LIMIT = Decimal(3_500)
POSITION_LIMIT = Decimal(4_000)
RATE = 5
SECOND_NS = 1_000_000_000
MULTIPLIER = {SPOT: 1, PERPETUAL: 10}
QUANTITIES = st.sampled_from([Decimal(text) for text in ("0.5", "1", "3", "7.001", "20", "60")])
PRICES = st.sampled_from([Decimal(text) for text in ("80", "99.5", "100", "101.25", "140")])
RUNS = st.sampled_from(["r", "s"])
INSTRUMENTS = st.sampled_from([SPOT, PERPETUAL])
SIDES = st.sampled_from(Side)


class OrderPath(RuleBasedStateMachine):
    """R-20, R-24, R-36, R-60, R-75, R-76, R-77 at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            max_order_notional=ORDER_LIMIT,
            max_position_notional=POSITION_LIMIT,
            max_orders_per_second=RATE,
        )
        self.orders: list[OrderState] = []
        self.passed_ns: list[int] = []
        self.executions: dict[str, tuple[OrderState, Decimal, Decimal, Decimal]] = {}
        self.count = 0

    def next_name(self) -> str:
        self.count += 1
        return f"x{self.count}"

    # --- the oracle

    def position(self, run: str, instrument: str) -> Fraction:
        return sum(
            (
                Fraction(quantity) * (1 if order.is_buy else -1)
                for order, quantity, _, _ in self.executions.values()
                if order.run == run and order.instrument.id == instrument
            ),
            Fraction(0),
        )

    def may_fill(self, order: OrderState) -> Fraction:
        """Return the most that this order can still add, as far as anybody knows."""
        if order.is_closed:
            return Fraction(0)
        asked = order.quantity
        if order.pending is not None and order.pending.quantity is not None:
            asked = max(asked, order.pending.quantity)
        filled = sum(
            (Fraction(q) for o, q, _, _ in self.executions.values() if o is order), Fraction(0)
        )
        return max(Fraction(asked) - filled, Fraction(0))

    def open_quantity(self, run: str, instrument: str, *, is_buy: bool) -> Fraction:
        return sum(
            (
                self.may_fill(order)
                for order in self.orders
                if order.run == run and order.instrument.id == instrument and order.is_buy is is_buy
            ),
            Fraction(0),
        )

    def should_pass(
        self,
        run: str,
        instrument: str,
        *,
        is_buy: bool,
        quantity: Decimal,
        price: Decimal | None,
        reduce_only: bool,
    ) -> bool:
        value = Fraction(str(self.world.market.price))
        if price is not None:
            value = max(value, Fraction(price))
        value *= MULTIPLIER[instrument]
        size, held = Fraction(quantity), self.position(run, instrument)
        against = -held if is_buy else held
        if reduce_only:  # an exit: no limit holds it back, but it counts in the rate
            return size <= against
        now_ns = self.world.clock.now_ns
        if sum(now_ns - passed_ns < SECOND_NS for passed_ns in self.passed_ns) >= RATE:
            return False
        if size * value > Fraction(ORDER_LIMIT):
            return False
        worst = self.open_quantity(run, instrument, is_buy=is_buy) + size - against
        is_shrinking = size <= against and worst <= abs(held)
        return is_shrinking or worst * value <= Fraction(POSITION_LIMIT)

    # --- what may happen

    @rule(
        run=RUNS,
        instrument=INSTRUMENTS,
        side=SIDES,
        quantity=QUANTITIES,
        price=st.none() | PRICES,
        reduce_only=st.booleans(),
    )
    def submit(
        self,
        *,
        run: str,
        instrument: str,
        side: Side,
        quantity: Decimal,
        price: Decimal | None,
        reduce_only: bool,
    ) -> None:
        expected = self.should_pass(
            run,
            instrument,
            is_buy=side is Side.BUY,
            quantity=quantity,
            price=price,
            reduce_only=reduce_only,
        )
        sent = len(self.world.sent)

        order = self.world.desk.submit(
            self.world.intent(
                side,
                str(quantity),
                run=run,
                instrument=instrument,
                price=price,
                type=OrderType.MARKET if price is None else OrderType.LIMIT,
                reduce_only=reduce_only,
            )
        )

        assert (order.status is OrderStatus.SUBMITTED) is expected, order.reason
        assert len(self.world.sent) == sent + expected
        self.orders.append(order)
        if expected:
            self.passed_ns.append(self.world.clock.now_ns)

    @rule(step_ns=st.sampled_from([1, SECOND_NS // 3, SECOND_NS]))
    def wait(self, step_ns: int) -> None:
        self.world.clock.advance_to(self.world.clock.now_ns + step_ns)

    @rule(price=st.sampled_from([70.0, 100.0, 100.01, 133.37]))
    def move_market(self, price: float) -> None:
        self.world.market.price = price

    def pick(self, data: st.DataObject) -> OrderState:
        alive = [order for order in self.orders if order.status is not OrderStatus.DENIED]
        return data.draw(st.sampled_from(alive))

    def has_orders(self) -> bool:
        return any(order.status is not OrderStatus.DENIED for order in self.orders)

    @precondition(has_orders)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        order = self.pick(data)
        self.world.desk.apply(OrderAccepted(order.order_id, 1, "v"))

    @precondition(has_orders)
    @rule(data=st.data(), quantity=QUANTITIES, price=PRICES, fee=st.booleans())
    def fill(self, data: st.DataObject, quantity: Decimal, price: Decimal, *, fee: bool) -> None:
        order, name = self.pick(data), self.next_name()
        paid = Decimal("0.07") if fee else Decimal(0)
        fees = (Fee("USD", paid),) if fee else ()
        if data.draw(st.booleans()) and order.facts.remaining:
            quantity = order.facts.remaining  # the usual end, and the quick way through
        self.executions[name] = (order, quantity, price, paid)
        fact = OrderFilled(order.order_id, name, quantity, price, 2, fees)
        self.world.emitted.clear()

        self.world.desk.apply(fact)
        kinds = [type(event) for event in self.world.emitted]
        self.world.desk.apply(fact)

        assert kinds[:4] == [Order, Fill, Position, Account]
        assert all(kind is OrderAnomaly for kind in kinds[4:])
        assert len(self.world.emitted) == len(kinds)  # once

    @precondition(lambda self: bool(self.executions))
    @rule(data=st.data(), quantity=st.just(Decimal(0)) | QUANTITIES, price=PRICES)
    def correct(self, data: st.DataObject, quantity: Decimal, price: Decimal) -> None:
        name = data.draw(st.sampled_from(sorted(self.executions)))
        order = self.executions[name][0]
        self.executions[name] = (order, quantity, price, Decimal(0))
        self.count += 1
        self.world.desk.apply(
            FillCorrection(order.order_id, name, quantity, price, 10 + self.count)
        )

    @precondition(has_orders)
    @rule(data=st.data(), kind=st.sampled_from(EndKind))
    def end(self, data: st.DataObject, kind: EndKind) -> None:
        self.world.desk.apply(OrderEnded(self.pick(data).order_id, kind, 3))

    @precondition(has_orders)
    @rule(data=st.data(), kind=st.sampled_from(RequestKind))
    def doubt(self, data: st.DataObject, kind: RequestKind) -> None:
        order = self.pick(data)
        was_closed = order.is_closed
        self.world.desk.apply(RequestInDoubt(order.order_id, kind, "timeout", 4))
        assert order.is_closed is was_closed  # doubt ends nothing

    @precondition(has_orders)
    @rule(data=st.data(), quantity=QUANTITIES, is_answered=st.booleans())
    def modify(self, data: st.DataObject, quantity: Decimal, *, is_answered: bool) -> None:
        order = self.pick(data)
        reason = self.world.desk.modify(order.order_id, quantity=quantity)
        if reason is None:
            self.passed_ns.append(self.world.clock.now_ns)
            if is_answered:
                revision = order.facts.modify_revision
                self.world.desk.apply(OrderReplaced(order.order_id, revision, quantity, 5))

    @rule(run=RUNS, instrument=INSTRUMENTS)
    def close(self, run: str, instrument: str) -> None:
        before = len(self.world.registry)
        order = self.world.desk.close(run, instrument)
        if order is not None and len(self.world.registry) > before:
            self.orders.append(order)
            if order.status is not OrderStatus.DENIED:
                self.passed_ns.append(self.world.clock.now_ns)
        if order is not None and not order.is_closed:
            assert self.world.desk.close(run, instrument) is order

    # --- what must hold

    @invariant()
    def sums_equal_the_open_orders(self) -> None:
        for run in ("r", "s"):
            for instrument in (SPOT, PERPETUAL):
                working = self.world.registry.working(run, instrument)
                buys = self.open_quantity(run, instrument, is_buy=True)
                sells = self.open_quantity(run, instrument, is_buy=False)
                assert (Fraction(working.open_buy), Fraction(working.open_sell)) == (buys, sells)
                reserved = sum((order.reserved for order in working.orders.values()), Decimal(0))
                assert working.reserved == reserved
                assert working.orders or not working.reserved
        cash = sum(
            (o.reserved for o in self.orders if o.is_buy and o.instrument.id == SPOT), Decimal(0)
        )
        assert self.world.registry.reserved_cash("main").get("USD", Decimal(0)) == cash

    @invariant()
    def positions_and_flatness_equal_the_fills(self) -> None:
        for run in ("r", "s"):
            for instrument in (SPOT, PERPETUAL):
                view = self.world.desk.position_view(run, instrument)
                held = self.position(run, instrument)
                assert Fraction(view.quantity) == held
                is_idle = all(
                    order.is_closed
                    for order in self.orders
                    if order.run == run and order.instrument.id == instrument
                )
                assert view.is_flat is (is_idle and held == 0)

    @invariant()
    def equity_equals_the_fills(self) -> None:
        mark = Decimal(100)
        expected: dict[str, Fraction] = defaultdict(Fraction)
        for order, quantity, price, fee in self.executions.values():
            signed = Fraction(quantity) * (1 if order.is_buy else -1)
            gain = signed * (Fraction(mark) - Fraction(price)) * MULTIPLIER[order.instrument.id]
            expected["USD"] += gain - Fraction(fee)
        equity = self.world.ledger.equity("main", lambda instrument: mark)
        assert Fraction(equity.get("USD", Decimal(0))) == expected["USD"]


OrderPath.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOrderPath = OrderPath.TestCase
