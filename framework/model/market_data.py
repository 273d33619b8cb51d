"""What venues say about prices: quotes, trades, candles, books and the rest of the market.

All numbers are float64 and finite, all times nanoseconds UTC. `time_ns` is when it happened at
the venue, never earlier than it could be known; `received_ns` is when we got it. NaN and
infinity never enter an event: feeds refuse them at the edge.
"""

from enum import Enum

import msgspec


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """The best bid and ask of one instrument; a side nobody quotes has size 0."""

    instrument: str
    time_ns: int
    received_ns: int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0


class Aggressor(Enum):
    """The side that took liquidity in a trade."""

    BUYER = "buyer"
    SELLER = "seller"
    UNKNOWN = "unknown"


class Trade(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """One trade of the public tape."""

    instrument: str
    time_ns: int
    received_ns: int
    price: float
    size: float
    aggressor: Aggressor = Aggressor.UNKNOWN
    trade_id: str = ""


class Candle(msgspec.Struct, frozen=True, gc=False, tag="candle"):
    """Open, high, low, close and volume of `[open_ns, close_ns)`.

    `time_ns` is `close_ns` once closed and the last change while forming. `interval` is the text
    the subscriber asked for: `1m`, `5m`, `1h`, `1d`, or `100t` (ticks) and `50v` (volume).
    """

    instrument: str
    time_ns: int
    received_ns: int
    interval: str
    open_ns: int
    close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    is_closed: bool = True


Level = tuple[float, float]
"""(price, absolute size); size 0 removes the level."""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False, tag="book_snapshot"):
    """A whole order book at venue sequence `sequence`: bids best first, asks best first."""

    instrument: str
    time_ns: int
    received_ns: int
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookDelta(msgspec.Struct, frozen=True, gc=False, tag="book_delta"):
    """One venue message of level changes; each level carries its new absolute size.

    It takes a book from `first_sequence - 1` (or anything at or after it) to `sequence`. Where
    a venue names the previous message instead, its codec fills `first_sequence` with that + 1.
    """

    instrument: str
    time_ns: int
    received_ns: int
    first_sequence: int
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookChanged(msgspec.Struct, frozen=True, gc=False, tag="book_changed"):
    """The book of an instrument changed; subscribers read the newest state from the book."""

    instrument: str
    time_ns: int
    received_ns: int
    sequence: int
    is_synced: bool


class Ticker(msgspec.Struct, frozen=True, gc=False, tag="ticker"):
    """A venue's summary of an instrument: last price and day statistics."""

    instrument: str
    time_ns: int
    received_ns: int
    last: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    previous_close: float | None = None
    volume: float | None = None
    open_interest: float | None = None


class MarkPrice(msgspec.Struct, frozen=True, gc=False, tag="mark_price"):
    """The price a venue marks positions at."""

    instrument: str
    time_ns: int
    received_ns: int
    price: float
    index_price: float | None = None


class Funding(msgspec.Struct, frozen=True, gc=False, tag="funding"):
    """A funding rate: a long pays `rate` × notional at `funding_ns` (a negative rate: receives)."""

    instrument: str
    time_ns: int
    received_ns: int
    rate: float
    funding_ns: int


class MarketPhase(Enum):
    """What a market allows at the moment."""

    OPEN = "open"
    CLOSED = "closed"
    HALTED = "halted"
    AUCTION = "auction"
    SETTLED = "settled"


class MarketStatus(msgspec.Struct, frozen=True, gc=False, tag="market_status"):
    """The trading phase of an instrument changed."""

    instrument: str
    time_ns: int
    received_ns: int
    phase: MarketPhase
    reason: str = ""
