"""Keeps the books of the subscriptions true, and gets lost ones back.

The venue numbers snapshots like everything else, so a snapshot in order is the whole truth up to
its number: no changes need be kept for replay. A lost book is asked for by `get_snapshot`, one
command per sid for all its markets; by subscribing again, at once where the venue does not know
that command; and by a new connection (B1). A market of which no book ever came may not exist: it
is asked for again and again, but neither its sid nor the connection is given up for it, nor twice
for one loss.
"""

from collections.abc import Iterable

from adapters.kalshi.actions import (
    Alarm,
    AskReconnect,
    BookApplied,
    BookInvalid,
    Emit,
    Fault,
    LevelApplied,
    LevelDropped,
    Told,
)
from adapters.kalshi.codec import Frame
from adapters.kalshi.commands import AskingSnapshots, Commands, Wake
from adapters.kalshi.ladders import BookState, Ladders, Pursuit
from adapters.kalshi.messages import Book, Level
from adapters.kalshi.policy import Policy
from adapters.kalshi.subscription import Subscription
from framework.market.escalation import Alert, Reconnect, Request, RequestSnapshot, Resubscribe


class BookKeeping:
    """Applies frames that are in order, and pursues the books that are missing."""

    def __init__(self, emit: Emit, policy: Policy, commands: Commands, wake: Wake) -> None:
        self.can_ask = True  # until the venue refuses `get_snapshot`; asked anew per connection
        self._emit = emit
        self._policy = policy
        self._commands = commands
        self._wake = wake

    # -- frames in order -------------------------------------------------------------------------

    def on_level(
        self, members: tuple[Subscription, ...], frame: Frame, level: Level, now_ns: int
    ) -> None:
        """Apply one change to the book of its market."""
        for member in members:
            ladders = member.books.get(level.market_ticker)
            if ladders is None:  # of another member, or of nobody any more
                member.statistics.drops += len(members) == 1
                continue
            if not ladders.is_live:
                member.statistics.drops += 1
                self._emit(LevelDropped(member, frame))
                continue
            count = ladders.change(level.side, level.price, level.change)
            if count >= 0:
                self._emit(LevelApplied(member, frame, count))
            else:
                self._suspect(member, frame, level.market_ticker, now_ns)

    def on_book(
        self, members: tuple[Subscription, ...], frame: Frame, book: Book, now_ns: int
    ) -> None:
        """Put a snapshot in place."""
        for member in members:
            ladders = member.books.get(book.market_ticker)
            if ladders is None:
                member.statistics.drops += len(members) == 1
                continue
            was_live = ladders.is_live
            if not ladders.replace(book, now_ns):
                self._suspect(member, frame, book.market_ticker, now_ns)
                continue
            if not was_live:
                self._came_back(member, book.market_ticker)
            self._emit(BookApplied(member, frame, not was_live))

    # -- trust won and lost ----------------------------------------------------------------------

    def expect(self, subscription: Subscription, markets: Iterable[str], now_ns: int) -> None:
        """Wait for the snapshots that follow an acknowledgement by themselves."""
        ask_at_ns = now_ns + self._policy.deadlines.request_ns
        for market in markets:
            self._await_snapshot(subscription, market, now_ns)
            self._open(subscription, market, now_ns, ask_at_ns)
        self._wake_for(subscription)

    def expect_all(self, subscription: Subscription, now_ns: int) -> None:
        """Wait for all snapshots: its sid is new, and what was asked before is void."""
        ask_at_ns = now_ns + self._policy.deadlines.request_ns
        subscription.escalation.restart_link(now_ns, ask_at_ns=ask_at_ns)
        self.expect(subscription, subscription.markets, now_ns)

    def distrust(
        self, subscription: Subscription, reason: str, now_ns: int, *, is_asking: bool = True
    ) -> None:
        """Trust none of its books: their sid lost a frame, or is lost itself; ask for them."""
        state = BookState.RESYNCING if is_asking else BookState.STALE
        for ladders in subscription.books.values():
            self._invalidate(subscription, ladders, state, reason, now_ns)
            if is_asking:
                self._open(subscription, ladders.market, now_ns, now_ns)
        self._wake_for(subscription)

    def forget(self, subscription: Subscription, markets: Iterable[str]) -> None:
        """Keep no book of these markets any more."""
        for market in markets:
            if subscription.books.pop(market, None) is not None:
                subscription.escalation.forget(market)

    def request(self, subscription: Subscription, markets: tuple[str, ...], now_ns: int) -> bool:
        """Ask for whole books though nothing is wrong; False: it cannot be asked for."""
        if subscription.sid is None or not self.can_ask:
            return False
        self._ask(subscription.sid, AskingSnapshots([subscription], set(markets)), now_ns)
        return True

    def ask_again(self, asking: AskingSnapshots, now_ns: int, *, is_unknown: bool) -> None:
        """A `get_snapshot` was refused; `is_unknown`: as a command the venue does not have."""
        self.can_ask = self.can_ask and not is_unknown
        if is_unknown:
            for subscription in asking.subscriptions:
                for market in asking.markets:
                    subscription.escalation.ask_again(market, now_ns)
                self._wake_for(subscription)

    # -- time ------------------------------------------------------------------------------------

    def on_time(self, subscriptions: Iterable[Subscription], now_ns: int) -> list[Subscription]:
        """Pursue what is missing; return the subscriptions whose sid must be replaced."""
        broken: list[Subscription] = []
        asks: dict[int, AskingSnapshots] = {}
        for subscription in subscriptions:
            if subscription.sid is None:
                continue
            requests = subscription.escalation.due(now_ns)
            markets = [ask.instrument for ask in requests if isinstance(ask, RequestSnapshot)]
            is_asking = bool(markets) and self.can_ask
            wants_repair = bool(markets) and not self.can_ask
            for request in requests:
                wants_repair |= isinstance(request, Resubscribe)
                self._pursue(subscription, request, now_ns)
            if wants_repair and self._may_repair(subscription):
                broken.append(subscription)
            elif is_asking:
                asking = asks.setdefault(subscription.sid, AskingSnapshots([], set()))
                asking.subscriptions.append(subscription)
                asking.markets.update(markets)
            self._wake_for(subscription)
        for sid, asking in asks.items():
            self._ask(sid, asking, now_ns)
        return broken

    def _ask(self, sid: int, asking: AskingSnapshots, now_ns: int) -> None:
        parameters = {
            "sids": [sid],
            "action": "get_snapshot",
            "market_tickers": sorted(asking.markets),
        }
        self._commands.send("update_subscription", parameters, asking, now_ns)

    def _may_repair(self, subscription: Subscription) -> bool:
        """Say whether to subscribe again; once for each loss of a book."""
        candidates = {Pursuit.NONE} if self.can_ask else {Pursuit.NONE, Pursuit.NEW}
        lost = [ladders for ladders in _missing(subscription) if ladders.pursuit in candidates]
        for ladders in lost:
            is_known = ladders.pursuit is Pursuit.NONE
            ladders.pursuit = Pursuit.RESUBSCRIBED if is_known else Pursuit.GIVEN_UP
        return bool(lost)

    def _pursue(self, subscription: Subscription, request: Request, now_ns: int) -> None:
        """Take the steps beyond asking and subscribing again."""
        if isinstance(request, Reconnect):
            candidates = {Pursuit.NONE, Pursuit.RESUBSCRIBED}
            lost = [ladders for ladders in _missing(subscription) if ladders.pursuit in candidates]
            for ladders in lost:
                ladders.pursuit = Pursuit.GIVEN_UP
            if lost:
                self._emit(AskReconnect(f"no book of {lost[0].market} came"))
        elif isinstance(request, Alert):
            for ladders in _missing(subscription):
                self._invalidate(subscription, ladders, BookState.STALE, ladders.reason, now_ns)
            self._emit(Alarm(subscription, request.instruments, request.age_ns))

    # -- details ---------------------------------------------------------------------------------

    def _await_snapshot(self, subscription: Subscription, market: str, now_ns: int) -> None:
        ladders = subscription.books.get(market)
        if ladders is None:
            is_yes_priced = bool(subscription.parameters.use_yes_price)
            ladders = Ladders(market, is_yes_priced=is_yes_priced, now_ns=now_ns)
            subscription.books[market] = ladders
        reason = "its snapshot is awaited" if ladders.pursuit is Pursuit.NEW else ladders.reason
        ladders.invalidate(BookState.RESYNCING, reason, now_ns)

    def _suspect(self, subscription: Subscription, frame: Frame, market: str, now_ns: int) -> None:
        """A frame in order contradicts the book, or itself."""
        subscription.statistics.inconsistencies += 1
        reason = f"{frame.type} number {frame.seq} contradicts the book"
        ladders = subscription.books[market]
        self._invalidate(subscription, ladders, BookState.RESYNCING, reason, now_ns)
        self._open(subscription, market, now_ns, now_ns)
        self._wake_for(subscription)
        self._emit(
            Told(
                Fault.INCONSISTENT_BOOK,
                f"{market}: {reason}",
                sid=frame.sid,
                subscription=subscription,
            )
        )

    def _invalidate(
        self,
        subscription: Subscription,
        ladders: Ladders,
        state: BookState,
        reason: str,
        now_ns: int,
    ) -> None:
        if ladders.state is not state:
            ladders.invalidate(state, reason, now_ns)
            self._emit(BookInvalid(subscription, ladders.market, state, reason))

    def _open(self, subscription: Subscription, market: str, now_ns: int, ask_at_ns: int) -> None:
        if self._policy.recovers_books:
            subscription.escalation.open(market, now_ns, ask_at_ns=ask_at_ns)

    def _came_back(self, subscription: Subscription, market: str) -> None:
        subscription.statistics.resyncs += 1
        subscription.escalation.close(market)

    def _wake_for(self, subscription: Subscription) -> None:
        due_ns = subscription.escalation.next_due_ns
        if due_ns is not None and subscription.sid is not None:
            self._wake.by(due_ns)


def _missing(subscription: Subscription) -> list[Ladders]:
    return [ladders for ladders in subscription.books.values() if not ladders.is_live]
