"""One kept HTTP/1.1 connection: one request at a time, and never a second one behind it."""

import asyncio
from collections.abc import Callable
from typing import cast

from framework.errors import MalformedMessage, VenueUnavailable
from framework.net.http_answers import AnswerReader
from framework.net.http_messages import Response


class Exchange:
    """A request in its bytes and the answer that is waited for.

    Attributes:
        connection: where it was written; None while it certainly was not.
    """

    __slots__ = ("answer", "connection", "data", "method", "timer")

    def __init__(self, method: str, data: bytes, answer: "asyncio.Future[Response]") -> None:
        self.method = method
        self.data = data
        self.answer = answer
        self.connection: KeptConnection | None = None
        self.timer: asyncio.TimerHandle | None = None

    def settle(self, outcome: Response | VenueUnavailable) -> None:
        """Give the answer, or the error; the first one holds."""
        if self.timer is not None:
            self.timer.cancel()
        if self.answer.done():  # its caller gave up
            return
        if isinstance(outcome, Response):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)


class KeptConnection(asyncio.Protocol):
    """Carries one exchange after the other; `on_idle` is told when it can take the next.

    Attributes:
        used_s: the loop's time of the last request or answer.
        has_answered: whether there was any answer.
        lost: done once nothing of it will come any more.
    """

    def __init__(self, largest_body: int, on_idle: Callable[["KeptConnection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_idle = on_idle
        self._reader = AnswerReader(largest_body)
        self._transport: asyncio.Transport
        self._exchange: Exchange | None = None
        self._is_retired = False
        self.used_s = self._loop.time()
        self.has_answered = False
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether it carries requests, now or after the one that it carries."""
        return not (self._is_retired or self._transport.is_closing())

    @property
    def is_idle(self) -> bool:
        """Whether a request can be written now."""
        return self._exchange is None and not self._is_retired and not self._transport.is_closing()

    def write(self, exchange: Exchange) -> None:
        """Write a request, all of it; only while idle."""
        self._exchange = exchange
        exchange.connection = self
        self._transport.write(exchange.data)  # before all that can wait: no answer comes within it
        self._reader.begin(exchange.method)
        self.used_s = self._loop.time()

    def retire(self) -> None:
        """Close once nothing is waited for."""
        self._is_retired = True
        if self._exchange is None:
            self._transport.close()

    def break_off(self, reason: str) -> None:
        """Close now: what was written and has no answer is in doubt."""
        self._fail(reason)
        self._transport.abort()

    # -- what the transport tells ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin idle; the owner adds it once `create_connection` has returned."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read on; anything that is no answer to the one request ends the connection."""
        try:
            response = self._reader.feed(data)
        except MalformedMessage as error:
            self.break_off(str(error))
            return
        if response is not None:
            self._settle(response)

    def connection_lost(self, error: Exception | None) -> None:
        """Settle what may have ended with the connection; doubt it otherwise."""
        response = self._reader.end() if error is None else None
        if response is not None:
            self._settle(response)
        self._fail("the connection was lost")
        if not self.lost.done():
            self.lost.set_result(None)

    def _settle(self, response: Response) -> None:
        exchange, self._exchange = self._exchange, None
        self.used_s = self._loop.time()
        self.has_answered = True
        if exchange is not None:
            exchange.settle(response)
        if self._is_retired or not self._reader.is_reusable:
            self.retire()
        else:
            self._on_idle(self)

    def _fail(self, reason: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.settle(VenueUnavailable(reason))
