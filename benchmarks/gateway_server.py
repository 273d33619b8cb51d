"""Servers in a process of their own for the workloads of front doors, and what talks to them.

`python -m benchmarks.gateway_server` is the bound: a bare aiohttp handler that decodes an order and
answers a constant.
"""

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import msgspec
import uvloop
import yaml
from aiohttp import web

from adapters.tektii.wire import OrderHandle, OrderRequest, OrderStatus

HOST = "127.0.0.1"
READY = "listening on http://"
SERVER_CORE, CLIENT_CORE = 0, 1  # so that a rate is that of one core
_ANSWER = msgspec.json.encode(
    OrderHandle(
        id="0d5e2c5e-7b3a-4a59-a8e1-0f3c1f0f6b11",
        status=OrderStatus.OPEN,
        client_order_id="client-0000001",
        correlation_id="1c6b5f0a-9a3d-4e0e-8a77-5d2b7c1e9f00",
    )
)


def settings(directory: Path, *, durability: str, has_journal: bool = True) -> dict[str, Any]:
    """Return a mock gateway of the largest account that the client could wish for."""
    chosen: dict[str, Any] = {
        "mode": "paper",
        "name": "gateway-benchmark",
        "seed": 1,
        "durability": durability,
        "venues": {
            "mock": {
                "adapter": "mock",
                "settings": {"any_symbol": True},
                "costs": {"initial_margin": "0.01"},
                "fills": "unlimited",
            }
        },
        "accounts": {"main": {"venue": "mock", "currency": "USD", "balances": {"USD": "1e9"}}},
        "server": [
            {
                "listen": f"{HOST}:0",
                "doors": [
                    {"door": "tektii", "accounts": ["main"], "settings": {"provider": "mock"}}
                ],
                "limits": {"requests_per_s": 1e6, "burst": 1_000_000},
            }
        ],
        "risk": {"runaway": {"max_orders_per_second": 1_000_000, "max_resends": 1_000_000}},
        "logging": {"level": "error"},
    }
    if has_journal:
        chosen["journal"] = f"sqlite:///{directory}/gateway.db"
    return chosen


class Started:
    """A server process: where it listens, what it has used so far."""

    def __init__(self, address: tuple[str, int], pid: int) -> None:
        self.address = address
        self._place = Path(f"/proc/{pid}")

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time: unlike a rate, hardly changed by what else runs."""
        fields = (self._place / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mb(self) -> float:
        """Resident memory."""
        status = (self._place / "status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def gateway(directory: Path, chosen: Mapping[str, Any]) -> Iterator[Started]:
    """Run a configuration on one core."""
    config = directory / "gateway.yaml"
    config.write_text(yaml.safe_dump(dict(chosen)))
    with started("-m", "framework", "run", str(config)) as server:
        yield server


@contextmanager
def started(*arguments: str) -> Iterator[Started]:
    """Start a Python program on a core of its own, and wait until it listens."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {SERVER_CORE})
        os.sched_setaffinity(0, {CLIENT_CORE})
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(READY):
                host, _, port = line.removeprefix(READY).strip().rpartition(":")
                yield Started((host, int(port)), process.pid)
                return
        raise RuntimeError(f"{arguments} ended before it listened")
    finally:
        process.terminate()
        process.communicate()


class Connection(asyncio.Protocol):
    """One kept connection: a request at a time, its answer's head and body as bytes."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._data = b""
        self._waiting: deque[tuple[float, asyncio.Future[float]]] = deque()
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def post(self, path: str, body: bytes) -> "asyncio.Future[float]":
        """Send an order; the future becomes how long its answer took, in seconds."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append((perf_counter(), future))
        self._transport.write(head.encode() + body)
        return future

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            _, _, length = head.lower().partition(b"content-length: ")
            size = int(length.split(b"\r\n")[0] or b"0")
            if len(rest) < size:
                return
            self._data = rest[size:]
            began_s, future = self._waiting.popleft()
            if not head.startswith(b"HTTP/1.1 201"):
                self.refused += 1
            future.set_result(perf_counter() - began_s)


async def connected(address: tuple[str, int], count: int) -> list[Connection]:
    """Open so many connections."""
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(Connection, *address) for _ in range(count)]
    return [connection for _, connection in opened]


async def answer(request: web.Request) -> web.Response:
    """Decode an order and answer a constant."""
    _decode(await request.read())
    return web.Response(body=_ANSWER, status=201, content_type="application/json")


_decode = msgspec.json.Decoder(OrderRequest).decode


async def main() -> None:
    """Print the address and serve until killed."""
    app = web.Application()
    app.router.add_post("/v1/orders", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    port = runner.addresses[0][1]
    print(f"{READY}{HOST}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
