"""A scripted venue behind a WebSocket: it answers politely unless told otherwise."""

import asyncio
import itertools
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

HOST, PORT = "kalshi", 8_080
PATH = "/trade-api/ws/v2"
URL = f"ws://{HOST}:{PORT}{PATH}"


class SocketVenue:
    """One sid per subscribed channel, numbered from 1 on each connection.

    `silent` commands get no answer, `refused` ones the error code beside them; both by command
    or action name.
    """

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.silent: set[str] = set()
        self.refused: dict[str, int] = {}
        self.is_bookless = False  # acknowledges, and sends no snapshot
        self.close_codes: list[int | None] = []
        self._socket: web.WebSocketResponse | None = None
        self._sids = itertools.count(1)
        self._seqs: dict[int, int] = {}

    @property
    def app(self) -> web.Application:
        """What is to be served."""
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        return app

    async def say(self, said: dict[str, Any] | str | bytes) -> None:
        """Send a frame to whoever is connected."""
        assert self._socket is not None
        if isinstance(said, bytes):
            await self._socket.send_bytes(said)
        else:
            text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
            await self._socket.send_str(text)

    async def delta(self, sid: int, market: str, change: str = "1.00", *, lost: int = 0) -> None:
        """Change a level at 0.40, after losing some frames on the way."""
        self._seqs[sid] += lost
        body = {"market_ticker": market, "price_dollars": "0.4000", "side": "yes"}
        await self.say(self._numbered("orderbook_delta", sid, {**body, "delta_fp": change}))

    async def hang_up(self) -> None:
        """Close the connection."""
        assert self._socket is not None
        await self._socket.close()

    def asked(self, name: str) -> list[dict[str, Any]]:
        """Return the commands of one kind, or of one action."""
        return [command for command in self.commands if _name(command) == name]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self.headers.append(dict(request.headers))
        socket = self._socket = web.WebSocketResponse()
        self._sids, self._seqs = itertools.count(1), {}
        await socket.prepare(request)
        await socket.ping(b"heartbeat")
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._obey(msgspec.json.decode(message.data))
        self.is_bookless = False  # acknowledges, and sends no snapshot
        self.close_codes.append(socket.close_code)
        return socket

    async def _obey(self, command: dict[str, Any]) -> None:
        self.commands.append(command)
        name, number, params = _name(command), command["id"], command.get("params", {})
        if name in self.silent:
            return
        if name in self.refused:
            error = {"code": self.refused[name], "msg": "no"}
            await self.say({"type": "error", "id": number, "msg": error})
        elif name == "subscribe":
            await self._subscribe(number, params)
        elif name == "unsubscribe":
            for sid in params["sids"]:
                await self.say({"type": "unsubscribed", "id": number, "sid": sid})
        elif name == "list_subscriptions":
            listed = [{"channel": "orderbook_delta", "sid": sid} for sid in self._seqs]
            await self.say({"type": "ok", "id": number, "msg": listed})
        elif name == "get_snapshot":
            await self._snapshots(params["sids"][0], params["market_tickers"], id=number)
        else:
            await self.say(self._numbered("ok", params["sids"][0], {}, id=number))
            if name == "add_markets":
                await self._snapshots(params["sids"][0], params["market_tickers"])

    async def _subscribe(self, number: int, params: dict[str, Any]) -> None:
        for channel in params["channels"]:
            sid = next(self._sids)
            self._seqs[sid] = 0
            said = {"channel": channel, "sid": sid}
            await self.say({"type": "subscribed", "id": number, "msg": said})
            if channel == "orderbook_delta":
                await self._snapshots(sid, params["market_tickers"])

    async def _snapshots(self, sid: int, markets: list[str], **envelope: Any) -> None:
        for market in () if self.is_bookless else markets:
            body = {"market_ticker": market, "yes_dollars_fp": [["0.4000", "5.00"]]}
            await self.say(self._numbered("orderbook_snapshot", sid, body, **envelope))

    def _numbered(
        self, kind: str, sid: int, body: dict[str, Any], **envelope: Any
    ) -> dict[str, Any]:
        self._seqs[sid] += 1
        return {"type": kind, "sid": sid, "seq": self._seqs[sid], "msg": body, **envelope}


async def a_while(seconds: float = 0.05) -> None:
    """Let simulated time pass."""
    await asyncio.sleep(seconds)


def _name(command: dict[str, Any]) -> str:
    name = command.get("params", {}).get("action", command["cmd"])
    assert isinstance(name, str)
    return name
