"""Recorded market data from files: CSV, Parquet and JSON lines."""

from collections.abc import Mapping

from adapters.replay.checks import NO_TIME_NS
from adapters.replay.feed import ReplayFeed
from adapters.replay.scan import Range
from adapters.replay.settings import decode_instruments, decode_source
from adapters.replay.sources import resolve
from adapters.replay.times import LAST_NS, parse_iso
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext
from framework.model.identity import symbol_of
from framework.model.instrument import Instrument


def build(section: Mapping[str, object], context: AdapterContext) -> Adapter:
    """Return an adapter with a recorded feed.

    Args:
        section: a venue's `source` (which files), `settings` (none here) and `instruments`.
        context: only the venue's name is used.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
        DataError: a file is missing, empty, or its header does not fit.
    """
    if section.get("settings"):
        raise ConfigError("the replay adapter has none: files stand in `source:`", key="settings")
    settings, files = decode_source(section.get("source"))
    wanted = Range(
        start_ns=_bound(settings.start, "source.start", NO_TIME_NS),
        end_ns=_bound(settings.end, "source.end", LAST_NS),
    )
    if wanted.start_ns >= wanted.end_ns:
        raise ConfigError("is not before `end`", key="source.start")
    listed = decode_instruments(section.get("instruments"), context.venue)
    known = [instrument.id for instrument in listed]
    sources = resolve(files, venue=context.venue, instruments=known)
    for name in dict.fromkeys(source.instrument for source in sources):
        if name and name not in known:  # without a grid any price and quantity goes
            listed.append(Instrument(id=name, base=symbol_of(name)))
    feed = ReplayFeed(
        sources, listed, venue=context.venue, on_error=settings.on_error, wanted=wanted
    )
    return Adapter(recorded=feed)


def _bound(text: str | None, key: str, default: int) -> int:
    if text is None:
        return default
    try:
        return parse_iso(text)
    except ValueError as error:
        raise ConfigError(str(error), key=key) from None


__all__ = ["build"]
