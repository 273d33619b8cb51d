"""The market data sockets of the simulated venue: combined streams, subscriptions, pulses.

Level changes gather for `PULSE_MS` and go out as one event per symbol; trades and best prices go
out at once; candles every two seconds while they change, and when they close.
Source: "WebSocket Streams for Binance" (Spot).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from adapters.binance.simulated import payloads
from adapters.binance.simulated.connections import Connection, opened
from adapters.binance.simulated.domain import BestChanged, TradeMade, VenueEvent
from adapters.binance.simulated.exchange import Exchange
from adapters.binance.simulated.faults import Fate, Faults
from adapters.binance.simulated.klines import INTERVALS_MS

PULSE_MS = 100
KLINE_MS = 2_000
PING_S = 20.0
MOST_MESSAGES = 5  # per second
MOST_STREAMS = 1_024
BAD_REQUEST = 2

OnText = Callable[[str], None]


class Listener:
    """One connection, what it listens to, and how much it says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.streams: dict[str, None] = {}
        self.held: str | None = None  # a frame that lets the next one pass
        self._said_ms: deque[int] = deque(maxlen=MOST_MESSAGES + 1)

    def says_too_much(self, now_ms: int) -> bool:
        """Count a message; whether they come faster than is allowed."""
        said = self._said_ms
        said.append(now_ms)
        return len(said) > MOST_MESSAGES and now_ms - said[0] < 1_000


class MarketStreams:
    """Every market data connection; `on_depth` hears of each depth event before it goes out."""

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        *,
        now_ms: Callable[[], int],
        longest_s: float,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.on_depth: Callable[[str, int], None] = _nothing
        self.opened_count = 0
        self._exchange = exchange
        self._faults = faults
        self._now_ms = now_ms
        self._longest_s = longest_s
        self._later = later
        self._listeners: dict[Listener, None] = {}
        self._told: dict[tuple[str, str], tuple[int, int, payloads.Body]] = {}

    # -- connections -----------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        connection, socket = await opened(request, ping_s=PING_S)
        self.opened_count += 1
        listener = Listener(connection)
        for stream in request.query.get("streams", "").split("/"):
            if self._is_known(stream):
                listener.streams[stream] = None
        self._listeners[listener] = None
        self._later(self._longest_s, connection.close)
        try:
            await connection.run(lambda text: self._on_text(listener, text))
        finally:
            del self._listeners[listener]
        return socket

    def close_all(self) -> None:
        """Close every connection in order."""
        for listener in self._listeners:
            listener.connection.close()

    def cut_all(self) -> None:
        """Break every connection off."""
        for listener in list(self._listeners):
            listener.connection.cut()

    def announce_shutdown(self) -> None:
        """Tell every connection that its server is about to go."""
        text = _encode({"e": "serverShutdown", "E": self._now_ms()})
        for listener in self._listeners:
            listener.connection.send(text)

    def subscriptions(self) -> list[str]:
        """Every stream that somebody listens to, sorted."""
        return sorted({stream for listener in self._listeners for stream in listener.streams})

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._listeners)

    # -- requests --------------------------------------------------------------------------------

    def _on_text(self, listener: Listener, text: str) -> None:
        if listener.says_too_much(self._now_ms()):
            listener.connection.cut()
            return
        if self._faults.stream.ignores_requests or self._faults.stream.is_mute:
            return
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            listener.connection.send(_encode({"code": 3, "msg": f"Invalid JSON: {error}"}))
            return
        listener.connection.send(_encode(self._answer(listener, request)))

    def _answer(self, listener: Listener, request: dict[str, Any]) -> payloads.Body:
        method, number = request.get("method"), request.get("id")
        streams = request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(listener.streams), "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return {"code": BAD_REQUEST, "msg": "Invalid request: unknown variant", "id": number}
        if method == "UNSUBSCRIBE":
            for stream in streams:
                listener.streams.pop(stream, None)
            return {"result": None, "id": number}
        wrong = [stream for stream in streams if not self._is_known(stream)]
        if wrong or len(listener.streams) + len(streams) > MOST_STREAMS:
            text = f"Invalid request: no stream {', '.join(wrong)}" if wrong else "Too many streams"
            return {"code": BAD_REQUEST, "msg": text, "id": number}
        listener.streams.update(dict.fromkeys(streams))
        return {"result": None, "id": number}

    def _is_known(self, stream: str) -> bool:
        symbol, _, kind = stream.partition("@")
        if stream in self._faults.stream.refused or symbol.upper() not in self._exchange.markets:
            return False
        is_kline = kind.startswith("kline_") and kind[6:] in INTERVALS_MS
        return is_kline or kind in ("trade", "bookTicker", "depth@100ms")

    # -- events ----------------------------------------------------------------------------------

    def on_event(self, event: VenueEvent) -> None:
        """Tell the public what concerns it."""
        if isinstance(event, TradeMade):
            self._send(f"{event.symbol.lower()}@trade", payloads.trade_event(event))
        elif isinstance(event, BestChanged):
            self._send(f"{event.symbol.lower()}@bookTicker", payloads.ticker_event(event))

    def pulse(self) -> None:
        """Tell of the levels that changed, and of candles that are due."""
        now_ms = self._now_ms()
        for symbol, market in self._exchange.markets.items():
            market.klines.pass_time(now_ms)
            change = market.take_change()
            if change is not None:
                self.on_depth(symbol, change.last)
                event = payloads.depth_event(symbol, change, now_ms)
                self._send_depth(f"{symbol.lower()}@depth@100ms", event)
        for stream in self.subscriptions():
            name, _, kind = stream.partition("@")
            if kind.startswith("kline_"):
                self._tell_kline(name.upper(), kind[6:], now_ms)

    def _tell_kline(self, symbol: str, interval: str, now_ms: int) -> None:
        klines = self._exchange.markets[symbol].klines
        bar = klines.bar(interval, now_ms)
        open_ms, told_ms, told = self._told.get((symbol, interval), (bar.open_ms, 0, {}))
        stream = f"{symbol.lower()}@kline_{interval}"
        if open_ms != bar.open_ms:
            old = klines.bar(interval, open_ms)
            event = payloads.kline_event(symbol, interval, old, now_ms=now_ms, is_closed=True)
            self._send(stream, event)
        elif now_ms < told_ms + KLINE_MS:
            return
        event = payloads.kline_event(symbol, interval, bar, now_ms=now_ms, is_closed=False)
        self._told[symbol, interval] = bar.open_ms, now_ms, event["k"]
        if event["k"] != told:
            self._send(stream, event)

    def _send(self, stream: str, data: payloads.Body) -> None:
        if self._faults.stream.is_mute:
            return
        text = ""
        for listener in self._listeners:
            if stream in listener.streams:
                text = text or _encode({"stream": stream, "data": data})
                listener.connection.send(text)

    def _send_depth(self, stream: str, data: payloads.Body) -> None:
        """Send a depth event as the faults of now have it, to each connection by itself."""
        if self._faults.stream.is_mute:
            return
        text = _encode({"stream": stream, "data": data})
        for listener in self._listeners:
            if stream not in listener.streams:
                continue
            fate = self._faults.fate()
            if fate is Fate.LATE and listener.held is None:
                listener.held = text
                continue
            for frame in self._frames(text, fate):
                listener.connection.send(frame)
            if listener.held is not None:
                listener.connection.send(listener.held)
                listener.held = None

    def _frames(self, text: str, fate: Fate) -> tuple[str, ...]:
        if fate is Fate.LOST:
            return ()
        if fate is Fate.GARBLED:
            return (self._faults.damaged(text),)
        return (text, text) if fate is Fate.REPEATED else (text,)


def _encode(body: payloads.Body) -> str:
    return msgspec.json.encode(body).decode()


def _nothing(symbol: str, update_id: int) -> None:
    """Tell nobody."""
