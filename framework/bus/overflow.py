"""What a full channel does, and which channel each event travels in (design.md section 3)."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    OrderAnomaly,
    Overflowed,
    RateLimited,
    Resynced,
    RunStarted,
    RunStopping,
    Timer,
)
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookChanged,
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)
from framework.model.orders import Fill, FillCorrected, Order


class Overflow(Enum):
    """What a full channel does with one more event."""

    DROP_OLDEST = "drop_oldest"  # the newest value wins: quotes
    ERROR = "error"  # a hole would corrupt state: book deltas, fills
    CONFLATE = "conflate"  # the newest value per key, in the place of the oldest undelivered


class ChannelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel's capacity in events and its overflow rule."""

    capacity: int
    overflow: Overflow


DEFAULT_RULES: dict[str, ChannelRule] = {
    "quotes": ChannelRule(1_000, Overflow.DROP_OLDEST),
    "trades": ChannelRule(1_000, Overflow.DROP_OLDEST),
    "candles": ChannelRule(1_000, Overflow.ERROR),
    "forming": ChannelRule(1_000, Overflow.CONFLATE),
    "book": ChannelRule(1_000, Overflow.CONFLATE),
    "deltas": ChannelRule(1_000, Overflow.ERROR),
    "market": ChannelRule(1_000, Overflow.CONFLATE),
    "orders": ChannelRule(10_000, Overflow.ERROR),
    "fills": ChannelRule(10_000, Overflow.ERROR),
    "positions": ChannelRule(10_000, Overflow.ERROR),
    "account": ChannelRule(10_000, Overflow.ERROR),
    "timers": ChannelRule(10_000, Overflow.CONFLATE),
    "runs": ChannelRule(1_000, Overflow.ERROR),
    "system": ChannelRule(1_000, Overflow.CONFLATE),
    "incidents": ChannelRule(1_000, Overflow.DROP_OLDEST),
}

FORMING = "forming"  # candles that are not closed yet


class EventRule(msgspec.Struct, frozen=True):
    """How events of one type travel: channel, the fields that route them, the conflation key.

    An event struct of a user's own declares it as its class attribute `RULE`.
    """

    channel: str
    route_by: tuple[str, ...] = ()  # none: one route for the whole type
    key: Callable[[Any], object] | None = None
    own_rule: ChannelRule | None = None  # of a channel that only this event type has


def _by_instrument(event: Any) -> object:
    return type(event), event.instrument


def _by_stream(event: Any) -> object:
    return type(event), event.instrument, event.stream


EVENT_RULES: dict[type, EventRule] = {
    Quote: EventRule("quotes", ("instrument",)),
    Trade: EventRule("trades", ("instrument",)),
    Candle: EventRule("candles", ("instrument", "interval"), lambda e: (e.instrument, e.interval)),
    BookChanged: EventRule("book", ("instrument",), _by_instrument),
    BookSnapshot: EventRule("deltas", ("instrument",)),
    BookDelta: EventRule("deltas", ("instrument",)),
    Ticker: EventRule("market", ("instrument",), _by_instrument),
    MarkPrice: EventRule("market", ("instrument",), _by_instrument),
    Funding: EventRule("market", ("instrument",), _by_instrument),
    MarketStatus: EventRule("market", ("instrument",), _by_instrument),
    InstrumentChanged: EventRule("market", ("instrument",), _by_instrument),
    Order: EventRule("orders", ("run",)),
    Fill: EventRule("fills", ("run",)),
    FillCorrected: EventRule("fills", ("run",)),
    Position: EventRule("positions", ("run",)),
    Account: EventRule("account", ("account",)),
    CashBooked: EventRule("account", ("run",)),
    Settled: EventRule("account", ("account",)),
    Timer: EventRule("timers", ("owner",), lambda e: e.name),
    RunStarted: EventRule("runs", ("run",)),
    RunStopping: EventRule("runs", ("run",)),
    ConnectionChanged: EventRule("system", (), lambda e: (type(e), e.venue, e.link)),
    GapDetected: EventRule("system", ("instrument",), _by_stream),
    Resynced: EventRule("system", ("instrument",), _by_stream),
    DataStale: EventRule("system", ("instrument",), _by_stream),
    Overflowed: EventRule("system", (), lambda e: (type(e), e.subscriber, e.channel)),
    RateLimited: EventRule("incidents"),
    ErrorRaised: EventRule("incidents"),
    OrderAnomaly: EventRule("incidents"),
}
