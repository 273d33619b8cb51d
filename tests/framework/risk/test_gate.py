"""The gate: first refusal answers, approval counts, missing inputs refuse."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from framework.model.orders import OrderIntent, Side
from framework.risk.gate import Approved, Gate, Refused
from framework.risk.inputs import InputFault
from framework.risk.kill_switch import GateState, KillSwitch
from framework.risk.limits.configured import standard_checks
from framework.risk.limits.sizes import QuantityOnLot
from framework.risk.proposal import Proposal, View
from framework.settings.risk_limits import RiskSettings
from tests.framework.risk.samples import SPOT, FakeInputs, buy, gate, sell, view

D = Decimal
FLAT, LONG = view(), view("1")


def test_an_approval_counts_and_a_refusal_does_not() -> None:
    limited = gate(max_orders_per_second=1)
    assert isinstance(limited.check(buy("0.3"), FLAT), Refused)

    assert isinstance(limited.check(buy(), FLAT), Approved)
    assert isinstance(limited.check(buy(), FLAT), Refused)


def test_a_judgement_alone_counts_nothing() -> None:
    limited = gate(max_orders_per_second=1)

    assert limited.judge(buy(), FLAT) is None
    assert limited.judge(buy(), FLAT) is None


def test_what_was_sent_before_a_restart_counts_at_its_time() -> None:
    limited = gate(max_orders_per_minute=1, duplicate_window_ms=60_000)
    limited.count(buy("2"), view(at=0))

    refusal = limited.check(buy("1"), view(at=59_999_999_999))
    assert isinstance(refusal, Refused)
    assert refusal.check == "OrderRate"
    assert isinstance(limited.check(buy("1"), view(at=60_000_000_000)), Approved)


def test_a_refusal_names_its_check() -> None:
    refusal = gate(max_order_notional=D(50)).check(buy(), FLAT)

    assert refusal == Refused(
        "order notional 100 is above max_order_notional 50", "MaxOrderNotional"
    )


def test_refusals_are_told_of() -> None:
    told: list[tuple[str, int]] = []
    limited = gate(max_order_notional=D(50))
    limited.on_denied = lambda run, now_ns: told.append((run, now_ns))

    limited.check(buy(), view(at=7))
    limited.check(buy("0.5"), view(at=8))

    assert told == [("r", 7)]


def test_reducing_lets_only_through_what_shrinks_the_position() -> None:
    reducing = gate()
    reducing.set_state(GateState.REDUCING, "daily loss")

    assert reducing.state is GateState.REDUCING
    assert reducing.check(buy(), FLAT) == Refused("reducing only: daily loss", "GateState")
    assert isinstance(reducing.check(buy(), LONG), Refused)
    assert isinstance(reducing.check(sell(), LONG), Approved)


def test_two_orders_that_shrink_alone_and_turn_the_position_together_do_not_both_pass() -> None:
    """R-60."""
    reducing = gate()
    reducing.set_state(GateState.REDUCING, "daily loss")

    assert isinstance(reducing.check(sell(), view("1", sells="0.5")), Refused)
    assert isinstance(reducing.check(sell("0.5"), view("1", sells="0.5")), Approved)
    leaving = sell(reduce_only=True)
    assert isinstance(reducing.check(leaving, view("1", sells="1")), Approved)


def test_halted_lets_only_reduce_only_orders_through() -> None:
    halted = gate()
    halted.set_state(GateState.HALTED, "kill switch")

    assert halted.check(sell(), LONG) == Refused("halted: kill switch", "GateState")
    assert isinstance(halted.check(sell(reduce_only=True), LONG), Approved)
    assert isinstance(halted.check(sell("2", reduce_only=True), LONG), Refused)  # beyond it


def test_a_paused_run_may_reduce_and_others_go_on() -> None:
    source = FakeInputs()
    source.runs["other"] = msgspec.structs.replace(source.runs["r"], id="other")
    paused = gate(source)
    paused.pause("r", "too many losses")

    assert paused.is_paused("r")
    assert paused.check(buy(), FLAT) == Refused("paused: too many losses", "GateState")
    assert isinstance(paused.check(sell(), LONG), Approved)
    assert isinstance(paused.check(buy(run="other"), FLAT), Approved)
    paused.resume("r")
    assert isinstance(paused.check(buy(), FLAT), Approved)


def test_a_flag_set_by_another_thread_halts_the_gate_at_once() -> None:
    """R-64."""
    switch = KillSwitch()
    stopped = Gate(standard_checks(RiskSettings()), switch)
    switch.is_tripped = True

    assert stopped.state is GateState.HALTED
    assert stopped.check(buy(), FLAT) == Refused("halted: the kill switch is set", "GateState")
    intent = OrderIntent("r", "k", "v:X", Side.BUY, D(1))
    answer = stopped.approve_plain(
        intent, SPOT, D(100), position=D(0), open_quantity=D(0), now_ns=0
    )
    assert answer is None


def test_a_gate_with_other_checks_has_no_fused_twin() -> None:
    intent = OrderIntent("r", "k", "v:X", Side.BUY, D(1))
    own = Gate([QuantityOnLot()])

    answer = own.approve_plain(intent, SPOT, D(100), position=D(0), open_quantity=D(0), now_ns=0)

    assert answer is None


class Raising:
    """A check whose input failed in a way of its own."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def check(self, proposal: Proposal, view: View) -> str | None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputFault("the moon", "is missing"), "the moon is missing"),
        (OverflowError("28 digits"), "it cannot be judged: OverflowError"),
    ],
)
def test_what_cannot_be_judged_is_refused(error: Exception, reason: str) -> None:
    """R-61."""
    assert Gate([Raising(error)]).check(buy(), FLAT) == Refused(reason, "Raising")


def test_an_error_of_a_check_itself_sends_nothing_either() -> None:
    """A bug is told as one; nothing was counted and nothing follows."""
    with pytest.raises(RuntimeError):
        Gate([Raising(RuntimeError("a bug"))]).check(buy(), FLAT)


LIMITS: dict[str, object] = {
    "price_collar_bps": D(1000),
    "max_open_orders": 5,
    "max_same_direction_fills": 5,
    "prevent_self_match": True,
    "max_gross_notional": D(10**6),
    "max_net_notional": D(10**6),
    "max_daily_loss": D(10**6),
    "require_cash": True,
    "require_margin": True,
    "max_reference_age_s": 60,
}
INPUTS = {
    "run": "run 'r'",
    "account_execution": "execution of account 'main'",
    "capabilities": "capabilities of account 'main'",
    "market_is_open": "trading hours of v:X",
    "reference": "reference price of v:X",
    "stakes": "positions of account 'main'",
    "available_cash": "cash of account 'main' in USD",
    "order_cost": "cost of an order on account 'main'",
    "profits_today": "today's profit of account 'main'",
    "open_order_count": "number of open orders",
    "orders_filled_in_a_row": "fills of run 'r' in v:X",
    "resting_orders": "open orders of account 'main' in v:X",
    "account_currency": "currency of account 'main'",
}
LISTED = msgspec.structs.replace(SPOT, calendar="XNYS")


def failing(*arguments: object) -> object:
    raise ConnectionError("no answer")


def missing(*arguments: object) -> object:
    return None


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(
    ("fault", "told"), [(failing, "failed: ConnectionError: no answer"), (missing, "is missing")]
)
def test_an_order_is_refused_by_the_name_of_the_input_that_is_missing_or_fails(
    name: str, fault: Callable[..., object], told: str
) -> None:
    """R-61: each input faulted, and the same order passes with all of them."""
    source = FakeInputs()
    source.runs["r"] = msgspec.structs.replace(source.runs["r"], allocation=D(10**6))
    order = buy("1", price=D(100), instrument=LISTED)
    assert isinstance(gate(source, **LIMITS).check(order, view()), Approved)

    setattr(source, name, fault)
    refusal = gate(source, **LIMITS).check(order, view())

    assert isinstance(refusal, Refused)
    assert refusal.reason == f"{INPUTS[name]} {told}"


EXITS_NEED = {"run", "account_execution", "capabilities"}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("kind", ["reduce_only", "is_closing"])
def test_an_exit_leaves_whatever_guards_against_growth_has_no_answer(name: str, kind: str) -> None:
    """Only what tells whether it is ours to send at all is asked for an exit."""
    source = FakeInputs()
    setattr(source, name, failing)
    leaving = sell("1", instrument=LISTED, **{kind: True})

    verdict = gate(source, **LIMITS).check(leaving, view("1", price=None, at=10**18))

    assert isinstance(verdict, Refused) is (name in EXITS_NEED)


TIGHT: dict[str, object] = {
    "max_order_notional": D(1),
    "max_position_notional": D(1),
    "max_order_quantity": D("0.5"),
    "price_collar_bps": D(1),
    "max_orders_per_second": 1,
    "max_orders_per_minute": 1,
    "max_orders_per_day": 1,
    "max_open_orders": 1,
    "duplicate_window_ms": 1000,
    "max_same_direction_fills": 1,
    "prevent_self_match": True,
    "max_gross_notional": D(1),
    "max_net_notional": D(1),
    "max_daily_loss": D(1),
    "require_cash": True,
    "require_margin": True,
    "allowed_instruments": [],
    "allowed_runs": [],
    "allowed_accounts": [],
    "max_reference_age_s": 1,
}


@pytest.mark.parametrize("kind", ["reduce_only", "is_closing"])
def test_no_limit_however_tight_holds_an_exit_back(kind: str) -> None:
    source = FakeInputs()
    source.open, source.open_orders, source.in_a_row = False, 99, 99
    source.cash, source.profits = D(-5), {"USD": D(-(10**6))}
    tight = gate(source, **TIGHT)
    leaving = sell("9", price=D(1), instrument=LISTED, **{kind: True})

    for at in range(3):
        assert isinstance(tight.check(leaving, view("9", sells="50", at=at)), Approved)
    assert isinstance(tight.check(buy(), view()), Refused)
