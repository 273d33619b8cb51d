"""One connection without its socket: frames in, frames out.

The shell hands in what the peer sent, and writes what is in `outbox`.
"""

from typing import Any

from adapters.kalshi.simulated.channels import Channel
from adapters.kalshi.simulated.command_desk import CommandDesk
from adapters.kalshi.simulated.faults import DeferSnapshots, WithholdSnapshots
from adapters.kalshi.simulated.faulty_line import FaultyLine
from adapters.kalshi.simulated.frames import (
    Binary,
    Ending,
    Frame,
    Item,
    Ping,
    Pong,
    data_frame,
    reply_frame,
)
from adapters.kalshi.simulated.outbox import Outbox
from adapters.kalshi.simulated.stream_commands import ERROR_TEXTS, TERMINAL_CODES, code_for
from adapters.kalshi.simulated.stream_context import StreamContext
from adapters.kalshi.simulated.stream_settings import Overflow
from adapters.kalshi.simulated.subscriptions import Deferred, Subscription
from adapters.kalshi.simulated.wire_units import NS_PER_S
from framework.interfaces import TimerHandle

HEARTBEAT = b"heartbeat"  # the body of the venue's pings


class StreamSession:
    """One connection of `account` (None: anonymous)."""

    def __init__(self, number: int, account: str | None, context: StreamContext) -> None:
        self.number = number
        self.account = account
        self.opened_ns = context.clock.now_ns
        self.outbox = Outbox(context.settings.outbox_frames)
        self.subscriptions: dict[int, Subscription] = {}
        self.is_half_open = False
        self.is_gone = False
        self.sent_count = 0  # frames that went into the outbox
        self.overflow_count = 0
        self.pong_count = 0
        self._context = context
        self._line = FaultyLine(number, context.faults, context.clock, self._put)
        self._desk = CommandDesk(self, context)
        self._sid_count = 0
        self._owes_pong = False
        self._timers: dict[str, TimerHandle] = {}
        context.faults.on_clear.append(self._heal)
        self._plan_ping()

    @property
    def lost_count(self) -> int:
        """How many frames faults have swallowed."""
        return self._line.lost_count

    # -- from the peer ---------------------------------------------------------------------------

    def receive_text(self, data: str | bytes) -> None:
        """Take one text frame: a command, or what should be one."""
        if self._hears:
            self._desk.receive(data)

    def receive_binary(self, data: bytes) -> None:
        """Take one binary frame, which is never a command."""
        if self._hears:
            self._desk.receive_binary(data)

    def receive_ping(self, data: bytes) -> None:
        """Answer the peer's ping."""
        if self._hears:
            self._put(Pong(data))

    def receive_pong(self) -> None:
        """Note that the peer is alive."""
        if self._hears:
            self.pong_count += 1
            self._owes_pong = False
            self._cancel("pong")

    def restore(self) -> None:
        """End a half-open time: what was sent in it is lost."""
        self.is_half_open = False

    def gone(self) -> None:
        """Forget everything: the connection is no more."""
        if self.is_gone:
            return
        self.is_gone = True
        for name in list(self._timers):
            self._cancel(name)
        for subscription in list(self.subscriptions.values()):
            self.remove(subscription)
        self._context.faults.on_clear.remove(self._heal)

    @property
    def _hears(self) -> bool:
        return not (self.is_half_open or self.is_gone or self.outbox.ending)

    # -- to the peer -----------------------------------------------------------------------------

    def deliver(
        self, subscription: Subscription, kind: str, body: bytes, *, ticker: str = ""
    ) -> None:
        """Send data of a subscription, with its next number."""
        self._send_data(subscription, kind, body, ticker)
        if subscription.deferred:
            self._count_down(subscription, kind, ticker)

    def send_snapshot(self, subscription: Subscription, ticker: str, number: int = 0) -> None:
        """Send a book, unless a fault keeps it back; `number` is the command that asked."""
        faults = self._context.faults
        sid, channel = subscription.sid, subscription.channel.name
        if faults.condition(
            WithholdSnapshots, self.number, sid=sid, channel=channel, ticker=ticker
        ):
            return
        deferral = faults.condition(
            DeferSnapshots, self.number, sid=sid, channel=channel, ticker=ticker
        )
        if deferral is not None and deferral.deltas:
            subscription.deferred[ticker] = Deferred(deferral.deltas, number)
        else:
            self.send_book(subscription, ticker, number)

    def send_book(self, subscription: Subscription, ticker: str, number: int = 0) -> None:
        """Send a book as it is; nothing for an unknown market."""
        body = self._context.books.body(ticker, uses_yes_price=subscription.uses_yes_price)
        if body is not None:
            extra = b'"id":%d,' % number if number else b""
            self._send_data(subscription, "orderbook_snapshot", body, ticker, extra)

    def reply(
        self, kind: str, number: int, subscription: Subscription | None = None, **fields: Any
    ) -> None:
        """Send a control frame; about a subscription it takes that one's next number (S6)."""
        sid, seq, channel = 0, None, ""
        if subscription is not None:
            sid, channel = subscription.sid, subscription.channel.name
            if self._context.settings.counts_control_frames:
                seq = subscription.next_seq()
        data = reply_frame(kind, number=number, sid=sid, seq=seq, **fields)
        self._line.send(Frame(data, kind, sid, channel))

    def acknowledge(self, subscription: Subscription, number: int) -> None:
        """Say that a subscription is made: no top-level sid, no number."""
        name = subscription.channel.name
        message = {"channel": name, "sid": subscription.sid}
        data = reply_frame("subscribed", number=number, msg=message)
        self._line.send(Frame(data, "subscribed", subscription.sid, name))

    def send_error(
        self,
        code: int,
        *,
        number: int = 0,
        subscription: Subscription | None = None,
        text: str = "",
        market_ticker: str = "",
    ) -> None:
        """Send an `error` frame: the answer to a command, or about a subscription."""
        message: dict[str, Any] = {"code": code, "msg": text or ERROR_TEXTS.get(code, "Error")}
        if market_ticker:
            message["market_ticker"] = market_ticker
        self.reply("error", number, subscription, msg=message)

    def inject(self, data: bytes, *, is_binary: bool) -> None:
        """Send any bytes as a frame, past all other faults."""
        self._put(Binary(data) if is_binary else Frame(data, "injected"))

    def end(self, ending: Ending) -> None:
        """Close or cut the connection; subscriptions get nothing more."""
        self.outbox.end(ending)
        for subscription in list(self.subscriptions.values()):
            self.remove(subscription)

    # -- subscriptions ---------------------------------------------------------------------------

    def open(self, channel: Channel, tickers: list[str] | None) -> Subscription:
        """Make a subscription with the next sid; nobody is told yet."""
        self._sid_count += 1
        subscription = Subscription(
            self,
            self._sid_count,
            channel,
            tickers,
            is_sequenced=self._context.is_sequenced(channel),
        )
        self.subscriptions[subscription.sid] = subscription
        self._context.subscribers.add(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """End a subscription without a word."""
        if subscription.is_open:
            subscription.is_open = False
            del self.subscriptions[subscription.sid]
            self._context.subscribers.remove(subscription)

    def fail(
        self,
        subscription: Subscription,
        code: int,
        *,
        text: str = "",
        is_terminal: bool | None = None,
    ) -> None:
        """Send a subscription-scoped error; after a terminal one nothing comes on the sid."""
        if is_terminal is None:
            is_terminal = code in TERMINAL_CODES
        if is_terminal:
            self.remove(subscription)
        self.send_error(code, subscription=subscription, text=text)

    # -- inside ----------------------------------------------------------------------------------

    def _send_data(
        self, subscription: Subscription, kind: str, body: bytes, ticker: str, extra: bytes = b""
    ) -> None:
        subscription.frame_count += 1
        sid = subscription.sid
        data = data_frame(kind, sid, subscription.next_seq(), body, extra)
        self._line.send(Frame(data, kind, sid, subscription.channel.name, ticker, True))

    def _put(self, item: Item) -> None:
        if self.is_half_open or self.outbox.ending is not None:
            return
        if isinstance(item, Frame) and item.is_data and self.outbox.is_full:
            self._overflow(item)
        elif self.outbox.is_hopeless:
            self.end(Ending(None, "slow reader"))
        else:
            self.sent_count += 1
            self.outbox.put(item)

    def _overflow(self, frame: Frame) -> None:
        self.overflow_count += 1
        if self._context.settings.overflow is Overflow.CUT:
            self.end(Ending(None, "slow reader"))
        elif (subscription := self.subscriptions.get(frame.sid)) is not None:
            self.remove(subscription)
            self.send_error(code_for(25, self._context.profile), subscription=subscription)

    def _count_down(self, subscription: Subscription, kind: str, ticker: str) -> None:
        waiting = subscription.deferred.get(ticker)
        if waiting is None or kind != "orderbook_delta":
            return
        waiting.left -= 1
        if waiting.left <= 0:
            del subscription.deferred[ticker]
            self.send_book(subscription, ticker, waiting.number)

    def _heal(self) -> None:
        self.restore()
        self._line.release()
        for subscription in list(self.subscriptions.values()):
            deferred, subscription.deferred = subscription.deferred, {}
            for ticker, waiting in deferred.items():
                self.send_book(subscription, ticker, waiting.number)

    def _plan_ping(self) -> None:
        if self._context.settings.ping_s:
            self._set_timer("ping", self._context.settings.ping_s, self._ping)

    def _ping(self) -> None:
        self._put(Ping(HEARTBEAT))
        pong_s = self._context.settings.pong_s
        if pong_s and not self._owes_pong:
            self._owes_pong = True
            self._set_timer("pong", pong_s, self._miss_pong)
        self._plan_ping()

    def _miss_pong(self) -> None:
        if not self.is_half_open:  # there is nobody left to cut it
            self.end(Ending(None, "no pong"))

    def _set_timer(self, name: str, delay_s: float, callback: Any) -> None:
        due_ns = self._context.clock.now_ns + round(delay_s * NS_PER_S)
        self._timers[name] = self._context.clock.call_at(due_ns, callback)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
