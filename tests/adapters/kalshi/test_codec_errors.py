"""Frames with bad fields, bad bodies or no envelope: what is left out, and what is an error."""

from typing import Any

import pytest

from adapters.kalshi.codec import decode_frame
from framework.errors import MalformedMessage
from tests.adapters.kalshi.frames import (
    SEED,
    frame,
    sample,
    spell,
)

BAD_BITS: tuple[tuple[str, str, object], ...] = (
    ("ticker", "dollar_volume", "702"),  # what once cost every ticker frame
    ("ticker", "price_dollars", 0.37),
    ("ticker", "price_dollars", "NaN"),
    ("ticker", "volume_fp", "-1.00"),
    ("ticker", "time", "yesterday"),
    ("ticker", "ts_ms", -5),
    ("trade", "taker_side", "maybe"),
    ("trade", "is_block_trade", "no"),
    ("orderbook_delta", "client_order_id", 17),
    ("orderbook_delta", "ts", "soon"),
    ("market_lifecycle_v2", "price_ranges", [{"start": "0", "end": "1", "step": ""}]),
    ("market_lifecycle_v2", "additional_metadata", {"floor_strike": "NaN"}),
    ("market_lifecycle_v2", "additional_metadata", [1]),
    ("market_lifecycle_v2", "exchange_index", -1),
    ("event_fee_update", "fee_multiplier_override", "1e999"),
    ("fill", "fee_cost", "0.0000001"),
    ("fill", "post_position_fp", "1e3"),
    ("user_order", "created_time", "2026-02-02"),
    ("rfq_created", "mve_selected_legs", [{"event_ticker": "E"}]),
)


@pytest.mark.parametrize(("kind", "name", "bad"), BAD_BITS)
def test_a_bad_optional_field_is_left_out(kind: str, name: str, bad: object) -> None:
    """B21: the message is the same as if the field had not come."""
    body = spell(kind, sample(kind), SEED)
    without = {key: value for key, value in body.items() if key != name}

    decoded = decode_frame(frame(kind, without | {name: bad}))

    assert decoded.error == ""
    assert decoded.left_out == name
    assert decoded.message is not None
    assert decoded.message == decode_frame(frame(kind, without)).message


def test_several_bad_fields_are_left_out_together() -> None:
    body = spell("ticker", sample("ticker"), SEED) | {"dollar_volume": "x", "yes_bid_size_fp": 7}

    decoded = decode_frame(frame("ticker", body))

    assert decoded.left_out == "dollar_volume, yes_bid_size_fp"


NEEDED_BITS: tuple[tuple[str, str, object], ...] = (
    ("ticker", "market_ticker", 5),
    ("ticker", "yes_bid_dollars", "1.0001"),
    ("ticker", "yes_ask_dollars", 0.4),
    ("trade", "yes_price_dollars", ""),
    ("trade", "count_fp", "12.001"),
    ("orderbook_snapshot", "yes_dollars_fp", [["0.4000", 3]]),
    ("orderbook_snapshot", "no_dollars_fp", [["0.4000", ""]]),
    ("orderbook_snapshot", "no_dollars_fp", [["", "3.00"]]),
    ("orderbook_snapshot", "no_dollars_fp", [["0.4000", "3.00"]] * 10_002),
    ("orderbook_delta", "side", "both"),
    ("orderbook_delta", "price_dollars", "0.42005"),
    ("orderbook_delta", "delta_fp", "Infinity"),
    ("orderbook_delta", "subaccount", "1"),
    ("fill", "side", None),
    ("fill", "trade_id", None),
    ("user_order", "maker_fees_dollars", 0),
    ("market_position", "position_fp", None),
    ("quote_created", "no_bid_dollars", "-0.1"),
)


@pytest.mark.parametrize(("kind", "name", "bad"), NEEDED_BITS)
def test_a_bad_needed_field_is_an_error_that_names_it(kind: str, name: str, bad: object) -> None:
    """K56: the frame is reported with its bytes and says nothing."""
    body = spell(kind, sample(kind), SEED)
    data = frame(kind, body | {name: bad})

    decoded = decode_frame(data)

    assert decoded.message is None
    assert decoded.error
    assert (decoded.type, decoded.sid, decoded.raw) == (kind, 5, data)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ticker", "market_ticker"),
        ("ticker", "yes_bid_dollars"),
        ("orderbook_delta", "price_dollars"),
        ("orderbook_delta", "delta_fp"),
        ("orderbook_delta", "side"),
        ("trade", "yes_price_dollars"),
        ("user_order", "status"),
    ],
)
def test_a_missing_needed_field_is_an_error(kind: str, name: str) -> None:
    body = spell(kind, sample(kind), SEED)

    decoded = decode_frame(frame(kind, {key: body[key] for key in body if key != name}))

    assert decoded.message is None
    assert "is missing" in decoded.error


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_a_body_that_is_no_object_is_an_error(body: Any) -> None:
    for kind in ("ticker", "fill", "subscribed", "ok", "communications"):
        decoded = decode_frame(frame(kind, body))

        has_meaning = kind == "ok" and (body is None or body == [])
        assert (decoded.message is not None) is has_meaning, (kind, body)


def test_a_frame_without_a_body_is_an_error() -> None:
    decoded = decode_frame(b'{"type":"fill","sid":1}')

    assert (decoded.message, decoded.sid) == (None, 1)
    assert decoded.error


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"type":5,"sid":1,"msg":{}}',
        b'{"type":"trade","sid":"1","msg":{}}',
        b'{"type":"trade","sid":-1,"msg":{}}',
        b'{"type":"trade","sid":1,"seq":1.5,"msg":{}}',
        b'{"type":"trade","sid":1e999,"msg":{}}',
        b'{"type":"trade","sid":NaN,"msg":{}}',
        b'{"type":"trade","sid":' + b"9" * 40 + b',"msg":{}}',
        b'{"type":"tr\xffade"}',
        b'{"type":"ticker","msg":{}',
        '{"type":"\ud800"}',
    ],
)
def test_what_has_no_usable_envelope_is_malformed(data: bytes | str) -> None:
    """K56, R-45."""
    with pytest.raises(MalformedMessage, match="no frame"):
        decode_frame(data)
