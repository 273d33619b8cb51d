"""Admission: what an order could be worth, and the gate's word on it, new or changed."""

from decimal import Decimal

import pytest

from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderType, Side
from framework.orders.admission import Admission
from framework.orders.order_state import OrderState
from framework.portfolio.ledger import Ledger
from framework.risk.gate import Approved, Gate, Refused
from framework.risk.proposal import Proposal, View
from tests.framework.orders.world import PERPETUAL, SPOT, FakeMarket, World

D = Decimal


class Recorder:
    """A check that has nothing against anything and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[Proposal, View]] = []

    def check(self, proposal: Proposal, view: View) -> str | None:
        self.seen.append((proposal, view))
        return None

    @property
    def last(self) -> Proposal:
        return self.seen[-1][0]


class Rig(World):
    """A desk, and an admission beside it that tells what the gate is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.admission = Admission(
            gate=Gate([self.recorder]), ledger=self.ledger, market=self.market
        )

    def judge(self, intent: OrderIntent, *, is_closing: bool = False) -> Decimal | Refused:
        instrument = self.instrument(intent.instrument)
        return self.admission.judge(
            intent,
            instrument,
            self.registry.working(intent.run, intent.instrument),
            self.ledger.holding("main", intent.run, instrument),
            self.admission.price_of(intent.instrument, intent.price, intent.stop_price),
            self.clock.now_ns,
            is_closing=is_closing,
        )

    def judge_change(self, order: OrderState, **change: Decimal | None) -> Approved | Refused:
        return self.admission.judge_change(
            order,
            self.ledger.holding("main", order.run, order.instrument),
            quantity=change.get("quantity") or order.quantity,
            price=change.get("price") or order.price,
            stop_price=change.get("stop_price"),
            now_ns=self.clock.now_ns,
        )


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_gate_is_shown_the_whole_intent_with_its_account(rig: Rig) -> None:
    intent = rig.intent(Side.BUY, "2", price=D(90))

    assert rig.judge(intent, is_closing=True) == 2

    shown, view = rig.recorder.seen[-1]
    assert (shown.account, shown.run, shown.order_id, shown.reserved) == ("main", "r", "", D(0))
    assert shown.intent is intent
    assert (shown.quantity, shown.remaining, shown.added) == (D(2), D(2), D(2))
    assert shown.is_closing
    assert view.price == 100  # the market's is above the limit


@pytest.mark.parametrize(
    ("market", "price", "stop", "value"),
    [
        (100.0, None, None, "100.0"),
        (100.0, "90", None, "100.0"),
        (100.0, "110", "120", "120"),
        (None, "110", None, "110"),
        (None, None, None, None),
        (float("nan"), "110", None, "110"),
        (float("inf"), None, None, None),
    ],
)
def test_an_order_is_valued_at_the_highest_price_it_could_have(
    rig: Rig, market: float | None, price: str | None, stop: str | None, value: str | None
) -> None:
    rig.market.price = market

    found = rig.admission.price_of(
        SPOT, None if price is None else D(price), None if stop is None else D(stop)
    )

    assert found == (None if value is None else D(value))


def test_a_quote_quantity_becomes_a_quantity_on_the_lot(rig: Rig) -> None:
    assert rig.judge(rig.intent(Side.BUY, None, quote_quantity=D("150.05"))) == D("1.500")

    refusal = rig.judge(rig.intent(Side.BUY, None, quote_quantity=D("0.01")))
    assert refusal == Refused("quote quantity 0.01 does not make one lot", "malformed")
    rig.market.price = None
    assert isinstance(rig.judge(rig.intent(Side.BUY, None, quote_quantity=D(150))), Refused)


def test_what_makes_no_sense_is_refused_before_the_checks(rig: Rig) -> None:
    assert rig.judge(rig.intent(Side.BUY, "1", key="")) == Refused(
        "a key has 1 to 160 characters, this one has 0", "malformed"
    )
    assert rig.judge(rig.intent(Side.BUY, None)) == Refused(
        "exactly one of quantity and quote_quantity must be given", "malformed"
    )
    assert rig.recorder.seen == []


def test_a_change_is_shown_with_what_it_adds_and_what_it_has_reserved(rig: Rig) -> None:
    order = rig.buy("2", price=D(90))
    rig.fill(order, "0.5", "90")

    rig.judge_change(order, quantity=D(3), price=D(95))

    shown = rig.recorder.last
    assert (shown.order_id, shown.account) == (order.order_id, "main")
    assert (shown.quantity, shown.remaining, shown.added) == (D(3), D("2.5"), D(1))
    assert shown.price == 95
    assert shown.reserved == 150  # 1.5 at the market's 100
    rig.judge_change(order, quantity=D(1))
    assert rig.recorder.last.added == 0


def test_only_what_is_paid_in_full_has_cash_reserved(rig: Rig) -> None:
    for order in (rig.sell("1", price=D(120)), rig.buy("1", price=D(90), instrument=PERPETUAL)):
        rig.judge_change(order)
        assert rig.recorder.last.reserved == 0


def test_a_refused_change_has_the_gates_reason() -> None:
    world = World(max_order_notional=D(500))
    order = world.buy("2", price=D(90))

    reason = world.desk.modify(order.order_id, quantity=D(6))

    assert reason == "order notional 600.0 is above max_order_notional 500"


def test_the_type_of_an_order_and_its_trail_are_shown() -> None:
    recorder, market = Recorder(), FakeMarket()
    ledger = Ledger(lambda name: Instrument(name))
    admission = Admission(gate=Gate([recorder]), ledger=ledger, market=market)
    world = World()
    intent = world.intent(Side.BUY, "1", type=OrderType.TRAILING_STOP)
    instrument = world.instrument(SPOT)

    admission.judge(
        intent,
        instrument,
        world.registry.working("r", SPOT),
        ledger.holding("main", "r", instrument),
        None,
        0,
        is_closing=False,
    )

    assert recorder.last.type is OrderType.TRAILING_STOP
    assert not recorder.last.has_trail
