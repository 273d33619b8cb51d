"""Who may trade what, how really, and with which kinds of order."""

from collections.abc import Callable, Sequence

import msgspec

from framework.interfaces import BrokerCapabilities
from framework.model.orders import OrderIntent, OrderSession, OrderType, TimeInForce
from framework.model.runs import Execution, RunState
from framework.risk.inputs import Inputs
from framework.risk.proposal import Proposal, View

MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
STOP_LIMIT = OrderType.STOP_LIMIT
TRAILING_STOP = OrderType.TRAILING_STOP
NEXT_OPEN = OrderSession.NEXT_OPEN
REALITY = {Execution.SIMULATED: 0, Execution.DRY_RUN: 1, Execution.LIVE: 2}


class Emulated(msgspec.Struct, frozen=True):
    """What the core does by itself where a venue cannot."""

    order_types: frozenset[OrderType] = frozenset({STOP, STOP_LIMIT, TRAILING_STOP})
    time_in_forces: frozenset[TimeInForce] = frozenset()
    has_next_open: bool = False


class Allowed:
    """An order's account, run and instrument are on the lists there are; exits pass.

    An entry that ends in `*` stands for everything that begins so.
    """

    def __init__(
        self,
        *,
        accounts: Sequence[str] | None = None,
        runs: Sequence[str] | None = None,
        instruments: Sequence[str] | None = None,
    ) -> None:
        self._accounts = accounts
        self._runs = runs
        self._instruments = instruments

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.is_exit:
            return None
        for kind, name, allowed in (
            ("account", proposal.account, self._accounts),
            ("run", proposal.run, self._runs),
            ("instrument", proposal.instrument.id, self._instruments),
        ):
            if allowed is not None and not is_listed(name, allowed):
                return f"{kind} {name} is not among allowed_{kind}s"
        return None


class Supported:
    """The account's venue takes such an order, or the core does its part of it; for exits too.

    `capabilities_of` answers by account. Where there is none, only what few venues have is refused.
    """

    def __init__(
        self,
        capabilities_of: Callable[[str], BrokerCapabilities] | None = None,
        emulated: Emulated | None = None,
    ) -> None:
        self.emulated = emulated or Emulated()
        self.capabilities_of = capabilities_of

    def check(self, proposal: Proposal, view: View) -> str | None:
        intent = proposal.intent
        if intent is None:
            return None
        capabilities = self.capabilities(proposal.account)
        lacking = unsupported(intent, capabilities, self.emulated)
        return None if lacking is None else f"{lacking} is not supported"

    def capabilities(self, account: str) -> BrokerCapabilities | None:
        """Return what an account's broker can do; None where there is nobody to ask."""
        return None if self.capabilities_of is None else self.capabilities_of(account)


class RunMayTrade:
    """The run is open, trades on its own account, and no more really than that allows (T-45).

    Holds for exits too: a run on paper must not close what is real. A paused run may shrink.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        run = self.inputs.run(proposal.run)
        if run.account != proposal.account:
            return f"run {run.id!r} is on account {run.account!r}, not {proposal.account!r}"
        if run.state is RunState.CLOSED:
            return f"run {run.id!r} is closed"
        if run.state is RunState.PAUSED and not proposal.only_shrinks(view):
            return f"run {run.id!r} is paused: {run.reason}"
        execution = self.inputs.account_execution(run.account)
        if REALITY[run.execution] > REALITY[execution]:
            return (
                f"run {run.id!r} is {run.execution.value}"
                f" and account {run.account!r} allows {execution.value}"
            )
        return None


def is_listed(name: str, allowed: Sequence[str]) -> bool:
    """Tell whether a name is on a list, itself or by an entry that ends in `*`."""
    return any(
        name == entry or (entry.endswith("*") and name.startswith(entry[:-1])) for entry in allowed
    )


def unsupported(
    intent: OrderIntent, capabilities: BrokerCapabilities | None, emulated: Emulated
) -> str | None:
    """Return the first wish of an intent that neither the venue nor the core acts on, or None.

    Exits and OCO groups are the core's wherever the venue has none. Without `capabilities` only a
    display quantity is refused: never ignored, as it is what hides an order.
    """
    if capabilities is None:
        return None if intent.display_quantity is None else "display_quantity"
    if intent.display_quantity is not None and not capabilities.has_display_quantity:
        return "display_quantity"
    if intent.post_only and not capabilities.has_post_only:
        return "post_only"
    if intent.session is NEXT_OPEN and not (capabilities.has_next_open or emulated.has_next_open):
        return "session next_open"
    time_in_force = intent.time_in_force
    if time_in_force not in capabilities.time_in_forces | emulated.time_in_forces:
        return f"time in force {time_in_force.value}"
    return _unsupported_type(intent, capabilities, emulated)


def _unsupported_type(
    intent: OrderIntent, capabilities: BrokerCapabilities, emulated: Emulated
) -> str | None:
    kind, native = intent.type, capabilities.order_types
    if kind in native:
        is_triggered = kind is not MARKET and kind is not LIMIT
        if is_triggered and intent.trigger_by not in capabilities.trigger_bys:
            is_ours = kind in emulated.order_types
            return None if is_ours else f"trigger_by {intent.trigger_by.value}"
        return None
    needed = LIMIT if kind is STOP_LIMIT else MARKET  # as what the core sends it once it wakes
    if kind in emulated.order_types and needed in native:
        return None
    return f"order type {kind.value}"
