"""S11: what bodies of write requests mean, and which are refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.simulated.amounts import read_contracts, read_dollars
from adapters.kalshi.simulated.call import Call
from adapters.kalshi.simulated.domain import Refusal
from adapters.kalshi.simulated.requests import (
    CancelBatch,
    FirstAmendment,
    FirstDecrease,
    FirstOrder,
    GroupLimit,
    SecondAmendment,
    SecondDecrease,
    SecondOrder,
    read_count,
)
from adapters.kalshi.simulated.wire_units import dollars, fixed_point

FIRST = {"ticker": "A", "side": "yes", "action": "buy", "count": 3, "yes_price": 42}
SECOND = {
    "ticker": "A",
    "client_order_id": "c1",
    "side": "ask",
    "count": "3",
    "price": "0.42",
    "time_in_force": "immediate_or_cancel",
    "self_trade_prevention_type": "maker",
}


def read(kind: Any, body: Any) -> Any:
    """Decode a body as the venue does."""
    return Call(body=msgspec.json.encode(body)).read(kind)


def refusal(work: Any, *arguments: Any) -> str:
    """Return the code that something is refused with; its status is 400."""
    with pytest.raises(Refusal) as caught:
        work(*arguments)
    assert caught.value.status == 400
    return caught.value.code


@given(st.integers(0, 10**9))
def test_amounts_are_read_as_they_are_written(number: int) -> None:
    assert read_dollars(dollars(number)) == number
    assert read_contracts(fixed_point(number)) == number


@pytest.mark.parametrize(
    ("text", "price"),
    [("0.5", 5_000), ("1", 10_000), (".42", 4_200), ("0.420000", 4_200), ("0.", 0)],
)
def test_s11_unpadded_decimals_are_taken(text: str, price: int) -> None:
    assert read_dollars(text) == price


@pytest.mark.parametrize(
    "text", ["", ".", "-0.5", "0.42001", "0.1234567", "1e2", "nan", "٣", "9" * 400, " 1", "0x1"]
)
def test_s11_other_prices_are_refused(text: str) -> None:
    assert refusal(read_dollars, text) == "invalid_price"


@pytest.mark.parametrize("text", ["", "1.234", "-1", "1e400", "∞"])
def test_s11_other_counts_are_refused(text: str) -> None:
    assert refusal(read_contracts, text) == "invalid_parameters"


@pytest.mark.parametrize(
    ("side", "price", "yes_price"),
    [
        ("yes", {"yes_price": 42}, 4_200),
        ("no", {"no_price": 42}, 5_800),
        ("yes", {"no_price_dollars": "0.5850"}, 4_150),
        ("no", {"yes_price_dollars": "0.415"}, 4_150),
    ],
)
def test_s11_a_first_order_may_price_either_leg(
    side: str, price: dict[str, Any], yes_price: int
) -> None:
    body = {"ticker": "A", "side": side, "action": "sell", "count_fp": "1.5", **price}

    asked = read(FirstOrder, body).meaning()

    assert (asked.side, asked.action, asked.price, asked.count) == (side, "sell", yes_price, 150)
    assert asked.time_in_force == "good_till_canceled"


def test_s11_everything_in_a_first_order_reaches_the_exchange() -> None:
    body = FIRST | {
        "client_order_id": "c1",
        "type": "market",
        "time_in_force": "fill_or_kill",
        "expiration_ts": 1_770_000_000,
        "post_only": True,
        "reduce_only": True,
        "cancel_order_on_pause": True,
        "buy_max_cost": 500,
        "self_trade_prevention_type": "maker",
        "order_group_id": "g1",
        "subaccount": 2,
        "not_a_field": [1],
    }

    asked = read(FirstOrder, body).meaning()

    assert asked.expiration_ns == 1_770_000_000_000_000_000
    assert asked.buy_max_cost == 5_000_000
    assert (asked.post_only, asked.reduce_only, asked.cancel_order_on_pause) == (True, True, True)
    assert (asked.order_type, asked.time_in_force) == ("market", "fill_or_kill")
    assert (asked.order_group_id, asked.subaccount) == ("g1", 2)
    assert (asked.client_order_id, asked.self_trade_prevention_type) == ("c1", "maker")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"no_price": 58}, "invalid_price"),
        ({"yes_price_dollars": "0.42"}, "invalid_price"),
        ({"yes_price": None}, "invalid_price"),
        ({"count": None}, "missing_parameters"),
        ({"count_fp": "4"}, "invalid_parameters"),
        ({"count": 10**400}, "invalid_parameters"),
        ({"count": "3"}, "invalid_parameters"),
        ({"side": "bid"}, "invalid_parameters"),
        ({"ticker": "A" * 500}, "invalid_parameters"),
        ({"expiration_ts": 10**15}, "invalid_parameters"),
    ],
)
def test_s11_a_first_order_that_contradicts_itself_is_refused(
    change: dict[str, Any], code: str
) -> None:
    assert refusal(lambda: read(FirstOrder, FIRST | change).meaning()) == code


def test_s11_counts_that_agree_may_both_be_given() -> None:
    assert read(FirstOrder, FIRST | {"count_fp": "3.00"}).meaning().count == 300
    assert read_count(3, None) == 300


def test_s11_an_ask_of_the_second_generation_sells_yes() -> None:
    ask = read(SecondOrder, SECOND | {"expiration_time": 5}).meaning()
    bid = read(SecondOrder, SECOND | {"side": "bid"}).meaning()

    assert (ask.side, ask.action, ask.price, ask.count) == ("yes", "sell", 4_200, 300)
    assert (bid.side, bid.action) == ("yes", "buy")
    assert (ask.expiration_ns, bid.expiration_ns) == (5_000_000_000, None)


@pytest.mark.parametrize("missing", sorted(SECOND.keys() - {"client_order_id"}))
def test_s11_a_second_order_needs_all_its_fields_but_one(missing: str) -> None:
    body = {name: value for name, value in SECOND.items() if name != missing}

    assert refusal(read, SecondOrder, body) == "missing_parameters"


def test_s21_a_second_order_may_leave_its_id_to_the_venue() -> None:
    body = {name: value for name, value in SECOND.items() if name != "client_order_id"}

    assert read(SecondOrder, body).meaning().client_order_id == ""


def test_s11_amendments_name_the_new_total() -> None:
    ids = {"client_order_id": "c1", "updated_client_order_id": "c2"}
    first = read(FirstAmendment, FIRST | ids).meaning()
    second = read(
        SecondAmendment, {"ticker": "A", "side": "bid", "price": "0.5", "count": "2"} | ids
    ).meaning()

    assert (first.price, first.count, first.side, first.action) == (4_200, 300, "yes", "buy")
    assert (second.price, second.count) == (5_000, 200)
    assert {(one.client_order_id, one.updated_client_order_id) for one in (first, second)} == {
        ("c1", "c2")
    }


def test_s11_a_decrease_is_by_or_to_but_not_both() -> None:
    assert read(FirstDecrease, {"reduce_by": 2}).meaning() == (200, None)
    assert read(FirstDecrease, {"reduce_to_fp": "0"}).meaning() == (None, 0)
    assert read(SecondDecrease, {"reduce_by": "2"}).meaning() == (200, None)
    assert read(SecondDecrease, {"reduce_to": "2.00"}).meaning() == (None, 200)
    for kind, body in (
        (FirstDecrease, {}),
        (FirstDecrease, {"reduce_by": 1, "reduce_to": 1}),
        (SecondDecrease, {}),
    ):
        assert refusal(lambda kind=kind, body=body: read(kind, body).meaning()) == (
            "invalid_parameters"
        )


def test_s11_a_batch_cancel_has_an_older_form() -> None:
    old, new = {"ids": ["a", "b"]}, {"orders": [{"order_id": "a"}, {"order_id": "b"}]}

    assert read(CancelBatch, old).order_ids() == read(CancelBatch, new).order_ids() == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[1]", b"null", b'"x"', b"\xff\xfe", b'{"contracts_limit": 1e999}'),
        *(b'{"x":' * 100_000, b"[" * 100_000, b'{"contracts_limit_fp": 7}'),
    ],
)
def test_s11_bodies_that_are_none_are_refused(body: bytes) -> None:
    assert refusal(Call(body=body).read, GroupLimit) == "invalid_parameters"


@pytest.mark.parametrize("text", ["x", "1.0", "", "--1", "9" * 16])
def test_s11_a_parameter_that_is_no_number_is_refused(text: str) -> None:
    call = Call(query={"min_ts": text})

    if text == "":
        assert call.time_ns("min_ts") is None
    else:
        assert refusal(call.time_ns, "min_ts") == "invalid_parameters"
