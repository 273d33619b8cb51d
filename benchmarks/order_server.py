"""A venue's order entry in a process of its own: it says when each request was there."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import cast

import uvloop

HOST = "127.0.0.1"
STAMP_DIGITS = 20  # nanoseconds of the clock that all processes of a computer share

_HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"


class OrderEntry(asyncio.Protocol):
    """Answers each request with the time at which its last byte came."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        arrived_ns = perf_counter_ns()
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= length_of(head):
            self._data = b""
            self._transport.write(_HEAD + b"%020d" % arrived_ns)


def length_of(head: bytes) -> int:
    """Return the bytes of the body behind a request's head."""
    _, _, rest = head.lower().partition(b"content-length: ")
    return int(rest.split(b"\r\n")[0] or b"0")


@contextmanager
def order_server() -> Iterator[int]:
    """Start the server; give its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.order_server"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


async def main() -> None:
    """Print the port and serve until killed."""
    server = await asyncio.get_running_loop().create_server(OrderEntry, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
