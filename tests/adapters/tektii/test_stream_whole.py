"""The stream of a whole gateway: the real desk, the mock's market, clients over the network."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.source_code import ROOT

START_NS = 1_790_000_000_000_000_000
MARKET = ("quote", "candle")
Frames = list[dict[str, Any]]


class Session:
    """One client: REST and the stream."""

    def __init__(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._http = http
        self._socket = socket

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the body of an answer."""
        async with self._http.request(method, path, json=body) as answer:
            return await answer.json()

    async def hear(self, seconds: float) -> Frames:
        """Return what comes within so long."""
        found: Frames = []
        end_s = asyncio.get_running_loop().time() + seconds
        while (left_s := end_s - asyncio.get_running_loop().time()) > 0:
            try:
                message = await self._socket.receive(timeout=left_s)
            except TimeoutError:
                break
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            found.append(json.loads(message.data))
        return found

    async def trades(self, seconds: float) -> Frames:
        """Return what comes but for market data."""
        return [frame for frame in await self.hear(seconds) if frame["type"] not in MARKET]

    async def price(self) -> float:
        """Return the bid of AAPL."""
        return float((await self.ask("GET", "/v1/quotes/AAPL"))["bid"])


def play(scenario: Callable[[Session], Awaitable[None]]) -> None:
    settings = load(ROOT / "config" / "tektii_gateway.yaml", environment={})

    async def main() -> None:
        async with (
            Runtime(replace(settings, seed=1)) as runtime,
            aiohttp.ClientSession(
                connector=open_connector(), base_url=runtime.addresses[0]
            ) as http,
            http.ws_connect("/v1/ws") as socket,
        ):
            await scenario(Session(http, socket))

    run_simulated(main, seed=1, start_ns=START_NS)


def shown(frames: Frames) -> list[str]:
    return [frame["event"] for frame in frames]


def order(side: str, quantity: str, kind: str = "market", **more: str) -> dict[str, str]:
    return {"symbol": "AAPL", "side": side, "quantity": quantity, "order_type": kind, **more}


def test_quotes_and_candles_come_within_two_seconds() -> None:
    async def scenario(session: Session) -> None:
        frames = await session.hear(2)
        kinds = {
            (frame["type"], (frame.get("quote") or frame["bar"])["symbol"]) for frame in frames
        }
        symbols = ("AAPL", "MSFT", "BTCUSD", "EURUSD")
        assert kinds == {(kind, symbol) for kind in MARKET for symbol in symbols}
        assert [frame["seq"] for frame in frames] == list(
            range(frames[0]["seq"], frames[0]["seq"] + len(frames))
        )

    play(scenario)


def test_a_bracket_from_its_entry_to_its_close() -> None:
    async def scenario(session: Session) -> None:
        bid = await session.price()
        stop, target = f"{bid * 0.9:.2f}", f"{bid * 1.1:.2f}"
        entry = await session.ask(
            "POST",
            "/v1/orders",
            order("buy", "10", stop_loss=stop, take_profit=target, client_order_id="e1"),
        )

        frames = await session.trades(1)
        assert shown(frames) == [
            "ORDER_CREATED",
            "ORDER_FILLED",
            "TRADE_FILLED",
            "POSITION_OPENED",
            "BALANCE_UPDATED",
            "ORDER_CREATED",
            "ORDER_CREATED",
        ]
        assert {frame["parent_order_id"] for frame in frames[5:]} == {entry["id"]}
        assert {frame["order"]["client_order_id"] for frame in frames[5:]} == {"e1-sl", "e1-tp"}

        await session.ask("DELETE", "/v1/positions/mock-pos-AAPL", {"quantity": "4"})
        frames = await session.trades(1)
        assert shown(frames)[:5] == [
            "ORDER_CREATED",
            "ORDER_FILLED",
            "TRADE_FILLED",
            "POSITION_MODIFIED",
            "BALANCE_UPDATED",
        ]
        assert [(one["event"], one["order"]["quantity"]) for one in frames[5:]] == [
            ("ORDER_MODIFIED", "6"),
            ("ORDER_MODIFIED", "6"),
        ]

        await session.ask("DELETE", "/v1/positions/mock-pos-AAPL", {})
        frames = await session.trades(1)
        assert shown(frames)[3:] == [
            "POSITION_CLOSED",
            "BALANCE_UPDATED",
            "ORDER_CANCELLED",
            "ORDER_CANCELLED",
        ]
        assert frames[3]["position"]["quantity"] == "0"

    play(scenario)


def test_an_order_that_rests_is_changed_and_cancelled() -> None:
    async def scenario(session: Session) -> None:
        placed = await session.ask(
            "POST", "/v1/orders", order("buy", "1", "limit", limit_price="9")
        )
        path = f"/v1/orders/{placed['id']}"
        await session.ask("PATCH", path, {"limit_price": "10"})
        await session.ask("DELETE", path)
        await session.ask("DELETE", path)

        frames = await session.trades(1)
        assert shown(frames) == ["ORDER_CREATED", "ORDER_MODIFIED", "ORDER_CANCELLED"]
        assert [frame["order"]["limit_price"] for frame in frames] == ["9", "10", "10"]

    play(scenario)


def test_what_is_refused_is_created_and_rejected() -> None:
    async def scenario(session: Session) -> None:
        await session.ask("POST", "/v1/orders", order("buy", "1000000"))

        frames = await session.trades(1)
        assert shown(frames) == ["ORDER_CREATED", "ORDER_REJECTED"]
        assert [frame["order"]["status"] for frame in frames] == ["PENDING", "REJECTED"]
        assert frames[1]["order"]["reject_reason"] == "INSUFFICIENT_MARGIN"

    play(scenario)


def test_a_trailing_stop_shows_where_it_is() -> None:
    async def scenario(session: Session) -> None:
        await session.price()
        await session.ask(
            "POST",
            "/v1/orders",
            order("sell", "1", "trailing_stop", trailing_distance="20", trailing_type="percent"),
        )

        frames = await session.trades(20)
        assert shown(frames)[0] == "ORDER_CREATED"
        assert set(shown(frames)[1:]) == {"ORDER_MODIFIED"}
        stops = [float(frame["order"]["stop_price"]) for frame in frames[1:]]
        assert stops == sorted(set(stops))

    play(scenario)


def test_a_read_after_a_frame_shows_at_least_that_frame() -> None:
    async def scenario(session: Session) -> None:
        await session.price()
        placed = asyncio.ensure_future(session.ask("POST", "/v1/orders", order("buy", "3")))
        while True:
            (frame, *_) = await session.trades(0.6) or [{}]
            if frame.get("type") == "order":
                break
        listed = await session.ask("GET", "/v1/positions")
        assert [one["quantity"] for one in listed] == ["3"]
        assert (await placed)["status"] == "FILLED"

    play(scenario)


# -- a backtest that a client paces (12) -----------------------------------------------------------

CANDLES = 60
BACKTEST = """
mode: backtest
name: paced
venues:
  sample:
    adapter: replay
    source: {{files: {place}, instrument: DEMO, stamp: open, interval: 1m, time_unit: s}}
    instruments: [{{symbol: DEMO, currency: USD, base: DEMO, tick: 0.01, lot: 0.001}}]
accounts:
  main: {{venue: sample, currency: USD, balances: {{USD: 100000}}}}
server:
  - listen: "127.0.0.1:0"
    doors:
      - {{door: tektii, accounts: [main], settings: {{wait_for_clients: 1, ack_timeout_s: 60}}}}
"""


def paced_config(directory: Path) -> Path:
    rows = ["time,open,high,low,close,volume"]
    for number in range(CANDLES):
        price = 100 + number % 7
        time = 1_700_000_040 + 60 * number
        rows.append(f"{time},{price},{price + 2},{price - 2},{price + 1},5")
    (directory / "candles.csv").write_text("\n".join(rows) + "\n")
    config = directory / "paced.yaml"
    config.write_text(BACKTEST.format(place=directory / "candles.csv"))
    return config


async def paced(config: Path) -> Frames:
    """Play a client that orders on every tenth candle before it acknowledges that; every frame."""
    taken: Frames = []
    async with (
        asyncio.timeout(60),
        Runtime(load(config)) as runtime,
        aiohttp.ClientSession(base_url=runtime.addresses[0]) as http,
        http.ws_connect("/v1/ws") as socket,
    ):
        candles = 0
        async for message in socket:
            frame = json.loads(message.data)
            taken.append(frame)
            if frame["type"] == "backtest_complete":
                break
            candles += frame["type"] == "candle"
            if frame["type"] == "candle" and not candles % 10:
                wish = {**order("buy" if candles % 20 else "sell", "1"), "symbol": "DEMO"}
                async with http.post("/v1/orders", json=wish) as answer:
                    assert answer.status == 201
            await socket.send_json({"type": "event_ack", "events_processed": [frame["event_id"]]})
    return taken


@pytest.mark.socket
def test_a_backtest_waits_for_its_client_and_is_the_same_every_time(tmp_path: Path) -> None:
    one, other = (asyncio.run(paced(paced_config(tmp_path))) for _ in range(2))

    candles = [frame for frame in one if frame["type"] == "candle"]
    assert len(candles) == CANDLES
    assert "event_id" not in one[-1]
    created = [frame for frame in one if frame.get("event") == "ORDER_CREATED"]
    assert len(created) == 6
    for frame in created:  # at the market time of what it answered to, before time went on
        (cause,) = (one_of for one_of in candles if one_of["timestamp"] == frame["timestamp"])
        assert one.index(cause) < one.index(frame)
    filled = [frame for frame in one if frame.get("event") == "ORDER_FILLED"]
    assert len(filled) == 5  # one that is made on the last candle finds no market any more
    times = [frame["timestamp"] for frame in one]
    assert times == sorted(times)
    assert [unnamed(frame) for frame in one] == [unnamed(frame) for frame in other]


def unnamed(frame: dict[str, Any]) -> dict[str, Any]:
    """Return a frame without the names that come from the journal's random one."""
    plain = {name: value for name, value in frame.items() if name != "epoch"}
    if "order" in plain:
        plain["order"] = {
            name: value
            for name, value in plain["order"].items()
            if name not in ("id", "correlation_id")
        }
    if "trade" in plain:
        plain["trade"] = {**plain["trade"], "order_id": ""}
    return plain
