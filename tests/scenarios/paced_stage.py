"""Backtests behind a door on one simulated loop, and clients that behave as a script says.

Transport time is the loop's, market time the data's. The clients speak the gateway's protocol
over the in-memory network; `Picks` decides for them, and for the same logic run inside.
"""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec

from framework import Candle, Quote, Strategy
from framework.backtest.result import BacktestArtifacts, BacktestResult
from framework.backtest.runner import play_recorded
from framework.model.orders import OrderType, Side
from framework.net.connectors import open_connector
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from tests.scripted_venue import class_path

VENUE, RUN, BESIDE = "sample", "tektii", "beside"
SYMBOLS = ("DEMO", "OTHER")
START_S = 1_704_067_200
CENT = Decimal("0.01")
Frame = dict[str, Any]
Outcome = tuple[BacktestResult, BacktestArtifacts]


# -- data ------------------------------------------------------------------------------------


def write_candles(directory: Path, symbol: str, count: int, seed: int) -> Path:
    """Write a random walk in one-minute candles."""
    random, price = Random(f"{symbol} {seed}"), 100.0
    path = directory / f"{symbol}-{seed}-{count}.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        for index in range(count):
            close = max(1.0, price + random.gauss(0, 0.3))
            high, low = max(price, close) + random.random(), min(price, close) - random.random()
            time = datetime.fromtimestamp(START_S + 60 * index, UTC).isoformat()
            rows.writerow([time, *(f"{one:.2f}" for one in (price, high, low, close)), "5"])
            price = round(close, 2)
    return path


def write_quotes(directory: Path, symbol: str, count: int, seed: int) -> Path:
    """Write a random walk in quotes, several of them at the same instant now and then."""
    random, price, time_ms = Random(f"{symbol} {seed}"), 100.0, START_S * 1000
    path = directory / f"{symbol}-{seed}-{count}-quotes.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_ns", "bid", "ask"])
        for _ in range(count):
            time_ms += random.choice((0, 10, 250, 1_000))
            price = round(max(1.0, price + random.gauss(0, 0.2)), 2)
            rows.writerow([time_ms * 1_000_000, f"{price:.2f}", f"{price + 0.02:.2f}"])
    return path


def source_of(paths: Mapping[str, Path]) -> dict[str, Any]:
    """Return the section of these files by symbol."""
    files = []
    for symbol, path in paths.items():
        entry = {"path": str(path), "instrument": symbol}
        if "quotes" not in path.name:
            entry |= {"stamp": "open", "interval": "1m"}
        else:
            entry |= {"time_unit": "ns"}
        files.append(entry)
    return {"files": files}


# -- decisions -------------------------------------------------------------------------------


class Pick(msgspec.Struct, frozen=True):
    """What to do about one price."""

    what: str
    side: str = "buy"
    quantity: Decimal = Decimal(1)
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


class Picks:
    """A seeded function of the price and of how often it was asked; quantities never repeat."""

    def __init__(self, seed: int, *, has_exits: bool) -> None:
        self._random = Random(f"picks {seed}")
        self._kinds = ["none", "market", "limit", "stop", "cancel", "close"]
        self._kinds += ["bracket"] if has_exits else []
        self._count = 0

    def pick(self, price: Decimal) -> Pick:
        """Return what to do now."""
        random = self._random
        what = random.choice(self._kinds)
        side = random.choice(("buy", "sell"))
        up = 1 if side == "buy" else -1
        near, far = (price * Decimal(random.randint(1, 9)) / 1_000 for _ in range(2))
        quantity = self.quantity()
        if what == "limit":
            return Pick(what, side, quantity, _cents(price - up * near))
        if what == "stop":
            return Pick(what, side, quantity, _cents(price + up * near))
        if what == "bracket":
            loss, profit = _cents(price - up * near - CENT), _cents(price + up * far + CENT)
            return Pick(what, side, quantity, None, loss, profit)
        return Pick(what, side, quantity)

    def answers(self) -> bool:
        """Return whether to answer an execution with another order."""
        return self._random.random() < 0.4

    def quantity(self) -> Decimal:
        """Return how many, never the same twice."""
        self._count += 1
        return Decimal(self._count) / 1_000


def _cents(price: Decimal) -> Decimal:
    return price.quantize(CENT)


def price_of(event: Candle | Quote) -> Decimal:
    """Return what is decided by."""
    return Decimal(repr(event.close if isinstance(event, Candle) else event.bid))


class Inside(Strategy):
    """The logic as a strategy of the framework."""

    class Settings(msgspec.Struct, frozen=True):
        """Which decisions, about what."""

        seed: int = 0
        symbols: tuple[str, ...] = SYMBOLS
        kind: str = "candles"
        answers_fills: bool = False
        has_exits: bool = True

    settings: Settings

    def on_start(self) -> None:
        """Begin to listen."""
        self.picks = Picks(self.settings.seed, has_exits=self.settings.has_exits)
        for symbol in self.settings.symbols:
            if self.settings.kind == "quotes":
                self.watch_quotes(f"{VENUE}:{symbol}")
            else:
                self.watch_candles(f"{VENUE}:{symbol}", "1m")

    def on_candle(self, candle: Candle) -> None:
        """Decide."""
        self.act(candle)

    def on_quote(self, quote: Quote) -> None:
        """Decide."""
        self.act(quote)

    def on_fill(self, fill: Any) -> None:
        """Decide upon executions too, if so wanted."""
        if self.settings.answers_fills and self.picks.answers():
            give = self.sell if fill.side is Side.BUY else self.buy
            give(fill.instrument, self.picks.quantity())

    def act(self, event: Candle | Quote) -> None:
        """Do what is picked."""
        name, pick = event.instrument, self.picks.pick(price_of(event))
        give = self.buy if pick.side == "buy" else self.sell
        if pick.what in ("market", "bracket"):
            exits = {"stop_loss": pick.stop_loss, "take_profit": pick.take_profit}
            wishes: Any = {key: one for key, one in exits.items() if one is not None}
            give(name, pick.quantity, **wishes)
        elif pick.what == "limit":
            give(name, pick.quantity, price=pick.price)
        elif pick.what == "stop":
            give(name, pick.quantity, stop_price=pick.price)
        elif pick.what == "cancel":
            orders = [one for one in self.orders(name) if one.type is not OrderType.MARKET]
            working = [one for one in orders if not one.parent]
            if working:
                self.cancel(min(working, key=lambda one: one.quantity).order_id)
        elif pick.what == "close":
            held = self.position(name).quantity
            if held:
                (self.sell if held > 0 else self.buy)(name, abs(held), reduce_only=True)


class Waiting(Inside):
    """The same in coroutines, which end turns of the loop later."""

    async def on_candle(self, candle: Candle) -> None:  # type: ignore[override]
        """Decide, a little late."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.act(candle)


# -- clients ---------------------------------------------------------------------------------


class Client:
    """One connection at a time to a gateway.

    `on_frame` is awaited with every frame; unless it returns False, and `acks`, the frame is
    acknowledged afterwards, as the public client does.

    Attributes:
        frames: as decoded; raw: as they came, over all connections.
        close_code: of the last connection.
    """

    def __init__(self, url: str, *, acks: bool = True) -> None:
        self.url = url
        self.acks = acks
        self.frames: list[Frame] = []
        self.raw: list[str] = []
        self.close_code: int | None = None
        self.session = aiohttp.ClientSession(url, connector=open_connector())
        self.stream: Any = None

    async def follow(
        self,
        on_frame: Callable[[Frame], Awaitable[Any]] | None = None,
        *,
        query: str = "",
        most: int | None = None,
    ) -> None:
        """Listen to the end, or leave before the handling of frame `most` is acknowledged."""
        async with self.session.ws_connect(f"/v1/ws{query}") as stream:
            self.stream = stream
            count = 0
            while (message := await self._received()).type is aiohttp.WSMsgType.TEXT:
                frame = msgspec.json.decode(message.data)
                self.raw.append(message.data)
                self.frames.append(frame)
                count += 1
                wanted = None if on_frame is None else await on_frame(frame)
                if count == most:
                    break
                if self.acks and wanted is not False:
                    await self.ack(*([frame["event_id"]] if "event_id" in frame else []))
            self.close_code = stream.close_code

    async def _received(self) -> aiohttp.WSMessage:
        try:
            message: aiohttp.WSMessage = await self.stream.receive()
        except aiohttp.ClientConnectionResetError:  # it answers a ping on a closed connection
            return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
        return message

    async def ack(self, *event_ids: Any) -> None:
        """Acknowledge; nothing if the connection is closing."""
        ack = {"type": "event_ack", "events_processed": event_ids}
        with suppress(aiohttp.ClientConnectionResetError):
            await self.stream.send_str(msgspec.json.encode(ack).decode())

    async def ask(self, method: str, path: str, *, status: int, body: Any = None) -> Any:
        """Return the body of an answer."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        async with self.session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return msgspec.json.decode(text)

    async def submit(self, symbol: str, pick: Pick) -> Any:
        """Send an order."""
        is_stop = pick.what == "stop"
        wish = {
            "symbol": symbol,
            "side": pick.side,
            "quantity": pick.quantity,
            "order_type": pick.what if pick.what in ("limit", "stop") else "market",
            "stop_price" if is_stop else "limit_price": pick.price,
            "stop_loss": pick.stop_loss,
            "take_profit": pick.take_profit,
        }
        body = {name: value for name, value in wish.items() if value is not None}
        return await self.ask("POST", "/v1/orders", status=201, body=body)

    async def aclose(self) -> None:
        """Let go."""
        await self.session.close()


class Outside:
    """The logic as a client."""

    def __init__(
        self,
        client: Client,
        seed: int,
        *,
        answers_fills: bool = False,
        has_exits: bool = True,
    ) -> None:
        self.client = client
        self.picks = Picks(seed, has_exits=has_exits)
        self.answers_fills = answers_fills

    async def run(self) -> None:
        """Follow the stream to its end."""
        await self.client.follow(self.act)

    async def act(self, frame: Frame) -> None:
        """Do what is picked about a price, or an execution."""
        if frame["type"] == "trade" and self.answers_fills and self.picks.answers():
            trade = frame["trade"]
            side = "sell" if trade["side"] == "BUY" else "buy"
            await self.client.submit(trade["symbol"], Pick("market", side, self.picks.quantity()))
        if frame["type"] == "candle":
            symbol, price = frame["bar"]["symbol"], Decimal(frame["bar"]["close"])
        elif frame["type"] == "quote":
            symbol, price = frame["quote"]["symbol"], Decimal(frame["quote"]["bid"])
        else:
            return
        client, pick = self.client, self.picks.pick(price)
        if pick.what in ("market", "bracket", "limit", "stop"):
            await client.submit(symbol, pick)
        elif pick.what == "cancel":
            orders = await client.ask("GET", f"/v1/orders?symbol={symbol}", status=200)
            orders = [one for one in orders if one["order_type"] != "MARKET"]
            working = [one for one in orders if "parent_order_id" not in one]
            if working:
                order = min(working, key=lambda one: Decimal(one["quantity"]))
                await client.ask("DELETE", f"/v1/orders/{order['id']}", status=200)
        elif pick.what == "close":
            positions = await client.ask("GET", f"/v1/positions?symbol={symbol}", status=200)
            for position in positions:
                wish = {
                    "symbol": symbol,
                    "side": "sell" if position["side"] == "LONG" else "buy",
                    "quantity": position["quantity"],
                    "order_type": "market",
                    "reduce_only": True,
                }
                await client.ask("POST", "/v1/orders", status=201, body=wish)


# -- runs ------------------------------------------------------------------------------------


def section(
    source: Mapping[str, Any],
    *,
    strategies: Sequence[Mapping[str, Any]] = (),
    door: Mapping[str, Any] | None = None,
    order_ms: float = 0.0,
    **changes: Any,
) -> dict[str, Any]:
    """Return a backtest's; with `door`, the settings of one, it is driven from outside."""
    chosen: dict[str, Any] = {
        "mode": "backtest",
        "seed": 3,
        "venues": {
            VENUE: {
                "adapter": "replay",
                "source": dict(source),
                "instruments": [{"symbol": one, "tick": "0.01", "lot": "0.001"} for one in SYMBOLS],
                "costs": {"fees_bps": "5", "slippage_bps": "1"},
                "latency": {"order_ms": order_ms},
            }
        },
        "accounts": {
            name: {"venue": VENUE, "currency": "USD", "balances": {"USD": 100_000}}
            for name in ("main", "first", "second")
        },
        "strategies": list(strategies),
        "backtest": {"equity_interval": "5m"},
        **changes,
    }
    if door is not None:
        one = {"door": "tektii", "accounts": ["main"], "settings": {"provider": VENUE, **door}}
        chosen["server"] = [{"listen": "127.0.0.1:0", "doors": [one]}]
    return chosen


def settings(source: Mapping[str, Any], **options: Any) -> Settings:
    """Return what `section` says."""
    return decode_section(section(source, **options), Settings, key="")


def strategy(
    run: str, made: type[Strategy] = Inside, account: str = "main", /, **options: Any
) -> dict[str, Any]:
    """Return the section of one strategy."""
    return {"id": run, "class": class_path(made), "account": account, "settings": options}


def play_inside(chosen: Settings) -> Outcome:
    """Run a backtest without a door."""
    return run_simulated(partial(play_recorded, chosen), seed=chosen.seed)


Script = Callable[[str], Awaitable[Any]]


def play_outside(chosen: Settings, *scripts: Script) -> Outcome:
    """Run a backtest with a door, and beside it what `scripts` do with its address.

    Raises:
        FrameworkError: the run was given up; the scripts have ended then too.
    """

    async def main() -> Outcome:
        tasks: list[asyncio.Future[Any]] = []

        def begin(addresses: list[str]) -> None:
            tasks.extend(asyncio.ensure_future(script(addresses[0])) for script in scripts)

        try:
            return await play_recorded(chosen, on_listening=begin)
        finally:
            async with asyncio.timeout(3_600):
                await asyncio.gather(*tasks)

    return run_simulated(main, seed=chosen.seed)


def fills_of(outcome: Outcome) -> list[tuple[Any, ...]]:
    """Return the executions of a backtest, run by run in their order."""
    fills = [
        (one.run, one.time_ns, one.instrument, one.side.value, one.quantity, one.price, one.fees)
        for one in outcome[1].fills
    ]
    return sorted(fills, key=itemgetter(0))


def came_to(outcome: Outcome) -> tuple[Any, ...]:
    """Return what two runs of the same logic must have in common."""
    result, artifacts = outcome
    return (
        fills_of(outcome),
        result.final_equity,
        result.denied,
        result.rejected,
        result.events,
        result.performance,
        list(zip(artifacts.equity.times_ns, artifacts.equity.equity, strict=True)),
    )
