"""A recorded order book stream, one message per line, in the words of the venue that sent it.

Source: https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook
"""

import msgspec


class BookData(msgspec.Struct):
    """`s` symbol, `b` and `a` changed (price, new size), best first in a snapshot."""

    s: str
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    u: int  # update id: rises by one from message to message
    seq: int | None = None  # across topics, with holes: orders messages of different depths


class BookMessage(msgspec.Struct):
    """`ts` is when the venue sent it, `cts` when its matching engine made it, in ms."""

    topic: str
    type: str
    ts: int
    data: BookData
    cts: int | None = None
