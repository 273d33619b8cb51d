"""The writing half of a stream: from its outbox to its transport, in batches, without waiting.

What is put is written at the end of the loop's present turn, everything of one turn in one write:
a callback, no task, and bytes that all streams share until they are joined for that write. Only
while the transport is full a task waits for room.
"""

import asyncio
import socket

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from framework.server.outbox import Outbox

WRITE_BYTES = 32_768  # of one write, and what the transport holds before it calls itself full

SYSTEM_BYTES = 131_072  # what the system holds, about: left alone it takes 4 MB of each slow reader


class Outgoing:
    """Writes whole frames, in order; the last one is given to `finish` or `cut`.

    `protocol` and `writer` are aiohttp's for one connection.

    Raises:
        ConnectionResetError: it is gone.
    """

    def __init__(
        self, protocol: web.RequestHandler, writer: AbstractStreamWriter, outbox: Outbox
    ) -> None:
        if protocol.transport is None:
            raise ConnectionResetError("the connection is lost")
        self.outbox = outbox
        self._transport = transport = protocol.transport
        self._flow = protocol  # tells whether the transport is full
        self._writer = writer  # can wait until it is not
        self._loop = asyncio.get_running_loop()
        self._is_scheduled = False  # or waiting for room
        self._is_full = asyncio.Event()
        self._last: bytes | None = None
        self._is_finished = asyncio.Event()
        self._written_bytes = 0
        self._taken_bytes = 0
        self._progress_s = self._loop.time()
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        if (system := transport.get_extra_info("socket")) is not None:  # none in memory
            system.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BYTES)

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport.is_closing()

    @property
    def is_empty(self) -> bool:
        """Whether the system has taken all of it."""
        return not self.outbox.waiting and not self._transport.get_write_buffer_size()

    def put(self, frame: bytes, key: str | None) -> bool:
        """Queue a frame; False if the outbox overflowed."""
        if not self.outbox.put(frame, key=key):
            return False
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._write)
        return True

    def put_ahead(self, frame: bytes) -> None:
        """Write a control frame ahead of what waits; it is left out while the transport is full."""
        if not (self._flow.writing_paused or self._is_finished.is_set() or self.is_lost):
            self._write_bytes(frame)

    def finish(self, last: bytes) -> None:
        """Write `last` after all that waits, and nothing after it."""
        self._last = last
        if not self._is_full.is_set():
            self._write()

    def cut(self, last: bytes) -> None:
        """Forget what waits and write `last`, and nothing after it."""
        self.outbox.end()
        self._last = last
        self._write()

    def lose(self) -> None:
        """Forget everything: the connection is gone."""
        self.outbox.end()
        self._is_finished.set()

    async def run(self) -> None:
        """Go on writing whenever the transport has room again, until cancelled or lost."""
        try:
            while not self.is_lost:
                await self._is_full.wait()
                await self._writer.drain()
                self._is_full.clear()
                self._write()
        except ConnectionError:
            pass
        self.lose()

    async def flush(self) -> None:
        """Return once the system has taken all, `last` included, or the connection is lost."""
        await self._is_finished.wait()
        if self.is_lost:
            return
        # Now it is full until it is empty; with 0, one of TLS would be full when it is empty, too.
        self._transport.set_write_buffer_limits(high=1, low=0)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def abort(self) -> None:
        """Cut the connection; what waits and what the transport holds is lost."""
        self.outbox.end()
        self._transport.abort()

    def stuck_s(self) -> float:
        """Return for how long the peer has taken nothing while something waits.

        As exact as the times between calls.
        """
        now_s = self._loop.time()
        taken_bytes = self._written_bytes - self._transport.get_write_buffer_size()
        if taken_bytes != self._taken_bytes or self.is_empty:
            self._taken_bytes = taken_bytes
            self._progress_s = now_s
        return now_s - self._progress_s

    def _write(self) -> None:
        flow, outbox = self._flow, self.outbox
        if self.is_lost:
            self.lose()
        while outbox.waiting and not flow.writing_paused:
            self._write_bytes(b"".join(outbox.take(WRITE_BYTES)))
        if outbox.waiting:
            self._is_full.set()
            return
        self._is_scheduled = False
        if self._last is not None and not self._is_finished.is_set():
            self._is_finished.set()
            self._write_bytes(self._last)

    def _write_bytes(self, data: bytes) -> None:
        self._transport.write(data)
        self._written_bytes += len(data)
