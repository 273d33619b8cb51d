"""The section `risk` of the configuration, as the checks that a gate asks."""

from framework.errors import ConfigError
from framework.risk.conditions import Conditions
from framework.risk.inputs import Inputs, RiskInputs
from framework.risk.limits.exposure import (
    CashCovers,
    MaxGrossNotional,
    MaxNetNotional,
    MaxPositionNotional,
    ReduceOnly,
    WithinAllocation,
)
from framework.risk.limits.loss import MaxDailyLoss
from framework.risk.limits.margin import MarginCovers
from framework.risk.limits.market_state import FeedTrusted, MarketOpen, Reconciled
from framework.risk.limits.permission import Allowed, Emulated, RunMayTrade, Supported
from framework.risk.limits.prices import FreshReference, PriceCollar, PriceOnTick, PricesFitType
from framework.risk.limits.rates import DAY_NS, MINUTE_NS, SECOND_NS, MaxOpenOrders, OrderRate
from framework.risk.limits.repeats import MaxSameDirectionFills, NoDuplicate, NoSelfMatch
from framework.risk.limits.scope import EVERYTHING, Scope, Scoped
from framework.risk.limits.sizes import MaxOrderNotional, MaxOrderQuantity, QuantityOnLot
from framework.risk.proposal import Check
from framework.settings.risk_limits import InstrumentLimits, OwnerLimits, RiskSettings

FORM_CHECKS = (PricesFitType, QuantityOnLot, PriceOnTick, ReduceOnly)
"""Whether an order's own numbers are sane: asked before anything else, the gate's state too."""

COLLAR_AGE_NS = 60 * SECOND_NS
NS_PER_MS = 1_000_000


def standard_checks(
    settings: RiskSettings,
    inputs: RiskInputs | None = None,
    conditions: Conditions | None = None,
    *,
    emulated: Emulated | None = None,
) -> tuple[Check, ...]:
    """Return the checks that every order passes, and those that `settings` ask for.

    Without `inputs`, as in a desk by itself, only the checks that need none.

    Raises:
        ConfigError: the settings ask for a limit that needs inputs, and there are none.
    """
    asked = None if inputs is None else Inputs(inputs)
    checks: list[Check] = [kind() for kind in FORM_CHECKS]
    checks.append(Supported(None if asked is None else asked.capabilities, emulated))
    if asked is not None:
        conditions = conditions or Conditions()
        checks += [RunMayTrade(asked), Reconciled(conditions)]
        if settings.require_market_open:
            checks.append(MarketOpen(asked, conditions))
        if settings.require_trusted_feed:
            checks.append(FeedTrusted(conditions))
        checks.append(WithinAllocation(_age_ns(settings), asked))
    checks += _allow_lists(settings)
    checks += _checks(settings, EVERYTHING, asked)
    for scope, limits in _scopes(settings):
        checks += [Scoped(check, scope) for check in _checks(limits, scope, asked)]
    return tuple(checks)


def _scopes(settings: RiskSettings) -> list[tuple[Scope, InstrumentLimits]]:
    return [
        *((Scope(account=name), limits) for name, limits in settings.accounts.items()),
        *((Scope(run=name), limits) for name, limits in settings.runs.items()),
        *((Scope(instrument=name), limits) for name, limits in settings.instruments.items()),
    ]


def _allow_lists(settings: RiskSettings) -> list[Check]:
    if settings.allowed_accounts is None and settings.allowed_runs is None:
        return []
    return [Allowed(accounts=settings.allowed_accounts, runs=settings.allowed_runs)]


def _checks(limits: InstrumentLimits, scope: Scope, inputs: Inputs | None) -> list[Check]:
    """Return the checks of one place of the section, those of issue A's settings first."""
    checks: list[Check] = []
    if limits.max_order_notional is not None:
        checks.append(MaxOrderNotional(limits.max_order_notional))
    if limits.max_position_notional is not None:
        checks.append(MaxPositionNotional(limits.max_position_notional))
    if limits.max_order_quantity is not None:
        checks.append(MaxOrderQuantity(limits.max_order_quantity))
    for limit, window_ns, setting in (
        (limits.max_orders_per_second, SECOND_NS, "max_orders_per_second"),
        (limits.max_orders_per_minute, MINUTE_NS, "max_orders_per_minute"),
        (limits.max_orders_per_day, DAY_NS, "max_orders_per_day"),
    ):
        if limit is not None:
            checks.append(OrderRate(limit, window_ns, f"{setting} {limit}"))
    if limits.duplicate_window_ms is not None:
        checks.append(NoDuplicate(limits.duplicate_window_ms * NS_PER_MS))
    if isinstance(limits, OwnerLimits) and limits.allowed_instruments is not None:
        checks.append(Allowed(instruments=limits.allowed_instruments))
    return checks + _asking(limits, scope, inputs)


def _asking(limits: InstrumentLimits, scope: Scope, inputs: Inputs | None) -> list[Check]:
    """Return the checks that need inputs."""
    wanted = [
        name
        for name in (
            "price_collar_bps",
            "max_reference_age_s",
            "max_open_orders",
            "max_same_direction_fills",
            "prevent_self_match",
            "max_gross_notional",
            "max_net_notional",
            "max_daily_loss",
            "require_cash",
            "require_margin",
        )
        if getattr(limits, name, None)
    ]
    if not wanted:
        return []
    if inputs is None:
        raise ConfigError(
            "this limit needs what only a whole system knows", key=f"risk.{wanted[0]}"
        )
    checks = _of_the_market(limits, inputs)
    if limits.max_open_orders is not None:
        checks.append(MaxOpenOrders(limits.max_open_orders, inputs, scope))
    if limits.max_same_direction_fills is not None:
        window_ns = round(limits.same_direction_window_s * SECOND_NS)
        checks.append(MaxSameDirectionFills(limits.max_same_direction_fills, window_ns, inputs))
    if limits.prevent_self_match:
        checks.append(NoSelfMatch(inputs))
    if isinstance(limits, OwnerLimits):
        checks += _of_an_owner(limits, inputs, is_of_run=scope.run is not None)
    return checks


def _of_the_market(limits: InstrumentLimits, inputs: Inputs) -> list[Check]:
    checks: list[Check] = []
    age_ns = _age_ns(limits)
    if age_ns is not None:
        checks.append(FreshReference(age_ns, inputs))
    if limits.price_collar_bps is not None:
        checks.append(PriceCollar(limits.price_collar_bps, age_ns or COLLAR_AGE_NS, inputs))
    return checks


def _of_an_owner(limits: OwnerLimits, inputs: Inputs, *, is_of_run: bool) -> list[Check]:
    checks: list[Check] = []
    age_ns = _age_ns(limits)
    if limits.max_gross_notional is not None:
        gross = MaxGrossNotional(limits.max_gross_notional, age_ns, inputs, is_of_run=is_of_run)
        checks.append(gross)
    if limits.max_net_notional is not None:
        net = MaxNetNotional(limits.max_net_notional, age_ns, inputs, is_of_run=is_of_run)
        checks.append(net)
    if limits.max_daily_loss is not None:
        checks.append(MaxDailyLoss(limits.max_daily_loss, inputs, is_of_run=is_of_run))
    if limits.require_cash:
        checks.append(CashCovers(inputs))
    if limits.require_margin:
        checks.append(MarginCovers(inputs))
    return checks


def _age_ns(limits: InstrumentLimits) -> int | None:
    age_s = limits.max_reference_age_s
    return None if age_s is None else round(age_s * SECOND_NS)
