"""One connection of a client to the broker simulator."""

import asyncio
from typing import TYPE_CHECKING

from tests.broker import protocol as wire

if TYPE_CHECKING:
    from tests.broker.server import Server


class Session(asyncio.Protocol):
    """Cuts lines, keeps messages in order, and breaks when the script says so.

    A session with `symbols` gets prices and heartbeats; one without gets its account's updates.
    """

    def __init__(self, server: "Server") -> None:
        self.account = ""
        self.symbols: tuple[str, ...] = ()
        self._server = server
        self._lines = wire.Lines()
        self._transport: asyncio.Transport | None = None
        self._free_s = 0.0  # loop time from which on the way out is free

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, unless the broker is down."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._server.is_down:
            transport.abort()
        else:
            self._server.sessions.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._forget()

    def data_received(self, data: bytes) -> None:
        """Act on each whole line; a line that is none ends the session."""
        try:
            requests = [wire.decode_request(line) for line in self._lines.feed(data)]
        except wire.BadLine:
            self.abort()
            return
        for request in requests:
            survives = self._server.count_message(self)
            if self._transport is None:
                return
            if survives or self._server.chances.happens(0.5):
                self._server.receive(self, request)
            if not survives:
                self.abort()
                return

    def send_after(self, message: wire.Message, delay_ms: float, hold_ms: float) -> None:
        """Send after a delay, behind what was sent before; `hold_ms` lets later ones overtake."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due_s = max(now_s + delay_ms / 1000, self._free_s)
        self._free_s = due_s
        if due_s > now_s or hold_ms:
            loop.call_at(due_s + hold_ms / 1000, self._send, message)
        else:
            self._send(message)

    def write(self, message: wire.Message) -> None:
        """Send now, past every fault."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(wire.encode(message))

    def abort(self) -> None:
        """Break the connection: what is on its way out is lost."""
        transport = self._transport
        self._forget()
        if transport is not None:
            transport.abort()

    def _send(self, message: wire.Message) -> None:
        if self._transport is None:
            return
        survives = self._server.count_message(self)
        if survives or self._server.chances.happens(0.5):
            self.write(message)
        if not survives:
            self.abort()

    def _forget(self) -> None:
        self._transport = None
        if self in self._server.sessions:
            self._server.sessions.remove(self)
