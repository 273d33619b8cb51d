"""The trading half of a gateway, asked as the toolkit asks it, without a network.

`Trader` finds the route, decodes query and body, calls the handler and encodes the answer by the
toolkit's own means; what comes back is a status, plain JSON and headers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import anyio
import msgspec
from prometheus_client import CollectorRegistry

from adapters.tektii.server_changes import Changes
from adapters.tektii.server_errors import REFUSALS, answer_to
from adapters.tektii.server_exit_table import ExitTable
from adapters.tektii.server_orders import Orders
from adapters.tektii.server_positions import Positions
from adapters.tektii.server_settings import GatewaySettings, Place
from adapters.tektii.server_trades import Trades
from framework.interfaces import AdapterContext, TradingDesk
from framework.model.desk import ALL_VERBS, Principal, View
from framework.model.desk import Place as Seat
from framework.runtime.runner import Runtime
from framework.server.decoding import invalid
from framework.server.door import Answer, Call, DoorContext, Pacer, Route
from framework.server.routing import Mounted, Router
from framework.settings.modes import Mode
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, LimitSettings
from framework.settings.structs import StopPolicy
from framework.simulation.loop import run_simulated
from framework.strategy.outside import OutsideRun
from tests.scripted_venue import BTC, ETH, START_NS, Script, run_settings, settings
from tests.scripted_venue import quote as quoted

OWNER = Principal("owner", (Seat("x", "main", "run"),), verbs=ALL_VERBS)
WHOLE = msgspec.structs.replace(OWNER, name="whole", view=View.ACCOUNT)


class TradingHalf:
    """A door of the parts that trade."""

    name = "tektii"
    refusals: Mapping[int, type] = REFUSALS
    token_headers: Sequence[str] = ()
    pacer: Pacer | None = None

    def __init__(self, place: Place) -> None:
        exits = ExitTable(place)
        self.orders = Orders(place, exits)
        self.routes: Sequence[Route] = [
            *self.orders.routes(),
            *Changes(place, exits).routes(),
            *Positions(place).routes(),
            *Trades(place).routes(),
        ]

    def refuse(self, error: BaseException) -> Answer:
        return answer_to(error)

    async def run(self) -> None: ...

    async def leave(self) -> None: ...


class Said(msgspec.Struct):
    """What was answered."""

    status: int
    body: Any
    headers: Mapping[str, str]

    def __getitem__(self, name: Any) -> Any:
        return self.body[name]


class Trader:
    """Asks a gateway for one principal; `is_stopping` and `now_s` are the test's to set."""

    def __init__(
        self,
        desk: TradingDesk,
        principal: Principal = OWNER,
        *,
        owner: Principal | None = None,
        now_s: Callable[[], float] | None = None,
        **chosen: Any,
    ) -> None:
        self.principal = principal
        self.is_stopping = False
        self.place = place_of(desk, owner or principal, self, now_s, **chosen)
        self.door = TradingHalf(self.place)
        mounted = Mounted(self.door, "", "server[0].doors[0]", cast(Any, None))
        self._mounted = mounted
        self._router = Router([mounted], depth=32)

    def as_(self, principal: Principal) -> "Trader":
        """Return somebody else at the same gateway."""
        other = object.__new__(Trader)
        other.__dict__.update(self.__dict__)
        other.principal = principal
        return other

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Said:
        """Ask for something; a body that is bytes is sent as it is."""
        try:
            answer = await self._answer(method, path, body, headers or {})
        except Exception as error:
            answer = self.door.refuse(error)
        return Said(answer.status, plain_json(answer.body), answer.headers)

    async def _answer(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> Answer:
        path, _, query = path.partition("?")
        found = self._router.find(method, path)
        if found is None:
            raise self._router.missing(method, path)
        endpoint, values = found
        asked = None if endpoint.query is None else endpoint.query.decode(query)
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        if body is None:
            content = b""
        sent = {"Content-Type": "application/json", **headers} if content else dict(headers)
        request = cast(Any, SimpleNamespace(headers=sent))
        decoded = None
        if endpoint.body is not None and (content or endpoint.needs_body):
            if not content:
                raise invalid("a body is needed")
            decoded = endpoint.body.decode(content)
        call = Call(self.principal, values, asked, decoded, "correlation", request)
        answer = await endpoint.route.handler(call)
        assert isinstance(answer, Answer)
        return answer

    # -- what is asked for most --------------------------------------------------------------

    async def order(self, **fields: Any) -> Said:
        """Submit an order: a buy of 1 BTC at market, but for the fields."""
        given = {"symbol": "BTC", "side": "buy", "quantity": "1", "order_type": "market", **fields}
        return await self.ask("POST", "/v1/orders", given)

    async def limit(self, price: str, **fields: Any) -> Said:
        """Submit a limit order."""
        return await self.order(order_type="limit", limit_price=price, **fields)

    async def bought(self, quantity: str = "1", **fields: Any) -> Said:
        """Buy at market, which fills at once."""
        done = await self.order(quantity=quantity, **fields)
        assert done.status == 201, done
        return done

    async def shown(self, order_id: str) -> Any:
        """Return an order's body."""
        return (await self.ask("GET", f"/v1/orders/{quote(order_id, safe='')}")).body

    async def listed(self, query: str = "", path: str = "/v1/orders") -> list[Any]:
        """Return a list of orders."""
        said = await self.ask("GET", f"{path}?{query}")
        assert said.status == 200, said
        return cast(list[Any], said.body)


def place_of(
    desk: TradingDesk,
    owner: Principal,
    stop: Any = None,
    now_s: Callable[[], float] | None = None,
    **chosen: Any,
) -> Place:
    """Return the place of a gateway on a desk."""
    accounts = [seat.account for seat in owner.places]
    context = DoorContext(
        desk=desk,
        settings=DoorSettings("tektii", accounts, run=owner.places[0].run),
        key="server[0].doors[0]",
        limits=LimitSettings(),
        owner=owner,
        metrics=CollectorRegistry(),
        random_for=Random,
        secret=lambda reference: Secret(reference),
        now_s=now_s or (lambda: asyncio.get_running_loop().time()),
        is_stopping=lambda: stop is not None and stop.is_stopping,
        version="1",
        session="s-1",
    )
    return Place(context, GatewaySettings(**chosen))


def plain_json(body: Any) -> Any:
    """Return a body as somebody reads it."""
    return msgspec.json.decode(msgspec.json.encode(body))


# -- a real system -----------------------------------------------------------------------------

Play = Callable[[Trader, "Market"], Awaitable[Any]]


class Market:
    """The quotes of a venue: BTC at 100 to 101 and ETH at 10 to 10.5 until they are moved."""

    def __init__(self) -> None:
        self._context: AdapterContext | None = None

    async def run(self, context: AdapterContext) -> None:
        """Be the live feed; nothing moves by itself."""
        self._context = context
        self.quote(100.0, 101.0)
        self.quote(10.0, 10.5, at=ETH)

    def quote(self, bid: float, ask: float, *, at: str = BTC) -> None:
        """Move a market."""
        assert self._context is not None
        now_ns = self._context.clock.now_ns
        event = quoted(0, bid, ask, at=at)
        self._context.publish(msgspec.structs.replace(event, time_ns=now_ns, received_ns=now_ns))

    async def move(self, bid: float, ask: float, *, at: str = BTC) -> None:
        """Move a market and wait until everybody has heard of it."""
        self.quote(bid, ask, at=at)
        await anyio.sleep(0.05)


def play(
    act: Play,
    *,
    principal: Principal = OWNER,
    runs: Iterable[str] = ("run", "other"),
    chosen: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """Do something at the gateway of a paper system on virtual time; return what it returns."""
    market = Market()
    strategies = [run_settings(OutsideRun, name, on_stop=StopPolicy.LEAVE) for name in runs]
    config = settings(*strategies, script=Script(live=market.run), mode=Mode.PAPER, **fields)

    async def main() -> Any:
        async with Runtime(config) as runtime:
            await anyio.sleep(1)
            return await act(Trader(runtime.desk, principal, **(chosen or {})), market)

    return run_simulated(main, seed=1, start_ns=START_NS)
