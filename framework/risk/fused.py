"""The standard checks as plain limits, for `Gate.approve_plain`: faster, tested equal.

It knows the limits of ordinary configurations (margin by asking its check) and, of the checks that
are always on in a whole system, the case in which they have nothing to say: no condition is wrong,
the market never closes, and the run passed all of them before and is the same since.
"""

from collections.abc import Callable, Sequence

import msgspec

from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderType, TimeInForce
from framework.model.runs import Run, RunState
from framework.risk.conditions import Conditions
from framework.risk.inputs import InputFault
from framework.risk.limits.configured import FORM_CHECKS
from framework.risk.limits.exposure import MaxPositionNotional, WithinAllocation
from framework.risk.limits.margin import MarginCovers
from framework.risk.limits.market_state import ALWAYS_OPEN, FeedTrusted, MarketOpen, Reconciled
from framework.risk.limits.permission import RunMayTrade, Supported
from framework.risk.limits.rates import OrderRate
from framework.risk.limits.sizes import MaxOrderNotional
from framework.risk.proposal import Check

GTC = TimeInForce.GTC
ACTIVE = RunState.ACTIVE
ORDINARY = {OrderType.MARKET, OrderType.LIMIT}
KNOWN = (
    *FORM_CHECKS,
    *(Supported, RunMayTrade, Reconciled, MarketOpen, FeedTrusted, WithinAllocation),
    *(MaxOrderNotional, MaxPositionNotional, OrderRate, MarginCovers),
)


class UsualRun(msgspec.Struct, frozen=True, gc=False):
    """A run that passed every check, and what its venue takes of an ordinary order."""

    run: Run
    time_in_forces: frozenset[TimeInForce]
    has_post_only: bool


class Fused:
    """The limits of a gate that has the standard checks and no others; None: there is no limit.

    Attributes:
        asks: `is_usual` has to be asked: there is a whole system around the gate.
    """

    __slots__ = (
        "_conditions",
        "_margin",
        "_run_of",
        "_supported",
        "_usual",
        "asks",
        "order",
        "position",
        "rate",
    )

    def __init__(self, found: dict[type, Check], supported: Supported) -> None:
        order, position = found.get(MaxOrderNotional), found.get(MaxPositionNotional)
        rate, may_trade = found.get(OrderRate), found.get(RunMayTrade)
        reconciled = found.get(Reconciled)
        self.order = order.limit if isinstance(order, MaxOrderNotional) else None
        self.position = position.limit if isinstance(position, MaxPositionNotional) else None
        self.rate = rate if isinstance(rate, OrderRate) else None
        self.asks = may_trade is not None or supported.capabilities_of is not None
        margin = found.get(MarginCovers)
        self._margin = margin if isinstance(margin, MarginCovers) else None
        self._supported = supported
        self._run_of: Callable[[str], Run | None] | None = None
        if isinstance(may_trade, RunMayTrade):
            self._run_of = may_trade.inputs.source.run
        self._conditions: Conditions | None = None
        if isinstance(reconciled, Reconciled):
            self._conditions = reconciled.conditions
        self._usual: dict[str, UsualRun] = {}

    def is_usual(self, intent: OrderIntent, instrument: Instrument) -> bool:
        """Tell whether the checks of a whole system have nothing against an ordinary order."""
        usual = self._usual.get(intent.run)
        if (
            usual is None
            or self._conditions is None
            or not self._conditions.is_clear
            or instrument.calendar != ALWAYS_OPEN
            or instrument.expiry_ns is not None
            or (intent.post_only and not usual.has_post_only)
            or (
                intent.time_in_force is not GTC and intent.time_in_force not in usual.time_in_forces
            )
        ):
            return False
        try:
            if self._run_of is None or self._run_of(intent.run) is not usual.run:
                return False
        except Exception:  # the checks ask again, and name what failed
            return False
        margin = self._margin
        return margin is None or margin.is_surely_covered(intent, usual.run.account, instrument)

    def remember(self, run: str) -> None:
        """Note that an order of this run passed every check, if the next may take the short way."""
        known = self._run(run)
        usual = self._usual.get(run)
        if known is None or (usual is not None and usual.run is known):
            return
        self._usual.pop(run, None)
        try:
            capabilities = self._supported.capabilities(known.account)
        except InputFault:  # it was there a moment ago, for the check: ask again next time
            return
        if (
            known.state is ACTIVE
            and known.allocation is None
            and capabilities is not None
            and capabilities.order_types >= ORDINARY
            and GTC in capabilities.time_in_forces
        ):
            terms = capabilities.time_in_forces, capabilities.has_post_only
            self._usual[run] = UsualRun(known, *terms)

    def _run(self, run: str) -> Run | None:
        try:
            return None if self._run_of is None else self._run_of(run)
        except Exception:  # the checks ask again, and name what failed
            return None


def fuse(checks: Sequence[Check]) -> Fused | None:
    """Return the limits of the standard checks, or None where others are among them."""
    found: dict[type, Check] = {type(check): check for check in checks}
    supported = found.get(Supported)
    if (
        len(found) != len(checks)
        or not all(kind in found for kind in FORM_CHECKS)
        or not all(kind in KNOWN for kind in found)
        or not isinstance(supported, Supported)
    ):
        return None
    return Fused(found, supported)
