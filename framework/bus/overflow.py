"""What a full channel does, and which channel each event travels in."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from framework.errors import ConfigError
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    AccountReconciled,
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    OperatorAsked,
    OrderAnomaly,
    Overflowed,
    RateLimited,
    Resynced,
    RunStarted,
    RunStopping,
    Timer,
    TradingStarted,
)
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookChanged,
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)
from framework.model.orders import Fill, FillCorrected, Order

BATCH = 256  # events a subscriber takes per turn of the loop


class Overflow(Enum):
    """What a full channel does with one more event."""

    DROP_OLDEST = "drop_oldest"  # the newest value wins: quotes
    ERROR = "error"  # a hole would corrupt state: book deltas, fills
    CONFLATE = "conflate"  # the newest value per key, in the place of the oldest undelivered


class ChannelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel's capacity in events and its overflow rule."""

    capacity: int
    overflow: Overflow


DEFAULT_RULES: dict[str, ChannelRule] = {
    "quotes": ChannelRule(1_000, Overflow.DROP_OLDEST),
    "trades": ChannelRule(1_000, Overflow.DROP_OLDEST),
    "candles": ChannelRule(1_000, Overflow.ERROR),
    "forming": ChannelRule(1_000, Overflow.CONFLATE),
    "book": ChannelRule(1_000, Overflow.CONFLATE),
    "deltas": ChannelRule(1_000, Overflow.ERROR),
    "market": ChannelRule(1_000, Overflow.CONFLATE),
    "orders": ChannelRule(10_000, Overflow.ERROR),
    "fills": ChannelRule(10_000, Overflow.ERROR),
    "positions": ChannelRule(10_000, Overflow.ERROR),
    "account": ChannelRule(10_000, Overflow.ERROR),
    "timers": ChannelRule(10_000, Overflow.CONFLATE),
    "runs": ChannelRule(1_000, Overflow.ERROR),
    "system": ChannelRule(1_000, Overflow.CONFLATE),
    "incidents": ChannelRule(1_000, Overflow.DROP_OLDEST),
}

FORMING = "forming"  # candles that are not closed yet


class EventRule(msgspec.Struct, frozen=True):
    """How events of one type travel: channel, the fields that route them, the conflation key.

    An event struct of a user's own declares it as its class attribute `RULE`.
    """

    channel: str
    route_by: tuple[str, ...] = ()  # none: one route for the whole type
    key: Callable[[Any], object] | None = None
    own_rule: ChannelRule | None = None  # of a channel that only this event type has


def check_capacity(channel: str, rule: ChannelRule) -> None:
    """Refuse a queue that one turn of the loop can overflow.

    Raises:
        ConfigError: the capacity is smaller than one turn.
    """
    if rule.capacity < BATCH:
        raise ConfigError(
            f"capacity {rule.capacity} is smaller than one turn of {BATCH} events",
            key=f"queues.{channel}.capacity",
        )


def rule_of(event_type: type, channels: Mapping[str, ChannelRule]) -> EventRule:
    """Return how events of a type travel.

    An event of a user's own without `RULE` has a channel to itself that loses nothing silently.

    Raises:
        ConfigError: its `RULE` names a channel, or fields, that do not exist.
    """
    rule = EVENT_RULES.get(event_type) or getattr(event_type, "RULE", None)
    name = event_type.__name__
    if rule is None:
        return EventRule(name, own_rule=ChannelRule(1_000, Overflow.ERROR))
    if not isinstance(rule, EventRule):
        raise ConfigError(f"{name}.RULE must be an EventRule, not {type(rule).__name__}")
    if rule.own_rule is not None:
        check_capacity(rule.channel, rule.own_rule)
    elif rule.channel not in channels:
        raise ConfigError(
            f"{name}.RULE names the channel {rule.channel!r}, which has no rule: "
            f"give it an own_rule, or use one of {', '.join(channels)}"
        )
    fields = getattr(event_type, "__struct_fields__", rule.route_by)
    missing = [field for field in rule.route_by if field not in fields]
    if missing:
        raise ConfigError(f"{name}.RULE routes by {missing[0]!r}, but {name} has no such field")
    return rule


def _by_instrument(event: Any) -> object:
    return type(event), event.instrument


def _by_stream(event: Any) -> object:
    return type(event), event.instrument, event.stream


EVENT_RULES: dict[type, EventRule] = {
    Quote: EventRule("quotes", ("instrument",)),
    Trade: EventRule("trades", ("instrument",)),
    Candle: EventRule("candles", ("instrument", "interval"), lambda e: (e.instrument, e.interval)),
    BookChanged: EventRule("book", ("instrument",), _by_instrument),
    BookSnapshot: EventRule("deltas", ("instrument",)),
    BookDelta: EventRule("deltas", ("instrument",)),
    Ticker: EventRule("market", ("instrument",), _by_instrument),
    MarkPrice: EventRule("market", ("instrument",), _by_instrument),
    Funding: EventRule("market", ("instrument",), _by_instrument),
    MarketStatus: EventRule("market", ("instrument",), _by_instrument),
    InstrumentChanged: EventRule("market", ("instrument",), _by_instrument),
    Order: EventRule("orders", ("run",)),
    Fill: EventRule("fills", ("run",)),
    FillCorrected: EventRule("fills", ("run",)),
    Position: EventRule("positions", ("run",)),
    Account: EventRule("account", ("account",)),
    CashBooked: EventRule("account", ("run",)),
    Settled: EventRule("account", ("account",)),
    Timer: EventRule("timers", ("owner",), lambda e: e.name),
    RunStarted: EventRule("runs", ("run",)),
    RunStopping: EventRule("runs", ("run",)),
    TradingStarted: EventRule("runs"),
    AccountReconciled: EventRule("runs"),
    OperatorAsked: EventRule("runs"),
    ConnectionChanged: EventRule("system", (), lambda e: (type(e), e.venue, e.link)),
    GapDetected: EventRule("system", ("instrument",), _by_stream),
    Resynced: EventRule("system", ("instrument",), _by_stream),
    DataStale: EventRule("system", ("instrument",), _by_stream),
    Overflowed: EventRule("system", (), lambda e: (type(e), e.subscriber, e.channel)),
    RateLimited: EventRule("incidents"),
    ErrorRaised: EventRule("incidents"),
    OrderAnomaly: EventRule("incidents"),
}
