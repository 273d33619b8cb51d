"""The WebSocket API of the simulated venue, as far as user streams need it.

Source: "WebSocket API for Binance" (Request format, User Data Stream subscriptions).
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from adapters.binance.simulated import payloads
from adapters.binance.simulated.connections import Connection, opened
from adapters.binance.simulated.domain import BalancesChanged, OrderChanged, Refused, VenueEvent
from adapters.binance.simulated.faults import Faults
from adapters.binance.simulated.keys import Gatekeeper
from adapters.binance.simulated.streams import PING_S

SUBSCRIBE = "userDataStream.subscribe.signature"


class UserStreams:
    """Every connection of the WebSocket API and the account it listens to, "" before it does."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        faults: Faults,
        *,
        now_ms: Callable[[], int],
        longest_s: float,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.logins: list[str] = []  # the signature of every subscription asked for
        self._gatekeeper = gatekeeper
        self._faults = faults
        self._now_ms = now_ms
        self._longest_s = longest_s
        self._later = later
        self._accounts: dict[Connection, str] = {}

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        connection, socket = await opened(request, ping_s=PING_S)
        self._accounts[connection] = ""
        self._later(self._longest_s, connection.close)
        try:
            await connection.run(lambda text: self._on_text(connection, text))
        finally:
            del self._accounts[connection]
        return socket

    def on_event(self, event: VenueEvent) -> None:
        """Tell an account what concerns it."""
        if isinstance(event, OrderChanged):
            self._send(event.order.account, payloads.order_event(event))
        elif isinstance(event, BalancesChanged):
            self._send(event.account, payloads.balances_event(event))

    def close_all(self) -> None:
        """Close every connection in order."""
        for connection in self._accounts:
            connection.close()

    def cut_all(self) -> None:
        """Break every connection off."""
        for connection in list(self._accounts):
            connection.cut()

    def end_streams(self) -> None:
        """Stop every user stream while its connection stays."""
        for connection, account in self._accounts.items():
            if account:
                event = {"e": "eventStreamTerminated", "E": self._now_ms()}
                connection.send(_encode({"subscriptionId": 0, "event": event}))
                self._accounts[connection] = ""

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._accounts)

    def _send(self, account: str, event: payloads.Body) -> None:
        if self._faults.stream.is_mute:
            return
        text = _encode({"subscriptionId": 0, "event": event})
        for connection, owner in self._accounts.items():
            if owner == account:
                connection.send(text)

    def _on_text(self, connection: Connection, text: str) -> None:
        if self._faults.stream.ignores_requests or self._faults.stream.is_mute:
            return
        number = None
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
            number = request.get("id")
            answer = {"id": number, "status": 200, "result": self._result(connection, request)}
        except msgspec.MsgspecError as error:
            answer = _refusal(None, Refused(-1135, f"Invalid JSON Request: {error}"))
        except Refused as refused:
            answer = _refusal(number, refused)
        connection.send(_encode(answer))

    def _result(self, connection: Connection, request: dict[str, Any]) -> payloads.Body:
        method, given = request.get("method"), request.get("params", {})
        if method == "ping":
            return {}
        if method != SUBSCRIBE:
            raise Refused(-1020, "This operation is not supported.")
        parameters = {name: str(value) for name, value in given.items()}
        signature = parameters.pop("signature", "")
        payload = urlencode(sorted(parameters.items()))
        self.logins.append(signature)
        api_key = parameters.get("apiKey", "")
        account = self._gatekeeper.account(api_key, payload, signature, parameters)
        self._accounts[connection] = account
        return {"subscriptionId": 0}


def _refusal(number: object, refused: Refused) -> payloads.Body:
    error = {"code": refused.code, "msg": refused.text}
    return {"id": number, "status": refused.status, "error": error}


def _encode(body: payloads.Body) -> str:
    return msgspec.json.encode(body).decode()
