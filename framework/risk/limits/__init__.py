"""The checks of an order, one small class each; `standard_checks` makes a gate's list of them.

A check says nothing, or names its limit and the value. *Exits* are reduce-only orders and the
core's own closings; *shrinks*: what can but shrink the run's position, an exit or not
(`Proposal.only_shrinks`).

    check                   refuses                                        passes whatever
    PricesFitType           prices that its type does not have             -
    QuantityOnLot           quantity off the lot, the limits, not finite   -
    PriceOnTick             price off the tick, the limits, not finite     -
    ReduceOnly              reduce-only beyond the position                -
    (the gate's state)      entries while reducing, paused or halted       shrinks; halted: exits
    Supported               what neither venue nor core does               -
    RunMayTrade             closed run, wrong account, too real            - (paused: shrinks)
    Reconciled              an account whose state is not known            - (later ones: shrinks)
    MarketOpen              closed, halted, expired                        exits
    FeedTrusted             a feed with a gap, or silent                   shrinks
    WithinAllocation        more capital than the run was given            shrinks
    Allowed                 what is on no list                             exits
    MaxOrderNotional        a large order                                  exits
    MaxPositionNotional     a large position at worst                      shrinks
    MaxOrderQuantity        a large order                                  exits
    OrderRate               too many per second, minute, 24 hours          exits, which count
    NoDuplicate             the same again under another key               exits, changes
    FreshReference          an old market price                            exits
    PriceCollar             a price far from the market's                  exits
    MaxOpenOrders           too many open                                  exits, changes
    MaxSameDirectionFills   too many fills one way                         shrinks
    NoSelfMatch             a trade with an own order                      exits
    MaxGrossNotional        Σ |position| at worst                          shrinks
    MaxNetNotional          |Σ position| at worst                          shrinks
    MaxDailyLoss            a day that lost too much                       shrinks
    CashCovers              buys without the cash                          shrinks
    MarginCovers            more margin than the equity carries            shrinks
"""

from framework.risk.limits.configured import standard_checks
from framework.risk.limits.sizes import quantity_for
from framework.risk.limits.wellformed import malformed
from framework.risk.proposal import Check, Proposal, View
from framework.settings.risk_limits import RiskSettings

__all__ = [
    "Check",
    "Proposal",
    "RiskSettings",
    "View",
    "malformed",
    "quantity_for",
    "standard_checks",
]
