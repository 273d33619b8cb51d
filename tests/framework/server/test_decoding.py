"""Whatever comes in ends as a struct or as one clear refusal."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.server.decoding import (
    BodyDecoder,
    QueryDecoder,
    check_media_type,
    is_deeper,
)
from framework.server.door import RefusalKind, Refused
from framework.settings.fields import FieldError
from tests.framework.server.door_stage import outcome


class Side(Enum):
    BUY = "BUY"


class Leg(msgspec.Struct):
    size: Decimal
    count: int = 0
    inner: "Leg | None" = None


class Order(msgspec.Struct, rename={"stop_price": "stopPrice"}):
    symbol: str
    quantity: Decimal | None = None
    side: Side | None = None
    stop_price: Decimal | None = None
    legs: list[Leg] = []
    pair: tuple[Decimal, int] | None = None
    extra: dict[str, int] = {}
    anything: Any = None
    when: datetime | None = None
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.symbol == "WRONG":
            raise FieldError("symbol", "is the wrong one")
        if self.symbol == "BAD":
            raise ValueError("makes no sense")


class Window(msgspec.Struct):
    since: datetime | None = None
    limit: int = 100
    status: list[Side] = []
    names: set[str] | None = None
    price: Decimal | None = None
    is_open: bool = False


BODY = BodyDecoder(Order, depth=8)
QUERY = QueryDecoder(Window)


def refused(body: bytes, decoder: BodyDecoder = BODY) -> Refused:
    with pytest.raises(Refused) as caught:
        decoder.decode(body)
    assert caught.value.kind is RefusalKind.INVALID
    return caught.value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "symbol"),
        (b'{"symbol": 1}', "symbol"),
        (b'{"symbol": "A", "side": "HOLD"}', "side"),
        (b'{"symbol": "A", "legs": [{"size": 1}, {}]}', "legs[1].size"),
        (b'{"symbol": "A", "legs": [{"size": 1, "inner": {"size": "x"}}]}', "legs[0].inner.size"),
        (b'{"symbol": "A", "extra": {"a": "b"}}', "extra[...]"),
        (b'{"symbol": "A", "stopPrice": []}', "stopPrice"),
        (b'{"symbol": "WRONG"}', "symbol"),
        (b'{"symbol": "BAD"}', ""),
        (b"[]", ""),
        (b"nonsense", ""),
        (b'{"symbol": "\xff"}', ""),
        (b'{"symbol": "\\ud800"}', ""),
        (b'{"symbol": "A"} more', ""),
        (b'{"symbol": "A", "quantity": NaN}', ""),
        (b'{"symbol": "A", "quantity": "NaN"}', "quantity"),
        (b'{"symbol": "A", "quantity": "-Infinity"}', "quantity"),
        (b'{"symbol": "A", "quantity": 1e999999999}', "quantity"),
        (b'{"symbol": "A", "quantity": "1E-99999"}', "quantity"),
        (b'{"symbol": "A", "quantity": "0E+99999"}', "quantity"),
        (b'{"symbol": "A", "stopPrice": 1e2000}', "stopPrice"),
        (b'{"symbol": "A", "quantity": 1' + b"0" * 1_001 + b"}", "quantity"),
        (b'{"symbol": "A", "quantity": 0.' + b"1" * 1_001 + b"}", "quantity"),
        (b'{"symbol": "A", "factor": 1e999}', "factor"),
        (b'{"symbol": "A", "legs": [{"size": 1, "count": 9223372036854775808}]}', "legs[0].count"),
        (b'{"symbol": "A", "legs": [{"size": "sNaN"}]}', "legs[0].size"),
        (b'{"symbol": "A", "pair": [1e5000, 1]}', "pair[0]"),
        (b'{"symbol": "A", "extra": {"a": 1' + b"0" * 30 + b"}}", "extra.a"),
        (b'{"symbol": "A", "anything": [1' + b"0" * 30 + b"]}", "anything[0]"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_its_field(body: bytes, field: str) -> None:
    error = refused(body)

    assert error.field == field
    assert error.message
    assert "\n" not in error.message
    assert len(error.message) <= 400
    assert "$" not in error.message


def test_numbers_come_as_text_and_as_numbers_and_keep_their_zeros() -> None:
    order = BODY.decode(b'{"symbol": "A", "quantity": 1.10, "stopPrice": "1E-7", "unknown": 1}')

    assert str(order.quantity) == "1.10"
    assert order.stop_price == Decimal("0.0000001")


def test_unknown_members_are_ignored_unless_the_struct_forbids_them() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        a: int = 0

    assert refused(b'{"b": 1}', BodyDecoder(Strict, depth=4)).field == "b"


def test_a_type_that_is_no_struct_is_looked_at_as_a_whole() -> None:
    decoder = BodyDecoder(dict[str, Decimal], depth=4)

    assert decoder.decode(b'{"a": 1}') == {"a": 1}
    assert refused(b'{"a": "NaN"}', decoder).field == "a"


# -- depth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [9, 100, 10_000, 400_000])
def test_r84_a_body_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        inner = opening * depth + b"1" + closing * depth
        body = b'{"symbol": "A", "unknown": ' + inner + b"}"
        assert "nested" in refused(body).message


def test_brackets_in_text_are_no_depth() -> None:
    note = b"[[[[[[[[[[" + b'\\"{{{{{{{{{{\\\\'
    assert BODY.decode(b'{"symbol": "' + note + b'"}').symbol.startswith("[[")


def test_a_depth_beyond_what_the_decoder_bears_is_refused_as_well() -> None:
    decoder = BodyDecoder(Order, depth=1_000_000)

    assert "nested" in refused(b'{"symbol": "A", "x":' + b"[" * 100_000, decoder).message


def plain_depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(plain_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(plain_depth, value), default=0)
    return 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(VALUES, st.integers(0, 6))
def test_the_depth_is_that_of_the_decoded_value(value: Any, depth: int) -> None:
    assert is_deeper(msgspec.json.encode(value), depth) is (plain_depth(value) > depth)


def test_a_hostile_text_is_measured_in_linear_time() -> None:
    assert not is_deeper(b'"' + b'\\"' * 500_000, 8)
    assert is_deeper(b"[]" * 300_000 + b"[[[[[[[[[" * 9, 8)


# -- anything ------------------------------------------------------------------------------------

SPICE = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"1e400", b"-", b"NaN", b"\\ud800", b"\xff", b"null"]
)


@given(st.lists(SPICE | st.binary(max_size=5), max_size=30).map(b"".join))
def test_t06_any_bytes_make_a_struct_or_a_refusal(body: bytes) -> None:
    came_of_it = outcome(BODY.decode, body)

    assert isinstance(came_of_it, Order) or came_of_it is RefusalKind.INVALID


FIELDS = st.sampled_from(
    ["symbol", "quantity", "side", "legs", "pair", "extra", "anything", "when"]
)


@given(st.dictionaries(FIELDS | st.text(), VALUES | st.floats() | st.decimals().map(str)))
def test_t06_any_json_makes_a_struct_or_a_refusal(value: dict[str, Any]) -> None:
    order = outcome(BODY.decode, msgspec.json.encode(value))

    if order is not RefusalKind.INVALID:
        assert order.quantity is None or len(format(order.quantity, "f")) <= 3_000


@given(st.lists(st.tuples(st.sampled_from(["since", "limit", "status", "price", "is_open", "x"]),
                          st.text())), st.text())  # fmt: skip
def test_t06_any_query_makes_a_struct_or_a_refusal(pairs: list[tuple[str, str]], tail: str) -> None:
    query = "&".join(f"{name}={text}" for name, text in pairs) + tail
    came_of_it = outcome(QUERY.decode, query)

    assert isinstance(came_of_it, Window) or came_of_it is RefusalKind.INVALID


# -- query ---------------------------------------------------------------------------------------


def refused_query(query: str) -> Refused:
    with pytest.raises(Refused) as caught:
        QUERY.decode(query)
    return caught.value


def test_a_query_is_decoded_from_text() -> None:
    window = QUERY.decode(
        "since=2025-01-01T00%3A00%3A00%2B01%3A00&limit=5&price=1.50&is_open=true"
        "&names=a%2Cb&names=c&other=1&other=2"
    )

    assert window.since.isoformat() == "2025-01-01T00:00:00+01:00"
    assert (window.limit, window.is_open) == (5, True)
    assert str(window.price) == "1.50"
    assert window.names == {"a", "b", "c"}
    assert QUERY.decode("") == Window()


@pytest.mark.parametrize(
    ("query", "field", "provided"),
    [
        ("limit=x", "limit", "x"),
        ("limit=1&limit=2", "limit", None),
        ("status=BUY,HOLD", "status", None),
        ("status=", "status", None),
        ("since=yesterday", "since", "yesterday"),
        ("price=NaN", "price", None),
        ("price=1e99999", "price", None),
        ("limit=%ff", "", None),
        ("limit=10000000000000000000000", "limit", None),
    ],
)
def test_a_query_that_cannot_be_read_is_refused_with_its_parameter(
    query: str, field: str, provided: str | None
) -> None:
    error = refused_query(query)

    assert (error.kind, error.field) == (RefusalKind.INVALID, field)
    assert error.provided == provided


def test_the_number_of_parameters_is_limited() -> None:
    assert "parameters" in refused_query("&".join("a=1" for _ in range(101))).message


# -- media type ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/jsonp", False),
        ("", False),
        (None, False),
    ],
)
def test_a_body_says_that_it_is_json(content_type: str | None, is_json: bool) -> None:
    if is_json:
        check_media_type(content_type)
        return
    with pytest.raises(Refused) as caught:
        check_media_type(content_type)
    assert caught.value.kind is RefusalKind.MEDIA_TYPE
