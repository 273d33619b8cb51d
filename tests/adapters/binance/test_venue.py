"""The simulated venue over HTTP and WebSocket, by a client that is not the adapter."""

import argparse
import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.binance import build
from adapters.binance.simulated.faults import RestFault, StreamFaults
from adapters.binance.simulated.rig import ADDRESS, KEY, SECRET, BinanceRig
from adapters.binance.venue import add_arguments, rig, serve
from framework.errors import ConfigError, SimulationError
from framework.model.market_data import BookDelta
from framework.net.connectors import open_connector
from tests.adapters.binance.world import START_NS, play
from tests.adapters.mock.seams import HandContext

BASE = f"http://{ADDRESS[0]}:{ADDRESS[1]}"
NOW_MS = START_NS // 1_000_000


class Client:
    """Asks plainly; signs where told."""

    def __init__(self, session: aiohttp.ClientSession, one: BinanceRig) -> None:
        self.session = session
        self.rig = one
        self.venue = one.binance

    async def ask(
        self, method: str, path: str, query: str = "", *, key: str = "", secret: str = SECRET
    ) -> tuple[int, Any]:
        """Return status and answer; with a key the query is signed."""
        headers = {}
        if key:
            query += f"&timestamp={self.venue.now_ms()}" if "timestamp" not in query else ""
            digest = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
            query += f"&signature={digest}"
            headers["X-MBX-APIKEY"] = key
        url = f"{BASE}/api/v3{path}?{query}"
        async with self.session.request(method, url, headers=headers) as response:
            return response.status, await response.json()

    async def signed(self, method: str, path: str, query: str) -> tuple[int, Any]:
        """Ask with the rig's key."""
        return await self.ask(method, path, query, key=KEY)


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """Start a venue on the simulated network and a plain client."""
    one = rig(7)
    await one.start()
    async with aiohttp.ClientSession(connector=open_connector()) as session:
        yield Client(session, one)
    await one.aclose()


def test_public_answers_have_the_documented_shape() -> None:
    async def main() -> None:
        async with client() as one:
            assert await one.ask("GET", "/ping") == (200, {})
            assert await one.ask("GET", "/time") == (200, {"serverTime": NOW_MS})
            _, depth = await one.ask("GET", "/depth", "symbol=BTCUSDT&limit=5")
            assert set(depth) == {"lastUpdateId", "bids", "asks"}
            assert len(depth["bids"]) == len(depth["asks"]) == 5
            _, rows = await one.ask("GET", "/klines", "symbol=BTCUSDT&interval=1h&limit=2")
            assert [len(row) for row in rows] == [12, 12]
            _, info = await one.ask("GET", "/exchangeInfo", 'symbols=["ETHUSDT"]')
            assert [symbol["symbol"] for symbol in info["symbols"]] == ["ETHUSDT"]
            _, every = await one.ask("GET", "/exchangeInfo")
            assert len(every["symbols"]) == 2

    play(main)


ORDER = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000"


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "code"),
    [
        ("GET", "/nothing", "", 404, -1020),
        ("GET", "/depth", "symbol=NOPE", 400, -1121),
        ("GET", "/depth", "", 400, -1102),
        ("GET", "/klines", "symbol=BTCUSDT&interval=7m", 400, -1120),
        ("GET", "/klines", "symbol=BTCUSDT&interval=1m&limit=x", 400, -1100),
        ("GET", "/exchangeInfo", "symbols=x", 400, -1100),
        ("GET", "/account", "", 401, -2014),
    ],
)
def test_bad_public_requests_get_the_venues_codes(
    method: str, path: str, query: str, status: int, code: int
) -> None:
    async def main() -> None:
        async with client() as one:
            found, answer = await one.ask(method, path, query)
            assert (found, answer["code"]) == (status, code)

    play(main)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (ORDER.replace("LIMIT", "PEGGED") + "&newClientOrderId=x", -1116),
        (ORDER.replace("BUY", "HOLD") + "&newClientOrderId=x", -1117),
        (ORDER.replace("GTC", "DAY") + "&newClientOrderId=x", -1115),
        (ORDER.replace("=0.01", "=abc") + "&newClientOrderId=x", -1100),
        (ORDER, -1102),
        (ORDER + "&newClientOrderId=x&recvWindow=70000", -1131),
        (ORDER + f"&newClientOrderId=x&timestamp={NOW_MS - 6_000}", -1021),
        (ORDER + f"&newClientOrderId=x&timestamp={NOW_MS + 2_000}", -1021),
        (ORDER + "&newClientOrderId=x&timestamp=soon", -1102),
    ],
)
def test_bad_orders_get_the_venues_codes(query: str, code: int) -> None:
    async def main() -> None:
        async with client() as one:
            status, answer = await one.signed("POST", "/order", query)
            assert (status, answer["code"]) == (400, code)
            assert one.rig.orders() == []

    play(main)


def test_a_false_signature_and_an_unknown_key_are_refused() -> None:
    async def main() -> None:
        async with client() as one:
            _, wrong = await one.ask("GET", "/account", "x=1", key=KEY, secret="other")
            status, unknown = await one.ask("GET", "/account", "x=1", key="nobody")
            assert wrong["code"] == -1022
            assert (status, unknown["code"]) == (401, -2015)

    play(main)


def test_a_market_that_is_closed_takes_no_orders() -> None:
    async def main() -> None:
        async with client() as one:
            one.venue.rest.statuses["BTCUSDT"] = "HALT"
            _, answer = await one.signed("POST", "/order", ORDER + "&newClientOrderId=x")
            assert answer == {"code": -2010, "msg": "Market is closed."}

    play(main)


def test_an_order_lives_through_all_its_requests() -> None:
    async def main() -> None:
        async with client() as one:
            status, made = await one.signed("POST", "/order", ORDER + "&newClientOrderId=x")
            _, asked = await one.signed("GET", "/order", "symbol=BTCUSDT&origClientOrderId=x")
            _, listed = await one.signed("GET", "/openOrders", "symbol=BTCUSDT")
            _, other = await one.signed("GET", "/openOrders", "symbol=ETHUSDT")
            _, gone = await one.signed("DELETE", "/order", "symbol=BTCUSDT&origClientOrderId=x")
            _, again = await one.signed("DELETE", "/order", "symbol=BTCUSDT&origClientOrderId=x")
            _, never = await one.signed("DELETE", "/order", "symbol=BTCUSDT&origClientOrderId=y")
            _, lost = await one.signed("DELETE", "/order", "symbol=NOPE&origClientOrderId=y")

            assert status == 200
            assert made["status"] == asked["status"] == "NEW"
            assert [row["clientOrderId"] for row in listed] == ["x"]
            assert other == []
            assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "x")
            assert again["code"] == never["code"] == -2011
            assert lost["code"] == -1121

    play(main)


def test_trades_are_asked_for_by_time_by_id_or_are_the_newest() -> None:
    async def main() -> None:
        async with client() as one:
            market = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&newClientOrderId="
            for number in range(4):
                await one.signed("POST", "/order", f"{market}{number}")
            ids = [execution.trade_id for execution in one.venue.exchange.executions]

            async def trades(query: str) -> Any:
                answer = (await one.signed("GET", "/myTrades", f"symbol=BTCUSDT{query}"))[1]
                return [row["id"] for row in answer] if isinstance(answer, list) else answer["code"]

            assert await trades("") == ids
            assert await trades("&limit=2") == ids[-2:]
            assert await trades(f"&fromId={ids[1]}&limit=2") == ids[1:3]
            assert await trades(f"&startTime={NOW_MS - 5}") == ids
            assert await trades(f"&endTime={NOW_MS - 5}") == []
            assert await trades(f"&startTime=5&endTime={NOW_MS}") == -1127
            assert await trades("&startTime=5&fromId=7") == -1128

    play(main)


def test_weights_are_counted_and_passing_them_is_answered() -> None:
    async def main() -> None:
        async with client() as one:
            one.venue.weights.limit = 300
            statuses = [
                (await one.ask("GET", "/depth", f"symbol=BTCUSDT&limit={n}"))[0]
                for n in (5_000, 1_000, 500)
            ]
            async with one.session.get(f"{BASE}/api/v3/ping") as response:
                assert response.status == 429
                assert 0 < int(response.headers["Retry-After"]) <= 60
            assert statuses == [200, 200, 429]

    play(main)


def test_faults_of_requests_happen_once_and_in_turn() -> None:
    async def main() -> None:
        async with client() as one:
            one.venue.faults.add(
                RestFault(method="GET", path="/ping", kind="answer", status=418, retry_after_s=9),
                RestFault(method="POST", path="/order", kind="lose_request"),
            )
            async with one.session.get(f"{BASE}/api/v3/ping") as response:
                assert (response.status, response.headers["Retry-After"]) == (418, "9")
            with pytest.raises(aiohttp.ClientError):
                await one.signed("POST", "/order", ORDER + "&newClientOrderId=x")
            assert one.rig.orders() == []
            assert (await one.ask("GET", "/ping"))[0] == 200

    play(main)


# -- sockets -------------------------------------------------------------------------------------


async def said(socket: aiohttp.ClientWebSocketResponse, request: object) -> Any:
    """Say something and return the next text."""
    await socket.send_str(request if isinstance(request, str) else json.dumps(request))
    return json.loads(await socket.receive_str())


def test_streams_named_in_the_address_are_on_from_the_start() -> None:
    async def main() -> None:
        async with client() as one:
            address = f"{BASE}/stream?streams=btcusdt@trade/nope@trade/btcusdt@kline_1m"
            async with one.session.ws_connect(address) as socket:
                frame = json.loads(await socket.receive_str())
                assert set(frame) == {"stream", "data"}
                assert one.venue.streams.subscriptions() == ["btcusdt@kline_1m", "btcusdt@trade"]

    play(main)


def test_requests_on_a_socket_are_answered_by_their_number() -> None:
    async def main() -> None:
        async with client() as one:
            one.venue.pause()
            one.venue.faults.stream = StreamFaults(refused=frozenset({"btcusdt@trade"}))
            async with one.session.ws_connect(f"{BASE}/stream") as socket:
                good = {"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 1}
                assert await said(socket, good) == {"result": None, "id": 1}
                bad = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2}
                assert (await said(socket, bad))["code"] == 2
                listed = await said(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 3})
                assert listed == {"result": ["ethusdt@trade"], "id": 3}
                off = {"method": "UNSUBSCRIBE", "params": ["ethusdt@trade"], "id": 4}
                assert await said(socket, off) == {"result": None, "id": 4}
                assert (await said(socket, {"method": "DANCE", "id": 5}))["code"] == 2

    play(main)


def test_too_many_streams_and_unreadable_requests_are_refused() -> None:
    async def main() -> None:
        async with client() as one:
            one.venue.pause()
            async with one.session.ws_connect(f"{BASE}/stream") as socket:
                many = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"] * 1_025, "id": 1}
                assert (await said(socket, many))["msg"] == "Too many streams"
                assert (await said(socket, "{"))["code"] == 3

    play(main)


def test_who_says_too_much_is_cut_off() -> None:
    async def main() -> None:
        async with client() as one:
            async with one.session.ws_connect(f"{BASE}/stream") as socket:
                for number in range(7):
                    await socket.send_str(
                        json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number})
                    )
                kinds = [(await socket.receive()).type for _ in range(6)]

            assert kinds[-1] in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    play(main)


def test_who_reads_too_slowly_is_cut_off() -> None:
    async def main() -> None:
        async with client() as one:
            address = f"{BASE}/stream?streams=btcusdt@trade"
            socket = await one.session.ws_connect(address)
            await socket.receive_str()
            connection = next(iter(one.venue.streams._listeners)).connection
            for _ in range(20_001):
                connection.send("x")
            message = await socket.receive()
            while message.type is aiohttp.WSMsgType.TEXT:
                message = await socket.receive()

            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.GOING_AWAY

    play(main)


def test_the_user_stream_wants_a_signature_and_then_tells_of_the_account() -> None:
    async def main() -> None:
        async with client() as one, one.session.ws_connect(f"{BASE}/ws-api/v3") as socket:
            assert (await said(socket, "{"))["error"]["code"] == -1135
            assert (await said(socket, {"id": 1, "method": "ping"}))["status"] == 200
            assert (await said(socket, {"id": 2, "method": "dance"}))["error"]["code"] == -1020
            parameters: dict[str, Any] = {"apiKey": KEY, "timestamp": one.venue.now_ms()}
            method = "userDataStream.subscribe.signature"
            wrong = {"id": 3, "method": method, "params": {**parameters, "signature": "x"}}
            assert (await said(socket, wrong))["error"]["code"] == -1022
            text = f"apiKey={KEY}&timestamp={parameters['timestamp']}"
            parameters["signature"] = (
                hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
            )
            right = {"id": 4, "method": method, "params": parameters}
            assert (await said(socket, right))["result"] == {"subscriptionId": 0}
            await one.signed("POST", "/order", ORDER + "&newClientOrderId=x")
            told = json.loads(await socket.receive_str())

            assert told["subscriptionId"] == 0
            assert (told["event"]["e"], told["event"]["c"]) == ("executionReport", "x")

    play(main)


def test_a_rig_stands_on_a_simulated_loop_only() -> None:
    async def main() -> None:
        with pytest.raises(SimulationError):
            rig(1)

    asyncio.run(main())


# -- the real network ----------------------------------------------------------------------------


def options(port: int = 0) -> argparse.Namespace:
    """Return the options of the command line, with a port."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--port", str(port), "--seed", "3"])


class WaitingContext(HandContext):
    """Says when the first book delta came."""

    def __init__(self, venue: str, *, now_ns: int) -> None:
        super().__init__(venue, now_ns=now_ns)
        self.has_deltas = asyncio.Event()

    def publish(self, event: Any) -> None:
        super().publish(event)
        if isinstance(event, BookDelta):
            self.has_deltas.set()


@pytest.mark.socket
def test_the_venue_and_the_feed_meet_on_real_sockets() -> None:
    async def main() -> None:
        announced: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(options(), announced.set_result))
        async with asyncio.timeout(20.0):
            place = await announced
            with pytest.raises(ConfigError):
                await serve(options(int(str(place["rest_url"]).rpartition(":")[2])), print)
            urls = {name: place[name] for name in ("rest_url", "stream_url", "api_url")}
            context = WaitingContext("b", now_ns=START_NS)
            section = {"settings": urls, "instruments": [{"symbol": "BTCUSDT"}]}
            adapter = build(section, context)
            assert adapter.feed is not None
            adapter.feed.subscribe("b:BTCUSDT", "book")
            running = asyncio.create_task(adapter.feed.run())
            await context.has_deltas.wait()
        for task in (running, serving):
            task.cancel()
        await asyncio.wait([running, serving])
        assert adapter.close is not None
        await adapter.close()

    asyncio.run(main())
