"""Frames of all generations decode to the same messages."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kalshi import messages
from adapters.kalshi.codec import KINDS, decode_frame
from adapters.kalshi.messages import (
    Book,
    Leg,
    Level,
    MarketLifecycle,
    Okay,
    PriceRange,
    Refusal,
    Subscribed,
    Trade,
    Unsubscribed,
)
from tests.adapters.kalshi.frames import (
    BARE,
    COMMUNICATIONS,
    CONTROL,
    COUNT,
    CURRENT,
    DOLLAR_MONEY,
    GENERATIONS,
    LADDER,
    LEGS,
    MONEY,
    OUTCOME,
    PLAIN_MONEY,
    PLAIN_PRICE,
    PRICE,
    RANGES,
    SAMPLE_VALUES,
    SEED,
    SHAPES,
    SIZE,
    TAKER,
    TEXT,
    TIME,
    WHOLE_DOLLARS,
    frame,
    sample,
    spell,
)

CENTS = st.integers(0, 100).map(lambda cents: cents * 100)
CONTRACTS = st.integers(1, 10**9).map(lambda contracts: contracts * 100)
LEGACY_MONEY = st.integers(0, 10**11).map(lambda value: value * 100)
OUTCOMES = st.sampled_from(["yes", "no"])
WAYS: dict[str, st.SearchStrategy[Any]] = {
    TEXT: st.text(min_size=1, max_size=12),
    PRICE: CENTS,
    COUNT: CONTRACTS,
    SIZE: st.integers(0, 10**9),
    MONEY: LEGACY_MONEY,
    PLAIN_MONEY: st.integers(0, 10**12),
    PLAIN_PRICE: st.integers(0, 10_000),
    DOLLAR_MONEY: st.integers(0, 10**12),
    WHOLE_DOLLARS: st.integers(-(10**9), 10**9).map(lambda dollars: dollars * 10**6),
    OUTCOME: OUTCOMES,
    TAKER: OUTCOMES,
    LADDER: st.lists(st.tuples(CENTS, CONTRACTS), max_size=4).map(tuple),
    TIME: st.integers(0, 4 * 10**9).map(lambda seconds: seconds * 10**9),
}
TEXTS_OF_A_SET = {"side": OUTCOMES, "accepted_side": OUTCOMES}


@st.composite
def contents(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(SHAPES)))
    content = sample(kind)
    for name, way in SHAPES[kind].items():
        if name in TEXTS_OF_A_SET:
            content[name] = draw(TEXTS_OF_A_SET[name])
        elif way in WAYS:
            content[name] = draw(WAYS[way])
    return kind, content


def expected(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the message must have."""
    wanted = dict(content)
    for name, way in SHAPES[kind].items():
        if way == LEGS:
            wanted[name] = tuple(Leg(*leg) for leg in content[name])
        elif way == RANGES:
            wanted[name] = tuple(PriceRange(*piece) for piece in content[name])
    return wanted


@settings(max_examples=300, deadline=None)
@given(contents())
def test_every_generation_decodes_to_the_same_message(drawn: tuple[str, dict[str, Any]]) -> None:
    """K65, K66: values survive exactly, whichever way they are spelled."""
    kind, content = drawn

    frames = [decode_frame(frame(kind, spell(kind, content, each))) for each in GENERATIONS]

    found = frames[0].message
    assert all((each.message, each.error, each.left_out) == (found, "", "") for each in frames)
    for name, value in expected(kind, content).items():
        assert getattr(found, name) == value, name


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_a_frame_keeps_its_envelope_and_its_bytes(kind: str) -> None:
    data = frame(kind, spell(kind, sample(kind), CURRENT), sid=8, seq=41)

    decoded = decode_frame(data)

    assert (decoded.type, decoded.sid, decoded.seq, decoded.id) == (kind, 8, 41, None)
    assert decoded.raw == data
    assert decoded == decode_frame(data.decode())


def test_every_known_type_is_in_the_corpus() -> None:
    assert set(KINDS) == {*SHAPES, "subscribed"}


@pytest.mark.parametrize("kind", COMMUNICATIONS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_communications_come_under_five_types_or_under_one(kind: str, generation: str) -> None:
    """7.11: the single type is told apart by the keys that are there."""
    body = spell(kind, sample(kind), generation)

    single = decode_frame(frame("communications", body))

    assert single.type == "communications"
    assert single.message is not None
    assert single.message == decode_frame(frame(kind, body)).message


def test_replies_to_commands() -> None:
    """Section 5: both places for the lists, with and without a body."""
    decoded = [decode_frame(json.dumps(reply)) for reply in CONTROL]

    markets = Okay(market_tickers=("KXA-1", "KXA-2"))
    listed = Okay(subscriptions=(("fill", 2),))
    assert [each.message for each in decoded] == [
        Subscribed("ticker", 21),
        Unsubscribed(),
        markets,
        markets,
        listed,
        listed,
        Refusal(14, "Market Ticker required"),
        Refusal(10, "Channel error"),
        None,  # an index feed passes through
    ]
    assert [(each.id, each.sid, each.seq) for each in decoded[1:3]] == [(4, 21, 77), (5, 22, 8)]
    assert not any(each.error for each in decoded)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"type": "ok", "id": 1}, Okay()),
        ({"type": "ok", "id": 1, "msg": None}, Okay()),
        ({"type": "ok", "id": 1, "msg": {}}, Okay()),
        (
            {"type": "error", "msg": {"code": 16, "msg": "Market not found", "market_ticker": "K"}},
            Refusal(16, "Market not found", ("K",)),
        ),
        (
            {"type": "error", "msg": {"code": 26, "msg": "x", "market_tickers": ["K", "L"]}},
            Refusal(26, "x", ("K", "L")),
        ),
        ({"type": "error", "msg": "no such thing"}, Refusal(0, "no such thing")),
        ({"type": "error", "msg": {"code": "8", "msg": "text"}}, Refusal(0, "text")),
    ],
)
def test_odd_replies_to_commands_are_understood(reply: dict[str, Any], message: object) -> None:
    assert decode_frame(json.dumps(reply)).message == message


def test_an_unknown_type_is_passed_on_raw() -> None:
    """B19, K8: nothing vanishes."""
    data = b'{"type":"rfq_batch_created","sid":4,"seq":2,"msg":{"anything":[1,{"a":null}]}}'

    decoded = decode_frame(data)

    assert decoded.message is None
    assert (decoded.type, decoded.sid, decoded.seq, decoded.error) == (
        "rfq_batch_created",
        4,
        2,
        "",
    )
    assert decoded.raw == data


def test_a_never_traded_market_has_no_price() -> None:
    body = spell("ticker", sample("ticker"), SEED) | {"price_dollars": "", "yes_bid_dollars": ""}

    message = decode_frame(frame("ticker", body)).message

    assert isinstance(message, messages.Ticker)
    assert (message.price, message.yes_bid) == (None, None)


def test_an_omitted_side_of_a_snapshot_is_empty() -> None:
    """7.3: a side without levels does not come at all."""
    decoded = decode_frame(frame("orderbook_snapshot", {"market_ticker": "K", "no": None}))

    assert decoded.message == Book("K", "", (), ())


def test_dollars_win_over_cents_field_by_field() -> None:
    """Section 1: decided per field, never per connection."""
    body = {"market_ticker": "K", "side": "yes", "price": 41, "price_dollars": "0.4150", "delta": 3}

    message = decode_frame(frame("orderbook_delta", body)).message

    assert message == Level("K", "", "yes", 4_150, 300)


def test_the_finest_spelling_of_a_time_is_taken() -> None:
    body = spell("ticker", sample("ticker"), BARE) | {
        "ts": 1_780_000_123,
        "ts_ms": 1_780_000_123_250,
        "time": "2026-05-28T20:28:43Z",
    }

    coarse_text = decode_frame(frame("ticker", body)).message
    fine_text = decode_frame(frame("ticker", body | {"time": "2026-05-28T20:28:43.2509Z"})).message

    assert isinstance(coarse_text, messages.Ticker)
    assert isinstance(fine_text, messages.Ticker)
    assert coarse_text.time_ns == 1_780_000_123_250_000_000
    assert fine_text.time_ns == 1_780_000_123_250_900_000


def test_the_direction_of_a_fill_never_comes_from_its_action() -> None:
    """7.7: selling yes acquires no, and `side` says so by itself."""
    body = spell("fill", sample("fill") | {"outcome_side": "no"}, SEED) | {"action": "sell"}
    by_book = {key: body[key] for key in body if key != "side"} | {"book_side": "bid"}

    sold = decode_frame(frame("fill", body)).message
    bid = decode_frame(frame("fill", by_book)).message

    assert isinstance(sold, messages.Fill)
    assert isinstance(bid, messages.Fill)
    assert (sold.outcome_side, bid.outcome_side) == ("no", "yes")


@pytest.mark.parametrize(("is_yes", "outcome"), [(True, "yes"), (False, "no")])
def test_an_order_may_say_its_outcome_as_a_flag(is_yes: bool, outcome: str) -> None:
    body = spell("user_order", sample("user_order"), SEED) | {"is_yes": is_yes}
    del body["side"]

    message = decode_frame(frame("user_order", body)).message

    assert isinstance(message, messages.UserOrder)
    assert message.outcome_side == outcome


def test_fees_that_did_not_come_are_zero() -> None:
    body = spell("user_order", sample("user_order"), SEED)
    for name in ("taker_fees_dollars", "maker_fees_dollars"):
        del body[name]

    message = decode_frame(frame("user_order", body)).message

    assert isinstance(message, messages.UserOrder)
    assert (message.taker_fees, message.maker_fees) == (0, 0)


def test_a_trade_may_name_the_price_of_either_leg() -> None:
    body = {"trade_id": "t", "market_ticker": "K", "no_price_dollars": "0.61", "count_fp": "1"}

    message = decode_frame(frame("trade", body)).message

    assert message == Trade("t", "K", 3_900, 6_100, 100, None)


def test_a_new_market_is_described() -> None:
    about = {
        "name": "Frost in Oslo",
        "title": "Frost?",
        "can_close_early": True,
        "event_ticker": "KXFROST",
        "expected_expiration_ts": 1_780_003_600,
        "floor_strike": 0.5,
        "custom_strike": {"city": "OSL", "nested": [1, 2.50]},
    }
    body = {"event_type": "created", "market_ticker": "K", "additional_metadata": about}

    message = decode_frame(frame("market_lifecycle_v2", body)).message

    assert isinstance(message, MarketLifecycle)
    described = message.additional_metadata
    assert described is not None
    assert described.custom_strike == '{"city":"OSL","nested":[1,2.5]}'
    assert described.expected_expiration_ns == SAMPLE_VALUES["seconds"]
    assert (described.name, described.can_close_early) == ("Frost in Oslo", True)


def test_cleared_fee_overrides_are_none() -> None:
    body = {"event_ticker": "E", "fee_type_override": None, "fee_multiplier_override": None}

    assert decode_frame(frame("event_fee_update", body)).message == messages.EventFeeUpdate("E")


def test_numbers_in_strikes_are_exact() -> None:
    body = {"event_ticker": "E", "fee_multiplier_override": 0.1}

    message = decode_frame(frame("event_fee_update", body)).message

    assert isinstance(message, messages.EventFeeUpdate)
    assert str(message.fee_multiplier_override) == "0.1"


def test_the_last_of_a_repeated_key_counts_in_both_decodes() -> None:
    """R-45: one meaning, whichever way the frame takes."""
    head = b'{"type":"orderbook_delta","sid":1,"sid":2,"msg":{"market_ticker":"K","side":"no",'
    tail = b'"side":"yes","delta_fp":"1.00","price_dollars":"0.1","price_dollars":"0.2"'

    strict = decode_frame(head + tail + b"}}")
    lenient = decode_frame(head + tail + b',"client_order_id":5}}')

    assert strict.sid == lenient.sid == 2
    assert strict.message == lenient.message == Level("K", "", "yes", 2_000, 100)
