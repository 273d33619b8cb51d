"""Snapshots of books, encoded once however many connections ask for them."""

import msgspec

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.market_payloads import book_payload
from adapters.kalshi.simulated.stream_source import MarketReads


class EncodedBooks:
    """The `msg` of every book's snapshot, as long as the book does not change."""

    def __init__(self, data: MarketReads, profile: Profile) -> None:
        self._data = data
        self._profile = profile
        self._bodies: dict[str, dict[bool, bytes]] = {}  # by market and use_yes_price

    def forget(self, ticker: str) -> None:
        """Note that a book has changed."""
        self._bodies.pop(ticker, None)

    def body(self, ticker: str, *, uses_yes_price: bool) -> bytes | None:
        """Return the encoded `msg` of a snapshot; None: there is no such market."""
        if not self._data.has_market(ticker):
            return None
        bodies = self._bodies.setdefault(ticker, {})
        body = bodies.get(uses_yes_price)
        if body is None:
            book = self._data.book(ticker)
            payload = book_payload(book, self._profile, uses_yes_price=uses_yes_price)
            body = bodies[uses_yes_price] = msgspec.json.encode(payload)
        return body
