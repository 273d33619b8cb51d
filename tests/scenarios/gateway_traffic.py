"""Clients of a gateway that may die at any moment, and what must be true of it when it is back.

Every client notes what it asked for before it asks, and what it was told. `check` holds the notes
of all of them against a gateway that was started again on the same journal.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any

import aiohttp

TRADED = ("AAPL", "MSFT")
GUARDED = "ZZTOP"  # brackets alone, which nobody closes
FAR = ("1", "1.5", "2", "2.5")  # prices that the market does not come to
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)
MARKET = ("quote", "candle")
CHECKERS = 8
DEADLINE_S = 60.0
_LEG = re.compile(r"(-sl|-tp)(-\d+)?$")
Body = dict[str, Any]


class Notes:
    """What was asked for and told, over all lives of one gateway.

    Attributes:
        wishes: what was asked for, by the client's id.
        handles: what was answered with 201.
        refused: what was answered with 422.
        cancels: order ids of the cancels that were answered with 200.
        prices: what a resting order's price may be, by order id: one where its change was answered.
        closes: (symbol, quantity) by idempotency key.
        closed: what closes were answered with.
        trades: executions that the stream told of.
        legs: ids of brackets' legs that the stream told of as resting.
        frames: how many frames told of orders.
        statuses: how often what was answered.
        place: the stream's epoch and the newest number in it.
    """

    def __init__(self) -> None:
        self.wishes: dict[str, Body] = {}
        self.handles: dict[str, Body] = {}
        self.refused: set[str] = set()
        self.cancels: set[str] = set()
        self.cancelling: set[str] = set()
        self.prices: dict[str, set[str]] = {}
        self.closes: dict[str, tuple[str, str]] = {}
        self.closed: dict[str, Body] = {}
        self.trades: dict[str, Body] = {}
        self.legs: set[str] = set()
        self.frames = 0
        self.statuses: Counter[int] = Counter()
        self.place = ("", 0)
        self.unanswered = 0

    async def answered(self, count: int) -> None:
        """Return once so many more requests were answered."""
        count += self.statuses.total()
        while self.statuses.total() < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Client:
    """Trades until the gateway has gone; its orders are its own."""

    def __init__(self, name: str, http: aiohttp.ClientSession, notes: Notes, seed: int) -> None:
        self._name = name
        self._http = http
        self._notes = notes
        self._random = Random(f"{seed} {name}")
        self._count = 0
        self._is_over = False  # the gateway takes nothing more
        self._resting: list[str] = []

    async def trade(self) -> None:
        """Ask as fast as answers come."""
        actions: list[Callable[[], Awaitable[None]]] = [
            self._market, self._market, self._limit, self._limit, self._bracket,
            self._cancel, self._modify, self._close,
        ]  # fmt: skip
        try:
            while not self._is_over:
                await self._random.choice(actions)()
        except LOST:
            self._notes.unanswered += 1

    def submitting(self, count: int) -> list["asyncio.Task[Any]"]:
        """Submit so many orders at once."""
        return [
            asyncio.ensure_future(self._submit("limit", TRADED[0], limit_price=FAR[0]))
            for _ in range(count)
        ]

    async def ended(self, tasks: list["asyncio.Task[Any]"]) -> None:
        """Wait for the answers, or that there are none."""
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, LOST):
                self._notes.unanswered += 1
            elif isinstance(result, BaseException):
                raise result

    async def _market(self) -> None:
        await self._submit("market", self._random.choice(TRADED))

    async def _limit(self) -> None:
        symbol = self._random.choice(TRADED)
        handle = await self._submit("limit", symbol, limit_price=FAR[0])
        if handle is not None:
            self._resting.append(handle["id"])
            self._notes.prices[handle["id"]] = {FAR[0]}

    async def _bracket(self) -> None:
        await self._submit("market", GUARDED, side="buy", stop_loss="1", take_profit="90000")

    async def _submit(self, kind: str, symbol: str, **more: str) -> Body | None:
        self._count += 1
        name = f"{self._name}-{self._count}"
        side = "buy" if "limit_price" in more else self._random.choice(("buy", "buy", "sell"))
        wish = {"symbol": symbol, "side": side, "quantity": str(self._random.randint(1, 3)),
                "order_type": kind, "client_order_id": name, **more}  # fmt: skip
        self._notes.wishes[name] = wish
        status, body = await self._ask("POST", "/v1/orders", wish)
        if status == 201:
            handle: Body = body
            self._notes.handles[name] = handle
            return handle
        if status == 422:
            self._notes.refused.add(name)
        return None

    async def _cancel(self) -> None:
        if self._resting:
            order_id = self._resting.pop(self._random.randrange(len(self._resting)))
            self._notes.cancelling.add(order_id)
            status, _ = await self._ask("DELETE", f"/v1/orders/{order_id}")
            if status == 200:
                self._notes.cancels.add(order_id)

    async def _modify(self) -> None:
        if self._resting:
            order_id, price = self._random.choice(self._resting), self._random.choice(FAR)
            self._notes.prices[order_id].add(price)
            status, body = await self._ask(
                "PATCH", f"/v1/orders/{order_id}", {"limit_price": price}
            )
            if status == 200:
                assert body["order"]["limit_price"] == price
                self._notes.prices[order_id] = {price}
            else:
                assert status == 503, body

    async def _close(self) -> None:
        self._count += 1
        key, symbol = f"{self._name}-close-{self._count}", self._random.choice(TRADED)
        self._notes.closes[key] = symbol, "1"
        status, body = await close(self._http, key, symbol, "1")
        self._notes.statuses[status] += 1
        if status == 200:
            self._notes.closed[key] = body
        elif status == 404:
            del self._notes.closes[key]  # nothing was held

    async def _ask(self, method: str, path: str, body: Body | None = None) -> tuple[int, Any]:
        status, answer = await ask(self._http, method, path, body)
        self._notes.statuses[status] += 1
        self._is_over = status == 503
        assert status in (200, 201, 409, 422, 503), answer
        return status, answer


async def ask(
    http: aiohttp.ClientSession, method: str, path: str, body: Body | None = None
) -> tuple[int, Any]:
    async with http.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def close(
    http: aiohttp.ClientSession, key: str, symbol: str, quantity: str
) -> tuple[int, Any]:
    path, headers = f"/v1/positions/{symbol}", {"Idempotency-Key": key}
    async with http.delete(path, json={"quantity": quantity}, headers=headers) as answer:
        return answer.status, await answer.json()


async def hear(http: aiohttp.ClientSession, notes: Notes, begun: asyncio.Event) -> None:
    """Note what the stream tells until it ends."""
    try:
        async with http.ws_connect("/v1/ws") as stream:
            async for message in stream:
                begun.set()
                frame = message.json()
                notes.place = frame["epoch"], frame["seq"]
                if frame["type"] == "trade":
                    trade = frame["trade"]
                    assert trade["id"] not in notes.trades
                    notes.trades[trade["id"]] = trade
                order = frame.get("order", {})
                if order.get("parent_order_id") and order["status"] == "OPEN":
                    assert order["symbol"] == GUARDED
                    notes.legs.add(order["id"])
                notes.frames += frame["type"] not in MARKET
    except LOST:
        pass


async def trade_until(
    url: str, notes: Notes, name: str, seed: int, end: Callable[[], Awaitable[None]]
) -> None:
    """Let several clients trade, and one listen, until `end` has ended the gateway."""
    begun = asyncio.Event()
    async with (
        asyncio.timeout(DEADLINE_S),
        aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        hearing = asyncio.ensure_future(hear(http, notes, begun))
        await begun.wait()
        trading = [
            asyncio.ensure_future(Client(f"{name}.{number}", http, notes, seed).trade())
            for number in range(5)
        ]
        await end()
        await asyncio.gather(hearing, *trading)


class Checked:
    """Holds notes against a gateway; raises AssertionError where they disagree."""

    def __init__(self, http: aiohttp.ClientSession, notes: Notes) -> None:
        self._http = http
        self._notes = notes
        self._order_ids: set[str] = set()

    async def check(self) -> None:
        """Check what was told, then send again what was not answered, and count."""
        notes = self._notes
        await self._check_epoch()
        trades: dict[str, list[Body]] = {}
        for trade in notes.trades.values():
            trades.setdefault(trade["order_id"], []).append(trade)
        await self._each(trades, lambda name: self._check_trades(name, trades[name]))
        await self._each(notes.handles, self._check_answered)
        await self._each(notes.cancels, self._check_cancelled)
        await self._each(notes.prices, self._check_price)
        unanswered = notes.wishes.keys() - notes.handles.keys() - notes.refused
        await self._each(unanswered, self._check_unanswered)
        await self._each(notes.refused, self._check_refused)
        await self._each(dict(notes.closes), self._check_close)
        await self._check_open_orders()
        await self._check_positions()

    async def _each(self, names: Any, check: Callable[[str], Awaitable[None]]) -> None:
        """Check them all, several at a time."""
        left = sorted(names)

        async def work() -> None:
            while left:
                await check(left.pop())

        await asyncio.gather(*(work() for _ in range(CHECKERS)))

    async def _get(self, path: str) -> Any:
        status, body = await ask(self._http, "GET", path)
        assert status == 200, (path, body)
        return body

    async def _check_epoch(self) -> None:
        epoch, seq = self._notes.place
        assert epoch
        async with self._http.ws_connect(f"/v1/ws?epoch={epoch}&after={seq}") as stream:
            frame = await stream.receive_json(timeout=DEADLINE_S)
        assert frame["is_snapshot"] is True
        assert frame["epoch"] != epoch

    async def _check_trades(self, order_id: str, told: list[Body]) -> None:
        found = await self._get(f"/v1/trades?order_id={order_id}")
        assert all(found.count(one) == 1 for one in told), (told, found)

    async def _check_answered(self, name: str) -> None:
        wish, handle = self._notes.wishes[name], self._notes.handles[name]
        order = await self._get(f"/v1/orders/{handle['id']}")
        self._check_content(order, wish)
        assert order["correlation_id"] == handle["correlation_id"]
        if handle["status"] == "FILLED":
            assert order["status"] == "FILLED"
        self._order_ids.add(order["id"])

    def _check_content(self, order: Body, wish: Body) -> None:
        assert order["client_order_id"] == wish["client_order_id"]
        assert order["symbol"] == wish["symbol"]
        assert order["side"] == wish["side"].upper()
        assert order["order_type"] == wish["order_type"].upper()
        assert order["quantity"] == wish["quantity"]

    async def _check_cancelled(self, order_id: str) -> None:
        order = await self._get(f"/v1/orders/{order_id}")
        assert order["status"] == "CANCELLED"

    async def _check_price(self, order_id: str) -> None:
        order = await self._get(f"/v1/orders/{order_id}")
        assert order["limit_price"] in self._notes.prices[order_id]
        if order_id not in self._notes.cancelling:
            assert order["status"] == "OPEN"

    async def _check_unanswered(self, name: str) -> None:
        """Send it again, several times: it is the order that there was, if there was one."""
        notes = self._notes
        found = await self._named(name)
        assert len(found) <= 1
        wish = notes.wishes[name]
        answers = await asyncio.gather(
            *(ask(self._http, "POST", "/v1/orders", wish) for _ in range(3))
        )
        (status,) = {status for status, _ in answers}
        after = await self._named(name)
        assert len(after) <= 1
        if found:
            assert after[0]["id"] == found[0]["id"]
            self._check_content(found[0], wish)
        if status == 201:
            assert {body["id"] for _, body in answers} == {after[0]["id"]}
            notes.handles[name] = answers[0][1]
            self._order_ids.add(after[0]["id"])
        else:
            assert status == 422, answers
            assert all(order["filled_quantity"] == "0" for order in after)
            notes.refused.add(name)

    async def _named(self, name: str) -> list[Body]:
        asked = f"client_order_id={name}"
        ended = await self._get(f"/v1/orders/history?{asked}")
        return [*ended, *await self._get(f"/v1/orders?{asked}")]

    async def _check_refused(self, name: str) -> None:
        for order in await self._named(name):
            assert order["status"] == "REJECTED"
            assert order["filled_quantity"] == "0"

    async def _check_close(self, key: str) -> None:
        notes = self._notes
        status, handle = await close(self._http, key, *notes.closes[key])
        if key in notes.closed:
            assert (status, handle["id"]) == (200, notes.closed[key]["id"])
        elif status == 200:
            notes.closed[key] = handle
        else:
            del notes.closes[key]
            return
        self._order_ids.add(handle["id"])

    async def _check_open_orders(self) -> None:
        """Every open order is known, and there once; every bracket has its two legs."""
        notes = self._notes
        listed: list[Body] = []
        after = ""
        while True:
            page = await self._get(f"/v1/orders?limit=1000{after}")
            listed += page
            if len(page) < 1000:
                break
            after = f"&cursor={page[-1]['id']}"
        names = Counter(order["client_order_id"] for order in listed)
        assert max(names.values(), default=1) == 1
        legs = Counter[str]()
        for name, wish in notes.wishes.items():
            if "stop_loss" in wish and name in notes.handles:
                legs.update({f"{name}-sl": 1, f"{name}-tp": 1})
        # One that was on its way when the gateway died has a successor: `-sl-1`.
        found = Counter(_LEG.sub(r"\1", name) for name in names if _LEG.search(name))
        assert found == legs, (found - legs, legs - found)
        # What the core held back and sent just before is refused by a simulated venue's next life.
        for order_id in sorted(notes.legs - {order["id"] for order in listed}):
            leg = await self._get(f"/v1/orders/{order_id}")
            assert (leg["status"], leg["filled_quantity"]) == ("REJECTED", "0"), leg
        entries = [order for order in listed if not order.get("parent_order_id")]
        assert {order["id"] for order in entries} <= self._order_ids

    async def _check_positions(self) -> None:
        """What is held is the sum of the executions of every order that anybody asked for."""
        sums: Counter[str] = Counter()
        seen: set[str] = set()

        async def add(order_id: str) -> None:
            for trade in await self._get(f"/v1/trades?order_id={order_id}"):
                assert trade["id"] not in seen
                seen.add(trade["id"])
                quantity = int(Decimal(trade["quantity"]))
                sums[trade["symbol"]] += quantity if trade["side"] == "BUY" else -quantity

        await self._each(self._order_ids, add)
        assert seen >= self._notes.trades.keys()
        held = {
            one["symbol"]: int(Decimal(one["quantity"])) * (1 if one["side"] == "LONG" else -1)
            for one in await self._get("/v1/positions")
        }
        assert held == {symbol: total for symbol, total in sums.items() if total}


async def check(url: str, notes: Notes) -> None:
    """Hold what was told against the gateway at `url`."""
    async with aiohttp.ClientSession(url) as http:
        await Checked(http, notes).check()
