"""The Tektii gateway: a front door that speaks its protocol, and the adapter to a real one."""

from collections.abc import Mapping
from typing import Any

from adapters.tektii.account_reads import AccountReads
from adapters.tektii.broker import TektiiBroker
from adapters.tektii.client import open_client
from adapters.tektii.feed import TektiiFeed
from adapters.tektii.sent_orders import Orders
from adapters.tektii.settings import TektiiSettings
from adapters.tektii.stream import Gateway
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext
from framework.model.instrument import Instrument
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings


def build(section: Mapping[str, Any], context: AdapterContext) -> Adapter:
    """Return the adapter of a venue's section: its `settings` and `instruments`.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    settings = decode_section(section.get("settings"), TektiiSettings, key="settings")
    instruments = {one.id: one for one in _instruments(section.get("instruments"), context.venue)}
    client = open_client(settings, context)
    gateway = Gateway(settings, context, client)
    feed = TektiiFeed(instruments.values(), settings, context, gateway)
    broker = None
    if settings.account:
        orders = Orders()
        reads = AccountReads(
            settings.account, context.venue, client, orders, context.clock, feed.instrument
        )
        broker = TektiiBroker(settings, context, gateway, reads, orders)
    return Adapter(feed=feed, broker=broker, close=client.aclose)


def _instruments(listed: Any, venue: str) -> list[Instrument]:
    found: dict[str, Instrument] = {}
    for i, entry in enumerate(listed or ()):
        key = f"instruments[{i}]"
        if not isinstance(entry, InstrumentSettings):
            entry = decode_section(entry, InstrumentSettings, key=key)
        instrument = entry.to_instrument(venue)
        if instrument.id in found:
            raise ConfigError(f"{entry.symbol!r} is listed twice", key=f"{key}.symbol")
        found[instrument.id] = instrument
    return list(found.values())


__all__ = ["build"]
