"""Orders of a gateway over a real desk: what is refused, submitted once, shown and listed."""

import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tektii import wire
from framework.errors import (
    AccessRefused,
    Forbidden,
    InvalidRequest,
    JournalError,
    MalformedMessage,
    NotSent,
    OrderError,
    RateLimited,
    UnknownInstrument,
    VenueUnavailable,
)
from framework.model.desk import READ_ONLY, Verb
from framework.model.orders import OrderStatus, RequestState
from framework.settings.structs import RiskSettings
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER as FAKE_OWNER
from tests.adapters.tektii.fake_desk import FakeDesk
from tests.adapters.tektii.trading_half import OWNER, Market, Trader, play

TYPES = ("MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP")
VALUES = {
    "limit_price": "90", "stop_price": "110", "trailing_distance": "5",
    "trailing_type": "ABSOLUTE",
}  # fmt: skip
NEEDED = {
    "MARKET": (),
    "LIMIT": ("limit_price",),
    "STOP": ("stop_price",),
    "STOP_LIMIT": ("limit_price", "stop_price"),
    "TRAILING_STOP": ("trailing_distance", "trailing_type"),
}
PRICES = ("limit_price", "stop_price", "trailing_distance")


def asked(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a good request of a type, but for the fields; None leaves one out."""
    request = {"symbol": "BTC", "side": "BUY", "quantity": "1", "order_type": kind}
    request.update({name: VALUES[name] for name in NEEDED[kind]})
    request.update(fields)
    return {name: value for name, value in request.items() if value is not None}


def submitted(*requests: Any, **chosen: Any) -> list[Any]:
    """Submit some requests to a fake desk and return the answers."""

    async def main() -> list[Any]:
        trader = Trader(FakeDesk(), FAKE_OWNER, **chosen)
        return [await trader.ask("POST", "/v1/orders", request) for request in requests]

    return run_simulated(main, seed=1)


def one(request: Any, **chosen: Any) -> Any:
    (said,) = submitted(request, **chosen)
    return said


# -- the matrix (8.2) --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_an_order_with_what_its_type_needs_is_taken(kind: str) -> None:
    said = one({**asked(kind), "symbol": "AAPL"})

    assert said.status == 201, said
    assert said["status"] in ("OPEN", "FILLED", "PENDING")


@pytest.mark.parametrize(("kind", "field"), [(k, f) for k in TYPES for f in NEEDED[k]])
def test_a_missing_price_is_named(kind: str, field: str) -> None:
    said = one(asked(kind, **{field: None}))

    assert (said.status, said["code"]) == (400, "INVALID_REQUEST")
    assert said["details"] == {"field": field}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("field", PRICES)
@pytest.mark.parametrize("value", ["0", "-3"])
def test_a_price_that_is_not_positive_or_not_for_the_type_is_invalid(
    kind: str, field: str, value: str
) -> None:
    said = one(asked(kind, **{field: value}))

    assert (said.status, said["code"]) == (400, "INVALID_VALUE")
    assert said["details"] == {"field": field, "provided": value}


@pytest.mark.parametrize(("kind", "field"), [(k, f) for k in TYPES for f in PRICES])
def test_a_price_that_the_type_does_not_take_is_invalid(kind: str, field: str) -> None:
    said = one({**asked(kind, **{field: VALUES[field]}), "symbol": "AAPL"})

    if field in NEEDED[kind]:
        assert said.status == 201
    else:
        assert (said.status, said["code"]) == (400, "INVALID_VALUE")
        assert said["details"] == {"field": field, "provided": VALUES[field]}


def test_a_trailing_type_is_ignored_where_nothing_trails() -> None:
    assert one({**asked("MARKET", trailing_type="percent"), "symbol": "AAPL"}).status == 201


@pytest.mark.parametrize("distance", ["100", "250"])
def test_a_percent_distance_is_below_a_hundred(distance: str) -> None:
    said = one(asked("TRAILING_STOP", trailing_type="PERCENT", trailing_distance=distance))
    absolute = one({**asked("TRAILING_STOP", trailing_distance=distance), "symbol": "AAPL"})

    assert (said.status, said["code"]) == (400, "INVALID_VALUE")
    assert said["details"] == {"field": "trailing_distance", "provided": distance}
    assert absolute.status == 201


@pytest.mark.parametrize("field", ["stop_loss", "take_profit", "display_quantity", "leverage"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_attached_numbers_are_positive(field: str, value: str) -> None:
    said = one(asked("MARKET", **{field: value}))

    assert (said.status, said["code"]) == (400, "INVALID_VALUE")
    assert said["details"] == {"field": field, "provided": value}


@pytest.mark.parametrize("display", ["1", "2"])
def test_a_display_quantity_is_less_than_the_quantity(display: str) -> None:
    said = one(asked("MARKET", display_quantity=display))

    assert (said.status, said["details"]["field"]) == (400, "display_quantity")


@pytest.mark.parametrize(
    ("fields", "name", "code"),
    [
        ({"symbol": ""}, "symbol", "length"),
        ({"symbol": "A" * 21}, "symbol", "length"),
        ({"quantity": "0"}, "quantity", "range"),
        ({"quantity": "-1"}, "quantity", "range"),
        ({"client_order_id": "c" * 65}, "client_order_id", "length"),
        ({"oco_group_id": "c" * 65}, "oco_group_id", "length"),
        ({"position_id": "c" * 65}, "position_id", "length"),
        ({"client_order_id": "/" * 64}, "client_order_id", "length"),  # as a key it is longer
    ],
)
def test_a_field_that_breaks_its_own_rule_is_a_validation_error(
    fields: dict[str, str], name: str, code: str
) -> None:
    said = one(asked("MARKET", **fields))

    assert (said.status, said["code"]) == (400, "VALIDATION_ERROR")
    (fault,) = said["details"][name]
    assert fault["code"] == code
    assert set(fault) == {"code", "message", "params"}


def test_the_first_broken_rule_is_the_only_answer() -> None:
    said = one(asked("STOP_LIMIT", quantity="0", limit_price=None, stop_price="-1"))
    then = one(asked("STOP_LIMIT", limit_price=None, stop_price="-1"))

    assert list(said["details"]) == ["quantity"]
    assert then["details"] == {"field": "limit_price"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("side", "HOLD"), ("order_type", "ICEBERG"), ("time_in_force", "GTX"),
     ("margin_mode", "NONE")],
)  # fmt: skip
def test_a_word_that_nobody_knows_is_named(field: str, value: str) -> None:
    said = one(asked("MARKET", **{field: value}))

    assert (said.status, said["code"]) == (400, "INVALID_REQUEST")
    assert said["details"] == {"field": field}


def test_a_trailing_type_that_nobody_knows_is_named() -> None:
    said = one(asked("TRAILING_STOP", trailing_type="POINTS"))

    assert (said.status, said["details"]) == (400, {"field": "trailing_type"})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b'{"symbol":1}', b"\xff"])
def test_a_body_that_cannot_be_read_has_the_envelope(body: bytes) -> None:
    said = one(body)

    assert (said.status, said["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("number", ["1E-7", "1e2", "0.10", 5, 0.25, "1E+2"])
def test_exponents_and_numbers_are_taken_exactly(number: Any) -> None:
    desk = FakeDesk()

    async def main() -> Any:
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL", quantity=number)

    assert run_simulated(main, seed=1).status == 201
    (entry,) = desk.book.values()
    assert entry.intent.quantity == Decimal(str(number))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" * 29, "1E+40", "0E+1000000"])
def test_a_number_that_cannot_be_kept_exactly_is_refused(number: str) -> None:
    said = one(asked("MARKET", quantity=number))

    assert said.status == 400
    assert said["details"].get("field") == "quantity" or "quantity" in said["details"]


def test_a_limit_entry_with_its_exits_on_the_wrong_side_is_refused() -> None:
    bought = one(asked("LIMIT", limit_price="90", stop_loss="95"))
    sold = one(asked("LIMIT", side="SELL", limit_price="90", stop_loss="85"))
    at_market = one({**asked("MARKET", stop_loss="9999"), "symbol": "AAPL"})
    target = one(asked("LIMIT", limit_price="90", take_profit="80"))
    right = one({**asked("LIMIT", stop_loss="80", take_profit="120"), "symbol": "AAPL"})

    assert bought["details"] == {"field": "stop_loss", "provided": "95"}
    assert sold["details"] == {"field": "stop_loss", "provided": "85"}
    assert target["details"] == {"field": "take_profit", "provided": "80"}
    assert (at_market.status, right.status) == (201, 201)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["BTC", "AAPL", "buy", "SELL", "limit", "STOP", "trailing_stop", "1", "-1",
                       "1E-7", "1E+400", "PERCENT", "gtc", "NaN", "x" * 70]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=2),
    max_leaves=3,
)  # fmt: skip


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(wire.OrderRequest.__struct_fields__), JSON, max_size=8
    ) | JSON,
    st.sampled_from(TYPES),
)  # fmt: skip
def test_any_json_is_answered_below_500_in_the_envelope(body: Any, kind: str) -> None:
    whole = {**asked(kind), "symbol": "AAPL", **body} if isinstance(body, dict) else body
    for said in submitted(body, whole):
        assert said.status in (201, 400, 404, 422), said
        if said.status != 201:
            assert set(said.body) <= {"code", "message", "details"}


# -- a real desk -------------------------------------------------------------------------------


def test_a_market_order_fills_and_is_shown_with_its_trade() -> None:
    async def act(trader: Trader, market: Market) -> None:
        handle = await trader.bought("2.00", client_order_id="mr-1")
        order = await trader.shown(handle["id"])
        (trade,) = (await trader.ask("GET", "/v1/trades")).body

        assert handle.body.keys() == {"id", "status", "client_order_id", "correlation_id"}
        assert uuid.UUID(handle["correlation_id"]).version == 4
        assert order["status"] == "FILLED"
        assert (order["quantity"], order["filled_quantity"]) == ("2.00", "2.00")
        assert Decimal(order["remaining_quantity"]) == 0
        assert order["average_fill_price"] in ("101", "101.0")
        assert order["correlation_id"] == handle["correlation_id"]
        assert order["created_at"].endswith("Z")
        assert "limit_price" not in order
        assert (trade["order_id"], trade["symbol"], trade["side"]) == (order["id"], "BTC", "BUY")
        assert trade["commission_currency"] == "USD"

    play(act)


def test_words_come_in_any_case() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.limit("90", side="bUy", time_in_force="gtC")
        assert (await trader.shown(said["id"]))["order_type"] == "LIMIT"

    play(act)


def test_every_type_rests_with_its_prices_shown() -> None:
    async def act(trader: Trader, market: Market) -> None:
        for kind in TYPES[1:]:
            said = await trader.ask("POST", "/v1/orders", asked(kind))
            order = await trader.shown(said["id"])
            assert (said.status, order["status"]) == (201, "OPEN"), order
            for name in NEEDED[kind]:
                assert order[name] == VALUES[name], (kind, name)
        assert len(await trader.listed()) == 4

    play(act)


def test_a_percent_trail_is_shown_as_one() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.order(
            side="sell", order_type="trailing_stop", trailing_distance="2.5",
            trailing_type="percent",
        )  # fmt: skip
        order = await trader.shown(said["id"])
        assert (order["trailing_distance"], order["trailing_type"]) == ("2.5", "PERCENT")

    play(act)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"side": "sell", "reduce_only": True}, "REDUCE_ONLY_VIOLATED", "REDUCE_ONLY_VIOLATED"),
        ({"order_type": "limit", "limit_price": "150", "post_only": True},
         "POST_ONLY_VIOLATED", "POST_ONLY_VIOLATED"),
        ({"post_only": True}, "POST_ONLY_VIOLATED", "POST_ONLY_VIOLATED"),
        ({"quantity": "0.001"}, "INVALID_QUANTITY", "INVALID_QUANTITY"),
        ({"order_type": "limit", "limit_price": "90.1"}, "INVALID_PRICE", "INVALID_PRICE"),
        ({"quantity": "1000000"}, "RISK_LIMIT", "UNKNOWN"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_reason_by_both_names(
    fields: dict[str, Any], code: str, reason: str
) -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.order(**fields)

        assert (said.status, said["code"]) == (422, "ORDER_REJECTED"), said
        assert said["message"].startswith("Order rejected: ")
        assert (said["details"]["reject_code"], said["details"]["reject_reason"]) == (code, reason)
        assert await trader.listed() == []
        (ended,) = await trader.listed(path="/v1/orders/history")
        assert (ended["status"], ended["reject_reason"]) == ("REJECTED", reason)

    play(act, risk=RiskSettings(max_order_notional=Decimal(1_000_000)))


def test_an_unknown_symbol_is_not_found() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.order(symbol="NOPE")
        assert (said.status, said["code"]) == (404, "SYMBOL_NOT_FOUND")
        assert said["details"] == {"symbol": "NOPE"}

    play(act)


# -- idempotency (8.5, R-29) -------------------------------------------------------------------


def test_the_same_id_with_the_same_content_is_the_same_order() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90", client_order_id="a/b %20 é")
        again = await trader.limit("90.0", client_order_id="a/b %20 é")

        assert (first.status, again.status) == (201, 201)
        assert again.body == first.body
        assert first["client_order_id"] == "a/b %20 é"
        assert len(await trader.listed()) == 1

    play(act)


def test_the_same_id_with_other_content_is_refused() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90", client_order_id="a")
        other = await trader.limit("91", client_order_id="a")

        assert (other.status, other["code"]) == (422, "ORDER_REJECTED")
        assert other["details"] == {
            "reject_code": "DUPLICATE_CLIENT_ORDER_ID",
            "reject_reason": "UNKNOWN",
            "order_id": first["id"],
        }

    play(act)


def test_many_identical_requests_at_once_make_one_order() -> None:
    async def act(trader: Trader, market: Market) -> None:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await trader.order(client_order_id="once"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)

        assert {said.status for said in answers} == {201}
        assert len({said["id"] for said in answers}) == 1
        assert len(await trader.listed(path="/v1/orders/history")) == 1

    play(act)


def test_fifty_orders_at_once_have_fifty_ids() -> None:
    async def act(trader: Trader, market: Market) -> None:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await trader.limit("90"))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)

        assert {said.status for said in answers} == {201}
        assert len({said["id"] for said in answers}) == 50
        assert len({said["correlation_id"] for said in answers}) == 50

    play(act)


def test_after_a_restart_an_order_is_what_it_was(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/gateway.db"
    filled = {"client_order_id": "filled", "quantity": "2"}

    async def before(trader: Trader, market: Market) -> Any:
        done = await trader.order(**filled)
        resting = await trader.limit("90", client_order_id="rests", stop_loss="80")
        return done.body, resting.body, await trader.shown(done["id"])

    async def after(trader: Trader, market: Market) -> Any:
        done = await trader.order(**filled)
        resting = await trader.limit("90", client_order_id="rests", stop_loss="80")
        other = await trader.order(**{**filled, "quantity": "3"})
        assert other["details"]["reject_code"] == "DUPLICATE_CLIENT_ORDER_ID"
        return done.body, resting.body, await trader.shown(done["id"])

    assert play(before, journal=journal) == play(after, journal=journal)


def test_a_refused_order_asked_for_again_is_refused_again() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90.1", client_order_id="a")
        again = await trader.limit("90.1", client_order_id="a")
        assert (first.status, first.body) == (again.status, again.body)

    play(act)


# -- lists (7.2) -------------------------------------------------------------------------------


def test_the_list_is_of_working_orders_newest_first() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought()
        ids = []
        for price in ("90", "91", "92"):
            ids.append((await trader.limit(price))["id"])
            await anyio.sleep(1)

        assert [order["id"] for order in await trader.listed()] == ids[::-1]
        assert [order["id"] for order in await trader.listed("limit=2")] == ids[:0:-1]
        assert await trader.listed("limit=0") == []
        assert len(await trader.listed("status=FILLED")) == 1

    play(act)


def test_statuses_come_in_any_case_repeated_or_with_commas() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought()
        open_id = (await trader.limit("90"))["id"]

        for query in ("status=open,filled", "status=OPEN&status=Filled", "status=%2COPEN,filled"):
            assert len(await trader.listed(query)) == 2, query
        assert [one["id"] for one in await trader.listed("status=open")] == [open_id]
        assert await trader.listed("status=PENDING_CANCEL") == []
        assert len(await trader.listed("status=")) == 1
        assert len(await trader.listed("status=open", "/v1/orders/history")) == 0
        said = await trader.ask("GET", "/v1/orders?status=OPEN,NONE")
        assert (said.status, said["details"]) == (400, {"field": "status"})

    play(act)


def test_every_filter_narrows_the_list() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90", client_order_id="one", oco_group_id="g")
        await anyio.sleep(10)
        middle = (await trader.shown(first["id"]))["created_at"]
        await trader.limit("9", symbol="ETH", side="sell", time_in_force="gtc")
        await trader.order(symbol="ETH", side="sell", order_type="limit", limit_price="20")

        async def ids(query: str) -> list[str]:
            return [one["id"] for one in await trader.listed(query)]

        assert await ids("symbol=BTC") == [first["id"]]
        assert await ids("side=BUY") == [first["id"]]
        assert await ids("client_order_id=one") == [first["id"]]
        assert await ids("client_order_id=two") == []
        assert await ids("oco_group_id=g") == [first["id"]]
        assert await ids(f"until={middle}") == []
        assert first["id"] in await ids(f"since={middle}")
        later = middle.replace("Z", "+00:00").replace("+", "%2B")
        assert first["id"] in await ids(f"since={later}")
        assert first["id"] in await ids(f"since={middle.replace('Z', '+00:00')}")
        assert await ids("since=2100-01-01T00:00:00Z") == []

    play(act)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2025-01-01T00:00:00", "since"),
        ("until=yesterday", "until"),
        ("since=2025-13-01T00:00:00Z", "since"),
        ("since=2025-01-01T00:00:00%2B99:99", "since"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("side=HOLD", "side"),
        ("status=NONE", "status"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/history"])
def test_a_query_that_makes_no_sense_is_refused(path: str, query: str, field: str) -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.ask("GET", f"{path}?{query}")
        assert (said.status, said["details"]["field"]) == (400, field)

    play(act)


def test_history_is_the_last_changed_first() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90")
        await anyio.sleep(1)
        second = await trader.bought()
        await anyio.sleep(1)
        await trader.ask("DELETE", f"/v1/orders/{first['id']}")
        ended = await trader.listed(path="/v1/orders/history")

        assert [order["id"] for order in ended] == [first["id"], second["id"]]
        assert [order["status"] for order in ended] == ["CANCELLED", "FILLED"]

    play(act)


def test_an_order_that_nobody_knows_is_not_found() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.ask("GET", "/v1/orders/no%2Fsuch")
        assert (said.status, said["code"]) == (404, "ORDER_NOT_FOUND")
        assert said["details"] == {"resource": "order", "id": "no/such"}

    play(act)


# -- exits and flags ---------------------------------------------------------------------------


def test_exits_are_shown_on_the_entry_and_become_named_orders() -> None:
    async def act(trader: Trader, market: Market) -> None:
        entry = await trader.bought(stop_loss="95", take_profit="120", client_order_id="e")
        order = await trader.shown(entry["id"])
        legs = {leg["client_order_id"]: leg for leg in await trader.listed()}

        assert (order["stop_loss"], order["take_profit"]) == ("95", "120")
        assert set(legs) == {"e-sl", "e-tp"}
        stop, target = legs["e-sl"], legs["e-tp"]
        assert (stop["order_type"], stop["stop_price"], stop["side"]) == ("STOP", "95", "SELL")
        assert (target["order_type"], target["limit_price"]) == ("LIMIT", "120")
        for leg in legs.values():
            assert leg["parent_order_id"] == entry["id"]
            assert leg["reduce_only"] is True
            assert leg["position_id"] == "x-pos-BTC"
            assert leg["status"] == "OPEN"
            assert "oco_group_id" not in leg
            assert leg["correlation_id"] != entry["correlation_id"]
        assert await trader.listed("client_order_id=e-sl") == [stop]
        assert await trader.listed("client_order_id=nobody-tp-1") == []

    play(act)


def test_legs_of_an_entry_without_an_id_are_named_after_its_order() -> None:
    async def act(trader: Trader, market: Market) -> None:
        entry = await trader.bought(stop_loss="95")
        (leg,) = await trader.listed(f"client_order_id={entry['id']}-sl")
        assert leg["client_order_id"] == f"{entry['id']}-sl"
        assert "client_order_id" not in (await trader.shown(entry["id"]))

    play(act)


def test_an_oco_group_is_shown_and_one_fill_ends_the_other() -> None:
    async def act(trader: Trader, market: Market) -> None:
        low = await trader.limit("90", oco_group_id="pair")
        high = await trader.order(order_type="stop", stop_price="110", oco_group_id="pair")
        assert (await trader.shown(low["id"]))["oco_group_id"] == "pair"
        await market.move(89.0, 89.5)

        assert (await trader.shown(low["id"]))["status"] == "FILLED"
        assert (await trader.shown(high["id"]))["status"] == "CANCELLED"

    play(act)


def test_what_has_no_effect_at_a_simulated_venue_is_shown_again() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.limit(
            "90", quantity="10", hidden=True, display_quantity="2", margin_mode="cross",
            leverage="5",
        )  # fmt: skip
        order = await trader.shown(said["id"])
        assert (order["hidden"], order["display_quantity"]) == (True, "2")

    play(act)


@pytest.mark.parametrize("field", [{"hidden": True}, {"margin_mode": "CROSS"}, {"leverage": "3"}])
def test_what_would_change_its_meaning_at_a_real_venue_is_not_supported(field: Any) -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.venues = [replace(desk.venues[0], is_simulated=False)]
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL", **field)

    said = run_simulated(main, seed=1)
    (name,) = field
    assert (said.status, said["code"]) == (501, "UNSUPPORTED_OPERATION")
    assert said["details"] == {"operation": name, "provider": "mock"}


def test_what_is_false_asks_for_nothing() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.venues = [replace(desk.venues[0], is_simulated=False)]
        trader = Trader(desk, FAKE_OWNER)
        said = await trader.limit("90", symbol="AAPL", hidden=False, display_quantity="0.5")
        return said, desk

    said, desk = run_simulated(main, seed=1)
    (entry,) = desk.book.values()
    assert said.status == 201
    assert entry.intent.display_quantity == Decimal("0.5")


def test_a_full_exit_table_refuses_up_front() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90", stop_loss="80", take_profit="120")
        full = await trader.limit("90", stop_loss="80")
        plain = await trader.limit("90")
        await trader.ask("DELETE", f"/v1/orders/{first['id']}")
        await anyio.sleep(2)
        after = await trader.limit("90", stop_loss="80")

        assert (full.status, full["code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert int(full.headers["Retry-After"]) >= 1
        assert (plain.status, after.status) == (201, 201)

    play(act, chosen={"max_exits": 2})


def test_exits_that_are_there_already_count() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought(stop_loss="80", take_profit="120")
        await trader.limit("90", stop_loss="80")
        later = Trader(trader.place.desk, OWNER, max_exits=3)
        assert (await later.limit("90", stop_loss="80")).status == 503

    play(act)


# -- what others refuse ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (VenueUnavailable("no answer"), 503, "PROVIDER_UNAVAILABLE"),
        (NotSent("no connection"), 503, "PROVIDER_UNAVAILABLE"),
        (JournalError("the disk is full"), 503, "PROVIDER_UNAVAILABLE"),
        (Forbidden("not with this"), 403, "FORBIDDEN"),
        (AccessRefused("x", 401, "-2014"), 401, "UNAUTHORIZED"),
        (AccessRefused("x", 403, "", "no rights"), 422, "ORDER_REJECTED"),
        (InvalidRequest("x", 400, "-2010", "insufficient balance"), 422, "ORDER_REJECTED"),
        (MalformedMessage("what"), 502, "PROVIDER_ERROR"),
        (RuntimeError("secret state"), 500, "INTERNAL_ERROR"),
    ],
)
def test_each_error_has_its_code(error: Exception, status: int, code: str) -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.fail("submit", error)
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL")

    said = run_simulated(main, seed=1)
    assert (said.status, said["code"]) == (status, code)
    assert "secret" not in said["message"]


def test_a_venue_that_asks_for_a_pause_is_429() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.fail("submit", RateLimited("mock", 2.2))
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL")

    said = run_simulated(main, seed=1)
    assert (said.status, said["code"]) == (429, "RATE_LIMITED")
    assert said["details"] == {"retry_after_seconds": 3, "reset_at": None}
    assert said.headers["Retry-After"] == "3"


def test_a_gateway_that_leaves_takes_no_new_orders() -> None:
    async def act(trader: Trader, market: Market) -> None:
        trader.is_stopping = True
        wrong = await trader.order(quantity="0")
        said = await trader.order()
        trader.is_stopping = False
        trader.door.orders.is_leaving = True
        leaving = await trader.order()

        assert (wrong.status, wrong["code"]) == (400, "VALIDATION_ERROR")
        assert (said.status, said["code"]) == (503, "SHUTTING_DOWN")
        assert (leaving.status, leaving["code"]) == (503, "SHUTTING_DOWN")

    play(act)


def test_a_token_for_reading_submits_nothing() -> None:
    async def act(trader: Trader, market: Market) -> None:
        reader = trader.as_(replace(OWNER, verbs=READ_ONLY))
        said = await reader.order()
        assert (said.status, said["code"]) == (403, "FORBIDDEN")

    play(act)


def test_an_order_of_an_instrument_that_a_token_is_not_for_is_forbidden() -> None:
    async def act(trader: Trader, market: Market) -> None:
        narrow = trader.as_(replace(OWNER, instruments=("x:ETH",), verbs=frozenset(Verb)))
        said = await narrow.order()
        assert (said.status, said["code"]) == (403, "FORBIDDEN")

    play(act)


def test_scenario_symbols_answer_with_their_errors() -> None:
    answers = {
        symbol: one({**asked("MARKET"), "symbol": symbol}, scenarios=True)
        for symbol in ("SIM.RATELIMIT", "SIM.UNAVAILABLE", "SIM.NOTFOUND", "SIM.REJECT",
                       "SIM.ERROR")
    }  # fmt: skip

    assert [said.status for said in answers.values()] == [429, 503, 404, 422, 502]
    assert answers["SIM.REJECT"]["details"]["reject_reason"] == "MARKET_CLOSED"
    assert answers["SIM.RATELIMIT"].headers["Retry-After"] == "1"


def test_an_order_in_doubt_is_pending() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.next_status.append((OrderStatus.SUBMITTED, ""))
        trader = Trader(desk, FAKE_OWNER)
        said = await trader.order(symbol="AAPL")
        desk.set_order(said["id"], submit_state=RequestState.IN_DOUBT)
        return said, await trader.shown(said["id"])

    said, order = run_simulated(main, seed=1)
    assert (said.status, said["status"]) == (201, "PENDING")
    assert order["status"] == "PENDING"


def test_a_known_order_needs_no_more_room_for_its_exits() -> None:
    async def act(trader: Trader, market: Market) -> None:
        first = await trader.limit("90", stop_loss="80", client_order_id="a")
        again = await trader.limit("90", stop_loss="80", client_order_id="a")
        other = await trader.limit("90", stop_loss="80", client_order_id="b")
        assert (again.status, again.body) == (201, first.body)
        assert other.status == 503

    play(act, chosen={"max_exits": 1})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownInstrument("mock:AAPL"), 404, "SYMBOL_NOT_FOUND"),
        (OrderError("price 1.05 is not on the tick 0.1"), 422, "ORDER_REJECTED"),
        (OrderError("post_only is not supported"), 501, "UNSUPPORTED_OPERATION"),
        (OrderError("account 'main' is not reconciled: a gap"), 503, "PROVIDER_UNAVAILABLE"),
    ],
)
@pytest.mark.parametrize("client_order_id", [None, "a"])
def test_what_the_desk_refuses_to_take_at_all_has_its_code(
    error: Exception, status: int, code: str, client_order_id: str | None
) -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.fail("submit", error)
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL", client_order_id=client_order_id)

    said = run_simulated(main, seed=1)
    assert (said.status, said["code"]) == (status, code)
    if status == 501:
        assert said["details"] == {"operation": "post_only", "provider": "mock"}


def test_an_order_of_long_ago_with_other_content_is_refused_too() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        await trader.limit("90", symbol="AAPL", client_order_id="a")
        (old,) = desk.book.values()

        async def answers(*args: Any, **more: Any) -> Any:
            return old  # the log compares less than the registry does

        desk.submit = answers  # type: ignore[method-assign] # an order that left memory
        return [
            await trader.limit(price, symbol="AAPL", client_order_id="a") for price in ("90", "91")
        ]

    same, other = run_simulated(main, seed=1)
    assert same.status == 201
    assert other["details"]["reject_code"] == "DUPLICATE_CLIENT_ORDER_ID"


def test_a_venue_that_cannot_say_its_price_is_asked_by_the_order_itself() -> None:
    async def main() -> Any:
        desk = FakeDesk()
        desk.fail("quote", VenueUnavailable("no price yet"))
        return await Trader(desk, FAKE_OWNER).order(symbol="AAPL")

    assert run_simulated(main, seed=1).status == 201


def test_a_trailing_stop_shows_where_it_stands() -> None:
    async def act(trader: Trader, market: Market) -> None:
        said = await trader.order(
            side="sell", order_type="trailing_stop", trailing_distance="5",
            trailing_type="absolute",
        )  # fmt: skip
        await market.move(120.0, 121.0)
        order = await trader.shown(said["id"])
        assert (order["status"], order["stop_price"]) == ("OPEN", "115.0")
        await trader.ask("PATCH", f"/v1/orders/{said['id']}", {"trailing_distance": "10"})
        moved = await trader.shown(said["id"])
        assert moved["trailing_distance"] == "10"
        assert Decimal(moved["stop_price"]) == 115  # a stop never goes back
        await market.move(114.0, 115.0)
        assert (await trader.shown(said["id"]))["status"] == "FILLED"

    play(act)


def test_a_leg_is_an_order_like_any_other() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought("2", stop_loss="90", take_profit="150", client_order_id="e")
        (stop,) = await trader.listed("client_order_id=e-sl")
        (target,) = await trader.listed("client_order_id=e-tp")
        moved = await trader.ask("PATCH", f"/v1/orders/{stop['id']}", {"stop_price": "91"})
        gone = await trader.ask("DELETE", f"/v1/orders/{target['id']}")
        assert (moved.status, gone.status) == (200, 200)
        (left,) = await trader.listed()
        assert (left["id"], left["stop_price"]) == (stop["id"], "91")

    play(act)


def test_one_exit_changed_leaves_the_other_where_it_stands_or_away() -> None:
    async def act(trader: Trader, market: Market) -> None:
        entry = await trader.bought("2", stop_loss="90", take_profit="150", client_order_id="e")
        path = f"/v1/orders/{entry['id']}"
        (stop,) = await trader.listed("client_order_id=e-sl")
        said = await trader.ask("PATCH", path, {"stop_loss": "92"})
        assert (said.status, said["code"]) == (409, "ORDER_NOT_MODIFIABLE")  # it has filled
        await trader.ask("DELETE", f"/v1/orders/{stop['id']}")
        await trader.ask("PATCH", "/v1/positions/BTC", {"take_profit": "140"})
        (left,) = await trader.listed()
        assert (left["client_order_id"], left["limit_price"]) == ("e-tp", "140")

    play(act)
