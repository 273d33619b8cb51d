"""Writes sample candles as CSV: `python -m adapters.mock.sample OUTPUT.csv --seed 7`.

The bytes are a function of the arguments alone; times are the candles' opens (`stamp: open`).
"""

import argparse
import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from adapters.mock.settings import decode_markets, interval_ns
from adapters.mock.synthetic import Seeds, Series, SyntheticFeed
from adapters.mock.times import parse_utc
from framework.errors import ConfigError
from framework.model.market_data import Candle

HEADER = ("timestamp", "open", "high", "low", "close", "volume")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m adapters.mock.sample", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--candles", type=int, default=20_000)
    parser.add_argument("--interval", default="1m")
    parser.add_argument("--start", default="2024-01-01", help="ISO 8601, UTC")
    parser.add_argument("--price", type=float, default=40_000.0, help="where it starts")
    parser.add_argument("--volatility", type=float, default=0.6, help="of a year's return")
    options = parser.parse_args(arguments)
    try:
        feed = sample_feed(
            seed=options.seed,
            candles=options.candles,
            interval=options.interval,
            start=options.start,
            price=options.price,
            volatility=options.volatility,
        )
    except ConfigError as error:
        parser.error(str(error))
    count = write_candles(feed, options.output)
    print(f"{count} candles of {options.interval} in {options.output} (stamp: open)")
    return 0


def sample_feed(
    *, seed: int, candles: int, interval: str, start: str, price: float, volatility: float
) -> SyntheticFeed:
    """Return the series that the arguments describe.

    Raises:
        ConfigError: one of them makes no sense.
    """
    length_ns = interval_ns(interval)
    if length_ns is None:
        raise ConfigError(f"{interval!r} is no length of time such as 1m, 4h or 1d", key="interval")
    step_ms = max(1, length_ns // 60 // 1_000_000)
    section = {
        "settings": {
            "candle_interval": interval,
            "interval_ms": step_ms,
            "instruments": [{"symbol": "SAMPLE", "start_price": price, "volatility": volatility}],
        },
        "source": {"count": candles},
    }
    settings, _, markets = decode_markets(section, "sample")
    random = Random(f"sample {seed}")  # text is hashed by SHA-512: the same in every process
    series = Series(
        start_ns=parse_utc(start, "start"),
        candle_count=candles,
        interval=interval,
        interval_ns=length_ns,
        step_ns=step_ms * 1_000_000,
        channels=("candles",),
        depth=settings.depth,
        snapshot_every=settings.snapshot_every,
    )
    return SyntheticFeed(markets, [Seeds(random.getrandbits(64), random.getrandbits(64))], series)


def write_candles(feed: SyntheticFeed, path: Path) -> int:
    """Write the feed's candles; return their number."""
    count = 0
    with path.open("w", encoding="ascii", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for event in feed.scan():
            if isinstance(event, Candle):
                writer.writerow(row_of(event))
                count += 1
    return count


def row_of(candle: Candle) -> tuple[str, float, float, float, float, float]:
    """Return a candle as `HEADER` says; floats are written so that they read back exactly."""
    opened = datetime.fromtimestamp(candle.open_ns // 1_000_000_000, UTC)
    stamp = opened.strftime("%Y-%m-%dT%H:%M:%SZ")
    return stamp, candle.open, candle.high, candle.low, candle.close, candle.volume


if __name__ == "__main__":
    raise SystemExit(main())
