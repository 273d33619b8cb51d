"""A synthetic market: seeded prices live or as a recording, with faults on demand."""

from collections.abc import Mapping

from adapters.mock.any_symbol import AnySymbolFeed
from adapters.mock.feed import MockFeed, seeds_of
from adapters.mock.settings import (
    SyntheticSettings,
    decode_any_symbol,
    decode_markets,
    interval_ns,
)
from adapters.mock.synthetic import Series, SyntheticFeed
from adapters.mock.times import parse_utc
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext

DEFAULT_CANDLES = 10_000


def build(section: Mapping[str, object], context: AdapterContext) -> Adapter:
    """Return an adapter with a live feed, and the same market as a recording.

    A market of any symbol is live only.

    Args:
        section: a venue's `settings` (how prices move), `source` (which series a recording is)
            and `instruments` (their grids).
        context: clock, chance and bus; the seed decides every price.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    wanted = decode_any_symbol(section, context.venue)
    if wanted is not None:
        return Adapter(feed=AnySymbolFeed(*wanted, context))
    settings, source, markets = decode_markets(section, context.venue)
    length_ns = interval_ns(settings.candle_interval) or 0
    start_ns = parse_utc(source.start, "source.start")
    series = Series(
        start_ns=start_ns,
        candle_count=_candle_count(source, start_ns, length_ns),
        interval=settings.candle_interval,
        interval_ns=length_ns,
        step_ns=settings.interval_ms * 1_000_000,
        channels=tuple(dict.fromkeys(source.channels)),
        depth=settings.depth,
        snapshot_every=settings.snapshot_every,
    )
    seeds = [seeds_of(market, context) for market in markets]
    return Adapter(
        feed=MockFeed(markets, settings, context),
        recorded=SyntheticFeed(markets, seeds, series),
    )


def _candle_count(source: SyntheticSettings, start_ns: int, length_ns: int) -> int:
    if source.end is None:
        return source.count or DEFAULT_CANDLES
    if source.count is not None:
        raise ConfigError("stands beside `end`: one of them says it all", key="source.count")
    end_ns = parse_utc(source.end, "source.end")
    if end_ns - start_ns < length_ns:
        raise ConfigError("is not a candle after `start`", key="source.end")
    return (end_ns - start_ns) // length_ns


__all__ = ["build"]
