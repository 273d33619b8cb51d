"""Frames of every type in every generation of the wire, spelled from the same content.

A shape names the fields of a type, by their names in `messages`, and how the generations spell
each. `spell` is an encoder of its own: it shares no code with what it tests.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

BARE = "bare"  # cents and whole contracts only, as the oldest servers had it
LEGACY, SEED, CURRENT = "legacy", "seed", "current"
GENERATIONS = (BARE, LEGACY, SEED, CURRENT)

TEXT, FLAG, NUMBER = "text", "flag", "number"  # the same everywhere
PRICE = "price"  # X in cents, X_dollars
COUNT = "count"  # X in contracts, X_fp
MONEY = "money"  # X in 1/10_000 dollar, X_dollars with six decimals
PLAIN_MONEY, PLAIN_PRICE = "plain money", "plain price"  # dollars under the bare name
DOLLAR_MONEY, SIZE = "dollar money", "size"  # X_dollars, X_fp in every generation
WHOLE_DOLLARS = "whole dollars"
OUTCOME = "outcome"  # side; also outcome_side and book_side
TAKER = "taker"
LADDER = "ladder"
TIME, TEXT_TIME, SECONDS = "time", "text time", "seconds"
LEGS, RANGES = "legs", "ranges"

COMMON_QUOTE = {
    "quote_id": TEXT,
    "rfq_id": TEXT,
    "quote_creator_id": TEXT,
    "rfq_creator_id": TEXT,
    "market_ticker": TEXT,
}
RFQ = {
    "id": TEXT,
    "creator_id": TEXT,
    "market_ticker": TEXT,
    "event_ticker": TEXT,
    "contracts": COUNT,
    "target_cost": MONEY,
}
LIFECYCLE = {
    "event_type": TEXT,
    "market_ticker": TEXT,
    "open_ns": SECONDS,
    "close_ns": SECONDS,
    "is_deactivated": FLAG,
    "result": TEXT,
    "settlement_value": PLAIN_PRICE,
    "determination_ns": SECONDS,
    "settled_ns": SECONDS,
    "strike_type": TEXT,
    "floor_strike": NUMBER,
    "cap_strike": NUMBER,
    "yes_sub_title": TEXT,
    "price_level_structure": TEXT,
    "price_ranges": RANGES,
}
SHAPES: dict[str, dict[str, str]] = {
    "ticker": {
        "market_ticker": TEXT,
        "market_id": TEXT,
        "price": PRICE,
        "yes_bid": PRICE,
        "yes_ask": PRICE,
        "volume": COUNT,
        "open_interest": COUNT,
        "dollar_volume": WHOLE_DOLLARS,
        "dollar_open_interest": WHOLE_DOLLARS,
        "yes_bid_size": SIZE,
        "yes_ask_size": SIZE,
        "last_trade_size": SIZE,
        "time_ns": TIME,
    },
    "trade": {
        "trade_id": TEXT,
        "market_ticker": TEXT,
        "yes_price": PRICE,
        "count": COUNT,
        "taker_side": TAKER,
        "is_block_trade": FLAG,
        "time_ns": TIME,
    },
    "orderbook_snapshot": {
        "market_ticker": TEXT,
        "market_id": TEXT,
        "yes": LADDER,
        "no": LADDER,
    },
    "orderbook_delta": {
        "market_ticker": TEXT,
        "market_id": TEXT,
        "side": TEXT,
        "price": PRICE,
        "change": COUNT,
        "client_order_id": TEXT,
        "time_ns": TEXT_TIME,
    },
    "market_lifecycle_v2": LIFECYCLE,
    "multivariate_market_lifecycle": LIFECYCLE,
    "event_lifecycle": {
        "event_ticker": TEXT,
        "title": TEXT,
        "subtitle": TEXT,
        "collateral_return_type": TEXT,
        "series_ticker": TEXT,
        "strike_ns": SECONDS,
        "strike_period": TEXT,
    },
    "event_fee_update": {
        "event_ticker": TEXT,
        "fee_type_override": TEXT,
        "fee_multiplier_override": NUMBER,
    },
    "multivariate_lookup": {
        "collection_ticker": TEXT,
        "event_ticker": TEXT,
        "market_ticker": TEXT,
        "selected_markets": LEGS,
    },
    "fill": {
        "trade_id": TEXT,
        "order_id": TEXT,
        "client_order_id": TEXT,
        "market_ticker": TEXT,
        "outcome_side": OUTCOME,
        "yes_price": PRICE,
        "count": COUNT,
        "is_taker": FLAG,
        "fee_cost": PLAIN_MONEY,
        "post_position": COUNT,
        "time_ns": TIME,
    },
    "user_order": {
        "order_id": TEXT,
        "client_order_id": TEXT,
        "ticker": TEXT,
        "status": TEXT,
        "outcome_side": OUTCOME,
        "yes_price": PRICE,
        "initial_count": COUNT,
        "fill_count": COUNT,
        "remaining_count": COUNT,
        "user_id": TEXT,
        "taker_fill_cost": DOLLAR_MONEY,
        "maker_fill_cost": DOLLAR_MONEY,
        "taker_fees": DOLLAR_MONEY,
        "maker_fees": DOLLAR_MONEY,
        "order_group_id": TEXT,
    },
    "market_position": {
        "market_ticker": TEXT,
        "position": COUNT,
        "user_id": TEXT,
        "position_cost": MONEY,
        "realized_pnl": MONEY,
        "fees_paid": MONEY,
        "position_fee_cost": MONEY,
        "volume": COUNT,
    },
    "order_group_updates": {
        "event_type": TEXT,
        "order_group_id": TEXT,
        "contracts_limit": COUNT,
        "time_ns": TIME,
    },
    "rfq_created": {
        **RFQ,
        "mve_collection_ticker": TEXT,
        "mve_selected_legs": LEGS,
        "time_ns": "created_ts",
    },
    "rfq_deleted": {**RFQ, "time_ns": "deleted_ts"},
    "quote_created": {
        **COMMON_QUOTE,
        "yes_bid": PRICE,
        "no_bid": PRICE,
        "event_ticker": TEXT,
        "yes_contracts_offered": COUNT,
        "no_contracts_offered": COUNT,
        "rfq_target_cost": MONEY,
        "time_ns": "created_ts",
    },
    "quote_accepted": {
        **COMMON_QUOTE,
        "yes_bid": PRICE,
        "no_bid": PRICE,
        "accepted_side": TEXT,
        "contracts_accepted": COUNT,
    },
    "quote_executed": {
        **COMMON_QUOTE,
        "order_id": TEXT,
        "client_order_id": TEXT,
        "time_ns": "executed_ts",
    },
}
COMMUNICATIONS = (
    "rfq_created",
    "rfq_deleted",
    "quote_created",
    "quote_accepted",
    "quote_executed",
)
WIRE_NAMES = {
    "change": "delta",
    "open_ns": "open_ts",
    "close_ns": "close_ts",
    "determination_ns": "determination_ts",
    "settled_ns": "settled_ts",
    "strike_ns": "strike_date",
}

SAMPLE_VALUES: dict[str, Any] = {
    TEXT: "KXFROST-27JAN08-OSL",
    FLAG: True,
    NUMBER: Decimal("2.5"),
    PRICE: 4_300,
    COUNT: 2_700,
    SIZE: 150,
    MONEY: 3_120_000,
    PLAIN_MONEY: 210_000,
    PLAIN_PRICE: 10_000,
    DOLLAR_MONEY: 1_250_001,
    WHOLE_DOLLARS: 812_000_000,
    OUTCOME: "no",
    TAKER: "no",
    LADDER: ((4_100, 900), (4_200, 3_300)),
    TIME: 1_780_000_123_000_000_000,
    TEXT_TIME: 1_780_000_123_456_789_000,
    SECONDS: 1_780_003_600_000_000_000,
    LEGS: (("KXFROST-27JAN08", "KXFROST-27JAN08-OSL", "yes"),),
    RANGES: ((0, 1_000, 10), (1_000, 10_000, 100)),
    "created_ts": 1_780_000_124_000_000_000,
    "deleted_ts": 1_780_000_125_000_000_000,
    "executed_ts": 1_780_000_126_000_000_000,
}
SAMPLE_TEXTS = {"side": "no", "accepted_side": "yes", "status": "resting", "event_type": "created"}

CONTROL: tuple[dict[str, Any], ...] = (
    {"id": 3, "type": "subscribed", "msg": {"channel": "ticker", "sid": 21}},
    {"id": 4, "type": "unsubscribed", "sid": 21, "seq": 77},
    {"id": 5, "type": "ok", "sid": 22, "seq": 8, "msg": {"market_tickers": ["KXA-1", "KXA-2"]}},
    {"id": 5, "type": "ok", "sid": 22, "market_tickers": ["KXA-1", "KXA-2"]},
    {"id": 6, "type": "ok", "msg": [{"channel": "fill", "sid": 2}]},
    {"id": 6, "type": "ok", "subscriptions": [{"channel": "fill", "sid": 2}]},
    {"id": 7, "type": "error", "msg": {"code": 14, "msg": "Market Ticker required"}},
    {"type": "error", "sid": 22, "seq": 9, "msg": {"code": 10, "msg": "Channel error"}},
    {"type": "pyth_value", "sid": 30, "seq": 1, "msg": {"value": "101.25", "ts_ms": 1}},
)


def sample(kind: str) -> dict[str, Any]:
    """Return content for one type, each field with a value that every generation can spell."""
    return {
        name: SAMPLE_TEXTS.get(name, SAMPLE_VALUES[way]) if way == TEXT else SAMPLE_VALUES[way]
        for name, way in SHAPES[kind].items()
    }


def spell(kind: str, content: Mapping[str, Any], generation: str) -> dict[str, Any]:
    """Return the body that a server of this generation sends."""
    body: dict[str, Any] = {}
    for name, way in SHAPES[kind].items():
        body |= _spelled(WIRE_NAMES.get(name, name), way, content[name], generation)
    return body


def frame(kind: str, body: Mapping[str, Any], *, sid: int = 5, seq: int | None = 12) -> bytes:
    """Return a whole frame."""
    numbered = {} if seq is None else {"seq": seq}
    return json.dumps({"type": kind, "sid": sid, **numbered, "msg": body}).encode()


def corpus() -> list[bytes]:
    """Return a frame of every type in every generation, and the replies to commands."""
    spelled = [
        frame(kind, spell(kind, sample(kind), generation))
        for kind in SHAPES
        for generation in GENERATIONS
    ]
    single = [
        frame("communications", spell(kind, sample(kind), CURRENT)) for kind in COMMUNICATIONS
    ]
    return [*spelled, *single, *(json.dumps(reply).encode() for reply in CONTROL)]


def dollars(value: int, digits: int) -> str:
    """Write 10**-digits dollars with that many decimals, with string operations alone."""
    figures = str(abs(value)).rjust(digits + 1, "0")
    return f"{'-' if value < 0 else ''}{figures[:-digits]}.{figures[-digits:]}"


def rfc3339(time_ns: int) -> str:
    """Write a time as the venue does, to the microsecond."""
    days, rest_ns = divmod(time_ns, 86_400 * 10**9)
    seconds, fraction_ns = divmod(rest_ns, 10**9)
    year, month, day = _date(days)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{fraction_ns // 1000:06d}Z"


def _date(days: int) -> tuple[int, int, int]:
    """Return year, month and day of days since 1970.

    Source: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return era * 400 + year_of_era + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def _spelled(name: str, way: str, value: Any, generation: str) -> dict[str, Any]:
    if way in (PRICE, COUNT, MONEY):
        return _numbers(name, way, value, generation)
    if way in (OUTCOME, TAKER):
        return _sides("taker_" if way == TAKER else "", value, generation)
    if way == LADDER:
        return _ladder(name, value, generation)
    if way in SAME_EVERYWHERE:
        suffix, write = SAME_EVERYWHERE[way]
        return {name + suffix: write(value)}
    return _times(name, way, value, generation)


def _objects(names: tuple[str, ...], write: Callable[[Any], Any] = lambda item: item) -> Any:
    """Return what writes tuples as objects with those names."""
    return lambda rows: [
        {name: write(item) for name, item in zip(names, row, strict=True)} for row in rows
    ]


SAME_EVERYWHERE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    TEXT: ("", lambda value: value),
    FLAG: ("", lambda value: value),
    NUMBER: ("", float),
    SIZE: ("_fp", lambda value: dollars(value, 2)),
    DOLLAR_MONEY: ("_dollars", lambda value: dollars(value, 6)),
    PLAIN_MONEY: ("", lambda value: dollars(value, 6)),
    PLAIN_PRICE: ("", lambda value: dollars(value, 4)),
    WHOLE_DOLLARS: ("", lambda value: value // 1_000_000),
    LEGS: ("", _objects(("event_ticker", "market_ticker", "side"))),
    RANGES: ("", _objects(("start", "end", "step"), lambda value: dollars(value, 4))),
}


def _numbers(name: str, way: str, value: int, generation: str) -> dict[str, Any]:
    suffix, digits = {"price": ("_dollars", 4), "count": ("_fp", 2), "money": ("_dollars", 6)}[way]
    spelled: dict[str, Any] = {}
    if generation in (BARE, LEGACY):
        spelled[name] = value // 100
    if generation != BARE:
        spelled[name + suffix] = dollars(value, digits)
    return spelled


def _sides(prefix: str, value: str, generation: str) -> dict[str, Any]:
    spelled = {f"{prefix}side": value}
    if generation == CURRENT:
        spelled[f"{prefix}outcome_side"] = value
        spelled[f"{prefix}book_side"] = {"yes": "bid", "no": "ask"}[value]
    return spelled


def _ladder(name: str, levels: tuple[tuple[int, int], ...], generation: str) -> dict[str, Any]:
    if not levels:
        return {}
    cents: dict[str, Any] = {name: [[price // 100, count // 100] for price, count in levels]}
    older = {f"{name}_dollars": [[dollars(price, 4), count // 100] for price, count in levels]}
    newest: dict[str, Any] = {
        f"{name}_dollars_fp": [[dollars(price, 4), dollars(count, 2)] for price, count in levels]
    }
    if generation in (SEED, CURRENT):
        return newest
    return cents | older if generation == LEGACY else cents


def _times(name: str, way: str, time_ns: int, generation: str) -> dict[str, Any]:
    if way == SECONDS:
        return {name: time_ns // 10**9}
    if way not in (TIME, TEXT_TIME):
        return {way: rfc3339(time_ns)}
    spelled: dict[str, Any] = {"ts": rfc3339(time_ns) if way == TEXT_TIME else time_ns // 10**9}
    if generation == CURRENT:
        spelled["ts_ms"] = time_ns // 10**6
    return spelled
