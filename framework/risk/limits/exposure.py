"""What a run or an account may have at stake at worst, open and in-doubt orders included.

Sums are over what is held and open (`Stake`), per currency, each valued at the market's price and
the order's own instrument at `View.price`: the highest of the order's limit, its stop and the
market's, so that no choice of price makes an order look smaller than it may become. Whatever only
shrinks the run's position passes, above a limit too.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from framework.model.decimals import ZERO, absolute, add, subtract
from framework.model.instrument import InstrumentKind
from framework.model.orders import Side
from framework.risk.inputs import InputFault, Inputs, Stake
from framework.risk.proposal import Proposal, View

BUY = Side.BUY
PAID_IN_FULL = (InstrumentKind.SPOT, InstrumentKind.OPTION, InstrumentKind.BINARY)
Worst = Callable[[Stake, Side], Decimal]


class ReduceOnly:
    """A reduce-only order trades against the run's position and for no more than all of it."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.reduce_only and not proposal.shrinks(view.held):
            return (
                f"reduce-only {proposal.side.value} of {proposal.remaining} does not fit"
                f" the position {view.held}"
            )
        return None


class MaxPositionNotional:
    """No position can become worth more than `limit`, whichever of its open orders fill.

    Worst case of a buy: position + open buys + the new quantity; of a sell: position − open
    sells − the new quantity. Whatever the limit, an order passes that is an exit, or trades
    against the position with a worst case no larger than it: it can only shrink the exposure.
    """

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not proposal.added:  # a change that asks for no more than is open already
            return None
        if proposal.is_exit:  # the check `ReduceOnly` has seen that it shrinks the position
            return None
        position = view.position
        if proposal.side is BUY:
            worst = add(add(position, view.open_buy), proposal.added)
        else:
            worst = subtract(add(view.open_sell, proposal.added), position)
        if worst <= ZERO or (worst <= absolute(position) and proposal.shrinks(position)):
            return None
        if view.price is None:
            return f"no price of {proposal.instrument.id} is known to value the position at"
        notional = proposal.instrument.notional(view.price, worst)
        if notional <= self.limit:
            return None
        return f"position notional {notional} would be above max_position_notional {self.limit}"


class MaxGrossNotional:
    """Σ |worst position| × price of an account, or of one run, stays within `limit`."""

    def __init__(
        self, limit: Decimal, max_age_ns: int | None, inputs: Inputs, *, is_of_run: bool
    ) -> None:
        self.limit = limit
        self._sum = Sum(max_age_ns, inputs, is_of_run=is_of_run)

    def check(self, proposal: Proposal, view: View) -> str | None:
        return _judge(self._sum, _gross, proposal, view, self.limit, "gross", "max_gross_notional")


class MaxNetNotional:
    """|Σ worst position × price| of an account, or of one run, stays within `limit`.

    The worst case of a buy is that all buys fill and no sell, of a sell the other way round.
    """

    def __init__(
        self, limit: Decimal, max_age_ns: int | None, inputs: Inputs, *, is_of_run: bool
    ) -> None:
        self.limit = limit
        self._sum = Sum(max_age_ns, inputs, is_of_run=is_of_run)

    def check(self, proposal: Proposal, view: View) -> str | None:
        return _judge(self._sum, _net, proposal, view, self.limit, "net", "max_net_notional")


class WithinAllocation:
    """A run binds no more than it was given: its gross notional stays within its allocation.

    The allocation is in the account's currency; orders in another one are refused, as nothing here
    converts.
    """

    def __init__(self, max_age_ns: int | None, inputs: Inputs) -> None:
        self._inputs = inputs
        self._sum = Sum(max_age_ns, inputs, is_of_run=True)

    def check(self, proposal: Proposal, view: View) -> str | None:
        limit = self._inputs.run(proposal.run).allocation
        if limit is None or proposal.only_shrinks(view):
            return None
        currency = self._inputs.account_currency(proposal.account)
        if proposal.instrument.currency != currency:
            return (
                f"the allocation is in {currency} and"
                f" {proposal.instrument.id} trades in {proposal.instrument.currency}"
            )
        return _judge(self._sum, _gross, proposal, view, limit, "gross", "the run's allocation")


class CashCovers:
    """What is paid in full is bought only with cash that no open order has reserved."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        instrument, account = proposal.instrument, proposal.account
        if (
            proposal.side is not BUY
            or instrument.kind not in PAID_IN_FULL
            or proposal.only_shrinks(view)
        ):
            return None
        cost = self._inputs.order_cost(
            account, instrument, BUY, proposal.remaining, price_of(proposal, view)
        )
        needed = subtract(cost, proposal.reserved)
        available = self._inputs.available_cash(account, instrument.currency)
        if needed <= ZERO or needed <= available:
            return None
        return (
            f"the order needs {needed} {instrument.currency} and account {account!r}"
            f" has {available} available (require_cash)"
        )


class Sum:
    """The worst case of an account or run without and with a proposal, in its currency."""

    def __init__(self, max_age_ns: int | None, inputs: Inputs, *, is_of_run: bool) -> None:
        self._max_age_ns = max_age_ns
        self._inputs = inputs
        self._is_of_run = is_of_run

    def before_and_after(
        self, worst: Worst, proposal: Proposal, view: View
    ) -> tuple[Decimal, Decimal]:
        """Return Σ value of `worst` as things are, and once the proposal is open too."""
        before, side = ZERO, proposal.side
        for stake in self._others(proposal):
            value = worst(stake, side)
            if value:
                price = self._price_of(stake, proposal, view)
                before = add(before, stake.instrument.notional(price, value))
        opened = (view.open_buy, view.open_sell)
        own = Stake(proposal.run, proposal.instrument, view.position, *opened)
        price, instrument = price_of(proposal, view), proposal.instrument
        after = add(before, instrument.notional(price, worst(_with(own, proposal), side)))
        return add(before, instrument.notional(price, worst(own, side))), after

    def _others(self, proposal: Proposal) -> Iterator[Stake]:
        """Yield every stake of that currency but the proposal's own line, which its view has."""
        instrument = proposal.instrument
        run = proposal.run if self._is_of_run else None
        for stake in self._inputs.stakes(proposal.account, run):
            is_own = stake.run == proposal.run and stake.instrument.id == instrument.id
            if not is_own and stake.instrument.currency == instrument.currency:
                yield stake

    def _price_of(self, stake: Stake, proposal: Proposal, view: View) -> Decimal:
        if stake.instrument.id == proposal.instrument.id:
            return price_of(proposal, view)
        price = self._inputs.reference(stake.instrument.id, view.now_ns, self._max_age_ns)
        return absolute(price)  # a future may trade below zero, and is at stake all the same


def price_of(proposal: Proposal, view: View) -> Decimal:
    """Return the price that an order is valued at. Raises InputFault where none is known."""
    if view.price is None:
        raise InputFault(f"reference price of {proposal.instrument.id}", "is missing")
    return view.price


def _judge(
    total: Sum,
    worst: Worst,
    proposal: Proposal,
    view: View,
    limit: Decimal,
    kind: str,
    setting: str,
) -> str | None:
    if proposal.only_shrinks(view):
        return None
    before, after = total.before_and_after(worst, proposal, view)
    if after <= limit or after == before:  # a change that asks for no more than is open already
        return None
    return f"{kind} notional {after} would be above {setting} {limit}"


def _with(stake: Stake, proposal: Proposal) -> Stake:
    opened_buy, opened_sell = stake.open_buy, stake.open_sell
    if proposal.side is BUY:
        opened_buy = add(opened_buy, proposal.added)
    else:
        opened_sell = add(opened_sell, proposal.added)
    return Stake(stake.run, stake.instrument, stake.position, opened_buy, opened_sell)


def _gross(stake: Stake, side: Side) -> Decimal:
    highest = absolute(add(stake.position, stake.open_buy))
    lowest = absolute(subtract(stake.position, stake.open_sell))
    return max(highest, lowest)


def _net(stake: Stake, side: Side) -> Decimal:
    """Return the worst position in the direction of `side`; negative: the other way after all."""
    if side is BUY:
        return add(stake.position, stake.open_buy)
    return subtract(stake.open_sell, stake.position)
