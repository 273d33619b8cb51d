"""Who may trade what, how really, and with which kinds of order."""

from decimal import Decimal

import msgspec
import pytest

from framework.interfaces import BrokerCapabilities
from framework.model.orders import (
    Exits,
    Offset,
    OrderIntent,
    OrderSession,
    OrderType,
    Side,
    TimeInForce,
    TriggerBy,
)
from framework.model.runs import Execution, Run, RunState
from framework.risk.limits.permission import (
    Allowed,
    Emulated,
    RunMayTrade,
    Supported,
    unsupported,
)
from tests.framework.risk.samples import ACCOUNT, FakeInputs, asked, buy, sell, view

D = Decimal
PLAIN = OrderIntent("r", "k", "v:X", Side.BUY, D(1))


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({"accounts": ["main"], "runs": ["r"], "instruments": ["v:X"]}, None),
        ({"accounts": ["other"]}, "account main is not among allowed_accounts"),
        ({"runs": []}, "run r is not among allowed_runs"),
        ({"instruments": ["v:XX", "w:*"]}, "instrument v:X is not among allowed_instruments"),
        ({"instruments": ["v:*"]}, None),
        ({"instruments": ["*"]}, None),
    ],
)
def test_an_order_is_on_every_list_there_is(
    lists: dict[str, list[str]], reason: str | None
) -> None:
    allowed = Allowed(
        accounts=lists.get("accounts"),
        runs=lists.get("runs"),
        instruments=lists.get("instruments"),
    )

    assert allowed.check(buy(), view()) == reason
    assert allowed.check(sell(reduce_only=True), view("1")) is None


def may_trade(run: Run, account: Execution = Execution.SIMULATED) -> str | None:
    inputs = FakeInputs()
    inputs.runs["r"] = run
    inputs.executions[ACCOUNT] = account
    return RunMayTrade(asked(inputs)).check(buy(), view())


def test_no_run_trades_more_really_than_its_account() -> None:
    """T-45, F-25: paper and live are not mixed up."""
    levels = [Execution.SIMULATED, Execution.DRY_RUN, Execution.LIVE]
    for reality, account in enumerate(levels):
        for level, execution in enumerate(levels):
            reason = may_trade(Run("r", ACCOUNT, execution), account)
            assert (reason is None) is (level <= reality)
    live = Run("r", ACCOUNT, Execution.LIVE)
    assert may_trade(live) == "run 'r' is live and account 'main' allows simulated"


def test_a_run_trades_on_its_own_account() -> None:
    wrong = Run("r", "other", Execution.SIMULATED)

    assert may_trade(wrong) == "run 'r' is on account 'other', not 'main'"


def test_a_closed_run_does_nothing_and_a_paused_one_shrinks() -> None:
    inputs = FakeInputs()
    check = RunMayTrade(asked(inputs)).check
    run = Run("r", ACCOUNT, Execution.SIMULATED)

    inputs.runs["r"] = msgspec.structs.replace(run, state=RunState.CLOSED)
    assert check(sell(reduce_only=True), view("1")) == "run 'r' is closed"
    inputs.runs["r"] = msgspec.structs.replace(run, state=RunState.PAUSED, reason="by hand")
    assert check(buy(), view("1")) == "run 'r' is paused: by hand"
    assert check(sell("1"), view("1")) is None


NOTHING = BrokerCapabilities(
    order_types=frozenset({OrderType.LIMIT}),
    time_in_forces=frozenset({TimeInForce.GTC}),
    trigger_bys=frozenset(),
    has_post_only=False,
)


@pytest.mark.parametrize(
    ("fields", "lacking"),
    [
        ({"type": OrderType.LIMIT}, None),
        ({"type": OrderType.MARKET}, "order type market"),
        ({"type": OrderType.LIMIT, "time_in_force": TimeInForce.IOC}, "time in force ioc"),
        ({"type": OrderType.LIMIT, "post_only": True}, "post_only"),
        ({"type": OrderType.LIMIT, "display_quantity": D(1)}, "display_quantity"),
        ({"type": OrderType.LIMIT, "session": OrderSession.NEXT_OPEN}, "session next_open"),
        ({"type": OrderType.STOP_LIMIT}, None),  # the core sends a limit order
        ({"type": OrderType.STOP}, "order type stop"),  # the core would need a market order
        ({"type": OrderType.TRAILING_STOP}, "order type trailing_stop"),
        ({"type": OrderType.LIMIT, "exits": Exits(trail=Offset(D(1)))}, None),
        ({"type": OrderType.LIMIT, "oco_group": "g"}, None),
    ],
)
def test_what_neither_venue_nor_core_does_is_named(
    fields: dict[str, object], lacking: str | None
) -> None:
    intent = msgspec.structs.replace(PLAIN, **fields)

    assert unsupported(intent, NOTHING, Emulated()) == lacking


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP])
def test_a_stop_is_the_venues_or_the_cores(kind: OrderType) -> None:
    intent = msgspec.structs.replace(PLAIN, type=kind, trigger_by=TriggerBy.MARK)
    native = BrokerCapabilities()
    by_last = BrokerCapabilities(trigger_bys=frozenset({TriggerBy.LAST}))
    lacks = BrokerCapabilities(order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}))
    no_core = Emulated(order_types=frozenset())

    assert unsupported(intent, native, no_core) is None
    assert unsupported(intent, by_last, no_core) == "trigger_by mark"
    assert unsupported(intent, by_last, Emulated()) is None
    assert unsupported(intent, lacks, no_core) == f"order type {kind.value}"
    assert unsupported(intent, lacks, Emulated()) is None


def test_what_the_core_or_a_rich_venue_does_passes() -> None:
    rich = BrokerCapabilities(has_display_quantity=True, has_next_open=True)
    hidden = msgspec.structs.replace(PLAIN, display_quantity=D(1))
    later = msgspec.structs.replace(PLAIN, session=OrderSession.NEXT_OPEN)
    gtd = msgspec.structs.replace(
        PLAIN, type=OrderType.LIMIT, time_in_force=TimeInForce.GTD, expire_ns=5
    )
    ours = Emulated(time_in_forces=frozenset({TimeInForce.GTD}), has_next_open=True)

    assert unsupported(hidden, rich, Emulated()) is None
    assert unsupported(later, rich, Emulated()) is None
    assert unsupported(later, BrokerCapabilities(), ours) is None
    assert unsupported(gtd, NOTHING, ours) is None


def test_without_a_broker_to_ask_only_a_display_quantity_is_refused() -> None:
    check = Supported().check
    hidden = msgspec.structs.replace(PLAIN, display_quantity=D(1))

    assert check(buy(intent=hidden), view()) == "display_quantity is not supported"
    assert check(buy(), view()) is None
    order = buy()
    order.intent = None  # nothing is wished for beyond the proposal
    assert check(order, view()) is None
