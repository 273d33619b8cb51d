"""What a gateway says about itself and the platform behind it, in the framework's words (13).

    BROKER_DISCONNECTED, RECONNECTING     the link `platform` is RECONNECTING
    CONNECTED, BROKER_RECONNECTED         it is STREAMING again; as with any link but the feed's
                                          the core then compares everything with the venue
    BROKER_CONNECTION_FAILED              RECONNECTING still, and an error: nobody tries any more
    DISCONNECTING                         an error: the gateway shuts down, its stream ends soon
    data_staleness                        `DataStale` and `Resynced` of each instrument
    rate_limit                            `RateLimited` until the limit is reset
    error, MARGIN_WARNING, MARGIN_CALL    an error with the gateway's code and words

Feed and broker have a stream each and hear most of this twice: what the broker takes the feed
leaves alone, so that nothing is told twice and a feed without a broker tells it all.
"""

import structlog

from adapters.tektii import heard
from adapters.tektii.codec import time_ns
from adapters.tektii.heard import ConnectionWord, Frame, FrameKind, word
from framework.interfaces import AdapterContext
from framework.model.events import (
    ConnectionChanged,
    ConnectionState,
    DataStale,
    ErrorRaised,
    RateLimited,
    Resynced,
)
from framework.model.identity import instrument_id

log = structlog.get_logger("tektii")

LINK = "platform"
STREAM = "quotes"
RESET_S = 60.0  # of a limit that is reached, where nobody says when it is reset
LONGEST_TEXT = 500
RISE = (ConnectionState.CONNECTING, ConnectionState.CONNECTED, ConnectionState.STREAMING)


class Upstream:
    """How the platform behind a gateway is, as far as the gateway tells."""

    def __init__(self, context: AdapterContext) -> None:
        self.has_broker = False
        self._context = context
        self._is_up: bool | None = None  # None: nothing was told yet
        self._stale: dict[str, None] = {}

    @property
    def stale(self) -> tuple[str, ...]:
        """The instruments whose prices the gateway does not trust."""
        return tuple(self._stale)

    def on_open(self, health: heard.Health, *, is_broker: bool) -> None:
        """A stream is up: take what the gateway says of its platforms, a hint at most (20.13)."""
        if not is_broker and self.has_broker:
            return
        down = [one.platform or "?" for one in health.providers or () if one.connected is False]
        if down:
            self._fall(f"{', '.join(down)}: not connected")
        else:
            self._rise("")

    def on_lost(self, reason: str, *, is_broker: bool) -> None:
        """A stream is gone, and with it all knowledge of the platform."""
        if is_broker or not self.has_broker:
            self._fall(reason)

    def on_frame(self, frame: Frame, *, is_broker: bool) -> None:
        """Take a frame of one of the streams."""
        kind = frame.kind
        if kind is FrameKind.STALENESS:
            if not is_broker:
                self._on_staleness(frame)
        elif is_broker or not self.has_broker:
            if kind is FrameKind.CONNECTION:
                self._on_connection(frame)
            elif kind is FrameKind.RATE_LIMIT:
                self._on_rate_limit(frame)
            elif kind is FrameKind.ERROR:
                self.tell(frame.code or "UNKNOWN", f"{frame.message or ''} {_shown(frame.details)}")
            elif kind is FrameKind.ACCOUNT and frame.event in ("MARGIN_WARNING", "MARGIN_CALL"):
                account = frame.account or heard.Account()
                left = f"equity {account.equity}, free {account.margin_available}"
                self.tell(frame.event, left)

    def tell(self, what: str, text: str) -> None:
        """Say that something is wrong, to the log and to whoever hears the bus."""
        context, text = self._context, text.strip()[:LONGEST_TEXT]
        log.error("gateway_error", venue=context.venue, what=what, text=text)
        now_ns = context.clock.now_ns
        context.publish(ErrorRaised(f"{context.venue} gateway", what, text, now_ns))

    # -- frames --------------------------------------------------------------------------------

    def _on_connection(self, frame: Frame) -> None:
        said = word(ConnectionWord, frame.event)
        name = frame.broker or "the platform"
        why = frame.error or ""
        if said in (ConnectionWord.BROKER_DISCONNECTED, ConnectionWord.RECONNECTING):
            self._fall(why or f"{name} is not connected")
        elif said in (ConnectionWord.CONNECTED, ConnectionWord.BROKER_RECONNECTED):
            gap_ms = frame.gap_duration_ms
            self._rise("" if gap_ms is None else f"{name} was gone for {gap_ms:g} ms")
        elif said is ConnectionWord.BROKER_CONNECTION_FAILED:
            self._fall(why or f"{name} is given up")
            self.tell("BROKER_CONNECTION_FAILED", f"{name} is given up until a restart: {why}")
        elif said is ConnectionWord.DISCONNECTING:
            self.tell("DISCONNECTING", "the gateway shuts down")

    def _fall(self, reason: str) -> None:
        if self._is_up is not False:
            self._is_up = False
            self._publish(ConnectionState.RECONNECTING, reason)

    def _rise(self, reason: str) -> None:
        """Say that it is there, unless that was told."""
        if not self._is_up:
            self._is_up = True
            for state in RISE:
                self._publish(state, reason)

    def _publish(self, state: ConnectionState, reason: str) -> None:
        context = self._context
        now_ns = context.clock.now_ns
        context.publish(ConnectionChanged(context.venue, LINK, state, now_ns, reason))

    def _on_staleness(self, frame: Frame) -> None:
        context, is_stale = self._context, (frame.event or "").upper() == "STALE"
        now_ns = context.clock.now_ns
        since_ns = time_ns(frame.stale_since)
        age_ns = 0 if since_ns is None else max(0, now_ns - since_ns)
        for symbol in frame.symbols or ():
            if not symbol:
                continue
            name = instrument_id(context.venue, symbol)
            if is_stale:
                self._stale[name] = None
                context.publish(DataStale(name, STREAM, age_ns, now_ns))
            elif (frame.event or "").upper() == "FRESH" and name in self._stale:
                del self._stale[name]
                context.publish(Resynced(name, STREAM, 0, now_ns))

    def _on_rate_limit(self, frame: Frame) -> None:
        context = self._context
        now_ns = context.clock.now_ns
        reset_ns = time_ns(frame.reset_at)
        pause_ns = max(0, reset_ns - now_ns) if reset_ns is not None else round(RESET_S * 1e9)
        if (frame.event or "").upper() == "RATE_LIMIT_HIT":
            context.publish(RateLimited(context.venue, pause_ns, now_ns))
        log.warning(
            "gateway_rate_limit",
            venue=context.venue,
            said=frame.event,
            remaining=frame.requests_remaining,
        )


def _shown(details: object) -> str:
    return "" if details is None else str(details)
