"""Orders of a gateway changed and taken back over a real desk, however often (spec 8.6 to 8.8)."""

from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tektii import wire
from framework.errors import OrderError, UnknownOrder, VenueUnavailable
from framework.model.orders import Offset, OrderStatus, Percent, RequestState
from framework.settings.structs import RiskSettings
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER as FAKE_OWNER
from tests.adapters.tektii.fake_desk import FakeDesk
from tests.adapters.tektii.trading_half import Market, Said, Trader, play


async def patch(trader: Trader, order_id: str, **changes: Any) -> Said:
    return await trader.ask("PATCH", f"/v1/orders/{order_id}", changes)


async def cancel(trader: Trader, order_id: str) -> Said:
    return await trader.ask("DELETE", f"/v1/orders/{order_id}")


# -- modify ------------------------------------------------------------------------------------


def test_a_change_keeps_the_id_and_what_is_not_named() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90", quantity="2", client_order_id="a", oco_group_id="g")
        said = await patch(trader, order["id"], limit_price="91.5")

        assert said.status == 200, said
        assert said.body.keys() == {"order"}
        changed = said["order"]
        assert (changed["id"], changed["limit_price"], changed["quantity"]) == (
            order["id"], "91.5", "2",
        )  # fmt: skip
        assert (changed["client_order_id"], changed["oco_group_id"]) == ("a", "g")
        both = await patch(trader, order["id"], quantity="3", limit_price="92")
        assert (both["order"]["quantity"], both["order"]["limit_price"]) == ("3", "92")

    play(act)


def test_a_limit_moved_through_the_market_fills() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90")
        await patch(trader, order["id"], limit_price="105")
        await anyio.sleep(0.05)
        shown = await trader.shown(order["id"])
        assert shown["status"] == "FILLED"
        assert Decimal(shown["average_fill_price"]) <= 105

    play(act)


@pytest.mark.parametrize("body", [{}, None, {"unknown": 1}, {"quantity": None}])
def test_no_change_is_no_error(body: Any) -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90")
        before = await trader.shown(order["id"])
        said = await trader.ask("PATCH", f"/v1/orders/{order['id']}", body)
        assert (said.status, said["order"]) == (200, before)

    play(act)


def test_the_prices_of_every_type_can_be_moved() -> None:
    async def act(trader: Trader, market: Market) -> None:
        stop = await trader.order(order_type="stop", stop_price="110")
        both = await trader.order(order_type="stop_limit", stop_price="110", limit_price="112")
        assert (await patch(trader, stop["id"], stop_price="120"))["order"]["stop_price"] == "120"
        moved = await patch(trader, both["id"], stop_price="115", limit_price="118")
        assert (moved["order"]["stop_price"], moved["order"]["limit_price"]) == ("115", "118")

    play(act)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("limit", "stop_price"), ("limit", "trailing_distance"), ("stop", "limit_price"),
        ("stop", "trailing_distance"), ("trailing_stop", "limit_price"),
        ("trailing_stop", "stop_price"),
    ],
)  # fmt: skip
def test_a_price_that_the_type_does_not_take_is_refused(kind: str, field: str) -> None:
    fields: dict[str, Any] = {
        "limit": {"limit_price": "90"},
        "stop": {"stop_price": "110"},
        "trailing_stop": {"trailing_distance": "5", "trailing_type": "absolute"},
    }[kind]

    async def act(trader: Trader, market: Market) -> None:
        order = await trader.order(order_type=kind, **fields)
        said = await patch(trader, order["id"], **{field: "95"})
        assert (said.status, said["code"]) == (400, "INVALID_VALUE")
        assert said["details"] == {"field": field, "provided": "95"}

    play(act)


@pytest.mark.parametrize("field", wire.ModifyOrderRequest.__struct_fields__)
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_number_that_is_not_positive_is_refused(field: str, value: str) -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90")
        said = await patch(trader, order["id"], **{field: value})
        assert (said.status, said["code"]) == (400, "INVALID_VALUE")
        assert said["details"] == {"field": field, "provided": value}

    play(act)


def test_a_trail_can_be_moved_and_stays_below_a_hundred_percent() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        trail = {"symbol": "AAPL", "side": "sell", "order_type": "trailing_stop"}
        percent = await trader.order(**trail, trailing_distance="5", trailing_type="percent")
        points = await trader.order(**trail, trailing_distance="5", trailing_type="absolute")
        wrong = await patch(trader, percent["id"], trailing_distance="100")
        assert (wrong.status, wrong["details"]["field"]) == (400, "trailing_distance")
        for order in (percent, points):
            said = await patch(trader, order["id"], trailing_distance="7")
            assert said.status == 200
        trails = [changes["trail"] for _, changes in desk.called("modify")]
        assert trails == [Percent(Decimal(7)), Offset(Decimal(7))]

    run_simulated(main, seed=1)


def test_a_quantity_at_or_below_what_is_filled_is_refused() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL", quantity="5")
        desk.fill(order["id"], Decimal(90), Decimal(2))
        for quantity in ("1", "2"):
            said = await patch(trader, order["id"], quantity=quantity)
            assert (said.status, said["code"]) == (400, "INVALID_REQUEST")
            assert said["details"] == {"field": "quantity"}
        assert (await patch(trader, order["id"], quantity="3")).status == 200

    run_simulated(main, seed=1)


def test_a_quantity_stays_above_the_display_quantity() -> None:
    async def main() -> None:
        desk = FakeDesk()
        desk.venues = [replace(desk.venues[0], is_simulated=False)]
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL", quantity="5", display_quantity="2")
        said = await patch(trader, order["id"], quantity="2")
        assert (said.status, said["details"]["field"]) == (400, "quantity")

    run_simulated(main, seed=1)


@pytest.mark.parametrize(
    "status",
    [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED],
)
def test_an_ended_order_cannot_be_changed(status: OrderStatus) -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")
        desk.set_order(order["id"], status=status)
        for changes in ({"quantity": "2"}, {}):
            said = await patch(trader, order["id"], **changes)
            assert (said.status, said["code"]) == (409, "ORDER_NOT_MODIFIABLE")
            assert said["details"] == {"order_id": order["id"]}

    run_simulated(main, seed=1)


def test_an_order_that_is_being_cancelled_cannot_be_changed() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")
        desk.set_order(order["id"], cancel_state=RequestState.SENT)
        assert (await patch(trader, order["id"], quantity="2")).status == 409
        assert [one["id"] for one in await trader.listed("status=pending_cancel")] == [order["id"]]
        assert await trader.listed("status=open") == []
        assert len(await trader.listed()) == 1

    run_simulated(main, seed=1)


def test_an_unknown_order_is_neither_changed_nor_cancelled() -> None:
    async def act(trader: Trader, market: Market) -> None:
        for said in (await patch(trader, "nope", quantity="1"), await cancel(trader, "nope")):
            assert (said.status, said["code"]) == (404, "ORDER_NOT_FOUND")
            assert said["details"] == {"resource": "order", "id": "nope"}

    play(act)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OrderError("order o is already filled"), 422, "ORDER_REJECTED"),
        (OrderError("order o has a modify request without an answer"), 409,
         "ORDER_NOT_MODIFIABLE"),
        (OrderError("price 90.1 is not on the tick 0.5"), 422, "ORDER_REJECTED"),
        (UnknownOrder("o"), 409, "ORDER_NOT_MODIFIABLE"),
        (VenueUnavailable("gone"), 503, "PROVIDER_UNAVAILABLE"),
    ],
)  # fmt: skip
def test_a_change_that_is_refused_says_why(error: Exception, status: int, code: str) -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")
        desk.fail("modify", error)
        said = await patch(trader, order["id"], quantity="2")
        assert (said.status, said["code"]) == (status, code)

    run_simulated(main, seed=1)


def test_an_order_that_ended_while_it_was_changed_is_a_conflict() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")

        async def modify(*args: Any, **changes: Any) -> Any:
            desk.set_order(order["id"], status=OrderStatus.FILLED)
            raise OrderError("the venue has no such order")

        desk.modify = modify  # type: ignore[method-assign] # a race, played
        said = await patch(trader, order["id"], quantity="2")
        assert (said.status, said["code"]) == (409, "ORDER_NOT_MODIFIABLE")

    run_simulated(main, seed=1)


def test_the_gate_judges_a_change_too() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90")
        said = await patch(trader, order["id"], quantity="100000")
        assert (said.status, said["details"]["reject_code"]) == (422, "RISK_LIMIT")
        assert (await trader.shown(order["id"]))["quantity"] == "1"

    play(act, risk=RiskSettings(max_order_notional=Decimal(100_000)))


def test_exits_that_wait_for_the_fill_can_be_changed_and_added() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90", stop_loss="80")
        both = await patch(trader, order["id"], stop_loss="82", take_profit="130")
        assert both.status == 200, both
        assert (both["order"]["stop_loss"], both["order"]["take_profit"]) == ("82", "130")
        one = await patch(trader, order["id"], take_profit="125")
        assert (one["order"]["stop_loss"], one["order"]["take_profit"]) == ("82", "125")

        await market.move(88.0, 89.0)
        legs = {leg["order_type"]: leg for leg in await trader.listed()}
        assert (legs["STOP"]["stop_price"], legs["LIMIT"]["limit_price"]) == ("82", "125")

    play(act)


def test_added_exits_need_room_as_well() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.limit("90", stop_loss="80")
        plain = await trader.limit("90")
        said = await patch(trader, plain["id"], stop_loss="80")
        assert (said.status, said["code"]) == (503, "PROVIDER_UNAVAILABLE")

    play(act, chosen={"max_exits": 1})


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(wire.ModifyOrderRequest.__struct_fields__),
        st.sampled_from(["1", "90", "0", "-1", "NaN", "1E+9", None, [], "x", 3, 0.5]),
    )
)
def test_any_change_is_answered_below_500(body: dict[str, Any]) -> None:
    async def main() -> None:
        trader = Trader(FakeDesk(), FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")
        said = await trader.ask("PATCH", f"/v1/orders/{order['id']}", body)
        assert said.status in (200, 400, 409, 422), said

    run_simulated(main, seed=1)


# -- cancel ------------------------------------------------------------------------------------


def test_a_cancel_can_be_asked_for_again() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90")
        first = await cancel(trader, order["id"])
        again = await cancel(trader, order["id"])

        assert (first.status, first["success"], first["order"]["status"]) == (
            200, True, "CANCELLED",
        )  # fmt: skip
        assert (again.status, again.body) == (200, first.body)

    play(act)


def test_an_order_that_ended_otherwise_cannot_be_cancelled() -> None:
    async def act(trader: Trader, market: Market) -> None:
        filled = await trader.bought()
        await trader.limit("90.1", client_order_id="bad")
        (bad,) = await trader.listed("status=rejected", "/v1/orders/history")
        for order_id in (filled["id"], bad["id"]):
            said = await cancel(trader, order_id)
            assert (said.status, said["code"]) == (409, "ORDER_NOT_MODIFIABLE")
            assert said["details"] == {"order_id": order_id}

    play(act)


def test_cancelling_an_entry_drops_the_exits_that_wait_for_it() -> None:
    async def act(trader: Trader, market: Market) -> None:
        order = await trader.limit("90", stop_loss="80", take_profit="120")
        await cancel(trader, order["id"])
        await market.move(85.0, 86.0)
        assert await trader.listed() == []

    play(act)


def test_an_order_that_filled_while_it_was_cancelled_is_a_conflict() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        one = await trader.limit("90", symbol="AAPL")
        two = await trader.limit("90", symbol="AAPL")
        three = await trader.limit("90", symbol="AAPL")

        async def ends(principal: Any, order_id: str, *, answer_s: float) -> Any:
            if order_id == one["id"]:
                return desk.set_order(order_id, status=OrderStatus.FILLED)
            if order_id == two["id"]:
                desk.set_order(order_id, status=OrderStatus.CANCELLED)
                raise UnknownOrder(order_id)
            raise OrderError("the venue refused")

        desk.cancel = ends  # type: ignore[method-assign, assignment] # races, played
        assert (await cancel(trader, one["id"])).status == 409
        assert (await cancel(trader, two["id"])).status == 200
        refused = await cancel(trader, three["id"])
        assert (refused.status, refused["code"]) == (409, "ORDER_NOT_MODIFIABLE")
        assert "refused" in refused["message"]

    run_simulated(main, seed=1)


def test_a_venue_that_takes_its_time_answers_pending_cancel() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        order = await trader.limit("90", symbol="AAPL")

        async def sent(principal: Any, order_id: str, *, answer_s: float) -> Any:
            return desk.set_order(order_id, cancel_state=RequestState.SENT)

        desk.cancel = sent  # type: ignore[method-assign, assignment] # a slow venue
        said = await cancel(trader, order["id"])
        assert (said.status, said["order"]["status"]) == (200, "PENDING_CANCEL")

    run_simulated(main, seed=1)


# -- cancel all --------------------------------------------------------------------------------


def test_cancel_all_counts_working_orders_alone() -> None:
    async def act(trader: Trader, market: Market) -> None:
        await trader.bought(stop_loss="80", take_profit="150")
        await trader.limit("90")
        await trader.limit("9", symbol="ETH")
        one = await trader.ask("DELETE", "/v1/orders?symbol=ETH")
        rest = await trader.ask("DELETE", "/v1/orders")
        none = await trader.ask("DELETE", "/v1/orders")
        nobody = await trader.ask("DELETE", "/v1/orders?symbol=NOPE")

        assert one.body == {"cancelled_count": 1, "failed_count": 0}
        assert rest.body == {"cancelled_count": 3, "failed_count": 0}
        assert none.body == nobody.body == {"cancelled_count": 0, "failed_count": 0}
        assert await trader.listed() == []

    play(act)


def test_cancel_all_names_what_it_could_not_take_back() -> None:
    async def main() -> None:
        desk = FakeDesk()
        trader = Trader(desk, FAKE_OWNER)
        one = await trader.limit("90", symbol="AAPL")
        await trader.limit("90", symbol="AAPL")

        async def all_of(principal: Any, instrument: Any, *, answer_s: float) -> Any:
            return [
                desk.set_order(
                    order_id,
                    status=OrderStatus.FILLED if order_id == one["id"] else OrderStatus.CANCELLED,
                )
                for order_id in desk.book
            ]

        desk.cancel_all = all_of  # type: ignore[method-assign, assignment] # a fill that came first
        said = await trader.ask("DELETE", "/v1/orders")
        assert said.body == {
            "cancelled_count": 1, "failed_count": 1, "failed_order_ids": [one["id"]],
        }  # fmt: skip

    run_simulated(main, seed=1)
