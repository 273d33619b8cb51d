"""Recorded markets through the whole framework, and through plain loops that know nothing of it.

Every figure must be equal to the last digit: times, numbers of events, orders and fills, the
fills themselves, and the final equity.
"""

import csv
import gzip
import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import msgspec

from framework import Strategy
from framework.backtest.result import BacktestResult
from framework.backtest.runner import run_backtest
from framework.model.market_data import Quote
from framework.settings.structs import Settings
from tests.real_data import real_data_file
from tests.scripted_venue import class_path

Trade = tuple[int, str, Decimal, Decimal]
"""Time in nanoseconds, side, quantity, price."""

Played = tuple[BacktestResult, list[Trade]]


class Expected(msgspec.Struct):
    """What a plain loop came to."""

    first_ns: int = 0
    last_ns: int = 0
    events: int = 0
    orders: int = 0
    fills: list[Trade] = msgspec.field(default_factory=list)
    equity: Decimal = Decimal(0)


def play(config: Mapping[str, Any]) -> Played:
    """Run a backtest as the command line would."""
    result, artifacts = run_backtest(msgspec.convert(config, Settings))
    return result, [
        (fill.time_ns, fill.side.value, fill.quantity, fill.price) for fill in artifacts.fills
    ]


def config(
    path: Path,
    strategy: str,
    *,
    instrument: Mapping[str, Any],
    source: Mapping[str, Any],
    costs: Mapping[str, Any],
    settings: Mapping[str, Any],
    balance: int = 1_000_000,
) -> dict[str, Any]:
    """Return a backtest of one strategy over one file."""
    symbol, currency = instrument["symbol"], instrument["currency"]
    return {
        "mode": "backtest",
        "venues": {
            "x": {
                "adapter": "replay",
                "source": {"files": str(path), "instrument": symbol, **source},
                "instruments": [instrument],
                "costs": costs,
            }
        },
        "accounts": {"main": {"venue": "x", "currency": currency, "balances": {currency: balance}}},
        "strategies": [
            {
                "id": "run",
                "class": strategy,
                "account": "main",
                "settings": {"instrument": f"x:{symbol}", **settings},
            }
        ],
    }


def check(played: Played, expected: Expected) -> None:
    """Compare everything."""
    result, fills = played
    assert (result.first_ns, result.last_ns) == (expected.first_ns, expected.last_ns)
    assert (result.events, result.orders) == (expected.events, expected.orders)
    assert fills == expected.fills
    assert result.fills == len(expected.fills)
    assert result.final_equity == expected.equity
    assert (result.denied, result.rejected) == (0, 0)


def utc_ns(text: str) -> int:
    """Return the nanoseconds of an ISO time in UTC."""
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    at = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return int(at.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


# -- candles --------------------------------------------------------------------------------------

MINUTE_NS = 60_000_000_000


def cross_by_hand(path: Path, *, fast: int, slow: int, fee: Decimal) -> Expected:
    """Trade the crossing of two averages; an order of one candle fills at the open of the next."""
    expected = Expected(first_ns=-1)
    closes: deque[Decimal] = deque(maxlen=slow)
    cash, held, wanted = Decimal(1_000_000), Decimal(0), Decimal(0)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            open_ns = utc_ns(row["timestamp"])
            expected.events += 1
            expected.last_ns = open_ns + MINUTE_NS
            if expected.first_ns < 0:
                expected.first_ns = expected.last_ns
            if wanted:
                price = Decimal(row["open"])
                cash -= wanted * price + abs(wanted) * price * fee
                held += wanted
                side = "buy" if wanted > 0 else "sell"
                expected.fills.append((expected.last_ns, side, abs(wanted), price))
                wanted = Decimal(0)
            closes.append(Decimal(row["close"]))
            if len(closes) == slow:
                fast_sum, slow_sum = sum(list(closes)[-fast:]), sum(closes)
                is_above, is_below = (
                    fast_sum * slow > slow_sum * fast,
                    fast_sum * slow < slow_sum * fast,
                )
                if is_above and not held:
                    wanted = Decimal(1)
                elif is_below and held > 0:
                    wanted = -held
                expected.orders += bool(wanted)
    expected.equity = cash + held * closes[-1]
    return expected


def test_moving_averages_on_a_month_of_bitcoin_candles() -> None:
    path = real_data_file("btc-perp-1m-2022-01.csv.gz")

    played = play(
        config(
            path,
            "strategies.moving_average_cross:MovingAverageCross",
            instrument={
                "symbol": "BTCPERP",
                "kind": "perpetual",
                "currency": "USD",
                "tick": "0.5",
                "lot": "0.001",
            },
            source={"kind": "candles", "stamp": "open", "interval": "1m"},
            costs={"fees_bps": 5},
            settings={"fast": 10, "slow": 30},
        )
    )

    check(played, cross_by_hand(path, fast=10, slow=30, fee=Decimal("0.0005")))
    result, fills = played
    assert (result.events, len(fills)) == (45_031, 1_890)
    assert result.final_equity == Decimal("941747.86875")


# -- quotes ---------------------------------------------------------------------------------------


class Reverter(Strategy):
    """Buys while the mid is below the mean of the last ones, sells above it; long or flat."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration may set."""

        instrument: str
        length: int = 20
        quantity: Decimal = Decimal(1_000)

    settings: Settings

    def on_start(self) -> None:
        self.mids: deque[float] = deque(maxlen=self.settings.length)
        self.watch_quotes(self.settings.instrument)

    def on_quote(self, quote: Quote) -> None:
        self.mids.append(quote.bid + quote.ask)
        if len(self.mids) < self.settings.length:
            return
        mean = sum(self.mids) / len(self.mids)
        position = self.position(quote.instrument)
        if position.is_flat and self.mids[-1] < mean:
            self.buy(quote.instrument, self.settings.quantity)
        elif position.is_long and self.mids[-1] > mean:
            self.close(quote.instrument)


def revert_by_hand(path: Path, *, length: int, quantity: Decimal, fee: Decimal) -> Expected:
    """Trade at the bid or ask of the quote that decides."""
    expected = Expected(first_ns=-1)
    mids: deque[float] = deque(maxlen=length)
    cash, held, mid = Decimal(100_000_000), Decimal(0), 0.0
    with path.open() as file:
        for row in csv.DictReader(file):
            bid, ask = float(row["bid"]), float(row["ask"])
            expected.events += 1
            expected.last_ns = utc_ns(row["timestamp"])
            expected.first_ns = expected.last_ns if expected.first_ns < 0 else expected.first_ns
            mids.append(bid + ask)
            mid = (bid + ask) / 2
            mean = sum(mids) / len(mids)
            wanted = Decimal(0)
            if len(mids) == length:
                if not held and bid + ask < mean:
                    wanted = quantity
                elif held and bid + ask > mean:
                    wanted = -held
            if wanted:
                price = Decimal(row["ask"] if wanted > 0 else row["bid"])
                cash -= wanted * price + quantity * price * fee
                held += wanted
                side = "buy" if wanted > 0 else "sell"
                expected.fills.append((expected.last_ns, side, quantity, price))
                expected.orders += 1
    expected.equity = cash + held * Decimal(repr(mid))
    return expected


def test_mean_reversion_on_dollar_yen_quotes() -> None:
    path = real_data_file("usdjpy-quotes-2013-01.csv")

    played = play(
        config(
            path,
            class_path(Reverter),
            instrument={
                "symbol": "USDJPY",
                "currency": "JPY",
                "base": "USD",
                "tick": "0.001",
                "lot": "1",
            },
            source={"kind": "quotes"},
            costs={"fees_bps": "0.2"},
            settings={},
            balance=100_000_000,
        )
    )

    expected = revert_by_hand(path, length=20, quantity=Decimal(1_000), fee=Decimal("0.00002"))
    check(played, expected)
    assert expected.events == 1_000
    assert len(expected.fills) >= 50


# -- books ----------------------------------------------------------------------------------------

TICK = Decimal("0.0001")


class Maker(msgspec.Struct):
    """A market maker and its venue in one: a bid and an ask that fill when they are reached."""

    size: Decimal
    spread_bps: float
    skew_bps: float
    requote_bps: float
    maximum: Decimal
    fee: Decimal
    cash: Decimal
    held: Decimal = Decimal(0)
    quoted: float = 0.0
    price: dict[str, Decimal] = msgspec.field(default_factory=dict)
    left: dict[str, Decimal] = msgspec.field(default_factory=dict)
    orders: int = 0

    def match(self, bids: Mapping[float, float], asks: Mapping[float, float]) -> list[Any]:
        """Fill what the other side has reached, at our price, up to what it displays."""
        fills = []
        for side, other in (("buy", asks), ("sell", bids)):
            if side not in self.price:
                continue
            limit = float(self.price[side])
            reached = [
                size
                for at, size in other.items()
                if (at <= limit if side == "buy" else at >= limit)
            ]
            taken = min(self.left[side], sum(map(lot, reached), Decimal(0)))
            if taken:
                fills.append((side, taken, self.price[side]))
                self.held += taken if side == "buy" else -taken
                value = taken * self.price[side]
                self.cash += (-value if side == "buy" else value) - value * self.fee
                self.left[side] -= taken
                if not self.left[side]:
                    del self.price[side], self.left[side]
        return fills

    def look(self, bid: float, ask: float) -> None:
        """Quote again once the mid has moved far enough."""
        mid = (bid + ask) / 2.0
        if abs(mid - self.quoted) <= mid * self.requote_bps / 1e4:
            return
        self.quoted = mid
        lean = max(-1.0, min(1.0, float(self.held) / float(self.maximum)))
        centre = mid * (1.0 - self.skew_bps / 1e4 * lean)
        reach = mid * self.spread_bps / 2e4
        low = Decimal(repr(centre - reach)).quantize(TICK, ROUND_FLOOR)
        high = Decimal(repr(centre + reach)).quantize(TICK, ROUND_CEILING)
        self.place("buy", low if self.held + self.size <= self.maximum else None, bid, ask)
        self.place("sell", high if self.held - self.size >= -self.maximum else None, bid, ask)

    def place(self, side: str, price: Decimal | None, bid: float, ask: float) -> None:
        """Have one order of `side` at `price`, unless it would take."""
        if price is None:
            self.price.pop(side, None)
            self.left.pop(side, None)
            return
        takes = float(price) >= ask if side == "buy" else float(price) <= bid
        if side in self.price:
            if not takes:
                self.price[side] = price
            return
        self.orders += 1
        assert not takes, "the loop below says so: nothing is rejected"
        self.price[side], self.left[side] = price, self.size


def lot(size: float) -> Decimal:
    """Return a displayed size in whole lots of 1."""
    return Decimal(repr(size)) // 1


def make_by_hand(path: Path, maker: Maker) -> Expected:
    """Play the book's messages: match what rests, look, and look again after a fill."""
    expected = Expected(first_ns=-1)
    sides: dict[str, dict[float, float]] = {"b": {}, "a": {}}
    bid = ask = 0.0
    with gzip.open(path, "rt") as file:
        for line in file:
            message = json.loads(line)
            expected.events += 1
            expected.last_ns = message["ts"] * 1_000_000
            expected.first_ns = expected.last_ns if expected.first_ns < 0 else expected.first_ns
            for side, levels in sides.items():
                if message["type"] == "snapshot":
                    levels.clear()
                for price, size in message["data"][side]:
                    levels[float(price)] = float(size)
                    if not float(size):
                        del levels[float(price)]
            bid, ask = max(sides["b"]), min(sides["a"])
            fills = maker.match(sides["b"], sides["a"])
            expected.fills += [(expected.last_ns, *fill) for fill in fills]
            maker.look(bid, ask)
            for _ in fills:
                maker.quoted = 0.0
                maker.look(bid, ask)
    expected.orders = maker.orders
    expected.equity = maker.cash + maker.held * Decimal(repr((bid + ask) / 2))
    return expected


def test_a_market_maker_on_a_recorded_book() -> None:
    path = real_data_file("xrpusdt-book500-2024-12-01.jsonl.gz")
    quoting: dict[str, Any] = {"spread_bps": 0.4, "skew_bps": 0.1, "requote_bps": 0.1}

    played = play(
        config(
            path,
            "strategies.market_maker:MarketMaker",
            instrument={
                "symbol": "XRPUSDT",
                "kind": "perpetual",
                "currency": "USDT",
                "tick": "0.0001",
                "lot": "1",
            },
            source={"kind": "book"},
            costs={"maker_bps": 1, "taker_bps": 5},
            settings={"quantity": 3_000, "maximum_position": 15_000, "can_short": True, **quoting},
        )
    )

    maker = Maker(
        size=Decimal(3_000),
        maximum=Decimal(15_000),
        fee=Decimal("0.0001"),
        cash=Decimal(1_000_000),
        **quoting,
    )
    expected = make_by_hand(path, maker)
    check(played, expected)
    assert expected.events == 50
    assert {side for _, side, _, _ in expected.fills} == {"buy", "sell"}
