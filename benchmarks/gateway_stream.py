"""Workload `gateway_stream`: quotes from the mock to 100 WebSocket clients, some of which stall.

The mock makes 5,000 quotes a second; each goes to every client. A quote carries the time at which
it was published, and a client notes how old the oldest of a chunk is when its bytes come: both
clocks are this computer's. The server has one core, the clients the other.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from os import urandom
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import time
from typing import Any, cast

import uvloop

from benchmarks.gateway_server import HOST, gateway, settings

CLIENTS = 100
STALLED = 10
SYMBOLS = 50
STEP_MS = 10  # 50 symbols each 10 ms: 5,000 quotes a second
WARM_UP_S = 2.0
SECONDS = 10.0
_STAMP = b'},"timestamp":"'


class Listener(asyncio.Protocol):
    """One WebSocket client that reads text frames by their looks alone; `ages` in seconds."""

    def __init__(self, path: str) -> None:
        self.frames = 0
        self.ages: list[float] = []
        self.is_measuring = False
        self.is_closed = False
        self._path = path
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = b64encode(urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.is_measuring:
            return
        now_s = time()
        self.frames += data.count(_STAMP)
        at = data.find(_STAMP)
        end = data.find(b'"', at + len(_STAMP))
        if 0 <= at < end:
            stamp = data[at + len(_STAMP) : end].decode()
            self.ages.append(now_s - seconds_of(stamp))

    def stall(self) -> None:
        """Read nothing more."""
        self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True


def seconds_of(stamp: str) -> float:
    """Return Unix seconds of RFC 3339 in UTC, to the nanosecond that was written."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")


async def listen(address: tuple[str, int], stalled: int) -> dict[str, Any]:
    """Listen for a while; return what came and how old it was."""
    loop = asyncio.get_running_loop()
    listeners = []
    for _ in range(CLIENTS):
        _, listener = await loop.create_connection(lambda: Listener("/v1/ws"), *address)
        listeners.append(listener)
    await asyncio.sleep(WARM_UP_S)
    for listener in listeners[:stalled]:
        listener.stall()
    reading = listeners[stalled:]
    for listener in reading:
        listener.is_measuring = True
    await asyncio.sleep(SECONDS)
    for listener in reading:
        listener.is_measuring = False
    cuts = quantiles([age for listener in reading for age in listener.ages], n=100)
    return {
        "clients": CLIENTS,
        "stalled": stalled,
        "events_per_second": round(reading[0].frames / SECONDS),
        "frames_per_second": round(sum(one.frames for one in reading) / SECONDS),
        "p50_ms": round(cuts[49] * 1e3, 2),
        "p99_ms": round(cuts[98] * 1e3, 2),
        "cut": sum(listener.is_closed for listener in listeners),
    }


def streaming(directory: Path) -> Mapping[str, Any]:
    """Return a gateway whose mock quotes 5,000 times a second."""
    chosen = settings(directory, durability="async", has_journal=False)
    chosen["venues"]["mock"]["settings"]["interval_ms"] = STEP_MS
    names = [f"SYM{number:03d}" for number in range(SYMBOLS)]
    wanted = [{"platform": "mock", "instrument": name, "events": ["quote"]} for name in names]
    (door,) = chosen["server"][0]["doors"]
    door["settings"]["subscriptions"] = json.dumps(wanted)
    return chosen


def measure() -> list[dict[str, object]]:
    """Return a row where everybody reads and one where some stall."""
    rows: list[dict[str, object]] = []
    for stalled in (0, STALLED):
        with TemporaryDirectory() as name, gateway(Path(name), streaming(Path(name))) as server:
            before_mb = server.resident_mb
            figures = uvloop.run(listen(server.address, stalled))
            grown = round(server.resident_mb - before_mb, 1)
        rows.append({"row": "stalled" if stalled else "all read", **figures, "grown_mb": grown})
    return rows
