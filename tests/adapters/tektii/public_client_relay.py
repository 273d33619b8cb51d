"""A relay between the public client and a gateway, whose connections break as a test says."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.adapters.tektii.public_client_rig import RunningGateway

Bytes = Callable[[bytes], bytes]


class Relay:
    """Passes bytes on, in the gateway's own loop.

    Attributes:
        url: where it listens.
        losing: so many answers are lost from now on, each with its connection.
        change: what is made of each piece of an answer.
        requests: first lines of what was asked for, in order.
    """

    def __init__(self, gateway: RunningGateway) -> None:
        self.url = ""
        self.losing = 0
        self.change: Bytes = lambda piece: piece
        self.requests: list[str] = []
        self._gateway = gateway
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> "Relay":
        self._gateway.run(self._open())
        return self

    def __exit__(self, *args: object) -> None:
        self._gateway.run(self._close())

    def cut(self) -> None:
        """Break every connection that is open, without a word."""
        self._gateway.run(self._cut())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()
        await self._server.wait_closed()

    async def _cut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream = await asyncio.open_connection("127.0.0.1", self._gateway.port)
        pipes = [
            asyncio.ensure_future(self._ask(reader, upstream[1])),
            asyncio.ensure_future(self._answer(upstream[0], writer)),
        ]
        try:
            with suppress(asyncio.CancelledError):  # a cut
                await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._tasks.discard(task)
            for pipe in pipes:
                pipe.cancel()
            for end in (writer, upstream[1]):
                end.transport.abort()
            await asyncio.gather(*pipes, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pass_on(reader, writer, self._note)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pass_on(reader, writer, self._changed)

    async def _note(self, piece: bytes) -> bytes:
        line = piece.partition(b"\r\n")[0]
        if line.endswith(b" HTTP/1.1"):
            self.requests.append(line.removesuffix(b" HTTP/1.1").decode())
        return piece

    async def _changed(self, piece: bytes) -> bytes:
        if self.losing:
            self.losing -= 1
            return b""
        return self.change(piece)


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], Awaitable[bytes]],
) -> None:
    """Pass on until either end is closed, or a piece is lost."""
    while piece := await reader.read(65_536):
        piece = await change(piece)
        if not piece:
            return
        writer.write(piece)
        await writer.drain()
