"""Slow readers and slow senders, hundreds of them: trading goes on as if they were not (R-83).

The gateway runs in a process of its own; its limits on time are small here, so that they are
reached soon. The time that a connection has to say what it wants is the default: 5 seconds.
How late something may be is for a machine that has other things to do: `make soak` is strict.
"""

import asyncio
import base64
import os
import socket as sockets
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import aiohttp
import msgspec
import pytest

from tests.adapters.tektii.gateway_process import (
    CONFIGURATION,
    KEY,
    GatewayProcess,
    gateway_process,
)

pytestmark = pytest.mark.socket

READERS = SENDERS = 200
ORDERS = 250  # of the fast client, without the others
EACH_S = 0.01  # between two of its orders
BYTE_S = 0.5  # between two bytes of a slow sender
LIMITS = "{request_s: 4, slow_s: 2}"
HEAD_S = 5.0
LATE_S = float(os.environ.get("HEADRACE_LOAD_LATE_S", "30"))
CUT_S = 12.0 + LATE_S  # by when nobody slow is left; 30 s where limits are as they come
NOISE_S = float(os.environ.get("HEADRACE_LOAD_NOISE_S", "1"))  # of the slowest of a hundred orders
MEGABYTES_MORE = 50
HEAD = b"GET /v1/account HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Padding: " + b"x" * 1_000
BODY = b'{"symbol": "' + b"A" * 988
CUT = "slow consumer"
NEWS_OF_ONE_ORDER = ["ORDER_CREATED", "ORDER_FILLED"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """Run a gateway that soon loses its patience."""
    text = CONFIGURATION.read_text().replace("    doors:\n", f"    limits: {LIMITS}\n    doors:\n")
    assert LIMITS in text
    configuration = tmp_path / "gateway.yaml"
    configuration.write_text(text)
    with gateway_process(tmp_path, configuration=configuration) as running:
        yield running


def test_trading_goes_on_beside_hundreds_who_are_slow(gateway: GatewayProcess) -> None:
    """R-83."""
    asyncio.run(asyncio.wait_for(among_the_slow(gateway), 180))


async def among_the_slow(gateway: GatewayProcess) -> None:
    """Trade alone, then beside slow readers and senders until all of those are cut; compare."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {KEY}"})
        )
        stream = await stack.enter_async_context(session.ws_connect("/v1/ws"))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        trader, listener = Trader(session), Listener(stream)
        listening = tasks.create_task(listener.run())
        await trader.trade(lambda: len(trader.ids) == 50)  # warm
        alone = await trader.trade(lambda: len(trader.ids) == 50 + ORDERS)
        files, memory = gateway.open_files, gateway.memory_bytes

        crowd = await crowd_of(stack, gateway.port)
        senders = [one for one in crowd if isinstance(one, SlowSender)]
        began_s = perf_counter()
        most = memory

        def is_over() -> bool:
            nonlocal most
            most = max(most, gateway.memory_bytes)
            if perf_counter() - began_s > CUT_S:
                return True
            if any(sender.lost_after_s is None for sender in senders):
                return False
            return gateway.open_files <= files and gateway.log.count(CUT) >= READERS

        beside = await trader.trade(is_over)
        took_s = perf_counter() - began_s
        left = gateway.open_files - files
        await listener.heard(trader.ids[-1])
        listening.cancel()

    for sender in senders:
        assert sender.lost_after_s is not None, "a slow sender is still there"
        allowed_s = 4.0 if sender.is_known else HEAD_S
        assert allowed_s - 0.5 <= sender.lost_after_s <= allowed_s + LATE_S
    assert left <= 0, f"{left} are still there after {took_s:.1f} s"
    assert gateway.log.count(CUT) == READERS
    assert (most - memory) / 1e6 <= MEGABYTES_MORE
    assert p99(beside) <= max(2 * p99(alone), NOISE_S), f"{p99(alone):.4f} {p99(beside):.4f}"
    assert listener.news == [
        (order_id, news) for order_id in trader.ids for news in NEWS_OF_ONE_ORDER
    ]
    assert listener.numbers == list(range(1, len(listener.numbers) + 1))
    print(
        f"alone p99 {p99(alone) * 1e3:.1f} ms, beside {p99(beside) * 1e3:.1f} ms of {len(beside)},"
        f" +{(most - memory) / 1e6:.1f} MB, all cut after {took_s:.1f} s"
    )


def p99(seconds: list[float]) -> float:
    """Return what 99 of 100 did not exceed."""
    return sorted(seconds)[len(seconds) * 99 // 100]


class Trader:
    """The fast client: buys and sells one, again and again; `ids` are its orders'."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.ids: list[str] = []
        self._session = session

    async def trade(self, is_over: Callable[[], bool]) -> list[float]:
        """Trade until it is over, and return how long each order took, in seconds."""
        took: list[float] = []
        while not is_over():
            started_s = perf_counter()
            self.ids.append(await self._submitted())
            took.append(perf_counter() - started_s)
            await asyncio.sleep(EACH_S)
        return took

    async def _submitted(self) -> str:
        side = "SELL" if len(self.ids) % 2 else "BUY"
        order = {"symbol": "AAPL", "side": side, "quantity": "1", "order_type": "MARKET"}
        async with self._session.post("/v1/orders", json=order) as answer:
            handle = await answer.json()
            assert (answer.status, handle.get("status")) == (201, "FILLED"), handle
            order_id: str = handle["id"]
            return order_id


class Listener:
    """The fast reader: `news` of orders and the `numbers` of all frames, as they came."""

    def __init__(self, stream: "aiohttp.ClientWebSocketResponse") -> None:
        self.news: list[tuple[str, str]] = []
        self.numbers: list[int] = []
        self._stream = stream
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            self._take(msgspec.json.decode(await self._stream.receive_str()))

    async def heard(self, order_id: str) -> None:
        """Return once the last news of an order came."""
        async with asyncio.timeout(60):
            while (order_id, NEWS_OF_ONE_ORDER[-1]) not in self.news[-10:]:
                self._came.clear()
                await self._came.wait()

    def _take(self, frame: dict[str, Any]) -> None:
        if "seq" in frame:
            self.numbers.append(frame["seq"])
        if frame["type"] == "order":
            self.news.append((frame["order"]["id"], frame["event"]))
        self._came.set()


class SlowReader(asyncio.Protocol):
    """Shakes hands for a stream and reads nothing after that."""

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(bytes(16)).decode()
        self.transport.write(
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Stop reading once it is open."""
        assert data.startswith(b"HTTP/1.1 101"), data
        self.transport.pause_reading()
        self.is_ready.set()


class SlowSender(asyncio.Protocol):
    """Sends a byte now and then: of a body with a valid key, or of a head."""

    def __init__(self, *, is_known: bool) -> None:
        self.is_known = is_known
        self.lost_after_s: float | None = None
        self.is_ready = asyncio.Event()
        self.transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._began_s = perf_counter()  # before it is connected: never later than the gateway's
        text = BODY if is_known else HEAD
        self._bytes = iter([text[at : at + 1] for at in range(len(text))])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the head if the body is what is to be slow."""
        self.transport = cast(asyncio.Transport, transport)
        if self.is_known:
            self.transport.write(
                f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
                "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode()
            )
        self.is_ready.set()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Note when."""
        self.lost_after_s = perf_counter() - self._began_s
        if self._timer is not None:
            self._timer.cancel()

    def _send(self) -> None:
        self.transport.write(next(self._bytes))
        self._timer = asyncio.get_running_loop().call_later(BYTE_S, self._send)


async def crowd_of(stack: AsyncExitStack, port: int) -> list[SlowReader | SlowSender]:
    """Open all the slow connections, with small buffers of the system."""
    loop = asyncio.get_running_loop()
    makers: list[Callable[[], SlowReader | SlowSender]] = [
        *[SlowReader] * READERS,
        *[lambda: SlowSender(is_known=True)] * (SENDERS // 2),
        *[lambda: SlowSender(is_known=False)] * (SENDERS // 2),
    ]
    crowd: list[SlowReader | SlowSender] = []
    for make in makers:
        sock = sockets.socket()
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8_192)
        sock.setblocking(False)
        made = make()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        transport, _ = await loop.create_connection(lambda made=made: made, sock=sock)  # type: ignore[misc]
        stack.callback(abort, transport)
        crowd.append(made)
    async with asyncio.timeout(60):
        for one in crowd:
            await one.is_ready.wait()
    return crowd


def abort(transport: asyncio.BaseTransport) -> None:
    """Break a connection off, if it is still there."""
    with suppress(OSError):
        cast(asyncio.Transport, transport).abort()
