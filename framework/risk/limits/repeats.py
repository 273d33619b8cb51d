"""Orders that look like a mistake of a machine: repeats, one-way runs, trades with oneself.

Exits pass all three.
"""

from collections import deque
from decimal import Decimal

from framework.model.orders import OrderType, Side
from framework.risk.inputs import Inputs
from framework.risk.proposal import Proposal, View

BUY = Side.BUY
MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

Content = tuple[str, str, Side, OrderType, Decimal, Decimal | None, Decimal | None]


class NoDuplicate:
    """No order repeats one of the same run, content and price within `window_ns`; changes pass.

    A repeated key never comes here: the registry answers it with the order it was given.
    """

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._sent: deque[tuple[int, Content]] = deque()
        self._newest_ns: dict[Content, int] = {}

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.order_id or proposal.is_exit:
            return None
        sent_ns = self._newest_ns.get(_content(proposal))
        if sent_ns is None or view.now_ns - sent_ns >= self.window_ns:
            return None
        return (
            f"the same order was sent {(view.now_ns - sent_ns) / NS_PER_MS:g} ms ago,"
            f" within duplicate_window_ms {self.window_ns / NS_PER_MS:g}"
        )

    def reserve(self, proposal: Proposal, view: View) -> None:
        """Remember an order that is about to be sent, and forget those that are old."""
        if proposal.order_id:
            return
        sent, newest_ns, now_ns = self._sent, self._newest_ns, view.now_ns
        while sent and now_ns - sent[0][0] >= self.window_ns:
            time_ns, content = sent.popleft()
            if newest_ns.get(content) == time_ns:
                del newest_ns[content]
        content = _content(proposal)
        sent.append((now_ns, content))
        newest_ns[content] = now_ns


class MaxSameDirectionFills:
    """At most `limit` orders of a run fill one way within `window_ns` without one the other way.

    The parts of one order count once.
    """

    def __init__(self, limit: int, window_ns: int, inputs: Inputs) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not proposal.added or proposal.only_shrinks(view):
            return None
        since_ns = view.now_ns - self.window_ns
        count = self._inputs.orders_filled_in_a_row(
            proposal.run, proposal.instrument.id, proposal.side, since_ns
        )
        if count < self.limit:
            return None
        return (
            f"{count} {proposal.side.value} orders filled in a row within"
            f" {self.window_ns / NS_PER_S:g} s reach max_same_direction_fills {self.limit}"
        )


class NoSelfMatch:
    """No order would trade with an own one of the same account; stops are judged when they wake.

    An order at the market crosses whatever rests on the other side.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.is_exit or (proposal.type is not MARKET and proposal.type is not LIMIT):
            return None
        price, is_buy = proposal.price, proposal.side is BUY
        for order in self._inputs.resting_orders(proposal.account, proposal.instrument.id):
            if order.side is not proposal.side and _crosses(price, order.price, is_buy=is_buy):
                at = "at the market" if order.price is None else f"at {order.price}"
                return f"it would trade with an own {order.side.value} order {at}"
        return None


def _content(proposal: Proposal) -> Content:
    return (
        proposal.run,
        proposal.instrument.id,
        proposal.side,
        proposal.type,
        proposal.quantity,
        proposal.price,
        proposal.stop_price,
    )


def _crosses(price: Decimal | None, other: Decimal | None, *, is_buy: bool) -> bool:
    if price is None or other is None:
        return True
    return price >= other if is_buy else price <= other
