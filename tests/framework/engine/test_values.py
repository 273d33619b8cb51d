"""Answers come back as they went in, or are refused when they are recorded."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.engine.values import find_type, pack, pack_error, path_of, unpack, unpack_error
from framework.errors import DataError, UnknownInstrument
from framework.model.market_data import Candle
from framework.model.orders import Side

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.sampled_from(Side),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_packed_comes_back_with_its_types(value: Any) -> None:
    again = unpack(pack(value))

    assert again == value
    assert repr(again) == repr(value)


def test_structs_come_back_as_what_they_are() -> None:
    candle = Candle("x:A", 2, 2, "1m", 1, 2, 1.0, 2.0, 0.5, 1.5, 3.0)

    assert unpack(pack([candle, (candle,)])) == [candle, (candle,)]


@pytest.mark.parametrize("value", [object(), {1, 2}, [frozenset("ab")], 2**70, lambda: 0, "\ud800"])
def test_what_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="cannot be recorded"):
        pack(value)


def test_a_type_that_has_no_place_in_a_module_is_refused() -> None:
    class Local(msgspec.Struct):
        a: int

    with pytest.raises(DataError, match="there is no type"):
        pack(Local(1))


def test_a_value_whose_parts_lose_their_types_is_refused() -> None:
    class_ = _Loose([Decimal(1), (2,)])

    assert unpack(pack(_Loose([1, 2]))) == _Loose([1, 2])
    packed = pack(class_)  # equal bytes: the parts of foreign structs are theirs to type
    assert unpack(packed).parts == ["1", [2]]


class _Loose(msgspec.Struct):
    parts: Any


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), TimeoutError(), ValueError("a", 1, Decimal("1.0")), UnknownInstrument("x:A")],
)
def test_exceptions_come_back_with_arguments_and_attributes(error: Exception) -> None:
    again = unpack_error(pack_error(error))

    assert repr(again) == repr(error)
    assert vars(again) == vars(error)
    assert type(again) is type(error)


def test_an_exception_that_holds_something_foreign_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be recorded"):
        pack_error(ValueError(object()))


@pytest.mark.parametrize("path", ["nowhere:A", "decimal:Nothing", "decimal", "decimal:getcontext"])
def test_a_path_without_a_type_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="no type"):
        find_type(path)


def test_what_is_no_exception_is_not_raised() -> None:
    packed = pack((path_of(Decimal), ("1",), {}))

    with pytest.raises(DataError, match="is no exception"):
        unpack_error(packed)
