"""What becomes of the frames of a subscription: messages, JSON objects, or whole books."""

from typing import Any, Protocol, TypeVar

import msgspec

from adapters.kalshi.actions import BookInvalid
from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import Ladders
from adapters.kalshi.messages import Message
from adapters.kalshi.order_books import InvalidBook, MarketBook, market_book

T_co = TypeVar("T_co", covariant=True)

RawObject = dict[str, Any]
"""A whole frame as the JSON object that came."""


class Reader(Protocol[T_co]):
    """Chooses what waits in a queue, and makes of it what its consumer gets."""

    def keep(self, frame: Frame, ladders: Ladders | None, now_ns: int) -> Any:
        """Return what is to wait for the consumer, or None; `ladders`: the book it belongs to."""

    def lose(self, invalid: BookInvalid) -> Any:
        """Return what is to wait because a book cannot be trusted any more, or None."""

    def read(self, kept: Any) -> T_co | None:
        """Return what the consumer gets for what waited, or None: nothing."""


class Messages:
    """Decoded messages; of what cannot be decoded the JSON object, where that is wanted (B21)."""

    def __init__(self, *, delivers_unread: bool) -> None:
        self._delivers_unread = delivers_unread

    def keep(self, frame: Frame, ladders: Ladders | None, now_ns: int) -> Frame | None:
        """Keep the frame."""
        return frame if frame.message is not None or self._delivers_unread else None

    def lose(self, invalid: BookInvalid) -> None:
        """Keep nothing: the snapshot that follows says enough."""

    def read(self, kept: Frame) -> Message | RawObject | None:
        """Return its message."""
        if kept.message is not None:
            return kept.message
        return _object(kept) if self._delivers_unread else None


class RawObjects:
    """Whole frames as JSON objects, decoded when they are read (K8)."""

    def keep(self, frame: Frame, ladders: Ladders | None, now_ns: int) -> Frame:
        """Keep the frame."""
        return frame

    def lose(self, invalid: BookInvalid) -> None:
        """Keep nothing."""

    def read(self, kept: Frame) -> RawObject:
        """Return the JSON object."""
        return _object(kept)


class LaterBook(msgspec.Struct, frozen=True):
    """A book that is copied when it is read: only the newest of each market waits (B22)."""

    ladders: Ladders
    seq: int | None
    received_ns: int

    @property
    def market_ticker(self) -> str:
        """The market it is of."""
        return self.ladders.market


class Books:
    """Whole books after every change; `is_conflated`: copied only when they are read.

    `marks_invalid`: an `InvalidBook` where one cannot be trusted any more; else nothing (B3).
    """

    def __init__(self, *, is_conflated: bool, marks_invalid: bool) -> None:
        self._is_conflated = is_conflated
        self._marks_invalid = marks_invalid

    def keep(
        self, frame: Frame, ladders: Ladders | None, now_ns: int
    ) -> MarketBook | LaterBook | None:
        """Keep the book as it is now."""
        if ladders is None:
            return None
        if self._is_conflated:
            return LaterBook(ladders, frame.seq, now_ns)
        return market_book(ladders, frame.seq, now_ns)

    def lose(self, invalid: BookInvalid) -> InvalidBook | None:
        """Keep a mark, where that is wanted."""
        if not self._marks_invalid:
            return None
        return InvalidBook(invalid.market, invalid.state, invalid.reason)

    def read(self, kept: MarketBook | LaterBook | InvalidBook) -> MarketBook | InvalidBook | None:
        """Return the book, unless it was lost while it waited."""
        if isinstance(kept, LaterBook):
            return market_book(kept.ladders, kept.seq, kept.received_ns)
        return kept


def market_of(kept: Any) -> str:
    """Return the market that a message, a frame or a book is about, "" if none."""
    message = kept.message if isinstance(kept, Frame) else kept
    return getattr(message, "market_ticker", "") or getattr(message, "ticker", "")


def _object(frame: Frame) -> RawObject:
    return msgspec.json.decode(frame.raw, type=RawObject)
