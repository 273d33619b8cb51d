"""Whether an account's equity carries what an order would bind.

A line (run and instrument) binds the initial margin of the position it may have at worst, open and
in-doubt orders included: of what is margined the larger of all buys filled and all sells filled, of
what is paid in full what would be sold short. Orders that only shrink bind nothing.
"""

from collections.abc import Sequence
from decimal import Decimal

from framework.model.decimals import ZERO, absolute, add, subtract
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, Side
from framework.risk.inputs import InputFault, Inputs, Stake
from framework.risk.limits.exposure import price_of
from framework.risk.proposal import Proposal, View

BUY, SELL = Side.BUY, Side.SELL
PAID_IN_FULL = (InstrumentKind.SPOT, InstrumentKind.OPTION, InstrumentKind.BINARY)


class MarginCovers:
    """The initial margin that an order adds is no more than what the account has free.

    Free is the equity less what is paid in full or reserved for that, and less what all lines bind
    at the market's prices; the order itself is valued at `View.price`. What a line binds is what it
    would cost to order it now, fees included. In the instrument's currency alone.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not proposal.added or proposal.only_shrinks(view):
            return None
        instrument, side = proposal.instrument, proposal.side
        own = Stake(proposal.run, instrument, view.position, view.open_buy, view.open_sell)
        growth = _growth(own, side, proposal.added)
        if growth <= ZERO:
            return None
        account, price = proposal.account, price_of(proposal, view)
        needed = self._inputs.order_cost(account, instrument, side, growth, price)
        others = self._inputs.stakes(account, None)
        available = self._available(account, instrument.currency, others)
        if needed <= available:
            return None
        return (
            f"the order needs {needed:f} {instrument.currency} of margin and account {account!r}"
            f" has {max(ZERO, available):f} available (require_margin)"
        )

    def is_surely_covered(self, intent: OrderIntent, account: str, instrument: Instrument) -> bool:
        """Tell whether `check` would pass a market or limit order; a no is no answer.

        For the fused twin: it has neither proposal nor view, and finds the order's line itself.
        """
        if intent.reduce_only:
            return True
        quantity, inputs = intent.quantity, self._inputs
        if quantity is None:
            return False
        try:
            stakes = inputs.stakes(account, None)
            own = Stake(intent.run, instrument, ZERO, ZERO, ZERO)
            for stake in stakes:
                if stake.run == intent.run and stake.instrument.id == instrument.id:
                    own = stake
            growth = _growth(own, intent.side, quantity)
            if growth <= ZERO:
                return True
            price = inputs.reference(instrument.id, 0, None)
            if intent.price is not None:
                price = max(absolute(price), absolute(intent.price))
            needed = inputs.order_cost(account, instrument, intent.side, growth, price)
            return needed <= self._available(account, instrument.currency, stakes)
        except (InputFault, ArithmeticError):  # the check asks again, and names what failed
            return False

    def _available(self, account: str, currency: str, stakes: Sequence[Stake]) -> Decimal:
        available = self._inputs.free_equity(account, currency)
        for stake in stakes:
            instrument = stake.instrument
            if instrument.currency != currency:
                continue
            quantity, side = worst_quantity(stake)
            if quantity > ZERO:
                price = absolute(self._inputs.reference(instrument.id, 0, None))
                cost = self._inputs.order_cost(account, instrument, side, quantity, price)
                available = subtract(available, cost)
        return available


def worst_quantity(stake: Stake) -> tuple[Decimal, Side]:
    """Return the quantity that binds margin at worst, and by which side's orders."""
    if stake.instrument.kind in PAID_IN_FULL:
        return subtract(stake.open_sell, stake.position), SELL
    if stake.open_buy is ZERO and stake.open_sell is ZERO:
        return absolute(stake.position), BUY if stake.position > ZERO else SELL
    bought = absolute(add(stake.position, stake.open_buy))
    sold = absolute(subtract(stake.position, stake.open_sell))
    return (bought, BUY) if bought >= sold else (sold, SELL)


def _growth(own: Stake, side: Side, added: Decimal) -> Decimal:
    """Return by how much one more open order lets the quantity grow that binds margin."""
    opened_buy, opened_sell = own.open_buy, own.open_sell
    if side is BUY:
        opened_buy = add(opened_buy, added)
    else:
        opened_sell = add(opened_sell, added)
    after, _ = worst_quantity(Stake(own.run, own.instrument, own.position, opened_buy, opened_sell))
    before, _ = worst_quantity(own)
    return subtract(max(ZERO, after), max(ZERO, before))
