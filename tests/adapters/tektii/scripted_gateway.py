"""A gateway by script, of any generation and temper, and our adapter in front of it.

It keeps orders and trades as plain JSON; what it sends on its stream, and when, is the test's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec
from aiohttp import WSMsgType, web

from adapters.tektii import build
from adapters.tektii.broker import TektiiBroker
from adapters.tektii.codec import time_ns
from adapters.tektii.feed import TektiiFeed
from adapters.tektii.words import time_text
from framework.clock.clock import LiveClock
from framework.interfaces import AdapterContext
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderIntent, OrderType, Side
from framework.net.listening import Listener, listen
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker.rig import RigContext

T = TypeVar("T")
Json = dict[str, Any]
ADDRESS = ("gateway", 8080)
START_NS = 1_780_000_000_000_000_000
AAPL, EURUSD = "x:AAPL", "x:EUR/USD"
KEY = "a-key-of-at-least-thirty-two-characters"
OVER = ("FILLED", "CANCELLED", "REJECTED", "EXPIRED")


class ScriptedGateway:
    """Answers like the original where `answers` says nothing else.

    Attributes:
        answers: (method, path) -> status and body (JSON, text or None), taken in order.
        replaces: a change makes a new order, as some platforms do.
        lists_all: the list of orders leaves nothing out, as the original mock's.
        obeys_filters: of client ids and times.
        calls: every request, as "METHOD /path?query".
        said: every frame that a client has sent.
        queries: the query of every handshake.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self.orders: dict[str, Json] = {}
        self.trades: list[Json] = []
        self.positions: list[Json] = []
        self.account: Json = {"balance": "100000.00", "currency": "USD"}
        self.bars: list[Json] = []
        self.quotes: dict[str, Json] = {"AAPL": {"symbol": "AAPL"}}
        self.health: Json = {"providers": [{"platform": "mock", "connected": True}]}
        self.capabilities: Json = {"supported_order_types": ["MARKET", "LIMIT", "STOP"]}
        self.answers: dict[tuple[str, str], list[tuple[int, Any]]] = {}
        self.lost: Counter[tuple[str, str]] = Counter()  # executed, and never answered
        self.replaces = False
        self.lists_all = False
        self.obeys_filters = True
        self.key = ""
        self.calls: list[str] = []
        self.bodies: list[Json] = []
        self.said: list[Json] = []
        self.queries: list[dict[str, str]] = []
        self._loop = loop
        self._streams: list[web.WebSocketResponse] = []
        self._listener: Listener | None = None
        self._count = 0

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._on_request)
        self._listener = await listen(app, *ADDRESS)

    async def aclose(self) -> None:
        """Stop."""
        assert self._listener is not None
        await self._listener.aclose()

    @property
    def now(self) -> str:
        """The time as text."""
        return time_text(self._loop.now_ns)

    def counted(self, start: str) -> int:
        """Return how many requests began like this."""
        return sum(call.startswith(start) for call in self.calls)

    # -- the stream ------------------------------------------------------------------------------

    @property
    def stream_count(self) -> int:
        """Open streams."""
        return len(self._streams)

    async def tell(self, frame: Json | str | bytes) -> None:
        """Send a frame to every stream."""
        for stream in tuple(self._streams):
            if isinstance(frame, bytes):
                await stream.send_bytes(frame)
            else:
                text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
                await stream.send_str(text)

    async def tell_order(self, order: Json, event: str = "ORDER_MODIFIED", **more: Any) -> None:
        """Send an order's state."""
        await self.tell({"type": "order", "event": event, "order": order, **more})

    async def close_streams(self, code: int = 1000) -> None:
        """End every stream in order."""
        for stream in tuple(self._streams):
            await stream.close(code=code)

    async def _on_stream(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        self._streams.append(stream)
        try:
            async for message in stream:
                if message.type is WSMsgType.TEXT:
                    self.said.append(msgspec.json.decode(message.data))
        finally:
            self._streams.remove(stream)
        return stream

    # -- requests --------------------------------------------------------------------------------

    async def _on_request(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.raw_path}")
        place = (request.method, request.path)
        is_open = request.path in ("/readyz", "/health")
        if self.key and not is_open and self.key not in request.headers.get("Authorization", ""):
            return _answered(401, {"code": "UNAUTHORIZED", "message": "no"})
        scripted = self.answers.get(place)
        if scripted:
            return _answered(*scripted.pop(0))
        if request.path == "/v1/ws":
            return await self._on_stream(request)
        text = await request.text()
        body = msgspec.json.decode(text) if text else {}
        status, answer = self._answer(request.method, request.path, dict(request.query), body)
        if self.lost[place]:
            self.lost[place] -= 1
            assert request.transport is not None
            request.transport.abort()
        return _answered(status, answer)

    def _answer(self, method: str, path: str, query: Json, body: Json) -> tuple[int, Any]:
        simple = {
            "/readyz": {"ready": True},
            "/health": self.health,
            "/v1/capabilities": self.capabilities,
            "/v1/account": self.account,
            "/v1/positions": self.positions,
            "/v1/circuit-breakers": {"adapter": {"state": "open", "failure_count": 3}},
            "/v1/circuit-breakers/reset": {"adapter": {"state": "closed", "failure_count": 0}},
        }
        if path in simple:
            return 200, simple[path]
        name = path.rsplit("/", 1)[-1]
        if path == "/v1/orders" and method == "POST":
            return self._place(body)
        if path in ("/v1/orders", "/v1/orders/history"):
            return 200, self._listed(name == "history", query)
        if path.startswith("/v1/orders/"):
            return self._one(method, name, body)
        if path == "/v1/trades":
            return 200, self._traded(query)
        if path.startswith("/v1/bars/"):
            return 200, self._barred(query)
        if path.startswith("/v1/quotes/"):
            found = self.quotes.get(path.removeprefix("/v1/quotes/"))
            return (200, found) if found else (404, {"code": "SYMBOL_NOT_FOUND", "message": ""})
        return 404, None

    def _place(self, body: Json) -> tuple[int, Any]:
        self.bodies.append(body)
        order = self.add_order(**body)
        return 201, {"id": order["id"], "status": order["status"]}

    def add_order(self, **said: Any) -> Json:
        """Take an order in, as anybody's."""
        self._count += 1
        order = {
            "id": f"o-{self._count}",
            "symbol": "AAPL",
            "side": "BUY",
            "order_type": "LIMIT",
            "quantity": "10",
            "filled_quantity": "0",
            "status": "OPEN",
            "time_in_force": "GTC",
            "created_at": self.now,
            "updated_at": self.now,
            **said,
        }
        self.orders[str(order["id"])] = order
        return order

    def fill(self, order: Json, quantity: str, price: str, **more: Any) -> Json:
        """Let an order trade; nobody is told. Returns the trade."""
        filled = Decimal(order["filled_quantity"]) + Decimal(quantity)
        is_whole = filled == Decimal(order["quantity"])
        order |= {
            "filled_quantity": str(filled),
            "status": "FILLED" if is_whole else "PARTIALLY_FILLED",
            "updated_at": self.now,
        }
        trade = {
            "id": f"t-{len(self.trades) + 1}",
            "order_id": order["id"],
            "symbol": order["symbol"],
            "side": order["side"],
            "quantity": quantity,
            "price": price,
            "commission": "0.35",
            "commission_currency": "USD",
            "timestamp": self.now,
            **more,
        }
        self.trades.append(trade)
        return trade

    def end(self, order: Json, status: str = "CANCELLED", **more: Any) -> Json:
        """Let an order end; nobody is told."""
        order |= {"status": status, "updated_at": self.now, **more}
        return order

    def _listed(self, is_past: bool, query: Json) -> list[Json]:
        found = [
            order
            for order in self.orders.values()
            if self.lists_all or (order["status"] in OVER) is is_past
        ]
        wanted = query.get("client_order_id")
        if wanted and self.obeys_filters:
            found = [order for order in found if order.get("client_order_id") == wanted]
        return found[::-1]

    def _one(self, method: str, name: str, body: Json) -> tuple[int, Any]:
        order = self.orders.get(name)
        if order is None:
            return 404, {"code": "ORDER_NOT_FOUND", "message": f"no {name}"}
        if method == "GET":
            return 200, order
        if order["status"] == "CANCELLED" and method == "DELETE":
            return 200, {"success": True, "order": order}
        if order["status"] in OVER:
            return 409, {"code": "ORDER_NOT_MODIFIABLE", "message": "it is over"}
        if method == "DELETE":
            return 200, {"success": True, "order": self.end(order)}
        if not self.replaces:
            order |= {**body, "updated_at": self.now}
            return 200, {"order": order}
        said = {key: order[key] for key in ("symbol", "side", "order_type", "client_order_id")}
        fresh = self.add_order(**{**said, "quantity": order["quantity"], **body})
        self.end(order)
        return 200, {"order": fresh, "previous_order_id": order["id"]}

    def _traded(self, query: Json) -> list[Json]:
        found = self.trades[::-1]
        if self.obeys_filters:
            wanted = query.get("order_id")
            found = [one for one in found if not wanted or one["order_id"] == wanted]
            since = time_ns(query.get("since")) or 0
            until = time_ns(query.get("until")) or 2**63
            found = [one for one in found if since <= (time_ns(one["timestamp"]) or 0) < until]
        return found[: int(query["limit"])]

    def _barred(self, query: Json) -> list[Json]:
        end_ns = time_ns(query["end"]) or 0
        found = [bar for bar in self.bars if (time_ns(bar["timestamp"]) or 0) <= end_ns]
        found = found if self.obeys_filters else self.bars
        return found[-int(query["limit"]) :]


def _answered(status: int, answer: Any) -> web.Response:
    if answer is None:
        return web.Response(status=status)
    if isinstance(answer, str):
        return web.Response(status=status, text=answer)
    return web.Response(
        status=status, body=msgspec.json.encode(answer), content_type="application/json"
    )


class World:
    """A scripted gateway, the adapter, and what it published."""

    def __init__(self, loop: SimulatedLoop, gateway: ScriptedGateway, **settings: Any) -> None:
        self.loop = loop
        self.gateway = gateway
        self.context = RigContext(loop)
        self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self.context.clock = self.clock
        self.clock.start()
        section = {
            "settings": {
                "url": f"http://{ADDRESS[0]}:{ADDRESS[1]}",
                "account": "main",
                "poll_s": 0.0,
                **settings,
            },
            "instruments": [{"symbol": "AAPL"}, {"symbol": "EUR/USD"}],
        }
        adapter = build(section, cast(AdapterContext, self.context))
        assert isinstance(adapter.feed, TektiiFeed)
        assert adapter.close is not None
        self.feed, self._close = adapter.feed, adapter.close
        self.maybe_broker = cast(TektiiBroker | None, adapter.broker)
        self.running: list[asyncio.Task[None]] = []

    @property
    def broker(self) -> TektiiBroker:
        """The broker, which there is unless the settings name no account."""
        assert self.maybe_broker is not None
        return self.maybe_broker

    def run(self, *parts: TektiiFeed | TektiiBroker) -> None:
        """Let these parts run until the end."""
        self.running += [self.loop.create_task(part.run()) for part in parts]

    async def ready(self, *parts: TektiiFeed | TektiiBroker) -> None:
        """Let these parts run, and wait for their streams."""
        self.run(*(parts or (self.broker,)))
        await self.until(lambda: self.gateway.stream_count == len(self.running))
        await self.pass_time(0.5)

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.loop.sleep_until(self.loop.now_ns + round(seconds * 1e9))

    async def until(self, condition: Callable[[], object], *, within_s: float = 30.0) -> None:
        """Wait for a condition."""
        began_ns = self.loop.now_ns
        while not condition():
            assert (self.loop.now_ns - began_ns) / 1e9 <= within_s, "it did not come true"
            await self.pass_time(0.005)

    def heard(self, kind: type[T]) -> list[T]:
        """Return every event of a type so far."""
        return [event for event in self.context.events if isinstance(event, kind)]

    async def sent(self, order_id: str = "mine", **intent: Any) -> Json:
        """Send an order and wait until the gateway has it; return it as it is there."""
        self.broker.send(submit(order_id, **intent))

        def there() -> list[Json]:
            orders = self.gateway.orders.values()
            return [one for one in orders if one.get("client_order_id") == order_id]

        await self.until(there)
        await self.pass_time(0.1)
        return there()[0]

    async def aclose(self) -> None:
        """Stop the adapter."""
        for task in self.running:
            task.cancel()
        if self.running:
            await asyncio.wait(self.running)
        await self._close()
        self.clock.stop()


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[World]:
    """Start a gateway and build an adapter on it, which does not run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    gateway = ScriptedGateway(loop)
    await gateway.start()
    one = World(loop, gateway, **settings)
    try:
        yield one
    finally:
        await one.aclose()
        await gateway.aclose()


def play(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a simulated loop at a date of our days."""
    return run_simulated(main, seed=7, start_ns=START_NS, limit_ns=START_NS + 26 * 3_600 * 10**9)


def submit(
    order_id: str,
    *,
    quantity: str = "10",
    price: str | None = "150",
    instrument: str = AAPL,
    reduce_only: bool = False,
    **intent: Any,
) -> SubmitOrder:
    """Return a command for a limit order, or with no price a market order."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    limit = None if price is None else Decimal(price)
    terms: Json = {"side": Side.BUY, "type": kind, "price": limit, **intent}
    wish = OrderIntent("run", order_id, instrument, quantity=Decimal(quantity), **terms)
    return SubmitOrder(order_id, "main", wish, Decimal(quantity), START_NS, reduce_only)


def cancel(order_id: str) -> CancelOrder:
    """Return a command to take an order back."""
    return CancelOrder(order_id, "main", AAPL, START_NS)


def modify(order_id: str, revision: int = 1, **changes: str) -> ModifyOrder:
    """Return a command to change an order."""
    terms = {name: Decimal(value) for name, value in changes.items()}
    return ModifyOrder(order_id, "main", AAPL, revision, START_NS, **terms)
