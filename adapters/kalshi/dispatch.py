"""Hands what a connection tells to streams, callbacks and hooks: its `Owner`."""

from collections.abc import Callable

import structlog

from adapters.kalshi.actions import (
    Acknowledged,
    Action,
    BookApplied,
    BookInvalid,
    Deliver,
    Ended,
    Fault,
    LevelApplied,
    LevelDropped,
    Told,
)
from adapters.kalshi.awaiting import Awaiting
from adapters.kalshi.callbacks import Callbacks
from adapters.kalshi.client_settings import CHANNELS
from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import Ladders
from adapters.kalshi.messages import Book
from adapters.kalshi.readers import market_of
from adapters.kalshi.reports import Report, Trouble, report_of
from adapters.kalshi.upstreams import Upstream, Upstreams
from framework.interfaces import Clock
from framework.model.events import ConnectionState

log = structlog.get_logger("kalshi")

Moved = Callable[[ConnectionState, ConnectionState, str], None]


class Dispatch:
    """Never waits, and calls nothing of the user: everything goes through queues (K3, K10)."""

    def __init__(
        self,
        callbacks: Callbacks,
        clock: Clock,
        *,
        report: Callable[[Report], None],
        moved: Moved,
        die: Callable[[Exception], None] | None,
    ) -> None:
        """`die` ends the connection for the trouble of one subscription (K16); None: it goes on."""
        self.has_subscribed = False
        self.on_state = moved
        self.upstreams: Upstreams
        self.awaiting: Awaiting
        self._callbacks = callbacks
        self._clock = clock
        self._report = report
        self._die = die
        self._lost_in_renewal: set[int] = set()
        self._warned: set[str] = set()

    def on_heartbeat(self) -> None:
        """Nothing: the link has noted it."""

    def on_action(self, action: Action) -> None:
        """Hand an action on."""
        kind = type(action)
        if kind is LevelApplied or kind is BookApplied:
            self._on_book(action)  # type: ignore[arg-type] # narrowed by its class
        elif kind is Deliver:
            self._on_frame(action)  # type: ignore[arg-type] # as above
        else:
            self.awaiting.note(action)
            self._on_event(action)

    # -- frames ----------------------------------------------------------------------------------

    def _on_book(self, action: LevelApplied | BookApplied) -> None:
        upstream = self.upstreams.of(action.subscription)
        if upstream is None:
            return
        frame = action.frame
        market = market_of(frame.message)
        if isinstance(frame.message, Book):
            upstream.market_ids[market] = frame.message.market_id
        self._feed(upstream, frame, market, action.subscription.books[market])

    def _on_frame(self, action: Deliver) -> None:
        upstream = self.upstreams.of(action.subscription)
        if upstream is not None:
            self._feed(upstream, action.frame, market_of(action.frame.message), None)

    def _feed(self, upstream: Upstream, frame: Frame, market: str, ladders: Ladders | None) -> None:
        now_ns = self._clock.now_ns
        for stream in upstream.streams:
            if stream.covers(market) and not stream.take(frame, ladders, now_ns):
                self._overflowed(upstream, stream.failure)
                self.upstreams.overflowed(upstream, stream)
        channel = upstream.subscription.channel
        if self._callbacks.has(channel):
            for caller in self._callbacks.take(channel, frame):
                self._overflowed(upstream, caller.queue.failure)
            self._warn_of_both(upstream, channel)

    def _overflowed(self, upstream: Upstream, failure: Exception | None) -> None:
        channel = upstream.subscription.channel
        self._report(Report(Trouble.OVERFLOW, str(failure), channel, error=failure))
        if self._die is not None and failure is not None:
            self._die(failure)

    def _warn_of_both(self, upstream: Upstream, channel: str) -> None:
        """K21: they get everything twice, once each; that may not be what was meant."""
        if channel in self._warned or not any(stream.was_read for stream in upstream.streams):
            return
        self._warned.add(channel)
        log.warning("callback_and_iterator", channel=channel)

    # -- everything else -------------------------------------------------------------------------

    def _on_event(self, action: Action) -> None:
        match action:
            case Acknowledged(subscription=subscription):
                self.has_subscribed = True
                upstream = self.upstreams.of(subscription)
                if upstream is not None:
                    upstream.answered.set()
            case BookInvalid():
                self._on_invalid(action)
            case Ended():
                self._on_ended(action)
            case LevelDropped(subscription=subscription):
                if subscription.statistics.drops == 1:  # K34; the others are counted
                    log.warning("change_without_a_book", frame=action.frame.raw[:200])
            case Told(fault=Fault.RENEWAL_FAILED, subscription=subscription) if subscription:
                self._lost_in_renewal.add(subscription.id)
        if not _is_expected(action):
            report = report_of(action)
            if report is not None:
                self._report(report)

    def _on_invalid(self, action: BookInvalid) -> None:
        upstream = self.upstreams.of(action.subscription)
        for stream in upstream.streams if upstream is not None else ():
            if upstream and stream.covers(action.market) and not stream.lose(action):
                self._overflowed(upstream, stream.failure)
                self.upstreams.overflowed(upstream, stream)

    def _on_ended(self, action: Ended) -> None:
        """The venue ended a subscription for good: a refusal, or a failed renewal (K42)."""
        subscription, error = action.subscription, action.error
        if error is None:
            return
        is_failure = subscription.is_established
        is_lost_in_renewal = subscription.id in self._lost_in_renewal
        self._lost_in_renewal.discard(subscription.id)
        for stream in self.upstreams.ended(subscription, error):
            stream.end(None if self._die is not None else error)
        if is_failure:
            self._report(
                Report(Trouble.ENDED, error.text, subscription.channel, error.code, error=error)
            )
            if self._die is not None and not is_lost_in_renewal:
                self._die(error)


def _is_expected(action: Action) -> bool:
    """Say whether it is an unknown type on a channel whose types we never knew (K8)."""
    if not isinstance(action, Told) or action.fault is not Fault.UNKNOWN_TYPE:
        return False
    return action.subscription is not None and action.subscription.channel not in CHANNELS
