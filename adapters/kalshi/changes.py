"""Markets added to and taken from a subscription, as its owner asks.

What is wanted is remembered at once, so that whatever subscribes next (a new connection, a repair)
subscribes the markets of now; `Done` or `Refused` follows for each request.
"""

from adapters.kalshi.actions import Done, Emit, Refused
from adapters.kalshi.book_keeping import BookKeeping
from adapters.kalshi.commands import Changing, Wake
from adapters.kalshi.messages import Refusal
from adapters.kalshi.policy import Policy
from adapters.kalshi.roll import TOO_FAST, Roll
from adapters.kalshi.subscription import Subscription, SubscriptionState
from framework.errors import SubscriptionRefused
from framework.model.book_recovery import SECOND_NS

UNKNOWN_SID = 7


class Changes:
    """Changes on their way, waiting for their subscription, or for a pause to end."""

    def __init__(
        self, emit: Emit, policy: Policy, *, roll: Roll, books: BookKeeping, wake: Wake
    ) -> None:
        self._emit = emit
        self._policy = policy
        self._roll = roll
        self._books = books
        self._wake = wake
        self._later: list[tuple[int, Changing]] = []  # (when to send it, change)

    def add(
        self, subscription: Subscription, markets: tuple[str, ...], request: int, now_ns: int
    ) -> None:
        """Cover more markets.

        Raises:
            ValueError: the subscription has no filter by ticker: it covers them, or cannot.
        """
        if not subscription.markets:
            raise ValueError(f"{subscription!r} has no list of markets to add to")
        new = tuple(market for market in markets if market not in subscription.markets)
        subscription.markets |= dict.fromkeys(new)
        self._start(Changing(subscription, "add_markets", new, (request,)), now_ns)

    def delete(
        self, subscription: Subscription, markets: tuple[str, ...], request: int, now_ns: int
    ) -> None:
        """Cover fewer markets; their books are gone at once.

        Raises:
            ValueError: none would be left, which would mean all: unsubscribe instead.
        """
        gone = tuple(market for market in markets if market in subscription.markets)
        if len(gone) == len(subscription.markets):
            raise ValueError(f"{subscription!r} would be left without a market")
        for market in gone:
            del subscription.markets[market]
        self._books.forget(subscription, gone)
        self._start(Changing(subscription, "delete_markets", gone, (request,)), now_ns)

    def is_done(self, change: Changing, now_ns: int) -> None:
        """The venue took the change."""
        for request in change.requests:
            self._emit(Done(request))
        if not change.requests and self._is_joining(change):
            self._roll.confirm(change.subscription, now_ns)

    def is_refused(self, change: Changing, refusal: Refusal, now_ns: int) -> None:
        """The venue refused the change, or (code 0) gave no answer."""
        subscription = change.subscription
        stream = self._roll.streams.get(change.sid)
        if refusal.code == UNKNOWN_SID or subscription.sid != change.sid:
            self._postpone(change)  # another sid covers it, or will
            if stream is not None and refusal.code == UNKNOWN_SID:
                self._roll.interrupt(stream, refusal, now_ns)
            return
        if not change.requests:
            if self._is_joining(change):
                self._roll.leave(subscription)
                self._roll.refuse(subscription, refusal, now_ns)
            return
        change.attempt_count += 1
        if refusal.code in TOO_FAST and change.attempt_count < self._policy.attempts:
            pause_s = subscription.back_off.next_s()
            due_ns = now_ns + round(pause_s * SECOND_NS)
            self._later.append((due_ns, change))
            self._wake.by(due_ns)
            return
        if change.action == "add_markets":
            for market in change.markets:
                subscription.markets.pop(market, None)
            self._books.forget(subscription, change.markets)
        error = SubscriptionRefused(subscription.channel, refusal.code, refusal.text)
        for request in change.requests:
            self._emit(Refused(request, error))

    def lose_all(self, unanswered: list[Changing]) -> None:
        """The connection is gone: the next subscribe covers what was on its way or waited."""
        later, self._later = self._later, []
        for change in (*unanswered, *(change for _, change in later)):
            self._postpone(change)
        for subscription in self._roll.subscriptions.values():
            subscription.requests = subscription.take_requests()

    def on_acknowledged(self, subscription: Subscription, now_ns: int) -> None:
        """Complete what the subscribe covered, and send what was asked since."""
        deferred, subscription.deferred = subscription.deferred, []
        for request in subscription.take_requests():
            self._emit(Done(request))
        for change in _gathered(deferred):
            self._start(change, now_ns)

    def on_time(self, now_ns: int) -> None:
        """Send again what came too fast."""
        later, self._later = self._later, []
        for due_ns, change in later:
            if due_ns <= now_ns:
                self._start(change, now_ns)
            else:
                self._later.append((due_ns, change))
                self._wake.by(due_ns)

    def _start(self, change: Changing, now_ns: int) -> None:
        subscription = change.subscription
        is_addition = change.action == "add_markets"
        change.markets = tuple(  # that nobody has thought better of meanwhile
            market for market in change.markets if (market in subscription.markets) is is_addition
        )
        if not change.markets:
            self.is_done(change, now_ns)
        elif subscription.state is SubscriptionState.LIVE:
            if is_addition and subscription.has_books:
                self._books.expect(subscription, change.markets, now_ns)
            self._roll.send_change(change, now_ns)
        elif subscription.state is SubscriptionState.ASKED:
            subscription.deferred.append(change)  # the subscribe on its way does not cover it
        else:
            self._postpone(change)

    def _postpone(self, change: Changing) -> None:
        """Let the next acknowledgement complete it; what was taken away is gone already."""
        subscription = change.subscription
        is_covered = subscription.sid is not None and subscription.sid != change.sid
        if change.action == "delete_markets" or is_covered:
            for request in change.requests:
                self._emit(Done(request))
        elif subscription.state is SubscriptionState.ENDED:
            error = SubscriptionRefused(subscription.channel, 0, "the subscription has ended")
            for request in change.requests:
                self._emit(Refused(request, error))
        else:
            subscription.requests.extend(change.requests)

    def _is_joining(self, change: Changing) -> bool:
        subscription = change.subscription
        is_asked = subscription.state is SubscriptionState.ASKED
        return is_asked and subscription.sid is not None and subscription.sid == change.sid


def _gathered(changes: list[Changing]) -> list[Changing]:
    """Return the same changes with neighbours of one kind in one command."""
    gathered: list[Changing] = []
    for change in changes:
        last = gathered[-1] if gathered else None
        if last is None or last.action != change.action:
            gathered.append(change)
            continue
        last.markets += change.markets
        last.requests += change.requests
    return gathered
