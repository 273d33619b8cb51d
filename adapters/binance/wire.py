"""What Binance says about the market, in its own words: stream payloads and public REST answers.

Prices and quantities come as text and are read as finite, non-negative floats; times are
milliseconds since 1970, UTC. Fields that are not listed are ignored: the venue adds some at times.
Source: "WebSocket Streams for Binance" and "Public REST API for Binance" (Spot).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, field

Number = Annotated[float, Meta(ge=0, le=1e300)]
"""NaN and infinity do not lie in this range."""

Positive = Annotated[float, Meta(gt=0, le=1e300)]

Milliseconds = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
"""Up to the year 2100: what comes later is no time, but a wrong unit."""

Identifier = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Symbol = Annotated[str, Meta(min_length=1, max_length=64)]
Level = tuple[Positive, Number]
"""Price and absolute size; size 0 removes the level."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Any frame of the combined streams: an event, or the answer to a request of ours.

    A refusal names its code and text beside the id or, newer, inside `error`.
    """

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    code: int | None = None
    msg: str = ""
    error: "Fault | None" = None


class Fault(msgspec.Struct, frozen=True, gc=False):
    """A refusal: of a request over HTTP, or inside a frame. Source: "Error codes for Binance"."""

    code: int
    msg: str = ""


class TradeEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@trade`; `is_buyer_maker`: the seller took liquidity."""

    symbol: Symbol = field(name="s")
    trade_id: Identifier = field(name="t")
    price: Positive = field(name="p")
    quantity: Positive = field(name="q")
    time_ms: Milliseconds = field(name="T")
    is_buyer_maker: bool = field(name="m")


class BookTicker(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@bookTicker`; it carries no time."""

    symbol: Symbol = field(name="s")
    bid: Number = field(name="b")
    bid_size: Number = field(name="B")
    ask: Number = field(name="a")
    ask_size: Number = field(name="A")
    update_id: Identifier = field(name="u", default=0)


class DepthUpdate(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@depth@100ms`: absolute sizes of what changed in the updates `first`..`last`."""

    time_ms: Milliseconds = field(name="E")
    symbol: Symbol = field(name="s")
    first: Identifier = field(name="U")
    last: Identifier = field(name="u")
    bids: tuple[Level, ...] = field(name="b")
    asks: tuple[Level, ...] = field(name="a")


class StreamedKline(msgspec.Struct, frozen=True, gc=False):
    """The `k` of a kline event; `close_ms` is the candle's last millisecond."""

    open_ms: Milliseconds = field(name="t")
    close_ms: Milliseconds = field(name="T")
    interval: str = field(name="i")
    open: Positive = field(name="o")
    high: Positive = field(name="h")
    low: Positive = field(name="l")
    close: Positive = field(name="c")
    volume: Number = field(name="v")
    is_closed: bool = field(name="x")


class KlineEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@kline_<interval>`."""

    time_ms: Milliseconds = field(name="E")
    symbol: Symbol = field(name="s")
    kline: StreamedKline = field(name="k")


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the connection itself, such as `serverShutdown`."""

    type: str = field(name="e", default="")


class Depth(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`GET /api/v3/depth`."""

    last_update_id: Identifier
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Kline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of `GET /api/v3/klines`; what follows these columns is not read."""

    open_ms: Milliseconds
    open: Positive
    high: Positive
    low: Positive
    close: Positive
    volume: Number
    close_ms: Milliseconds


class Filter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One rule of a symbol; which fields it has depends on its type. Source: "Filters"."""

    filter_type: str
    min_price: str = ""
    max_price: str = ""
    tick_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    step_size: str = ""
    min_notional: str = ""


class SymbolRules(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One symbol of `GET /api/v3/exchangeInfo`."""

    symbol: Symbol
    status: str
    base_asset: str
    quote_asset: str
    filters: tuple[Filter, ...] = ()


class ExchangeInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`GET /api/v3/exchangeInfo`."""

    symbols: tuple[SymbolRules, ...] = ()


class ServerTime(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`GET /api/v3/time`."""

    server_time: Milliseconds
