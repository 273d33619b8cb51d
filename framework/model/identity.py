"""Names of things: instruments, venues, accounts, runs, orders; and where new ids come from."""

from hashlib import blake2b
from typing import NewType

InstrumentId = NewType("InstrumentId", str)
"""`"<venue>:<symbol>"`, split at the first colon: `binance:BTCUSDT`, `kite:NSE:INFY`."""

VenueId = NewType("VenueId", str)
AccountId = NewType("AccountId", str)
RunId = NewType("RunId", str)
OrderId = NewType("OrderId", str)

EXTERNAL_RUN = RunId("external")
"""The run that owns what nobody here ordered."""


def instrument_id(venue: str, symbol: str) -> InstrumentId:
    """Return the id of `symbol` at `venue`."""
    return InstrumentId(f"{venue}:{symbol}")


def venue_of(instrument: str) -> VenueId:
    """Return the venue's name, or the whole text where it has no colon."""
    return VenueId(instrument.partition(":")[0])


def symbol_of(instrument: str) -> str:
    """Return the symbol as the venue writes it."""
    return instrument.partition(":")[2]


class OrderIds:
    """Derives order ids: 20 hexadecimal characters, a pure function of (journal, run, key).

    Equal on replay and after a restart, so a repeated key finds its order again; 80 bits keep
    the chance of two equal ids below 1e-6 for a billion orders.
    """

    def __init__(self, journal_id: str) -> None:
        self.journal_id = journal_id
        self._prefix = blake2b(journal_id.encode() + b"\0", digest_size=10)

    def order_id(self, run: str, key: str) -> OrderId:
        """Return the id of the order that `run` asks for under its idempotency `key`."""
        digest = self._prefix.copy()
        digest.update(f"{run}\0{key}".encode())
        return OrderId(digest.hexdigest())
