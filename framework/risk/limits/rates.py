"""How many orders may be sent within a time, and how many may be open.

Only what passed every check counts, a change as much as a new order. Exits count but are never
refused: an emergency stop must not wait for the next second.
"""

from collections import deque

from framework.risk.inputs import Inputs
from framework.risk.limits.scope import Scope
from framework.risk.proposal import Proposal, View

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS  # any 24 hours: a limit that begins anew at midnight doubles there


class OrderRate:
    """At most `limit` orders within any `window_ns` of market time; `setting` names the limit."""

    def __init__(self, limit: int, window_ns: int, setting: str) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self.setting = setting
        self._sent_ns: deque[int] = deque(maxlen=limit)

    def check(self, proposal: Proposal, view: View) -> str | None:
        sent_ns = self._sent_ns
        if len(sent_ns) < self.limit or proposal.is_exit:
            return None
        if sent_ns and view.now_ns - sent_ns[0] >= self.window_ns:
            return None
        return f"{self.limit} orders within {_named(self.window_ns)} reach {self.setting}"

    def reserve(self, proposal: Proposal, view: View) -> None:
        """Count an order that is about to be sent."""
        self._sent_ns.append(view.now_ns)

    def count(self, now_ns: int) -> None:
        """Count an order that no limit holds back."""
        self._sent_ns.append(now_ns)

    def take(self, now_ns: int) -> bool:
        """Count an order if there is room for it; tell whether there was."""
        sent_ns = self._sent_ns
        if len(sent_ns) >= self.limit and (not sent_ns or now_ns - sent_ns[0] < self.window_ns):
            return False
        sent_ns.append(now_ns)
        return True


class MaxOpenOrders:
    """At most `limit` orders of a scope are open, in doubt or held; exits and changes pass."""

    def __init__(self, limit: int, inputs: Inputs, scope: Scope) -> None:
        self.limit = limit
        self._inputs = inputs
        self._scope = scope

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.order_id or proposal.is_exit:
            return None
        scope = self._scope
        count = self._inputs.open_order_count(scope.account, scope.run, scope.instrument)
        if count < self.limit:
            return None
        return f"{count} open orders reach max_open_orders {self.limit}"


def _named(window_ns: int) -> str:
    return {SECOND_NS: "one second", MINUTE_NS: "one minute"}.get(window_ns, "24 hours")
