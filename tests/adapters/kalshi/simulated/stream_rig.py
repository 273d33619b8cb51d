"""An exchange turned by hand, and sessions whose frames a test reads, without a network."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from adapters.kalshi.simulated.control import Control
from adapters.kalshi.simulated.domain import Book, Market, Refusal, Side, TickerState, Trade
from adapters.kalshi.simulated.emitted import ExchangeEvent, LevelChanged, TickerChanged, Traded
from adapters.kalshi.simulated.frames import Frame, Item
from adapters.kalshi.simulated.stream_hub import StreamHub
from adapters.kalshi.simulated.stream_session import StreamSession
from adapters.kalshi.simulated.stream_settings import StreamSettings
from framework.interfaces import Clock
from tests.fakes import ManualClock

BOS, NYC, SEA = "KXRAIN-26NOV21-BOS", "KXRAIN-26NOV21-NYC", "KXRAIN-26NOV21-SEA"
START_NS = 1_770_000_000_123_456_000
SECOND_NS = 1_000_000_000
Message = dict[str, Any]


class HandExchange:
    """A `StreamSource` with books that change when a test says so; `data` is itself."""

    def __init__(self, clock: Clock, tickers: tuple[str, ...] = (BOS, NYC, SEA)) -> None:
        self._clock = clock
        self._listeners: list[Callable[[ExchangeEvent], None]] = []
        self._markets: dict[str, Market] = {}
        self._ladders: dict[tuple[str, Side], dict[int, int]] = {}
        for ticker in tickers:
            self.add_market(ticker)

    @property
    def data(self) -> "HandExchange":
        return self

    def add_market(self, ticker: str) -> None:
        """Make a market without telling anybody."""
        self._markets[ticker] = Market(
            ticker=ticker,
            event_ticker=ticker.rpartition("-")[0],
            market_id=f"id-{ticker}",
            status="active",
        )

    def listen(self, on_event: Callable[[ExchangeEvent], None]) -> None:
        self._listeners.append(on_event)

    def emit(self, event: ExchangeEvent) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            listener(event)

    def change(
        self,
        ticker: str,
        side: Side,
        price: int,
        change: int,
        *,
        owner: str = "",
        client_order_id: str = "",
        subaccount: int = 0,
    ) -> None:
        """Change a level, and tell."""
        ladder = self._ladders.setdefault((ticker, side), {})
        ladder[price] = ladder.get(price, 0) + change
        if not ladder[price]:
            del ladder[price]
        self.emit(
            LevelChanged(
                ticker=ticker,
                market_id=f"id-{ticker}",
                side=side,
                price=price,
                change=change,
                size=ladder.get(price, 0),
                owner=owner,
                client_order_id=client_order_id,
                subaccount=subaccount,
                time_ns=self._clock.now_ns,
            )
        )

    def trade(self, ticker: str, *, yes_price: int = 3900, count: int = 1200) -> None:
        """Report a trade."""
        self.emit(
            Traded(
                Trade(
                    trade_id="t-1",
                    ticker=ticker,
                    yes_price=yes_price,
                    count=count,
                    taker_side="yes",
                    time_ns=self._clock.now_ns,
                )
            )
        )

    def quote(self, ticker: str) -> None:
        """Report the ticker as it is."""
        self.emit(TickerChanged(self.ticker(ticker)))

    def markets(self) -> list[Market]:
        return list(self._markets.values())

    def has_market(self, ticker: str) -> bool:
        return ticker in self._markets

    def market(self, ticker: str) -> Market:
        if ticker not in self._markets:
            raise Refusal(404, "market_not_found", "market not found")
        return self._markets[ticker]

    def book(self, ticker: str) -> Book:
        yes, no = (
            tuple(sorted(self._ladders.get((ticker, side), {}).items()))
            for side in (Side.__args__)  # type: ignore[attr-defined]  # of a Literal
        )
        return Book(ticker, self.market(ticker).market_id, yes, no)

    def ticker(self, ticker: str) -> TickerState:
        market = self.market(ticker)
        return TickerState(
            market_ticker=ticker,
            market_id=market.market_id,
            price=3700,
            yes_bid=3600,
            yes_ask=3900,
            time_ns=self._clock.now_ns,
        )


class Peer:
    """The other end of a session: says what it likes, and reads what comes."""

    def __init__(self, session: StreamSession) -> None:
        self.session = session
        self._number = 0

    def say(self, cmd: str, number: int | None = None, **params: Any) -> int:
        """Send a command; returns its id."""
        if number is None:
            self._number += 1
            number = self._number
        command = {"id": number, "cmd": cmd, "params": params}
        self.session.receive_text(msgspec.json.encode(command))
        return number

    def subscribe(self, *channels: str, **params: Any) -> int:
        """Subscribe, by default to the market in Boston; returns the sid of the last channel."""
        if not params.keys() & {"market_ticker", "market_tickers", "market_ids"}:
            params["market_tickers"] = [BOS]
        self.say("subscribe", channels=list(channels), **params)
        return max(self.session.subscriptions, default=0)

    def items(self) -> list[Item]:
        """Take everything that waits."""
        return self.session.outbox.take(1_000_000)

    def raw(self) -> list[bytes]:
        """Take the text frames that wait, as bytes."""
        return [item.data for item in self.items() if isinstance(item, Frame)]

    def heard(self) -> list[Message]:
        """Take the text frames that wait."""
        return [msgspec.json.decode(data) for data in self.raw()]


class Rig:
    """Streams over a hand-turned exchange and clock."""

    def __init__(self, *, seed: int = 0, **settings: Any) -> None:
        self.clock = ManualClock(START_NS)
        self.exchange = HandExchange(self.clock)
        self.hub = StreamHub(self.exchange, self.clock, Random(seed), StreamSettings(**settings))
        self.control = Control(self.hub)

    def peer(self, account: str | None = "alice") -> Peer:
        """Return a new connection."""
        return Peer(self.hub.open(account))

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance_to(self.clock.now_ns + round(seconds * SECOND_NS))


def types(messages: list[Message]) -> list[str]:
    """Return the types of frames."""
    return [message["type"] for message in messages]


def numbers(messages: list[Message]) -> list[int | None]:
    """Return the sequence numbers of frames."""
    return [message.get("seq") for message in messages]


class ToldBook:
    """A book put together from frames by the plain rules of section 8."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, float]] = {"yes": {}, "no": {}}

    def take(self, message: Message) -> None:
        """Apply a snapshot or a delta."""
        body = message["msg"]
        if message["type"] == "orderbook_snapshot":
            for side in self.sides:
                levels = body.get(f"{side}_dollars_fp", [])
                self.sides[side] = {price: float(count) for price, count in levels}
        else:
            ladder = self.sides[body["side"]]
            size = ladder.pop(body["price_dollars"], 0.0) + float(body["delta_fp"])
            assert size >= 0
            if size:
                ladder[body["price_dollars"]] = size


def true_sides(book: Book) -> dict[str, dict[str, float]]:
    """Return a true book as a `ToldBook` has it."""
    return {
        side: {f"{price / 10_000:.4f}": count / 100 for price, count in ladder}
        for side, ladder in (("yes", book.yes), ("no", book.no))
    }
