"""The fused twin of the standard checks says yes only where all of them do."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.interfaces import BrokerCapabilities
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import OrderIntent, OrderType, Side, TimeInForce
from framework.model.runs import Execution, Run, RunState
from framework.risk.conditions import Conditions
from framework.risk.gate import Approved, Gate
from framework.risk.kill_switch import GateState
from framework.risk.limits.configured import standard_checks
from framework.risk.limits.wellformed import malformed
from framework.risk.proposal import Proposal, View
from framework.settings.risk_limits import RiskSettings
from tests.framework.risk.samples import ACCOUNT, SPOT, FakeInputs

D = Decimal
INSTRUMENT = Instrument("v:X", ranges=(PriceRange(D(0), D("0.5")),), lot=D("0.5"))
BUY = Proposal("r", INSTRUMENT, Side.BUY, OrderType.MARKET, D(1), D(1), D(1))
FLAT = View(D(0), D(0), D(0), D(0), D(100), 0)


def gate(**limits: object) -> Gate:
    return Gate(standard_checks(RiskSettings(**limits)))  # type: ignore[arg-type] # tests name them


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


class Whole:
    """A gate in a whole system, and the way past its checks."""

    def __init__(self) -> None:
        self.source = FakeInputs()
        self.conditions = Conditions()
        checks = standard_checks(RiskSettings(), self.source, self.conditions)
        self.gate = Gate(checks)
        self.intent = OrderIntent("r", "k", "v:X", Side.BUY, D(1))

    def is_quick(self, instrument: Instrument = SPOT, **fields: object) -> bool:
        """Tell whether the fused twin answers by itself."""
        intent = msgspec.structs.replace(self.intent, **fields)
        answer = self.gate.approve_plain(
            intent, instrument, D(100), position=D(0), open_quantity=D(0), now_ns=5
        )
        return answer is not None

    def passes(self) -> bool:
        """Put an order through the checks."""
        order = msgspec.structs.replace(BUY, account=ACCOUNT, intent=self.intent)
        return isinstance(self.gate.check(order, FLAT), Approved)


def test_a_run_takes_the_short_way_once_it_has_passed_every_check() -> None:
    whole = Whole()
    assert not whole.is_quick()

    assert whole.passes()

    assert whole.is_quick()
    assert not whole.is_quick(run="another")


@pytest.mark.parametrize(
    "change",
    [
        {"state": RunState.CLOSED},
        {"state": RunState.PAUSED},
        {"allocation": D(10**9)},
        {"execution": Execution.LIVE},
        {"account": "other"},
    ],
)
def test_a_run_that_changed_takes_the_long_way(change: dict[str, object]) -> None:
    """T-45: also one that passed before."""
    whole = Whole()
    whole.passes()

    whole.source.runs["r"] = msgspec.structs.replace(whole.source.runs["r"], **change)

    assert not whole.is_quick()
    whole.passes()
    assert not whole.is_quick()


def test_the_short_way_opens_again_for_a_run_that_resumed() -> None:
    whole = Whole()
    whole.passes()
    known = whole.source.runs["r"]
    whole.source.runs["r"] = msgspec.structs.replace(known, session=2)
    assert not whole.is_quick()

    whole.passes()

    assert whole.is_quick()


def test_whatever_is_wrong_leads_everybody_the_long_way() -> None:
    whole = Whole()
    whole.passes()
    conditions = whole.conditions
    wrongs: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (lambda: conditions.distrust("w:Z", "gap"), lambda: conditions.trust("w:Z")),
        (lambda: conditions.halt_market("w:Z", "x"), lambda: conditions.open_market("w:Z")),
        (lambda: conditions.block_account("b", "x"), lambda: conditions.confirm_account("b")),
        (lambda: conditions.doubt_account("b", "x"), lambda: conditions.confirm_account("b")),
    ]
    for make_wrong, make_right in wrongs:
        make_wrong()
        assert not whole.is_quick()
        make_right()
        assert whole.is_quick()


def test_instruments_with_hours_or_an_end_take_the_long_way() -> None:
    whole = Whole()
    whole.passes()

    assert not whole.is_quick(msgspec.structs.replace(SPOT, calendar="XNYS"))
    assert not whole.is_quick(msgspec.structs.replace(SPOT, expiry_ns=10**18))


def test_what_the_venue_lacks_takes_the_long_way() -> None:
    whole = Whole()
    whole.source.broker = BrokerCapabilities(
        time_in_forces=frozenset({TimeInForce.GTC, TimeInForce.IOC}), has_post_only=False
    )
    whole.passes()

    assert whole.is_quick(time_in_force=TimeInForce.IOC)
    assert not whole.is_quick(time_in_force=TimeInForce.FOK)
    assert not whole.is_quick(post_only=True)
    assert not whole.is_quick(display_quantity=D(1))


@pytest.mark.parametrize(
    "broker",
    [
        BrokerCapabilities(order_types=frozenset({OrderType.MARKET})),
        BrokerCapabilities(time_in_forces=frozenset({TimeInForce.IOC})),
    ],
)
def test_a_venue_without_ordinary_orders_has_no_short_way(broker: BrokerCapabilities) -> None:
    whole = Whole()
    whole.source.broker = broker
    whole.intent = msgspec.structs.replace(whole.intent, time_in_force=TimeInForce.IOC)
    assert whole.passes()

    assert not whole.is_quick()


def test_a_source_that_fails_leads_the_long_way() -> None:
    """R-61: which then names it."""
    whole = Whole()
    whole.passes()

    def fail(run: str) -> Run | None:
        raise ConnectionError("gone")

    whole.source.run = fail  # type: ignore[method-assign] # a fault
    whole.gate.use(standard_checks(RiskSettings(), whole.source, whole.conditions))

    assert not whole.is_quick()
    assert not whole.passes()


def test_a_source_that_fails_right_after_the_checks_closes_the_short_way() -> None:
    whole = Whole()
    answers = iter([BrokerCapabilities()])
    whole.source.capabilities = lambda account: next(answers, None)  # type: ignore[method-assign]
    whole.gate.use(standard_checks(RiskSettings(), whole.source, whole.conditions))

    assert whole.passes()
    assert not whole.is_quick()


def test_the_twin_knows_multipliers_and_counts_rates() -> None:
    limited = gate(max_order_notional=D(300), max_orders_per_second=1)
    tenfold = msgspec.structs.replace(INSTRUMENT, multiplier=D(10))

    def ask(quantity: str, instrument: Instrument, now_ns: int) -> Decimal | None:
        intent = OrderIntent("r", "k", "v:X", Side.BUY, D(quantity))
        return limited.approve_plain(
            intent, instrument, D(50), position=D(0), open_quantity=D(0), now_ns=now_ns
        )

    assert ask("1", tenfold, 0) is None  # 500
    assert ask("0.5", tenfold, 0) == 250
    assert ask("0.5", INSTRUMENT, 1) is None  # the second order within the second
    assert ask("0.5", INSTRUMENT, 10**9) == 25
