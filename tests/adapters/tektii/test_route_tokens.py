"""Every route of the door with every kind of token: the right refusal, and nothing changes (R-81).

Routes come from the door's own table, so that a new one is held to this as soon as it is there.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest

from framework.model.desk import Verb
from framework.model.records import OperatorAction
from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.server.routing import Endpoint
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated

START_NS = 1_700_000_040_000_000_000
PROBES = {"/livez", "/readyz", "/health", "/metrics", "/openapi.json"}
"""What is open to everybody on this machine; every other route says who may use it."""
OTHERS = ("/other", "/second")
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BODIES: dict[tuple[str, str], dict[str, str]] = {
    ("POST", "/v1/orders"): {
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": "1",
        "order_type": "MARKET",
    },
    ("PATCH", "/v1/orders/{order_id}"): {"limit_price": "2"},
    ("PATCH", "/v1/positions/{position_id}"): {"stop_loss": "50"},
}
QUERIES: dict[str, dict[str, str]] = {"/v1/bars/{symbol}": {"timeframe": "1m"}}
READING = {Verb.READ, Verb.MARKET}
REDUCING = {Verb.READ, Verb.REDUCE}
VERBS = [verb.value for verb in Verb]


def secret(name: str) -> str:
    return f"{name}-0123456789abcdefghijklmnopqrstuvwxyz"


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret(name)}"}


def token(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "secret": secret(name), "verbs": VERBS, "accounts": ["main"], **changes}


def configuration() -> Settings:
    tokens = [
        token("owner"),
        token("reader", verbs=[verb.value for verb in READING]),
        token("reducer", verbs=[verb.value for verb in REDUCING]),
        token("limited", instruments=["mock:EURUSD"]),
        token("neighbour", accounts=["aside"]),
        token("expired", expires="2023-11-14T22:13:59Z"),
        token("expiring", expires="2023-11-14T22:14:30Z"),
        token("revoked", revoked=True),
        token("withdrawn"),
    ]
    venue = {"adapter": "mock", "settings": {"any_symbol": True}, "fills": "unlimited"}
    account = {"venue": "mock", "currency": "USD", "balances": {"USD": 100_000}}
    doors = [
        door("gateway", ["main", "aside"], tokens),
        door("other", ["main"], [token("stranger")], prefix="/other"),
        door("second", ["second"], [token("foreigner", accounts=["second"])], prefix="/second"),
    ]
    chosen = {
        "mode": "paper",
        "venues": {"mock": venue, "side": venue},
        "accounts": {"main": account, "second": account, "aside": {**account, "venue": "side"}},
        "server": [{"listen": "127.0.0.1:0", "doors": doors}],
    }
    return decode_section(chosen, Settings, key="")


def door(run: str, accounts: list[str], tokens: list[Any], prefix: str = "") -> dict[str, Any]:
    return {
        "door": "tektii",
        "run": run,
        "accounts": accounts,
        "tokens": tokens,
        "prefix": prefix,
        "settings": {"provider": "mock", "swagger": True},
    }


class Stage:
    """A system with its doors, an order of its owner that rests, and a position."""

    def __init__(self, runtime: Runtime, session: aiohttp.ClientSession) -> None:
        self._runtime = runtime
        self._session = session
        doors: Any = runtime._doors
        self.server = doors.server
        (address,) = self.server._addresses
        self.endpoints: list[Endpoint] = address.application.router.endpoints
        self.names: dict[str, str] = {"symbol": "AAPL"}

    @property
    def ours(self) -> list[Endpoint]:
        """The routes of the door itself and of the address, without those of the other doors."""
        return [one for one in self.endpoints if not one.path.startswith(OTHERS)]

    async def begin(self) -> None:
        """Trade a little as the owner."""
        await self._submitted({"order_type": "MARKET", "quantity": "2"})
        order = {"order_type": "LIMIT", "quantity": "1", "limit_price": "1"}
        self.names["order_id"] = (await self._submitted(order))["id"]
        async with self._session.get("/v1/positions", headers=bearer("owner")) as answer:
            (position,) = await answer.json()
        self.names["position_id"] = position["id"]

    async def _submitted(self, order: Mapping[str, str]) -> dict[str, str]:
        whole = {"symbol": "AAPL", "side": "BUY", **order}
        async with self._session.post("/v1/orders", json=whole, headers=bearer("owner")) as answer:
            assert answer.status == 201, await answer.text()
            handle: dict[str, str] = await answer.json()
            return handle

    async def ask(
        self, endpoint: Endpoint, headers: Mapping[str, str], prefix: str = ""
    ) -> tuple[int, Any]:
        """Return the status and body of an answer; a stream is opened, and left at once."""
        body = BODIES.get((endpoint.route.method, endpoint.path))
        upgrade = UPGRADE if endpoint.is_stream else {}
        async with self._session.request(
            endpoint.route.method,
            prefix + endpoint.path.format_map(self.names),
            json=body,
            params=QUERIES.get(endpoint.path),
            headers={**upgrade, **headers},
        ) as answer:
            if answer.status == 101 or answer.content_type != "application/json":
                return answer.status, None
            return answer.status, await answer.json()

    def state(self) -> tuple[Any, ...]:
        """Return everything that a refused request must not have changed.

        Attempts of known callers to change something are written down (T-05): not counted here.
        """
        engine = self._runtime.engine
        orders = [msgspec.json.encode(order.event()) for order in engine.registry]
        records = [one for _, one in engine.log.read() if not isinstance(one, OperatorAction)]
        return orders, engine.ledger.state(), len(records)


Act = Callable[[Stage], Awaitable[None]]


def play(act: Act) -> None:
    """Run a system in a simulated world, and ask its door."""

    async def main() -> None:
        async with (
            Runtime(configuration()) as runtime,
            aiohttp.ClientSession(runtime.addresses[0], connector=open_connector()) as session,
        ):
            stage = Stage(runtime, session)
            await stage.begin()
            await act(stage)

    run_simulated(main, seed=1, start_ns=START_NS)


def test_only_the_probes_are_open_to_everybody() -> None:
    """R-81: a route that does not say who may use it is one of those, or a mistake."""

    async def act(stage: Stage) -> None:
        undeclared = {one.path for one in stage.ours if one.verb is None}
        assert undeclared == PROBES
        assert all(isinstance(one.verb, Verb) for one in stage.ours if one.path not in PROBES)
        for endpoint in stage.ours:
            if endpoint.path in PROBES:
                assert (await stage.ask(endpoint, {}))[0] == 200, endpoint.path

    play(act)


def test_the_owner_is_refused_nothing() -> None:
    """Else every refusal below would prove nothing."""

    async def act(stage: Stage) -> None:
        for endpoint in sorted(stage.ours, key=lambda one: one.route.method == "DELETE"):
            status, body = await stage.ask(endpoint, bearer("owner"))
            assert status < 400 or status in (404, 409), (endpoint.path, status, body)
            assert status != 404 or endpoint.route.method == "DELETE"  # it is gone by then

    play(act)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MISSING_API_KEY"),
        ({"Authorization": "Bearer "}, "MISSING_API_KEY"),
        ({"Authorization": f"Basic {secret('owner')}"}, "MISSING_API_KEY"),
        ({"Cookie": f"X-API-Key={secret('owner')}"}, "MISSING_API_KEY"),
        (bearer("nobody"), "INVALID_API_KEY"),
        ({"X-API-Key": secret("nobody")}, "INVALID_API_KEY"),
        (bearer("expired"), "INVALID_API_KEY"),
        (bearer("revoked"), "INVALID_API_KEY"),
        ({"X-API-Key": secret("revoked")}, "INVALID_API_KEY"),
        (bearer("stranger"), "INVALID_API_KEY"),  # that of another run's door
        ({"Authorization": f"Bearer {secret('owner')[:-1]}"}, "INVALID_API_KEY"),
        ({**bearer("nobody"), "X-API-Key": secret("owner")}, "INVALID_API_KEY"),
    ],
)
def test_without_a_valid_token_every_route_answers_401_and_nothing_happens(
    headers: Mapping[str, str], code: str
) -> None:
    async def act(stage: Stage) -> None:
        before = stage.state()
        for endpoint in stage.ours:
            status, body = await stage.ask(endpoint, headers)
            if endpoint.path in PROBES:
                assert status == 200
                continue
            told = (status, body["code"], body["details"])
            assert told == (401, "UNAUTHORIZED", {"code": code}), endpoint.path
            assert stage.state() == before, endpoint.path

    play(act)


def test_a_token_in_the_address_is_none() -> None:
    """T-01: an address is logged and remembered on the way."""

    async def act(stage: Stage) -> None:
        for name in ("api_key", "token", "access_token", "X-API-Key"):
            path = f"/v1/account?{name}={secret('owner')}"
            async with stage._session.get(path) as answer:
                assert answer.status == 401

    play(act)


def test_a_token_that_expires_or_is_withdrawn_is_refused_from_then_on() -> None:
    async def act(stage: Stage) -> None:
        (account,) = [one for one in stage.ours if one.path == "/v1/account"]
        for name in ("expiring", "withdrawn"):
            assert (await stage.ask(account, bearer(name)))[0] == 200

        await anyio.sleep(60)
        stage.server.revoke("withdrawn")

        before = stage.state()
        for name in ("expiring", "withdrawn"):
            for endpoint in stage.ours:
                expected = 200 if endpoint.path in PROBES else 401
                assert (await stage.ask(endpoint, bearer(name)))[0] == expected, endpoint.path
        assert stage.state() == before

    play(act)


@pytest.mark.parametrize(("name", "verbs"), [("reader", READING), ("reducer", REDUCING)])
def test_a_token_does_what_its_verbs_say_and_is_refused_the_rest(
    name: str, verbs: set[Verb]
) -> None:
    async def act(stage: Stage) -> None:
        before = stage.state()
        for endpoint in stage.ours:
            if endpoint.verb is Verb.REDUCE and Verb.REDUCE in verbs:
                continue  # it would change something, rightly
            status, body = await stage.ask(endpoint, bearer(name))
            if endpoint.verb is None or endpoint.verb in verbs:
                assert status in (101, 200), (endpoint.path, body)
            else:
                assert (status, body["code"]) == (403, "FORBIDDEN"), endpoint.path
            assert stage.state() == before, endpoint.path

    play(act)


@pytest.mark.parametrize(
    ("name", "prefix"), [("neighbour", ""), ("stranger", "/other"), ("foreigner", "/second")]
)
def test_what_belongs_to_another_account_or_run_is_not_there(name: str, prefix: str) -> None:
    """R-81, T-06, T-31: 404 for each object by its id, and no list or closing reaches it."""

    async def act(stage: Stage) -> None:
        before = stage.state()
        ids = {stage.names["order_id"], stage.names["position_id"]}
        for endpoint in doors_routes(stage):
            if endpoint.verb is Verb.TRADE and not endpoint.names:
                continue  # a new order is its own
            status, body = await stage.ask(endpoint, bearer(name), prefix)
            if set(endpoint.names) - {"symbol"}:
                kind = endpoint.names[0].partition("_")[0].upper()
                assert (status, body["code"]) == (404, f"{kind}_NOT_FOUND"), endpoint.path
            else:
                assert status in (101, 200), (endpoint.path, body)
                assert not ids & set(texts(body)), endpoint.path
            assert stage.state() == before, endpoint.path

    play(act)


def test_a_token_for_some_instruments_moves_no_other() -> None:
    async def act(stage: Stage) -> None:
        before = stage.state()
        for endpoint in doors_routes(stage):
            status, body = await stage.ask(endpoint, bearer("limited"))
            if (endpoint.route.method, endpoint.path) in BODIES or endpoint.names:
                assert (status, body["code"]) in LIMITED, (endpoint.path, status, body)
            else:
                assert status in (101, 200), (endpoint.path, body)
            assert stage.state() == before, endpoint.path

    play(act)


LIMITED = {(403, "FORBIDDEN"), (404, "ORDER_NOT_FOUND"), (404, "POSITION_NOT_FOUND")}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.", "[::2]"]
)
def test_a_request_addressed_to_another_host_is_refused_everywhere(host: str) -> None:
    """T-02: a stranger's name that resolves to this machine."""

    async def act(stage: Stage) -> None:
        before = stage.state()
        for endpoint in stage.ours:
            status, body = await stage.ask(endpoint, {**bearer("owner"), "Host": host})
            assert status in (403, 421), endpoint.path
            assert body["code"] in ("FORBIDDEN", "host")
            assert stage.state() == before, endpoint.path

    play(act)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_a_page_of_another_origin_changes_nothing_and_opens_no_stream(origin: str) -> None:
    """T-02, T-11: what a browser sends along for a script that it does not trust."""

    async def act(stage: Stage) -> None:
        before = stage.state()
        for endpoint in stage.ours:
            status, body = await stage.ask(endpoint, {**bearer("owner"), "Origin": origin})
            if endpoint.is_change or endpoint.is_stream:
                assert (status, body["code"]) == (403, "FORBIDDEN"), endpoint.path
            else:
                assert status == 200, endpoint.path
            assert stage.state() == before, endpoint.path

    play(act)


def doors_routes(stage: Stage) -> list[Endpoint]:
    """Return the routes that need a token."""
    return [one for one in stage.ours if one.verb is not None]


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
