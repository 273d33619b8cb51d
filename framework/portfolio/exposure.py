"""What a run or an account has at stake: one position with its open orders, and sums of many."""

from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO, absolute, add, divide, multiply
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger, Mark


class PositionView(msgspec.Struct, frozen=True, gc=False):
    """A run's position in one instrument over all its buckets, as a strategy sees it.

    `is_flat`: it holds nothing and has no working or in-doubt order that could change that.

    `open_buy` and `open_sell` are what working and in-doubt orders may still fill;
    `working_count` is how many such orders there are; `realised` is before fees.
    """

    instrument: str
    quantity: Decimal = ZERO
    average_price: Decimal | None = None
    realised: Decimal = ZERO
    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO
    working_count: int = 0
    is_flat: bool = True  # stored, as strategies ask with every event
    is_long: bool = False
    is_short: bool = False


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """Notional at stake in one currency: `gross` = Σ |value|, `net` = Σ value."""

    currency: str
    gross: Decimal
    net: Decimal


def position_view(
    instrument: str,
    holdings: list[Holding],
    *,
    open_buy: Decimal = ZERO,
    open_sell: Decimal = ZERO,
    working_count: int = 0,
) -> PositionView:
    """Return the sum of a run's holdings in one instrument, with its open orders beside it."""
    if len(holdings) == 1:
        quantity, cost, realised = holdings[0].quantity, holdings[0].cost, holdings[0].realised
    else:
        quantity = cost = realised = ZERO
        for holding in holdings:
            quantity = add(quantity, holding.quantity)
            cost = add(cost, holding.cost)
            realised = add(realised, holding.realised)
    average_price = None
    if quantity:
        average_price = divide(cost, multiply(quantity, holdings[0].instrument.multiplier))
    return PositionView(
        instrument,
        quantity,
        average_price,
        realised,
        open_buy,
        open_sell,
        working_count,
        not quantity and not working_count,
        quantity > ZERO,
        quantity < ZERO,
    )


def exposure(
    ledger: Ledger, account: str, mark: Mark, *, run: str | None = None
) -> dict[str, Exposure]:
    """Return gross and net notional per currency; a position without a mark counts at its cost."""
    gross: dict[str, Decimal] = {}
    net: dict[str, Decimal] = {}
    for holding in ledger.holdings(account=account, run=run):
        if holding.quantity:
            currency = holding.instrument.currency
            value = holding.value(mark(holding.instrument.id))
            gross[currency] = add(gross.get(currency, ZERO), absolute(value))
            net[currency] = add(net.get(currency, ZERO), value)
    return {currency: Exposure(currency, gross[currency], net[currency]) for currency in gross}
