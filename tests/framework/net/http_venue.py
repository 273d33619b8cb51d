"""A venue in raw bytes on the simulated network: it notes what arrives and answers by a script."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker.rig import START_NS, RigContext

T = TypeVar("T")
ADDRESS = ("venue", 8000)
URL = "http://venue:8000/api"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSE = b""  # hang up instead of an answer


class Arrived:
    """A request as it came."""

    def __init__(self, head: str, body: bytes, at_s: float, connection: "Connection") -> None:
        self.first_line, *lines = head.split("\r\n")
        self.fields = [tuple(line.split(": ", 1)) for line in lines]
        self.body = body
        self.at_s = at_s
        self.connection = connection

    def field(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


Answer = bytes | float | None
Script = Callable[[Arrived], Answer]
"""Returns the answer, `CLOSE`, or None to stay silent."""


class Connection(asyncio.Protocol):
    """One connection, as the venue sees it."""

    def __init__(self, venue: "HttpVenue") -> None:
        self.transport: asyncio.Transport
        self._venue = venue
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._venue.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            now_s = asyncio.get_running_loop().time()
            found = Arrived(head.decode("latin-1"), b"", now_s, self)
            size = int(found.field("content-length") or 0)
            if len(rest) < size:
                return
            found.body, self._data = rest[:size], rest[size:]
            self._venue.arrived.append(found)
            self.answer(self._venue.script(found))

    def answer(self, answer: Answer) -> None:
        if answer == CLOSE:
            self.transport.close()
        elif isinstance(answer, bytes):
            self.transport.write(answer)


class HttpVenue:
    """Listens at `ADDRESS`; `arrived` are the requests in order of arrival."""

    def __init__(self, script: Script = lambda _: OK) -> None:
        self.script = script
        self.arrived: list[Arrived] = []
        self.connections: list[Connection] = []

    async def start(self) -> asyncio.AbstractServer:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self), *ADDRESS)

    def lines(self) -> list[str]:
        return [found.first_line for found in self.arrived]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an answer with a length; `retry_after` names the header `retry-after`."""
    fields = {**{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    head = f"HTTP/1.1 {status} X\r\n{''.join(lines)}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def in_turn(*answers: Answer) -> Script:
    """Answer the n-th request with the n-th of `answers`, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def play(
    main: Callable[[HttpVenue, RigContext], Awaitable[T]],
    script: Script = lambda _: OK,
    *,
    seed: int = 0,
) -> T:
    """Run `main` beside a listening venue, in virtual time."""

    async def run() -> T:
        venue = HttpVenue(script)
        server = await venue.start()
        try:
            return await main(venue, RigContext(simulated_loop()))
        finally:
            server.close()

    return run_simulated(run, seed=seed, start_ns=START_NS)


def simulated_loop() -> SimulatedLoop:
    """Return the running loop, which is a simulated one."""
    return cast(SimulatedLoop, asyncio.get_running_loop())
