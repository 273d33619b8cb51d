"""One direction of a connection: the write buffer, the wire, and what waits to be read."""

import errno
from asyncio import TimerHandle
from collections import deque
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING

from framework.simulation.link import Link

if TYPE_CHECKING:
    from framework.simulation.loop import SimulatedLoop
    from framework.simulation.transport import MemoryTransport

WINDOW_BYTES = 65_536  # sent but not yet read; what goes beyond waits in the write buffer


class Mark(Enum):
    """What travels besides data, in its order."""

    END = "end"  # the sender writes no more (FIN)
    RESET = "reset"  # the sender has no such connection (RST)
    CUT = "cut"  # something was lost for good: the connection breaks for both sides


class Pipe:
    """Carries bytes from `sender` to `receiver` in order, each piece after the link's delay.

    The receiver takes one piece at a time, while it reads and the link is not partitioned. When
    all that was written is on the wire the sender hears `drained`.
    """

    sender: "MemoryTransport"
    receiver: "MemoryTransport"

    def __init__(self, loop: "SimulatedLoop", link: Link, receiver_context: Context) -> None:
        self.unsent_bytes = 0
        self._loop = loop
        self._link = link
        self._context = receiver_context  # deliveries must not leak the sender's context variables
        self._unsent: deque[memoryview] = deque()
        self._wire: deque[tuple[int, bytes | Mark]] = deque()
        self._in_flight = 0
        self._timer: TimerHandle | None = None
        self._last_arrival_ns = 0
        self._sent_until_ns = 0  # when the bandwidth is free again
        self._end_wanted = False
        self._end_sent = False
        self._reset_wanted = False
        self._has_lost = False  # part of the stream is gone: nothing after it may arrive
        self._is_cut = False  # and the notice of that is on its way

    def write(self, data: bytes) -> None:
        """Send `data` as far as the window allows and buffer the rest."""
        if not self._unsent and self._in_flight + len(data) <= WINDOW_BYTES:
            self._transmit(data)
            return
        self._unsent.append(memoryview(data))
        self.unsent_bytes += len(data)
        self._pump()

    def end(self) -> None:
        """Send the end of the stream after all that was written."""
        self._end_wanted = True
        self._pump()

    def reset(self) -> None:
        """Tell the receiver that there is no connection, after the end if one is on its way."""
        if self._end_wanted and not self._end_sent:
            self._reset_wanted = True
        else:
            self._send_mark(Mark.RESET)

    def lose(self) -> None:
        """Lose everything that has not been delivered."""
        self._unsent.clear()
        self._wire.clear()
        self.unsent_bytes = self._in_flight = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """Look again whether the receiver takes what has arrived."""
        if self._timer is None and self._wire and self._delivers():
            when_ns = self._wire[0][0] + self._link.join_ns
            self._timer = self._loop.call_at_ns(when_ns, self._arrive, context=self._context)

    def _delivers(self) -> bool:
        return self.receiver.takes_data and not self._link.is_partitioned

    def _pump(self) -> None:
        while self._unsent and self._in_flight < WINDOW_BYTES:
            room = WINDOW_BYTES - self._in_flight
            data = self._unsent.popleft()
            if len(data) > room:
                self._unsent.appendleft(data[room:])
                data = data[:room]
            self.unsent_bytes -= len(data)
            self._transmit(bytes(data))
        if self._end_wanted and not self._end_sent and not self._unsent:
            self._end_sent = True
            self._send_mark(Mark.END)
            if self._reset_wanted:
                self._send_mark(Mark.RESET)
        self.sender.drained()

    def _transmit(self, segment: bytes) -> None:
        link = self._link
        if link.drops():
            self._has_lost = True
        if self._passes():
            for piece in link.pieces(link.damage(segment)):
                self._put(piece, len(piece))

    def _send_mark(self, mark: Mark) -> None:
        if self._passes():
            self._put(mark, 0)

    def _passes(self) -> bool:
        """Whether something may go on the wire; a stream with a hole is cut instead."""
        if self._link.faults.half_open:
            self._has_lost = True
            return False
        if self._has_lost and not self._is_cut:
            self._is_cut = True
            self._put(Mark.CUT, 0)
        return not self._is_cut

    def _put(self, payload: bytes | Mark, size: int) -> None:
        """Put `payload` on the wire: it leaves when the bandwidth allows and overtakes nothing."""
        departure_ns = self._loop.now_ns
        bandwidth = self._link.faults.bandwidth_bytes_per_s
        if bandwidth:
            departure_ns = max(departure_ns, self._sent_until_ns)
            departure_ns += -(-size * 1_000_000_000 // bandwidth)  # rounded up
            self._sent_until_ns = departure_ns
        arrival_ns = max(departure_ns + self._link.latency_ns(), self._last_arrival_ns)
        self._last_arrival_ns = arrival_ns
        self._wire.append((arrival_ns, payload))
        self._in_flight += size
        if self._timer is None:
            self.wake()

    def _arrive(self) -> None:
        self._timer = None
        now_ns = self._loop.now_ns
        while self._wire and self._wire[0][0] <= now_ns and self._delivers():
            payload = self._wire.popleft()[1]
            if isinstance(payload, Mark):
                self._deliver_mark(payload)
            else:
                if self._link.join_ns:
                    payload = self._join(payload, now_ns)
                self._in_flight -= len(payload)
                self.receiver.receive(payload)
        if self._unsent:
            self._pump()
        self.wake()

    def _join(self, first: bytes, now_ns: int) -> bytes:
        """Return `first` with all data behind it that has arrived as well."""
        joined = [first]
        while self._wire and self._wire[0][0] <= now_ns:
            payload = self._wire[0][1]
            if isinstance(payload, Mark):
                break
            joined.append(payload)
            self._wire.popleft()
        return b"".join(joined)

    def _deliver_mark(self, mark: Mark) -> None:
        if mark is Mark.END:
            self.receiver.receive_end()
            return
        self.receiver.break_off(ConnectionResetError(errno.ECONNRESET, "connection reset by peer"))
        if mark is Mark.CUT:
            self.sender.break_off(ConnectionResetError(errno.ECONNRESET, "connection was cut"))
