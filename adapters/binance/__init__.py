"""Binance spot: market data, and orders where a key is given."""

from collections.abc import Mapping
from typing import Any

from adapters.binance.account_client import AccountClient
from adapters.binance.broker import BinanceBroker
from adapters.binance.client import open_client
from adapters.binance.feed import BinanceFeed
from adapters.binance.positions import Holdings
from adapters.binance.requests import Credentials, Sign
from adapters.binance.settings import BinanceSettings
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext
from framework.model.instrument import Instrument
from framework.net.signing import Ed25519Key, hmac_sha256_hex
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings


def build(section: Mapping[str, Any], context: AdapterContext) -> Adapter:
    """Return the adapter of a venue's section: its `settings` and `instruments`.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    settings = decode_section(section.get("settings"), BinanceSettings, key="settings")
    instruments = _instruments(section.get("instruments"), context.venue)
    client = open_client(settings, context)
    feed = BinanceFeed(instruments, settings, context, client)
    broker = None
    if settings.account:
        _require_assets(instruments)
        account = AccountClient(client, _credentials(settings, context), context.clock)
        broker = BinanceBroker(Holdings(instruments), settings, context, account)
    return Adapter(feed=feed, broker=broker, close=client.aclose)


def _instruments(listed: Any, venue: str) -> list[Instrument]:
    if not listed:
        raise ConfigError("is missing: list the symbols to be used", key="instruments")
    found: dict[str, Instrument] = {}
    for i, entry in enumerate(listed):
        key = f"instruments[{i}]"
        if not isinstance(entry, InstrumentSettings):
            entry = decode_section(entry, InstrumentSettings, key=key)
        instrument = entry.to_instrument(venue)
        if instrument.id in found:
            raise ConfigError(f"{entry.symbol!r} is listed twice", key=f"{key}.symbol")
        found[instrument.id] = instrument
    return list(found.values())


def _require_assets(instruments: list[Instrument]) -> None:
    """Refuse to trade what names no base asset: nobody could tell whose position a balance is."""
    for i, instrument in enumerate(instruments):
        if not instrument.base:
            reason = f"is missing: {instrument.id} is to be traded, and what it holds has no name"
            raise ConfigError(reason, key=f"instruments[{i}].base")


def _credentials(settings: BinanceSettings, context: AdapterContext) -> Credentials:
    """Return the key that signs. Raises ConfigError: it cannot be read."""
    secret = context.secret(settings.secret)
    sign: Sign
    if settings.key_type == "ed25519":
        sign = Ed25519Key(secret).sign
    else:
        sign = lambda text: hmac_sha256_hex(secret, text)  # noqa: E731 -- a method of nothing
    api_key = context.secret(settings.api_key).reveal()
    return Credentials(api_key, sign, settings.receive_window_ms)


__all__ = ["build"]
