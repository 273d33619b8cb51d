"""The gate: first refusal answers, approval counts, and its fused twin agrees with it."""

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import OrderIntent, OrderType, Side
from framework.risk.gate import Approved, Gate, GateState, Refused
from framework.risk.limits import (
    Proposal,
    QuantityOnLot,
    RiskSettings,
    View,
    malformed,
    standard_checks,
)

D = Decimal
INSTRUMENT = Instrument("v:X", ranges=(PriceRange(D(0), D("0.5")),), lot=D("0.5"))
BUY = Proposal("r", INSTRUMENT, Side.BUY, OrderType.MARKET, D(1), D(1), D(1))
SELL = msgspec.structs.replace(BUY, side=Side.SELL)
FLAT = View(D(0), D(0), D(0), D(0), D(100), 0)
LONG = View(D(1), D(1), D(0), D(0), D(100), 0)


def gate(**limits: object) -> Gate:
    return Gate(standard_checks(RiskSettings(**limits)))  # type: ignore[arg-type]


def test_an_approval_counts_and_a_refusal_does_not() -> None:
    limited = gate(max_orders_per_second=1)
    wrong = msgspec.structs.replace(BUY, quantity=D("0.3"), remaining=D("0.3"), added=D("0.3"))
    assert isinstance(limited.check(wrong, FLAT), Refused)

    assert isinstance(limited.check(BUY, FLAT), Approved)
    assert isinstance(limited.check(BUY, FLAT), Refused)


def test_a_refusal_names_its_check() -> None:
    refusal = gate(max_order_notional=D(50)).check(BUY, FLAT)

    assert refusal == Refused(
        "order notional 100 is above max_order_notional 50", "MaxOrderNotional"
    )


def test_reducing_lets_only_through_what_shrinks_the_position() -> None:
    reducing = gate()
    reducing.set_state(GateState.REDUCING, "daily loss")

    assert reducing.check(BUY, FLAT) == Refused("reducing only: daily loss", "GateState")
    assert isinstance(reducing.check(BUY, LONG), Refused)
    assert isinstance(reducing.check(SELL, LONG), Approved)


def test_halted_lets_only_reduce_only_orders_through() -> None:
    halted = gate()
    halted.set_state(GateState.HALTED, "kill switch")

    assert isinstance(halted.check(SELL, LONG), Refused)
    exit_order = msgspec.structs.replace(SELL, reduce_only=True)
    assert isinstance(halted.check(exit_order, LONG), Approved)


def test_a_paused_run_may_reduce_and_others_go_on() -> None:
    paused = gate()
    paused.pause("r", "too many losses")

    assert paused.check(BUY, FLAT) == Refused("paused: too many losses", "GateState")
    assert isinstance(paused.check(SELL, LONG), Approved)
    other = msgspec.structs.replace(BUY, run="other")
    assert isinstance(paused.check(other, FLAT), Approved)
    paused.resume("r")
    assert isinstance(paused.check(BUY, FLAT), Approved)


def test_a_gate_with_other_checks_has_no_fused_twin() -> None:
    intent = OrderIntent("r", "k", "v:X", Side.BUY, D(1))
    own = Gate([QuantityOnLot()])

    answer = own.approve_plain(
        intent, INSTRUMENT, D(100), position=D(0), open_quantity=D(0), now_ns=0
    )

    assert answer is None


QUANTITIES = st.sampled_from(
    [D(0), D(-1), D("0.25"), D("0.5"), D(1), D(3), D(10), D("NaN"), D("Infinity"), D("1E+40")]
)
PRICES = st.none() | st.sampled_from([D(0), D("0.3"), D(50), D("100.5"), D(200), D("NaN")])
SIGNED = st.sampled_from([D(-10), D(-1), D("-0.5"), D(0), D("0.5"), D(1), D(10)])
OPEN = st.sampled_from([D(0), D("0.5"), D(1), D(10)])
LIMITS = st.none() | st.sampled_from([D(50), D(100), D(500), D(1000)])
VARIANTS = st.sampled_from(
    [
        INSTRUMENT,
        msgspec.structs.replace(INSTRUMENT, multiplier=D(2), maximum_quantity=D(3)),
        msgspec.structs.replace(INSTRUMENT, ranges=(), lot=None, minimum_quantity=D("0.5")),
        msgspec.structs.replace(INSTRUMENT, maximum_price=D(150), minimum_price=D(1)),
        msgspec.structs.replace(INSTRUMENT, kind=InstrumentKind.INDEX),
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    intent=st.builds(
        OrderIntent,
        run=st.just("r"),
        key=st.sampled_from(["k", "", "x" * 161]),
        instrument=st.just("v:X"),
        side=st.sampled_from(Side),
        quantity=st.none() | QUANTITIES,
        type=st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]),
        price=PRICES,
        stop_price=st.none() | st.just(D(100)),
        quote_quantity=st.none() | st.just(D(100)),
        reduce_only=st.booleans(),
        send_by_ns=st.none() | st.sampled_from([1, 10]),
    ),
    instrument=VARIANTS,
    value=st.none() | st.sampled_from([D(50), D("100.5"), D(200)]),
    position=SIGNED,
    opened=OPEN,
    order_limit=LIMITS,
    position_limit=LIMITS,
    rate=st.none() | st.sampled_from([1, 2]),
    before=st.integers(0, 2),
    state=st.sampled_from(GateState),
    is_paused=st.booleans(),
)
def test_what_the_fused_twin_approves_every_check_approves(
    intent: OrderIntent,
    instrument: Instrument,
    value: Decimal | None,
    position: Decimal,
    opened: Decimal,
    order_limit: Decimal | None,
    position_limit: Decimal | None,
    rate: int | None,
    before: int,
    state: GateState,
    *,
    is_paused: bool,
) -> None:
    """R-60: the quick way through never lets more pass, and counts the same."""
    limits = {
        "max_order_notional": order_limit,
        "max_position_notional": position_limit,
        "max_orders_per_second": rate,
    }
    fused, plain = gate(**limits), gate(**limits)
    buys, sells = (opened, D(0)) if intent.side is Side.BUY else (D(0), opened)
    view = View(position, position, buys, sells, value, 5)
    for one in (fused, plain):
        for _ in range(before):
            one.check(BUY, View(D(0), D(0), D(0), D(0), D("0.5"), 4))
        one.set_state(state, "test")
        if is_paused:
            one.pause("r", "test")
    quantity = intent.quantity

    notional = fused.approve_plain(
        intent, instrument, value, position=position, open_quantity=opened, now_ns=5
    )

    if notional is not None:
        assert quantity is not None
        assert malformed(intent, 5) is None
        proposal = Proposal(
            "r",
            instrument,
            intent.side,
            intent.type,
            quantity,
            quantity,
            quantity,
            intent.price,
            intent.stop_price,
            reduce_only=intent.reduce_only,
        )
        assert isinstance(plain.check(proposal, view), Approved)
        assert value is not None
        assert notional == instrument.notional(value, quantity)
        follow_up = (fused.check(BUY, FLAT), plain.check(BUY, FLAT))
        assert follow_up[0] == follow_up[1]  # both have counted it


@settings(max_examples=300, deadline=None)
@given(
    side=st.sampled_from(Side),
    quantity=st.sampled_from([D("0.5"), D(1), D(4)]),
    position=SIGNED,
    limit=st.sampled_from([D(100), D(500), D(1000)]),
)
def test_the_fused_twin_answers_ordinary_orders_itself(
    side: Side, quantity: Decimal, position: Decimal, limit: Decimal
) -> None:
    """Else it would be equal only by never saying yes."""
    limited = gate(max_position_notional=limit)
    intent = OrderIntent("r", "k", "v:X", side, quantity)
    signed = quantity if side is Side.BUY else -quantity

    notional = limited.approve_plain(
        intent, INSTRUMENT, D(100), position=position, open_quantity=D(0), now_ns=0
    )

    if abs(position + signed) * 100 <= limit:
        assert notional == quantity * 100
