"""Workload `tick_to_order`: from a quote's frame at the feed to the order's bytes on the socket.

A live run with `durability: async` and everything on that a live run has. Its broker posts each
order through `RestClient`, or writes it through `OrderWriter`. Beside them stand two bounds of the
same run: decode, encode and one write on a kept connection, and the bare aiohttp client. The clock
stops when the transport's `write` returns, which is after the kernel took the bytes.
`arrived_p50_us` is when the other process read them; over loopback that may come first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, cast
from unittest.mock import patch

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler

from benchmarks.decode import MESSAGE, decode, quote_of
from benchmarks.noting_venue import INSTRUMENT, Buyer, NotingVenue, live_settings, named
from benchmarks.order_server import HOST, order_server
from benchmarks.orders import process, url_in
from framework.cli.run import freeze_objects
from framework.interfaces import Adapter, AdapterContext
from framework.model.commands import SubmitOrder, VenueCommand
from framework.model.market_data import Quote
from framework.net.kept_connection import KeptConnection
from framework.net.order_writer import OrderWriter
from framework.net.rest import Request, Response, RestClient
from framework.runtime.runner import Runtime
from framework.settings.structs import Durability

ORDER_COUNT = 1_000
WARM_UP = 100
ROUNDS = 3  # the best one counts
PATH = "/api/v1/orders"
JSON = {"Content-Type": "application/json"}


class OrderBody(msgspec.Struct, gc=False):
    """What a venue wants to know of an order."""

    client_order_id: str
    ticker: str
    side: str
    price: str
    count: str


encode = msgspec.json.Encoder().encode
PLAIN = OrderBody("0123456789abcdef", "BTC", "buy", "43251", "1")

Post = Callable[[bytes], Awaitable[bytes]]
"""Sends an order's body and returns that of the answer."""


class Marks:
    """When one order passed each point, in seconds; the last column is of the other process."""

    def __init__(self) -> None:
        self.began_s = 0.0
        self.written_s = 0.0
        self.shell_s = 0.0
        self.rows: list[tuple[float, float, float]] = []

    def begin(self) -> None:
        """A frame has come."""
        self.began_s = perf_counter()

    def finish(self, answer: bytes) -> None:
        """The order was answered."""
        arrived_s = int(answer) / 1e9
        began_s = self.began_s
        self.rows.append((self.shell_s - began_s, self.written_s - began_s, arrived_s - began_s))


class NotingTransport:
    """Passes everything on, and notes when bytes were handed over."""

    def __init__(self, transport: Any, marks: Marks) -> None:
        self._transport = transport
        self._marks = marks

    def write(self, data: bytes) -> None:
        """Write, and note when that was done."""
        self._transport.write(data)
        self._marks.written_s = perf_counter()

    def writelines(self, parts: list[bytes]) -> None:
        """Write, and note when that was done."""
        self._transport.writelines(parts)
        self._marks.written_s = perf_counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@contextmanager
def noted(protocol: type[asyncio.Protocol], marks: Marks) -> Iterator[None]:
    """Let connections of that kind note when they are written to."""
    made = cast(Any, protocol.connection_made)

    def connection_made(self: asyncio.Protocol, transport: asyncio.BaseTransport) -> None:
        made(self, NotingTransport(transport, marks))

    with patch.object(protocol, "connection_made", connection_made):
        yield


# -- the bounds ------------------------------------------------------------------------------------


class RawConnection(asyncio.Protocol):
    """As little as a client can be: it takes what comes for the answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(data.partition(b"\r\n\r\n")[2])

    def post(self, body: bytes) -> "asyncio.Future[bytes]":
        """Write one request."""
        head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return self.answer


@asynccontextmanager
async def raw(port: int, marks: Marks) -> AsyncIterator[Post]:
    """Write on a kept connection."""
    with noted(RawConnection, marks):
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(RawConnection, HOST, port)
    yield connection.post
    transport.close()


@asynccontextmanager
async def bare_aiohttp(port: int, marks: Marks) -> AsyncIterator[Post]:
    """Post with aiohttp and nothing around it."""
    url = f"http://{HOST}:{port}{PATH}"
    with noted(ResponseHandler, marks):
        async with aiohttp.ClientSession() as session:

            async def post(body: bytes) -> bytes:
                async with session.post(url, data=body, headers=JSON) as answer:
                    return await answer.read()

            yield post


async def bound(kind: "Bound", port: int) -> Marks:
    """Decode a frame, encode an order and send it, one after the other."""
    marks = Marks()
    async with kind(port, marks) as post:
        for _ in range(WARM_UP + ORDER_COUNT):
            await asyncio.sleep(0)
            marks.begin()
            quote_of(MESSAGE)
            body = encode(PLAIN)
            marks.shell_s = perf_counter()
            marks.finish(await post(body))
    return marks


Bound = Callable[[int, Marks], AbstractAsyncContextManager[Post]]


# -- the whole path --------------------------------------------------------------------------------


class PostingVenue(NotingVenue):
    """Its feed takes frames, and its broker posts orders; `way` carries them once there is one."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.context: AdapterContext
        self.way: Way
        self.answered: asyncio.Future[bytes]
        self._marks = marks

    def build(self, section: object, context: AdapterContext) -> Adapter:
        """Be the adapter of a configuration."""
        self.context = context
        return super().build(section, context)

    def on_frame(self, frame: bytes) -> "asyncio.Future[bytes]":
        """Publish the quote in a frame; return the answer to the order that follows from it."""
        self.answered = asyncio.get_running_loop().create_future()
        self._marks.begin()
        ticker = decode(frame).data
        now_ns = self.context.clock.now_ns
        quote = Quote(
            INSTRUMENT, now_ns, now_ns, ticker.bid, ticker.ask, ticker.bid_size, ticker.ask_size
        )
        self.context.publish(quote)
        return self.answered

    def send(self, command: VenueCommand) -> None:
        """Send an order as a broker's shell does."""
        self._marks.shell_s = perf_counter()
        super().send(command)
        assert isinstance(command, SubmitOrder)
        intent = command.intent
        order = OrderBody(
            command.order_id, "BTC", intent.side.value, str(intent.price), str(command.quantity)
        )
        request = Request(method="POST", path=PATH, body=encode(order))
        self.way(request).add_done_callback(self._on_answer)

    def _on_answer(self, answer: "asyncio.Future[Response]") -> None:
        self.answered.set_result(answer.result().body)


Way = Callable[[Request], "asyncio.Future[Response]"]


@asynccontextmanager
async def by_client(port: int, marks: Marks, context: AdapterContext) -> AsyncIterator[Way]:
    """Post through `RestClient`."""
    client = RestClient("bench", f"http://{HOST}:{port}", context)
    loop = asyncio.get_running_loop()
    with noted(ResponseHandler, marks):
        yield lambda request: loop.create_task(client.send(request))
    await client.aclose()


@asynccontextmanager
async def by_writer(port: int, marks: Marks, context: AdapterContext) -> AsyncIterator[Way]:
    """Write through `OrderWriter`."""
    writer = OrderWriter("bench", f"http://{HOST}:{port}", context)
    with noted(KeptConnection, marks):
        running = asyncio.get_running_loop().create_task(writer.run())
        while not writer.is_open:  # noqa: ASYNC110 -- a few turns
            await asyncio.sleep(0.001)
        yield writer.send
        await writer.aclose()
        await asyncio.wait([running])


Carrier = Callable[[int, Marks, AdapterContext], AbstractAsyncContextManager[Way]]


async def whole_path(carrier: Carrier, port: int, directory: Path) -> tuple[Marks, Marks]:
    """Return the marks of a live run's orders, and of the carrier alone in the same process."""
    marks, alone = Marks(), Marks()
    venue = PostingVenue(marks)
    settings = live_settings(url_in(directory), durability=Durability.ASYNC)
    with named(venue):
        async with Runtime(settings) as runtime:
            freeze_objects()
            buyer = cast(Buyer, runtime.system.runs[0].strategy)
            while not buyer.count:  # noqa: ASYNC110 -- until it has started: a turn or two
                await asyncio.sleep(0)
            async with carrier(port, marks, venue.context) as venue.way:
                for _ in range(WARM_UP + ORDER_COUNT):
                    await asyncio.sleep(0)
                    marks.finish(await venue.on_frame(MESSAGE))
                    venue.answer()
            async with carrier(port, alone, venue.context) as way:
                await carry(way, alone)
    return marks, alone


async def carry(way: Way, marks: Marks) -> None:
    """Decode a frame, encode an order and hand it to the carrier, one after the other."""
    for _ in range(WARM_UP + ORDER_COUNT):
        await asyncio.sleep(0)
        marks.begin()
        quote_of(MESSAGE)
        request = Request(method="POST", path=PATH, body=encode(PLAIN))
        marks.shell_s = perf_counter()
        marks.finish((await way(request)).body)


# -- the rows --------------------------------------------------------------------------------------


def measure() -> list[dict[str, object]]:
    """Return the bounds, the path by each carrier, and each carrier alone."""
    found: dict[str, list[Marks]] = {}
    for _ in range(ROUNDS):
        for case, marks in one_round().items():
            found.setdefault(case, []).append(marks)
    best = {case: min(marks, key=median_written_s) for case, marks in found.items()}
    raw_s, aiohttp_s = (median_written_s(best[case]) for case in (RAW, AIOHTTP))
    return [
        {
            "case": "frame to broker shell",
            **figures([shell_s for shell_s, _, _ in rows_of(best[BY_WRITER])]),
            "goal_us": 40,
        },
        row_of(RAW, best[RAW]),
        row_of(AIOHTTP, best[AIOHTTP]),
        row_of(BY_CLIENT, best[BY_CLIENT], aiohttp_s, 1.3),
        row_of(BY_WRITER, best[BY_WRITER], raw_s, 4.0),
        row_of(CLIENT_ALONE, best[CLIENT_ALONE], aiohttp_s),
        row_of(WRITER_ALONE, best[WRITER_ALONE], raw_s),
    ]


RAW, AIOHTTP = "bound: raw", "bound: bare aiohttp"
BY_CLIENT, BY_WRITER = "whole path, RestClient", "whole path, OrderWriter"
CLIENT_ALONE, WRITER_ALONE = "RestClient alone", "OrderWriter alone"


def one_round() -> dict[str, Marks]:
    """Measure everything once, in one process and against one server."""
    found = {}
    with order_server() as port:
        for case, kind in ((RAW, raw), (AIOHTTP, bare_aiohttp)):
            with process() as (runner, _):
                found[case] = runner.run(bound(kind, port))
        for case, alone, carrier in (
            (BY_CLIENT, CLIENT_ALONE, by_client),
            (BY_WRITER, WRITER_ALONE, by_writer),
        ):
            with process() as (runner, directory):
                found[case], found[alone] = runner.run(whole_path(carrier, port, directory))
    return found


def row_of(
    case: str, marks: Marks, bound_s: float | None = None, goal: float | None = None
) -> dict[str, object]:
    """Return the figures of one way, and the ratio to its bound."""
    rows = rows_of(marks)
    row = {"case": case, **figures([written_s for _, written_s, _ in rows])}
    row["arrived_p50_us"] = round(median(arrived_s for _, _, arrived_s in rows) * 1e6, 1)
    if bound_s is not None:
        row["ratio"] = round(median_written_s(marks) / bound_s, 2)
    return row if goal is None else {**row, "goal_ratio": goal}


def figures(seconds: list[float]) -> dict[str, object]:
    """Return the median and the 99th percentile in microseconds."""
    return {
        "p50_us": round(median(seconds) * 1e6, 1),
        "p99_us": round(quantiles(seconds, n=100)[98] * 1e6, 1),
    }


def median_written_s(marks: Marks) -> float:
    """Return the median from the frame to the write."""
    return median(written_s for _, written_s, _ in rows_of(marks))


def rows_of(marks: Marks) -> list[tuple[float, float, float]]:
    """Return what came after the warm-up."""
    return marks.rows[WARM_UP:]
