"""Small recorded files for the tests of the replay adapter."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.replay import build
from adapters.replay.feed import ReplayFeed
from tests.adapters.mock.seams import HandContext

QUOTES = (
    "timestamp,bid,ask\n"
    "2024-01-01T00:00:00Z,1.1,1.2\n"
    "2024-01-01T00:00:01Z,1.2,1.3\n"
    "2024-01-01T00:00:01Z,1.25,1.35\n"
)
CANDLES = (
    "timestamp,open,high,low,close,volume\n"
    "2024-01-01 00:00:00,10,12,9,11,5\n"
    "2024-01-01 00:01:00,11,13,10,12,6\n"
    "2024-01-01 00:02:00,12,14,11,13,7\n"
)
START_NS = 1_704_067_200_000_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def write(directory: Path, name: str, text: str) -> str:
    """Write a text file, compressed where its name says so; return its path."""
    path = directory / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_bytes(text.encode())
    return str(path)


def feed_of(
    source: Mapping[str, Any],
    *,
    venue: str = "venue",
    instruments: Sequence[Mapping[str, Any]] = (),
) -> ReplayFeed:
    """Return the recorded feed of a venue's `source:`."""
    section = {"source": source, "settings": None, "instruments": list(instruments)}
    feed = build(section, HandContext(venue)).recorded
    assert isinstance(feed, ReplayFeed)
    return feed


def quotes_feed(path: str, **more: Any) -> ReplayFeed:
    """Return a feed of quotes of the instrument X."""
    return feed_of({"files": path, "kind": "quotes", "instrument": "X", **more})


def candles_feed(path: str, **more: Any) -> ReplayFeed:
    """Return a feed of one-minute candles of the instrument X, stamped by their open."""
    stated = {"kind": "candles", "instrument": "X", "stamp": "open", "interval": "1m"}
    return feed_of({"files": path, **stated, **more})
