"""Kalshi: market data, and orders where a key is given. `client.py` is for use by itself."""

from collections.abc import Mapping
from typing import Any

from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.broker import KalshiBroker
from adapters.kalshi.feed import KalshiFeed
from adapters.kalshi.market_reads import MarketReads
from adapters.kalshi.place import Place
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.settings import KalshiSettings, plain_instrument
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext
from framework.model.instrument import Instrument
from framework.net.rest import RestOptions
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings

__all__ = ["build"]


def build(section: Mapping[str, Any], context: AdapterContext) -> Adapter:
    """Return the adapter of a venue's section: its `settings` and `instruments`.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    settings = decode_section(section.get("settings"), KalshiSettings, key="settings")
    instruments = _instruments(section.get("instruments"), settings, context.venue)
    key = _key(settings, context)
    place = Place(settings, context)
    rest = KalshiRest(
        context,
        place.rest_url,
        key,
        read_tokens_per_s=settings.read_tokens_per_s,
        write_tokens_per_s=settings.write_tokens_per_s,
        options=RestOptions(deadline_s=settings.answer_s),
        uses_first_generation=settings.uses_first_generation,
    )
    feed = KalshiFeed(
        instruments,
        settings,
        context,
        url=place.stream_url,
        key=key,
        reads=MarketReads(rest, context.clock),
    )
    broker = None
    if key is not None or place.is_embedded:
        broker = KalshiBroker(
            settings.account,
            settings,
            context,
            url=place.stream_url,
            key=key,
            rest=rest,
            instrument=feed.instrument,
        )

    async def close() -> None:
        await rest.aclose()
        await place.aclose()

    return Adapter(feed=feed, broker=broker, close=close)


def _key(settings: KalshiSettings, context: AdapterContext) -> KalshiKey | None:
    """Return the key that signs, or None: public data only."""
    if (settings.key_id is None) != (settings.private_key is None):
        missing = "private_key" if settings.private_key is None else "key_id"
        reason = "is missing: a key has an id and a private part"
        raise ConfigError(reason, key=f"settings.{missing}")
    if settings.key_id is None or settings.private_key is None:
        return None
    key_id = context.secret(settings.key_id).reveal()
    return KalshiKey(key_id, context.secret(settings.private_key), context)


def _instruments(listed: Any, settings: KalshiSettings, venue: str) -> list[Instrument]:
    found = {ticker: plain_instrument(venue, ticker) for ticker in settings.markets}
    for i, entry in enumerate(listed or ()):
        if not isinstance(entry, InstrumentSettings):
            entry = decode_section(entry, InstrumentSettings, key=f"instruments[{i}]")
        found[entry.symbol] = entry.to_instrument(venue)
    if not found:
        reason = "is missing: list the tickers of the markets to be used"
        raise ConfigError(reason, key="settings.markets")
    return list(found.values())
