"""Order entry: requests of both generations, their costs, and what their answers mean."""

import json
from typing import Any

import pytest

from adapters.kalshi import rest_requests as requests
from adapters.kalshi.rest_answers import read_answer, read_item
from adapters.kalshi.rest_values import Amendment, ItemFailure, NewOrder, OrderAnswer
from framework.errors import MalformedMessage
from framework.net.http_messages import Headers, Request, Response
from tests.adapters.kalshi.rest_bodies import ORDER, TIME_NS
from tests.adapters.kalshi.scripted_rest import Rig, run

BID = NewOrder(ticker="KXA-1", client_order_id="c-1", is_bid=True, count=1_250, price=3_550)
ASK = NewOrder(
    ticker="KXA-1",
    client_order_id="c-2",
    is_bid=False,
    count=100,
    price=3_500,
    time_in_force="fill_or_kill",
    self_trade_prevention_type="maker",
    expiration_s=1_780_000_000,
    is_post_only=True,
    is_reduce_only=True,
    cancels_on_pause=True,
    order_group_id="g",
    subaccount=3,
    exchange_index=1,
)
OPTIONS = {
    "post_only": True,
    "reduce_only": True,
    "cancel_order_on_pause": True,
    "order_group_id": "g",
    "subaccount": 3,
}
ACKNOWLEDGED = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "fill_count": "0.00",
    "remaining_count": "12.50",
    "average_fill_price": "0.35501234",
    "ts_ms": 1_780_272_000_000,
}


def body_of(request: Request) -> Any:
    return json.loads(request.body)


def test_an_order_of_the_second_generation() -> None:
    """10.5: the price is the yes leg's; an ask buys no at one minus it."""
    assert body_of(requests.create_order(BID)) == {
        "ticker": "KXA-1",
        "client_order_id": "c-1",
        "side": "bid",
        "count": "12.50",
        "price": "0.3550",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    assert body_of(requests.create_order(ASK)) == {
        "ticker": "KXA-1",
        "client_order_id": "c-2",
        "side": "ask",
        "count": "1.00",
        "price": "0.3500",
        "time_in_force": "fill_or_kill",
        "self_trade_prevention_type": "maker",
        "expiration_time": 1_780_000_000,
        "exchange_index": 1,
        **OPTIONS,
    }


def test_an_order_of_the_first_generation() -> None:
    """10.4: an ask buys no, which is what selling yes without having any is."""
    assert body_of(requests.create_order(BID, uses_first=True)) == {
        "ticker": "KXA-1",
        "client_order_id": "c-1",
        "type": "limit",
        "side": "yes",
        "action": "buy",
        "yes_price_dollars": "0.3550",
        "count_fp": "12.50",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    body = body_of(requests.create_order(ASK, uses_first=True))
    assert (body["side"], body["action"], body["no_price_dollars"]) == ("no", "buy", "0.6500")
    assert body["expiration_ts"] == 1_780_000_000
    assert OPTIONS.items() <= body.items()


AMENDMENT = Amendment(
    ticker="KXA-1",
    is_bid=False,
    count=500,
    price=4_000,
    client_order_id="c-1",
    updated_client_order_id="c-2",
)


@pytest.mark.parametrize(
    ("request_", "line", "cost", "is_cancel"),
    [
        (requests.create_order(BID), "POST /portfolio/events/orders", 10, False),
        (requests.create_order(BID, uses_first=True), "POST /portfolio/orders", 100, False),
        (requests.create_orders([BID, ASK]), "POST /portfolio/events/orders/batched", 20, False),
        (
            requests.create_orders([BID] * 3, uses_first=True),
            "POST /portfolio/orders/batched",
            30,
            False,
        ),
        (requests.cancel_order("o"), "DELETE /portfolio/events/orders/o", 2, True),
        (requests.cancel_order("o", uses_first=True), "DELETE /portfolio/orders/o", 2, True),
        (
            requests.cancel_orders(["a", "b", "c"]),
            "DELETE /portfolio/events/orders/batched",
            6,
            True,
        ),
        (
            requests.cancel_orders(["a"], uses_first=True),
            "DELETE /portfolio/orders/batched",
            2,
            True,
        ),
        (requests.amend_order("o", AMENDMENT), "POST /portfolio/events/orders/o/amend", 10, False),
        (
            requests.amend_order("o", AMENDMENT, uses_first=True),
            "POST /portfolio/orders/o/amend",
            10,
            False,
        ),
        (
            requests.decrease_order("o", by=100),
            "POST /portfolio/events/orders/o/decrease",
            10,
            False,
        ),
        (
            requests.decrease_order("o", to=100, uses_first=True),
            "POST /portfolio/orders/o/decrease",
            100,
            False,
        ),
        (
            requests.cancel_order("a/../b?c"),
            "DELETE /portfolio/events/orders/a%2F..%2Fb%3Fc",
            2,
            True,
        ),
    ],
)
def test_paths_and_costs(request_: Request, line: str, cost: float, is_cancel: bool) -> None:
    """Section 9: tokens of 2026; cancels may use what is reserved for them (B25)."""
    assert f"{request_.method} {request_.path}" == line
    assert (request_.group, request_.cost, request_.is_cancel) == ("write", cost, is_cancel)
    assert not request_.is_repeatable


def test_changes_of_both_generations() -> None:
    second = {
        "ticker": "KXA-1",
        "side": "ask",
        "price": "0.4000",
        "count": "5.00",
        "client_order_id": "c-1",
        "updated_client_order_id": "c-2",
    }
    first = {"side": "no", "action": "buy", "no_price_dollars": "0.6000", "count_fp": "5.00"}
    shared = ("ticker", "client_order_id", "updated_client_order_id")

    assert body_of(requests.amend_order("o", AMENDMENT)) == second
    assert body_of(requests.amend_order("o", AMENDMENT, uses_first=True)) == first | {
        name: second[name] for name in shared
    }
    plain = Amendment(ticker="K", is_bid=True, count=100, price=100)
    assert set(body_of(requests.amend_order("o", plain))) == {"ticker", "side", "price", "count"}


@pytest.mark.parametrize(
    ("amounts", "uses_first", "body"),
    [
        ({"by": 150}, False, {"reduce_by": "1.50"}),
        ({"to": 0}, False, {"reduce_to": "0.00"}),
        ({"by": 100}, True, {"reduce_by_fp": "1.00"}),
        ({"to": 100}, True, {"reduce_to_fp": "1.00"}),
    ],
)
def test_decreases_name_one_amount(amounts: Any, uses_first: bool, body: Any) -> None:
    assert body_of(requests.decrease_order("o", uses_first=uses_first, **amounts)) == body


@pytest.mark.parametrize("amounts", [{}, {"by": 1, "to": 1}])
def test_a_decrease_by_nothing_or_by_two_things_is_refused(amounts: Any) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        requests.decrease_order("o", **amounts)


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"fill_count": "0.00", "remaining_count": "12.50"}, "resting"),
        ({"fill_count": "2.50", "remaining_count": "10.00"}, "resting"),
        ({"fill_count": "12.50", "remaining_count": "0.00"}, "executed"),
        ({"fill_count": "0.00", "remaining_count": "0.00"}, "canceled"),
        ({"reduced_by": "12.50"}, "canceled"),
        ({"remaining_count": "0.00"}, "canceled"),  # decreased to nothing
        ({}, ""),  # an amendment that does not say
        ({"fill_count": "1.00"}, ""),
    ],
)
def test_the_status_of_a_thin_answer_is_inferred(counts: dict[str, str], status: str) -> None:
    """10.5."""
    body = {"order_id": "o-1", "client_order_id": "c-1", "ts_ms": 5} | counts

    answer = read_answer(json.dumps(body).encode())

    assert (answer.order_id, answer.client_order_id, answer.status) == ("o-1", "c-1", status)
    assert answer.time_ns == 5_000_000


def test_a_whole_order_is_an_answer_too() -> None:
    """10.4: also where an optional field of it cannot be read."""
    body = {"order": ORDER | {"expiration_time": 1.5}, "reduced_by_fp": "15.00"}

    answer = read_answer(json.dumps(body).encode())

    assert answer == OrderAnswer("o-1", "c-1", "resting", 500, 1_500, 1_500, TIME_NS)


def test_items_of_a_batch_fail_or_succeed_each_for_itself() -> None:
    """10.4; an item that cannot be read takes none of the others with it (R-33)."""

    async def scene(rig: Rig) -> None:
        items = [
            ACKNOWLEDGED,
            {"client_order_id": "c-2", "error": {"code": "invalid_price", "message": "no"}},
            {"client_order_id": "c-3", "order": ORDER, "error": None},
            {"order_id": "o-4", "order": None, "error": "gone"},
            {"client_order_id": "c-5"},
            7,
        ]
        rig.server.on("POST /portfolio/events/orders/batched", {"orders": items}, status=201)
        rig.server.on("DELETE /portfolio/events/orders/batched", {"orders": None})

        answers = await rig.rest.create_orders([BID])

        assert answers == [
            OrderAnswer("o-1", "c-1", "resting", 0, 1_250, 0, TIME_NS),
            ItemFailure("c-2", "", "invalid_price", "no"),
            OrderAnswer("o-1", "c-1", "resting", 500, 1_500, 0, TIME_NS),
            ItemFailure("", "o-4", "", "gone"),
            None,
            None,
        ]
        assert await rig.rest.cancel_orders(["o-1"]) == []
        assert rig.last.body == {"orders": [{"order_id": "o-1"}]}

    run(scene)


def test_an_item_with_an_error_that_cannot_be_read_has_no_answer() -> None:
    assert read_item(b'{"error": 5}') is None


def test_an_answer_that_cannot_be_read_is_malformed() -> None:
    for body in (b"", b"[]", b"{}", b'{"order": 5}', b'{"order_id": "o", "fill_count": "x",'):
        with pytest.raises(MalformedMessage):
            read_answer(body)


@pytest.mark.parametrize("uses_first", [True, False])
def test_orders_over_the_wire(uses_first: bool) -> None:
    async def scene(rig: Rig) -> None:
        below = "/portfolio/orders" if uses_first else "/portfolio/events/orders"
        answer: Any = {"order": ORDER} if uses_first else ACKNOWLEDGED
        rig.server.on(f"POST {below}", answer, status=201)
        for call in (
            f"DELETE {below}/o-1",
            f"POST {below}/o-1/amend",
            f"POST {below}/o-1/decrease",
        ):
            rig.server.on(call, answer)

        answers = [
            await rig.rest.create_order(BID),
            await rig.rest.cancel_order("o-1"),
            await rig.rest.amend_order("o-1", AMENDMENT),
            await rig.rest.decrease_order("o-1", by=100),
        ]

        assert {(each.order_id, each.status) for each in answers} == {("o-1", "resting")}
        assert len(rig.server.heard) == 4

    run(scene, uses_first_generation=uses_first)


def test_a_full_batch_of_the_lowest_tier_fits_our_own_limits() -> None:
    """R-68: as many orders as the reserve for cancels leaves; and a first-generation order."""

    async def scene(rig: Rig) -> None:
        rig.server.on("POST /portfolio/events/orders/batched", {"orders": []}, status=201)
        rig.server.on("DELETE /portfolio/events/orders/batched", {"orders": []})
        await rig.rest.create_orders([BID] * 14)
        await rig.rest.cancel_orders(["o"] * 20)

    run(scene)


class KeptWriter:
    """A writer that is open and answers at once."""

    is_open = True

    def __init__(self) -> None:
        self.written: list[Request] = []

    async def send(self, request: Request, headers: Headers) -> Response:
        self.written.append(request)
        return Response(201, (), json.dumps(ACKNOWLEDGED).encode())


def test_orders_may_go_by_another_writer() -> None:
    async def scene(rig: Rig) -> None:
        assert (await rig.rest.create_order(BID)).order_id == "o-1"
        assert not rig.server.heard
        assert [each.path for each in writer.written] == ["/portfolio/events/orders"]

    writer = KeptWriter()
    run(scene, writer=writer)
