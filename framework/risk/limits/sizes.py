"""How large an order may be: on the lot, within the instrument's and the configured limits.

The lot holds for exits too; the configured limits do not: what is too large to be opened at once
may still have to be closed at once.
"""

from decimal import Decimal

from framework.model.decimals import ZERO, divide, multiply, remainder
from framework.model.instrument import Instrument
from framework.risk.limits.grid import off_grid
from framework.risk.proposal import Proposal, View


class QuantityOnLot:
    """The quantity is a finite positive Decimal on the lot, within the instrument's limits."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        quantity, instrument = proposal.quantity, proposal.instrument
        if quantity.__class__ is not Decimal:
            return f"quantity {quantity!r} is not a Decimal"
        try:
            if (
                quantity > ZERO
                and (instrument.lot is None or not remainder(quantity, instrument.lot))
                and (instrument.minimum_quantity is None or quantity >= instrument.minimum_quantity)
                and (instrument.maximum_quantity is None or quantity <= instrument.maximum_quantity)
                and quantity.is_finite()
            ):
                return None
        except ArithmeticError:  # NaN, or more digits than the context holds
            pass
        return off_grid(instrument, quantity=quantity)


class MaxOrderQuantity:
    """No order is for more than `limit`; exits pass."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.quantity <= self.limit or proposal.is_exit:
            return None
        return f"order quantity {proposal.quantity} is above max_order_quantity {self.limit}"


class MaxOrderNotional:
    """No order is worth more than `limit`; exits pass."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.is_exit:
            return None
        if view.price is None:
            return f"no price of {proposal.instrument.id} is known to value the order at"
        notional = proposal.instrument.notional(view.price, proposal.quantity)
        if notional <= self.limit:
            return None
        return f"order notional {notional} is above max_order_notional {self.limit}"


def quantity_for(
    amount: Decimal | None, instrument: Instrument, price: Decimal | None
) -> Decimal | None:
    """Return the largest quantity on the grid that costs no more than `amount` at `price`.

    None where that is less than one lot, or there is no usable amount or price.
    """
    if amount is None or price is None or not amount.is_finite() or amount <= ZERO or not price:
        return None
    value = divide(amount, multiply(price, instrument.multiplier))
    return instrument.round_quantity(value) or None
