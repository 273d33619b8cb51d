"""One connection of the event stream, sans-IO: what is news, what is missing, what to acknowledge.

    acknowledgement   every frame, after it was handled: its `event_id` where it has one, an empty
                      list otherwise; also what is not understood, told twice, or the end of a run
    told twice        the same `event_id`, or a number of this epoch that was there before: not news
    missing           a number is left out: everything that the stream tells of is read anew
    newest wins       of two states of an order the one with the later `updated_at`, whichever way
                      they came; an order that has ended does not come back

Frames without numbers, as the original sends them, are all news: whoever hears of them must bear
repeats. Source: sections 11, 12.1 and 20 of the gateway's description.
"""

from collections.abc import Iterable
from random import Random

import msgspec

from adapters.tektii import heard
from adapters.tektii.codec import time_ns
from adapters.tektii.heard import Frame, Status, word
from adapters.tektii.order_codec import OVER
from adapters.tektii.settings import TIMEFRAMES
from framework.errors import MalformedMessage

REMEMBERED_EVENTS = 10_000
REMEMBERED_ORDERS = 50_000
NS_PER_MS = 1_000_000


class Ack(msgspec.Struct, frozen=True, tag="event_ack", tag_field="type"):
    """11.3; all members are required."""

    correlation_id: str
    events_processed: list[str]
    timestamp: int


class Gap(msgspec.Struct, frozen=True):
    """Numbers from `expected` on are missing, the next one was `received`."""

    expected: int
    received: int


class Taken(msgspec.Struct, frozen=True):
    """What became of one frame; `fault` says why it cannot be read, "" where it can."""

    frame: Frame
    is_news: bool = True
    gap: Gap | None = None
    fault: str = ""


class StreamSession:
    """Judges the frames of one connection after the other; `random` names acknowledgements."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._epoch: str | None = None
        self._seq: int | None = None
        self._seen: dict[str, None] = {}

    @property
    def place(self) -> tuple[str, int] | None:
        """The epoch and the number of the newest frame: where a connection may go on from."""
        if self._epoch is None or self._seq is None:
            return None
        return self._epoch, self._seq

    def opened(self, *, resumes: bool) -> None:
        """Begin on a new connection; one that does not resume says nothing about the last one."""
        if not resumes:
            self._epoch = self._seq = None

    def take(self, data: bytes | str) -> Taken:
        """Return what a frame says and whether it is news; never raises."""
        fault = ""
        try:
            frame = heard.read_frame(data)
        except MalformedMessage as error:
            frame, fault = heard.read_mark(data), str(error)
        gap, is_news = self._number(frame)
        if frame.event_id is not None:
            is_news = is_news and frame.event_id not in self._seen
            self._remember(frame.event_id)
        return Taken(frame, is_news and not fault, gap, fault)

    def ack(self, frame: Frame, now_ns: int) -> bytes:
        """Return the acknowledgement of a frame that has been handled."""
        ids = [] if frame.event_id is None else [frame.event_id]
        bits = f"{self._random.getrandbits(128):032x}"
        name = "-".join((bits[:8], bits[8:12], f"4{bits[13:16]}", f"8{bits[17:20]}", bits[20:]))
        return msgspec.json.encode(Ack(name, ids, now_ns // NS_PER_MS))

    def _number(self, frame: Frame) -> tuple[Gap | None, bool]:
        """Return what is missing before a frame, and whether its number is new."""
        if frame.seq is None:
            return None, True
        if self._seq is None or frame.epoch != self._epoch:
            self._epoch, self._seq = frame.epoch, frame.seq
            return None, True
        expected = self._seq + 1
        if frame.seq < expected:
            return None, False
        self._seq = frame.seq
        return (Gap(expected, frame.seq) if frame.seq > expected else None), True

    def _remember(self, event_id: str) -> None:
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            del self._seen[next(iter(self._seen))]


class NewestOrders:
    """The newest state of every order by the gateway's id; the longest unchanged is forgotten."""

    def __init__(self, capacity: int = REMEMBERED_ORDERS) -> None:
        self._capacity = capacity
        self._known: dict[str, heard.Order] = {}

    def is_news(self, order: heard.Order) -> bool:
        """Take a state; tell whether it is later than, or differs from, what was known."""
        name = order.id or ""
        known = self._known.get(name)
        if known is not None and not _follows(order, known):
            return False
        self._known.pop(name, None)
        self._known[name] = order
        if len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]
        return True

    def get(self, venue_order_id: str) -> heard.Order | None:
        """Return the newest state that is known."""
        return self._known.get(venue_order_id)


def _follows(order: heard.Order, known: heard.Order) -> bool:
    """Whether a state comes after another one of the same order."""
    if order == known:
        return False
    was_over = word(Status, known.status) in OVER
    is_over = word(Status, order.status) in OVER
    if was_over and not is_over:
        return False
    then_ns, known_ns = time_ns(order.updated_at), time_ns(known.updated_at)
    if then_ns is not None and known_ns is not None and then_ns != known_ns:
        return then_ns > known_ns
    if is_over and not was_over:
        return True
    filled, before = order.filled_quantity, known.filled_quantity
    if filled is None or before is None or not filled.is_finite() or not before.is_finite():
        return True
    return filled >= before


class Patience:
    """How long silence is borne: longer each time that a new connection did not help (R-42)."""

    LONGEST = 64  # times the first wait

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._factor = 1
        self._heard_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """When silence has lasted too long; None: nothing is expected."""
        if not self._silence_s or self._heard_s is None:
            return None
        return self._heard_s + self._silence_s * self._factor

    def on_data(self, now_s: float) -> None:
        """Take note of data."""
        self._heard_s = now_s
        self._factor = 1

    def opened(self, now_s: float) -> None:
        """Count from here, if there ever was data."""
        if self._heard_s is not None:
            self._heard_s = now_s

    def forget(self) -> None:
        """Expect nothing until data comes again."""
        self._heard_s = None

    def is_over(self, now_s: float) -> bool:
        """Tell whether it is over, and bear more next time."""
        due_s = self.due_s
        if due_s is None or now_s < due_s:
            return False
        self._factor = min(self._factor * 2, self.LONGEST)
        return True


# -- what the handshake asks for (11.6) ----------------------------------------------------------


ACCOUNT_EVENTS = ("order_update", "trade_update", "position_update", "account_update")


def account_subscriptions(platform: str) -> str:
    """Return the subscriptions of a broker: everything about the account, no market data."""
    return _encoded([(platform, "*", ACCOUNT_EVENTS)])


def market_subscriptions(platform: str, symbols: Iterable[str], timeframes: Iterable[str]) -> str:
    """Return the subscriptions of a feed: quotes and candles of these symbols."""
    wanted = dict.fromkeys(timeframes)
    events = ("quote", *(f"candle_{one}" for one in TIMEFRAMES if one in wanted))
    return _encoded([(platform, symbol, events) for symbol in symbols])


def _encoded(entries: list[tuple[str, str, tuple[str, ...]]]) -> str:
    listed = [
        {"platform": platform, "instrument": instrument, "events": events}
        for platform, instrument, events in entries
    ]
    return msgspec.json.encode(listed).decode()
