"""One end of an in-memory connection, as an asyncio transport."""

import asyncio
from asyncio.transports import _FlowControlMixin
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from framework.simulation.link import Address, Link
from framework.simulation.pipe import Pipe

if TYPE_CHECKING:
    from framework.simulation.loop import SimulatedLoop

Buffer = bytes | bytearray | memoryview

_NOBODY = asyncio.Protocol()  # hears what comes after the connection was lost


class MemoryTransport(_FlowControlMixin):
    """Behaves as asyncio's own socket transport does, over a pair of `Pipe`s.

    `close` delivers what was written, `abort` loses it. What arrives after `close` is answered
    with a reset, as a kernel would. The protocol hears nothing before `start`. `is_lost` is true
    once nothing can be written or read here.
    """

    # What asyncio's mixin for write buffer limits keeps and calls.
    _loop: "SimulatedLoop"
    _maybe_pause_protocol: Callable[[], None]
    _maybe_resume_protocol: Callable[[], None]

    def __init__(
        self,
        loop: "SimulatedLoop",
        protocol: asyncio.BaseProtocol,
        pipes: tuple[Pipe, Pipe],
        addresses: tuple[Address, Address],
        context: Context,
        link: Link,
        number: int,
    ) -> None:
        sockname, peername = addresses
        super().__init__({"sockname": sockname, "peername": peername}, loop)
        self.outgoing, self.incoming = pipes
        self.outgoing.sender = self.incoming.receiver = self
        self._protocol: Any = protocol
        self._context = context
        self._link = link
        self._number = number
        self._is_started = False
        self._is_paused = False
        self._is_closing = False
        self.is_lost = False
        self._has_written_end = False
        self._has_refused_data = False

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "closing" if self._is_closing else "open"
        ends = f"{self.get_extra_info('sockname')} -> {self.get_extra_info('peername')}"
        return f"<MemoryTransport {ends} {state}>"

    def start(self) -> None:
        """Tell the protocol of the connection and begin to read."""
        self._is_started = True
        self._protocol.connection_made(self)
        self.incoming.wake()

    # -- what a protocol asks of its transport ---------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that hears of this connection."""
        return self._protocol  # type: ignore[no-any-return]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let `protocol` hear of this connection from now on."""
        self._protocol = protocol

    def is_closing(self) -> bool:
        """Return whether this end was closed or lost."""
        return self._is_closing

    def is_reading(self) -> bool:
        """Return whether data is passed on to the protocol."""
        return not self._is_closing and not self._is_paused

    def pause_reading(self) -> None:
        """Leave what arrives on the wire; the other side's window closes."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Pass data on again, beginning with what has arrived."""
        self._is_paused = False
        self.incoming.wake()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the peer's window keeps here."""
        return self.outgoing.unsent_bytes

    def write(self, data: Buffer) -> None:
        """Send `data` in order; after the connection is closed or lost it goes nowhere."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if self._has_written_end:
            raise RuntimeError("cannot call write() after write_eof()")
        if self._is_closing or not data:
            return
        self.outgoing.write(bytes(data))
        if self.outgoing.unsent_bytes:
            self._maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send all of them as one segment."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return true: either side may finish writing and go on reading."""
        return True

    def write_eof(self) -> None:
        """End this direction once the write buffer is empty; reading goes on."""
        if self._is_closing or self._has_written_end:
            return
        self._has_written_end = True
        self.outgoing.end()

    def close(self) -> None:
        """Stop reading, deliver what was written, then end the connection."""
        if self._is_closing:
            return
        self._is_closing = True
        self.outgoing.end()  # leads to `drained`, now or when the window opens
        self.incoming.wake()  # what was held back is refused

    def abort(self) -> None:
        """End the connection now: what is in flight is lost and the peer is reset."""
        if not self.is_lost:
            self.break_off(None)
            self.outgoing.reset()

    # -- what the pipes and the network tell -----------------------------------------------------

    @property
    def takes_data(self) -> bool:
        """Whether what arrives may be delivered, if only to be refused."""
        return self._is_started and (self._is_closing or not self._is_paused)

    def receive(self, data: bytes) -> None:
        """Pass `data` to the protocol, or refuse it when closed."""
        if not self._is_closing:
            self._call_protocol(self._protocol.data_received, data)
        elif not self._has_refused_data:
            self._has_refused_data = True
            self.outgoing.reset()

    def receive_end(self) -> None:
        """The peer writes no more: close, unless the protocol wants to go on writing."""
        if not self._is_closing and not self._call_protocol(self._protocol.eof_received):
            self.close()

    def drained(self) -> None:
        """The write buffer got smaller, perhaps empty."""
        self._maybe_resume_protocol()
        if self._is_closing and not self.outgoing.unsent_bytes:
            self._lose(None)

    def break_off(self, error: BaseException | None) -> None:
        """Lose what is in flight both ways and end here; the peer is not told."""
        if not self.is_lost:
            self._is_closing = True
            self.outgoing.lose()
            self.incoming.lose()
            self._lose(error)

    def _call_protocol(self, method: Callable[..., Any], *args: Any) -> Any:
        try:
            return method(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._loop.call_exception_handler(
                {
                    "message": "a protocol failed on what it received",
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
            self.break_off(error)
            self.outgoing.reset()
            return None

    def _lose(self, error: BaseException | None) -> None:
        """Tell the protocol, once and not from within its own call."""
        if not self.is_lost:
            self.is_lost = True
            self._loop.call_soon(self._tell_lost, error, context=self._context)

    def _tell_lost(self, error: BaseException | None) -> None:
        try:
            if self._is_started:
                self._protocol.connection_lost(error)
        finally:
            self._protocol = _NOBODY  # breaks the cycle between protocol and transport
            self._link.forget(self._number)
