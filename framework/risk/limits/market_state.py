"""Whether the market is open, its feed can be trusted, and the account's state is known."""

from framework.model.orders import OrderSession
from framework.risk.conditions import Conditions
from framework.risk.inputs import Inputs
from framework.risk.proposal import Proposal, View

NEXT_OPEN = OrderSession.NEXT_OPEN
ALWAYS_OPEN = "24/7"  # the calendar of what never closes, unless its venue says so


class MarketOpen:
    """The market is open, or the order is for its next opening; exits pass.

    A calendar that is wrong must not keep a position open: of exits the venue itself is asked.
    """

    def __init__(self, inputs: Inputs, conditions: Conditions) -> None:
        self._inputs = inputs
        self._conditions = conditions

    def check(self, proposal: Proposal, view: View) -> str | None:
        intent = proposal.intent
        if proposal.is_exit or (intent is not None and intent.session is NEXT_OPEN):
            return None
        instrument = proposal.instrument
        reason = self._conditions.halted.get(instrument.id)
        if reason is not None:
            return f"the market of {instrument.id} is {reason}"
        if instrument.expiry_ns is not None and instrument.expiry_ns <= view.now_ns:
            return f"{instrument.id} has expired"
        if instrument.calendar == ALWAYS_OPEN:
            return None
        if self._inputs.market_is_open(instrument, view.now_ns):
            return None
        return f"the market of {instrument.id} is closed"


class FeedTrusted:
    """The instrument's feed has no gap and is not silent; what only shrinks passes."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    def check(self, proposal: Proposal, view: View) -> str | None:
        streams = self._conditions.distrusted.get(proposal.instrument.id)
        if streams is None or proposal.only_shrinks(view):
            return None
        return f"market data of {proposal.instrument.id} is stale: {'; '.join(streams.values())}"


class Reconciled:
    """The account's orders and positions are those of its venue.

    Before the first reconciliation nothing passes, exits neither: what they would shrink is not
    known. While a later one is outstanding, what only shrinks passes.
    """

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions

    def check(self, proposal: Proposal, view: View) -> str | None:
        account, conditions = proposal.account, self.conditions
        reason = conditions.blocked.get(account)
        if reason is None:
            reason = conditions.doubted.get(account)
            if reason is None or proposal.only_shrinks(view):
                return None
        return f"account {account!r} is not reconciled: {reason}"
