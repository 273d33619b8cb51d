"""What the streams need of an exchange: its events, and reads of its markets."""

from collections.abc import Callable
from typing import Protocol

from adapters.kalshi.simulated.domain import Book, Market, TickerState
from adapters.kalshi.simulated.emitted import ExchangeEvent


class MarketReads(Protocol):
    """Reads of the present state."""

    def markets(self) -> list[Market]: ...
    def has_market(self, ticker: str) -> bool: ...
    def market(self, ticker: str) -> Market:
        """Return a market. Raises Refusal if there is none."""

    def book(self, ticker: str) -> Book:
        """Return what the changes emitted so far add up to, also in the middle of a request.

        A snapshot that a fault sends there would else hold changes that still follow it (S8).
        Raises Refusal if there is no such market.
        """

    def ticker(self, ticker: str) -> TickerState:
        """Return a ticker. Raises Refusal if there is no such market."""


class StreamSource(Protocol):
    """An exchange, as far as the streams know it."""

    @property
    def data(self) -> MarketReads: ...
    def listen(self, on_event: Callable[[ExchangeEvent], None]) -> None:
        """Call `on_event` with every event, synchronously and in order."""
