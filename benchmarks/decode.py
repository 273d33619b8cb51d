"""Workload `decode`: a venue's quote of 200 bytes to a typed `Quote`, against `json.loads`."""

import json
from collections.abc import Callable
from time import perf_counter

import msgspec

from framework.model.market_data import Quote

MESSAGE_COUNT = 100_000
ROUNDS = 5  # the best one counts

MESSAGE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400123456789,"s":"BTCUSDT",'
    b'"b":"43251.10000000","B":"1.25300000","a":"43251.20000000","A":"0.74100000",'
    b'"T":1704067200123,"E":1704067200125}}'
)


class Ticker(msgspec.Struct, gc=False):
    """The part of the message that a codec reads; numbers come as text."""

    symbol: str = msgspec.field(name="s")
    bid: float = msgspec.field(name="b")
    bid_size: float = msgspec.field(name="B")
    ask: float = msgspec.field(name="a")
    ask_size: float = msgspec.field(name="A")
    time_ms: int = msgspec.field(name="T")


class Envelope(msgspec.Struct, gc=False):
    """The message around it."""

    data: Ticker


decode = msgspec.json.Decoder(Envelope, strict=False).decode


def quote_of(message: bytes) -> Quote:
    """Return the event in `message`, as an adapter's codec would."""
    ticker = decode(message).data
    time_ns = ticker.time_ms * 1_000_000
    return Quote(
        "binance:BTCUSDT",
        time_ns,
        time_ns,
        ticker.bid,
        ticker.ask,
        ticker.bid_size,
        ticker.ask_size,
    )


def events_per_s(function: Callable[[bytes], object]) -> float:
    """Return how many messages a second `function` takes, in the best of the rounds."""
    fastest_s = float("inf")
    for _ in range(ROUNDS):
        start_s = perf_counter()
        for _ in range(MESSAGE_COUNT):
            function(MESSAGE)
        fastest_s = min(fastest_s, perf_counter() - start_s)
    return MESSAGE_COUNT / fastest_s


def measure() -> list[dict[str, object]]:
    """Return a row per decoder; `ratio` is against `json.loads`, which makes no event at all."""
    decoders: dict[str, Callable[[bytes], object]] = {
        "json.loads": json.loads,
        "msgspec, typed": decode,
        "msgspec, typed, to Quote": quote_of,
    }
    rates = {name: events_per_s(decoder) for name, decoder in decoders.items()}
    floor = rates["json.loads"]
    return [
        {
            "decoder": name,
            "message_bytes": len(MESSAGE),
            "events_per_s": round(rate),
            "ratio": round(rate / floor, 1),
        }
        for name, rate in rates.items()
    ]
