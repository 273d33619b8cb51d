"""Subscriptions: which frames pass to a client, and which market data that asks of the venues.

A JSON array, of the whole server (`SUBSCRIPTIONS`, read at start) or of one client:

    [{"platform": "mock", "instrument": "AAPL", "events": ["quote", "candle_1m"]}, ...]

    no subscriptions at all                       everything passes
    connection, data_staleness, rate_limit,
    error, ping, backtest_complete                always pass
    account                                       any entry of the platform has it, or `*`
    everything else                               the entries of the instrument and of `*` together

Source: section 11.6 of the gateway's description.
"""

from collections.abc import Collection, Iterable
from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.tektii.words import TIMEFRAMES
from framework.errors import ConfigError
from framework.settings.places import config_error

ALL = "*"
MOST_ENTRIES = 1_000
KEPT_VERDICTS = 100_000
DEFAULT_TIMEFRAME = "1m"  # of candles that are asked for without one
DEFAULT_SYMBOLS = ("AAPL", "MSFT", "BTCUSD", "EURUSD")  # 16.1: watched in mock mode if none is


class Kind(Enum):
    """What a frame is about, as far as subscriptions tell frames apart."""

    QUOTE = "quote"
    CANDLE = "candle"
    ORDER = "order"
    POSITION = "position"
    TRADE = "trade"  # and financing
    ACCOUNT = "account"
    SYSTEM = "system"  # passes always


WORDS: dict[str, Kind] = {
    "quote": Kind.QUOTE,
    "quotes": Kind.QUOTE,
    "order_update": Kind.ORDER,
    "orders": Kind.ORDER,
    "position_update": Kind.POSITION,
    "positions": Kind.POSITION,
    "trade_update": Kind.TRADE,
    "trades": Kind.TRADE,
    "trade": Kind.TRADE,
    "account_update": Kind.ACCOUNT,
}
ALL_CANDLES = ("candle_*", "bars", "bar", "candle")
VALID = (
    "*, quote, quotes, candle_<timeframe>, candles.<timeframe>, candle_*, candle, bars, bar,"
    " order_update, orders, position_update, positions, trade_update, trades, trade,"
    " account_update; timeframes: " + ", ".join(TIMEFRAMES)
)

Passing = tuple[Kind, str]
"""What one pattern lets through: a kind, and of candles the timeframe (`*`: all of them)."""


class Entry(msgspec.Struct, frozen=True):
    """One subscription; what is said beyond these members is ignored."""

    platform: Annotated[str, Meta(min_length=1, max_length=50)]
    instrument: Annotated[str, Meta(min_length=1, max_length=50)]
    events: Annotated[
        tuple[Annotated[str, Meta(max_length=100)], ...], Meta(min_length=1, max_length=100)
    ]


class Want(msgspec.Struct, frozen=True):
    """Market data that a subscription asks for; the symbol `*` stands for all that are known."""

    platform: str
    symbol: str
    channel: str
    interval: str = ""


class Subscriptions:
    """A list of subscriptions, and what passes through it.

    Attributes:
        text: the same for lists that let the same through; "" where everything passes.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self._by_name: dict[tuple[str, str], set[Passing]] = {}
        for entry in self.entries:
            passing = self._by_name.setdefault((entry.platform, entry.instrument), set())
            for pattern in entry.events:
                passing |= passing_of(pattern)
        self._verdicts: dict[tuple[str, str, Kind, str], bool] = {}
        self.text = ""
        if self.entries:
            named = sorted(
                (*name, sorted((kind.value, timeframe) for kind, timeframe in passing))
                for name, passing in self._by_name.items()
            )
            self.text = msgspec.json.encode(named).decode()

    def __bool__(self) -> bool:
        """Whether it lists anything."""
        return bool(self.entries)

    def passes(self, platform: str, symbol: str, kind: Kind, timeframe: str = "") -> bool:
        """Tell whether a frame about this goes out; `symbol` "" where it is about none."""
        if not self.entries or kind is Kind.SYSTEM:
            return True
        name = (platform, symbol, kind, timeframe)
        verdict = self._verdicts.get(name)
        if verdict is None:
            if len(self._verdicts) >= KEPT_VERDICTS:
                self._verdicts.clear()
            verdict = self._verdicts[name] = self._judge(*name)
        return verdict

    def wants(self) -> frozenset[Want]:
        """Return the market data that is asked for."""
        found: set[Want] = set()
        for (platform, symbol), passing in self._by_name.items():
            for kind, timeframe in passing:
                if kind is Kind.QUOTE:
                    found.add(Want(platform, symbol, "quotes"))
                elif kind is Kind.CANDLE:
                    interval = DEFAULT_TIMEFRAME if timeframe == ALL else timeframe
                    found.add(Want(platform, symbol, "candles", interval))
        return frozenset(found)

    def with_entries(self, entries: Iterable[Entry]) -> "Subscriptions":
        """Return this list with more entries; those it has already count once."""
        return Subscriptions(dict.fromkeys((*self.entries, *entries)))

    def without(self, entries: Collection[Entry]) -> "Subscriptions":
        """Return this list without what `entries` name: pattern by pattern of the instrument."""
        gone = {(one.platform, one.instrument, event) for one in entries for event in one.events}
        left = (
            Entry(
                one.platform,
                one.instrument,
                tuple(e for e in one.events if (one.platform, one.instrument, e) not in gone),
            )
            for one in self.entries
        )
        return Subscriptions(one for one in left if one.events)

    def _judge(self, platform: str, symbol: str, kind: Kind, timeframe: str) -> bool:
        if kind is Kind.ACCOUNT:
            return any(
                (Kind.ACCOUNT, "") in passing
                for (of, _), passing in self._by_name.items()
                if of == platform
            )
        for name in (symbol, ALL):
            passing = self._by_name.get((platform, name), ())
            if (kind, timeframe) in passing:
                return True
            if kind is Kind.CANDLE and (kind, ALL) in passing:
                return True
        return False


EVERYTHING = Subscriptions()


def default_wants(platform: str) -> frozenset[Want]:
    """Return what mock mode watches where there are no subscriptions."""
    return frozenset(
        want
        for symbol in DEFAULT_SYMBOLS
        for want in (
            Want(platform, symbol, "quotes"),
            Want(platform, symbol, "candles", DEFAULT_TIMEFRAME),
        )
    )


def passing_of(pattern: str) -> set[Passing]:
    """Return what one pattern lets through; empty: it is none."""
    if pattern == ALL:
        return {(kind, "") for kind in Kind if kind is not Kind.CANDLE} | {(Kind.CANDLE, ALL)}
    if pattern in ALL_CANDLES:
        return {(Kind.CANDLE, ALL)}
    for prefix in ("candle_", "candles."):
        timeframe = pattern.removeprefix(prefix)
        if timeframe != pattern and timeframe in TIMEFRAMES:
            return {(Kind.CANDLE, timeframe)}
    kind = WORDS.get(pattern)
    return set() if kind is None else {(kind, "")}


def subscriptions_from(text: str, platforms: Collection[str], *, key: str = "") -> Subscriptions:
    """Return the subscriptions that JSON text lists; empty text lists none.

    Raises:
        ConfigError: it is no such list, or names an unknown platform or pattern.
    """
    if not text.strip():
        return EVERYTHING
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise config_error(f"subscriptions are no JSON: {error}", key=key) from error
    return subscriptions_of(found, platforms, key=key)


def subscriptions_of(listed: object, platforms: Collection[str], *, key: str = "") -> Subscriptions:
    """Return the subscriptions that decoded JSON lists.

    Raises:
        ConfigError: as `subscriptions_from`.
    """
    return Subscriptions(entries_of(listed, platforms, key=key))


def entries_of(listed: object, platforms: Collection[str], *, key: str = "") -> list[Entry]:
    """Return the entries that decoded JSON lists. Raises ConfigError, as `subscriptions_from`."""
    if not isinstance(listed, list):
        raise config_error("subscriptions are a JSON array of objects", key=key)
    if len(listed) > MOST_ENTRIES:
        raise config_error(f"more than {MOST_ENTRIES} subscriptions: {len(listed)}", key=key)
    return [_entry_of(one, platforms, f"{key}[{index}]") for index, one in enumerate(listed)]


def _entry_of(listed: object, platforms: Collection[str], key: str) -> Entry:
    try:
        entry = msgspec.convert(listed, Entry)
    except msgspec.ValidationError as error:
        raise config_error(str(error), key=key) from error
    if entry.platform not in platforms:
        raise _unknown("platform", entry.platform, ", ".join(sorted(platforms)), f"{key}.platform")
    for index, pattern in enumerate(entry.events):
        if not passing_of(pattern):
            raise _unknown("event", pattern, VALID, f"{key}.events[{index}]")
    return entry


def _unknown(what: str, given: str, valid: str, key: str) -> ConfigError:
    return config_error(f"unknown {what} {given!r}; valid: {valid}", key=key)
