"""The subscriptions of a session: asked for, acknowledged, changed, lost, renewed, ended.

    WAITING   for a connection or a pause   -> ASKED
    ASKED     `subscribe` is on its way     -> LIVE, WAITING (too fast, or a renewal refused), ENDED
    LIVE      has a sid                     -> ASKED (repair), WAITING (lost, ended by the venue)

A sid has one subscription as a rule. Where the venue merges a second subscribe of a channel into
the first, or refuses it and we join it by `add_markets`, several share the sid (section 6, 8).
"""

from collections.abc import Iterable
from random import Random
from typing import Any

from adapters.kalshi.actions import Acknowledged, Emit, Ended, Fault, Interrupted, Refused, Told
from adapters.kalshi.book_keeping import BookKeeping
from adapters.kalshi.commands import Changing, Commands, Listing, Subscribing, Unsubscribing, Wake
from adapters.kalshi.messages import Refusal
from adapters.kalshi.policy import Policy
from adapters.kalshi.sid_stream import SidStream
from adapters.kalshi.subscription import Parameters, Subscription, SubscriptionState
from framework.errors import SubscriptionRefused
from framework.market.escalation import Escalation
from framework.model.book_recovery import SECOND_NS
from framework.net.backoff import BackOff
from framework.net.rate_limit import BucketOptions, TokenBucket

ALREADY_SUBSCRIBED = 6
COMMAND_TIMEOUT = 18
TOO_MANY_REQUESTS = 27
TOO_FAST = frozenset({COMMAND_TIMEOUT, TOO_MANY_REQUESTS})
WORTH_A_RETRY = TOO_FAST | {ALREADY_SUBSCRIBED}


class Roll:
    """Who is subscribed, and under which sid of this connection."""

    def __init__(
        self,
        emit: Emit,
        policy: Policy,
        *,
        commands: Commands,
        books: BookKeeping,
        wake: Wake,
        random: Random,
    ) -> None:
        self.subscriptions: dict[int, Subscription] = {}
        self.streams: dict[int | None, SidStream] = {}
        self.ended_sids: set[int] = set()  # of this connection: their late frames are nobody's
        self._emit = emit
        self._policy = policy
        self._commands = commands
        self._books = books
        self._wake = wake
        self._random = random
        self._budget = RecoveryBudget(policy)
        self._count = 0

    # -- asking ----------------------------------------------------------------------------------

    def enlist(self, channel: str, parameters: Parameters) -> Subscription:
        """Return a new subscription, which is not asked for yet."""
        self._count += 1
        number, policy = self._count, self._policy
        escalation = Escalation(
            f"{channel}#{number}",
            can_request_snapshot=True,
            deadlines=policy.deadlines,
            permit=lambda now_ns: self._budget.permits(number, now_ns),
        )
        subscription = Subscription(
            number,
            channel,
            parameters,
            escalation=escalation,
            back_off=BackOff(policy.floor_s, policy.base_s, policy.cap_s, self._random),
        )
        self.subscriptions[number] = subscription
        return subscription

    def ask(self, subscriptions: Iterable[Subscription], now_ns: int) -> None:
        """Subscribe, in one command; all have the same parameters. Without a connection: later."""
        waiting = {subscription.channel: subscription for subscription in subscriptions}
        if not self._commands.is_open:
            return
        parameters: dict[str, Any] = {"channels": list(waiting)}
        for subscription in waiting.values():
            subscription.state = SubscriptionState.ASKED
            subscription.retry_ns = None
            parameters |= subscription.wire_parameters()
        self._commands.send("subscribe", parameters, Subscribing(waiting, []), now_ns)

    def renew_all(self, now_ns: int) -> None:
        """A new connection: subscribe everything, with its markets of now (K40)."""
        self.ended_sids.clear()
        for subscription in list(self.subscriptions.values()):
            self.ask((subscription,), now_ns)

    # -- answers ---------------------------------------------------------------------------------

    def acknowledge(self, subscription: Subscription, sid: int, now_ns: int) -> None:
        """The venue streams it under `sid`, which another subscription may have already."""
        stream = self.streams.get(sid)
        if subscription.state is SubscriptionState.ENDED:
            if stream is None:
                self.release(sid, None, now_ns)
            return
        if stream is None:
            window = self._policy.reorder_window
            stream = SidStream(sid, subscription.channel, reorder_window=window)
            self.streams[sid] = stream
        self.admit(subscription, stream)
        self.confirm(subscription, now_ns)

    def admit(self, subscription: Subscription, stream: SidStream) -> None:
        """Let it hear a sid."""
        stream.join(subscription)
        subscription.sid = stream.sid

    def confirm(self, subscription: Subscription, now_ns: int) -> None:
        """Its sid is certain: it is live."""
        is_renewal = subscription.is_established
        subscription.state = SubscriptionState.LIVE
        subscription.is_established = True
        subscription.attempt_count = 0
        subscription.live_since_ns = now_ns
        subscription.statistics.renewals += is_renewal
        if subscription.has_books:
            self._books.expect_all(subscription, now_ns)
        self._emit(Acknowledged(subscription, is_renewal))

    def refuse(self, subscription: Subscription, refusal: Refusal, now_ns: int) -> None:
        """A subscribe was refused, or (code 0) not answered."""
        if subscription.state is not SubscriptionState.ASKED:
            return
        if refusal.code == ALREADY_SUBSCRIBED and self._join(subscription, now_ns):
            return
        error = SubscriptionRefused(subscription.channel, refusal.code, refusal.text)
        is_early = refusal.code == ALREADY_SUBSCRIBED and self._is_asking_for(subscription.channel)
        subscription.attempt_count += not is_early  # the sid to join is not acknowledged yet
        may_retry = subscription.is_established or refusal.code in WORTH_A_RETRY
        if may_retry and subscription.attempt_count < self._policy.attempts:
            self._pause(subscription, error, now_ns)
            return
        if subscription.is_established:
            text = f"{error}; attempt {subscription.attempt_count}, the last"
            self._emit(
                Told(Fault.RENEWAL_FAILED, text, code=refusal.code, subscription=subscription)
            )
        self.end(subscription, error)

    def _join(self, subscription: Subscription, now_ns: int) -> bool:
        """Error 6: share the sid that the channel has already, if that is possible."""
        streams = [s for s in self.streams.values() if s.channel == subscription.channel]
        if not streams:
            if not self._is_asking_for(subscription.channel):  # an acknowledgement was lost
                self._commands.send("list_subscriptions", None, Listing(None), now_ns)
            return False
        stream = streams[0]
        self.admit(subscription, stream)
        markets = tuple(subscription.markets)
        if not markets:
            self.confirm(subscription, now_ns)
        else:
            self.send_change(Changing(subscription, "add_markets", markets), now_ns)
        return True

    # -- endings ---------------------------------------------------------------------------------

    def end(self, subscription: Subscription, error: SubscriptionRefused | None) -> None:
        """Nothing more will come for it."""
        subscription.state = SubscriptionState.ENDED
        subscription.retry_ns = None
        self.leave(subscription)
        self._books.forget(subscription, list(subscription.books))
        del self.subscriptions[subscription.id]
        self._emit(Ended(subscription, error))
        reason = error or SubscriptionRefused(subscription.channel, 0, "it was unsubscribed")
        for request in subscription.take_requests():
            self._emit(Refused(request, reason))

    def unsubscribe(self, subscription: Subscription, request: int, now_ns: int) -> bool:
        """End it as its owner wishes; True: the venue will answer `request`."""
        stream = self.streams.get(subscription.sid)
        markets = dict(subscription.markets)
        self.end(subscription, None)
        if stream is None:
            return False
        if not stream.members:
            self.release(stream.sid, request, now_ns)
            return True
        rest = tuple(m for m in markets if not any(other.covers(m) for other in stream.members))
        if not rest:
            return False
        leaving = Changing(stream.members[0], "delete_markets", rest, (request,))
        self.send_change(leaving, now_ns)
        return True

    def release(self, sid: int, request: int | None, now_ns: int) -> None:
        """Let a sid go that nobody listens to."""
        self.drop(sid)
        parameters = {"sids": [sid]}
        self._commands.send("unsubscribe", parameters, Unsubscribing(request), now_ns)

    def interrupt(self, stream: SidStream, refusal: Refusal, now_ns: int) -> None:
        """The venue ended a sid: nothing will come on it (codes 10 and 25, B12)."""
        members = stream.members
        self.drop(stream.sid)
        for member in members:
            error = SubscriptionRefused(member.channel, refusal.code, refusal.text)
            member.statistics.interruptions += 1
            self._books.distrust(member, str(error), now_ns, is_asking=False)
            if not self._policy.renews_ended:
                self.end(member, error)
                continue
            if now_ns - member.live_since_ns >= self._policy.stable_ns:
                member.back_off.reset()
            self._pause(member, error, now_ns)

    def replace(self, stream: SidStream, reason: str, now_ns: int) -> None:
        """Take a sid back and subscribe its members anew (B1)."""
        members = stream.members
        self.release(stream.sid, None, now_ns)
        for member in members:
            self._books.distrust(member, reason, now_ns)
            self.ask((member,), now_ns)

    def lose_all(self, reason: str, now_ns: int) -> None:
        """The connection is gone, and every sid with it."""
        for sid in list(self.streams):
            self.drop(sid)
        for subscription in self.subscriptions.values():
            subscription.state = SubscriptionState.WAITING
            subscription.retry_ns = None
            self._books.distrust(subscription, reason, now_ns, is_asking=False)

    def drop(self, sid: int | None) -> None:
        """Route no frame of `sid` any more (K41)."""
        if sid is not None:
            self.ended_sids.add(sid)
        stream = self.streams.pop(sid, None)
        if stream is not None:
            stream.is_over = True
            for member in stream.members:
                member.sid = None
            stream.members = ()

    # -- changes and time ------------------------------------------------------------------------

    def send_change(self, change: Changing, now_ns: int) -> None:
        """Send `add_markets` or `delete_markets` for the sid of a subscription."""
        change.sid = change.subscription.sid
        parameters: dict[str, Any] = {
            "sids": [change.subscription.sid],
            "action": change.action,
            "market_tickers": list(change.markets),
        }
        if change.action == "add_markets" and change.subscription.parameters.send_initial_snapshot:
            parameters["send_initial_snapshot"] = True
        self._commands.send("update_subscription", parameters, change, now_ns)

    def release_orphans(self, listed: tuple[tuple[str, int], ...], now_ns: int) -> None:
        """Let go the sids of the venue's list that belong to nobody: lost acknowledgements."""
        for channel, sid in listed:
            if sid in self.streams or sid in self.ended_sids:
                continue
            if not self._is_asking_for(channel):  # else it may be its sid
                self.release(sid, None, now_ns)

    def on_time(self, now_ns: int) -> None:
        """Ask again where a pause is over."""
        for subscription in list(self.subscriptions.values()):
            if subscription.retry_ns is None:
                continue
            if subscription.retry_ns <= now_ns:
                self.ask((subscription,), now_ns)
            else:
                self._wake.by(subscription.retry_ns)

    def _is_asking_for(self, channel: str) -> bool:
        return self._commands.find_subscribing(channel) is not None

    def _pause(self, subscription: Subscription, error: SubscriptionRefused, now_ns: int) -> None:
        pause_s = subscription.back_off.next_s()
        subscription.state = SubscriptionState.WAITING
        subscription.retry_ns = now_ns + round(pause_s * SECOND_NS)
        self._wake.by(subscription.retry_ns)
        self._emit(Interrupted(subscription, error, pause_s))

    def leave(self, subscription: Subscription) -> None:
        """Let it hear its sid no more."""
        stream = self.streams.get(subscription.sid)
        if stream is not None:
            stream.leave(subscription)
        subscription.sid = None


class RecoveryBudget:
    """Spaces recovery over all subscriptions: one token for all markets of one, at one time."""

    def __init__(self, policy: Policy) -> None:
        options = BucketOptions(policy.recovery_burst, policy.recovery_per_s, reserve=0.0)
        self._bucket = TokenBucket(options)
        self._judged = (0, 0)
        self._verdict = False

    def permits(self, owner: int, now_ns: int) -> bool:
        """Say whether `owner` may send one command now."""
        if self._judged != (owner, now_ns):
            self._judged = (owner, now_ns)
            self._verdict = self._bucket.try_take(1.0, True, now_ns / SECOND_NS) == 0.0
        return self._verdict
