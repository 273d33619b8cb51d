"""How much may be lost in a day."""

from decimal import Decimal

from framework.model.decimals import negate
from framework.risk.inputs import Inputs
from framework.risk.proposal import Proposal, View


class MaxDailyLoss:
    """An account or run that lost more than `limit` since its day began may only shrink.

    In each currency by itself, realised and unrealised, after fees. It may enter again once the
    loss is smaller, or the next day.
    """

    def __init__(self, limit: Decimal, inputs: Inputs, *, is_of_run: bool) -> None:
        self.limit = limit
        self._inputs = inputs
        self._is_of_run = is_of_run

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.only_shrinks(view):
            return None
        run = proposal.run if self._is_of_run else None
        profits = self._inputs.profits_today(proposal.account, run, view.now_ns)
        for currency, profit in profits.items():
            loss = negate(profit)
            if loss > self.limit:
                return f"today's loss of {loss} {currency} is above max_daily_loss {self.limit}"
        return None
