"""Damaged frames give typed errors or frames, at once (R-45).

Durations are of this thread's own work: what else the machine does is not the codec's fault.
"""

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kalshi.codec import Frame, decode_frame
from framework.errors import MalformedMessage
from tests.adapters.kalshi.frames import corpus

MUTATIONS = 50_000
LONGEST_S = 0.1

CORPUS = corpus()
STRANGE: tuple[Any, ...] = (
    None, True, -1, 1.5, 10**30, -(10**30), "", "NaN", "1e999", "-0.10", "9" * 200, "\ud7ff", [],
    {}, [[]], [[1, 2]], [["0.1", "1"]], {"a": {"a": []}}, "0.4200", 0, 101,
)  # fmt: skip
SPLICES = (b"NaN", b"1e999", b"9" * 400, b"-", b"[" * 50, b'{"a":' * 50, b"\x00", b"\xff", b"null")


def test_fifty_thousand_damaged_frames_give_typed_errors_only() -> None:
    """R-45: MalformedMessage or a Frame, and a Frame without a message says why or is unknown."""
    random = Random(20_270_108)
    outcomes = {"malformed": 0, "undecodable": 0, "unknown": 0, "message": 0}
    slowest_s = 0.0

    for _ in range(MUTATIONS):
        data = damaged(random)
        started_s = time.thread_time()
        outcomes[outcome_of(data)] += 1
        slowest_s = max(slowest_s, time.thread_time() - started_s)

    assert sum(outcomes.values()) == MUTATIONS
    assert min(outcomes.values()) > MUTATIONS / 100, outcomes  # every way was taken
    assert slowest_s < LONGEST_S


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CORPUS), st.data())
def test_frames_with_any_bytes_in_any_place(frame: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, len(frame)))
    piece = data.draw(st.binary(max_size=20) | st.text(max_size=20).map(str.encode))

    outcome_of(frame[:start] + piece + frame[end:])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CORPUS), st.data())
def test_frames_with_any_value_in_any_field(frame: bytes, data: st.DataObject) -> None:
    parsed = json.loads(frame)
    holder = parsed["msg"] if isinstance(parsed.get("msg"), dict) else parsed
    name = data.draw(st.sampled_from(sorted(holder)))
    holder[name] = data.draw(JSON_VALUES)

    outcome_of(json.dumps(parsed).encode())


MEGABYTES = 4 * 1024 * 1024
HUGE: dict[str, bytes] = {
    "arrays in the frame": b'{"type":"ticker","msg":' + b"[" * MEGABYTES,
    "arrays closed again": b'{"type":"x","msg":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects in the body": b'{"type":"fill","msg":{"a":' + b'{"a":' * 500_000,
    "a strike of nested arrays": b'{"type":"market_lifecycle_v2","msg":{"event_type":"created",'
    b'"market_ticker":"K","custom_strike":' + b"[" * 900 + b"]" * 900 + b"}}",
    "a long text": b'{"type":"' + b"x" * MEGABYTES + b'"}',
    "a long number": b'{"type":"trade","sid":' + b"9" * MEGABYTES + b"}",
    "a long number as a legacy price": b'{"type":"orderbook_delta","msg":{"market_ticker":"K",'
    b'"side":"yes","delta":1,"price":' + b"9" * MEGABYTES + b"}}",
    "a long strike": b'{"type":"event_fee_update","msg":{"event_ticker":"E",'
    b'"fee_multiplier_override":' + b"9" * MEGABYTES + b"}}",
    "a long strike with decimals": b'{"type":"event_fee_update","msg":{"event_ticker":"E",'
    b'"fee_multiplier_override":0.' + b"9" * MEGABYTES + b"}}",
    "many levels": b'{"type":"orderbook_snapshot","msg":{"market_ticker":"K","yes_dollars_fp":['
    + b'["0.1000","1.00"],' * 200_000
    + b'["0.1","1"]]}}',
    "many keys": b'{"type":"fill","msg":{'
    + b",".join(b'"key%d":"value"' % number for number in range(200_000))
    + b"}}",
    "a repeated key": b'{"type":"trade",' + b'"sid":1,' * 500_000 + b'"sid":2}',
    "text that is no number": b'{"type":"orderbook_delta","msg":{"market_ticker":"K","side":"no",'
    b'"delta_fp":"1","price_dollars":"' + b"1" * MEGABYTES + b'"}}',
}


@pytest.mark.parametrize("name", sorted(HUGE))
def test_huge_frames_are_judged_at_once(name: str) -> None:
    """R-45: a frame as large as the link lets through costs less than 100 ms."""
    data = HUGE[name]

    started_s = time.thread_time()
    outcome_of(data)
    elapsed_s = time.thread_time() - started_s

    assert elapsed_s < LONGEST_S


def outcome_of(data: bytes) -> str:
    """Decode and return which way it went; anything but a typed error fails the test."""
    try:
        frame = decode_frame(data)
    except MalformedMessage:
        return "malformed"
    assert isinstance(frame, Frame)
    assert frame.raw == data
    if frame.message is not None:
        assert not frame.error
        return "message"
    return "undecodable" if frame.error else "unknown"


def damaged(random: Random) -> bytes:
    """Return a real frame with one to three damages."""
    data = random.choice(CORPUS)
    for _ in range(random.randint(1, 3)):
        data = random.choice(DAMAGES)(data, random)
    return data


def flip_a_byte(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def splice(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + random.choice(SPLICES) + data[start + random.randint(0, 8) :]


def drop_a_field(data: bytes, random: Random) -> bytes:
    return _change(data, random, lambda holder, name: holder.pop(name))


def retype_a_field(data: bytes, random: Random) -> bytes:
    value = random.choice(STRANGE)
    return _change(data, random, lambda holder, name: holder.update({name: value}))


def nest_a_field(data: bytes, random: Random) -> bytes:
    def nest(holder: dict[str, Any], name: str) -> None:
        for _ in range(random.choice((1, 5, 60))):
            holder[name] = [holder[name]]

    return _change(data, random, nest)


def repeat_a_field(data: bytes, random: Random) -> bytes:
    name = random.choice(("type", "sid", "seq", "msg", "id"))
    value = json.dumps(random.choice(STRANGE)).encode()
    return data[:-1] + b',"' + name.encode() + b'":' + value + b"}"


def _change(data: bytes, random: Random, change: Callable[[dict[str, Any], str], object]) -> bytes:
    """Change one field of the body or of the envelope; a frame damaged before stays as it is."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(parsed, dict):
        return data
    body = parsed.get("msg")
    holder = body if isinstance(body, dict) and random.random() < 0.8 else parsed
    if holder:
        change(holder, random.choice(sorted(holder)))
    return json.dumps(parsed).encode()


DAMAGES = (
    flip_a_byte,
    truncate,
    splice,
    drop_a_field,
    retype_a_field,
    nest_a_field,
    repeat_a_field,
)
