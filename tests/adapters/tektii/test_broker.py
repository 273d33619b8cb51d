"""Orders and questions against gateways of any generation."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.tektii.order_news import GRACE_S
from framework.errors import AccessRefused, ConfigError, Conflict, VenueError
from framework.model.events import ConnectionChanged, ConnectionState, ErrorRaised, RateLimited
from framework.model.orders import (
    Fee,
    Liquidity,
    Offset,
    OrderStatus,
    OrderType,
    Percent,
    Side,
    TimeInForce,
    TriggerBy,
)
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import ExecutionReport, OrderReport
from tests.adapters.tektii.scripted_gateway import (
    AAPL,
    KEY,
    START_NS,
    cancel,
    modify,
    play,
    submit,
    world,
)

D = Decimal


# -- submit ----------------------------------------------------------------------------------------


def test_an_order_leaves_under_our_id_in_the_gateways_words() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.capabilities = {"supported_order_types": ["LIMIT"]}
            await one.ready()
            order = await one.sent(
                "mine",
                quantity="0.0000001",
                price="1.50",
                side=Side.SELL,
                time_in_force=TimeInForce.IOC,
                post_only=True,
                reduce_only=True,
                display_quantity=D("0.00000005"),
            )

            assert one.gateway.bodies == [
                {
                    "symbol": "AAPL",
                    "side": "SELL",
                    "quantity": "0.0000001",
                    "order_type": "LIMIT",
                    "time_in_force": "IOC",
                    "client_order_id": "mine",
                    "limit_price": "1.50",
                    "post_only": True,
                    "reduce_only": True,
                    "display_quantity": "0.00000005",
                }
            ]
            (accepted,) = one.heard(OrderAccepted)
            assert (accepted.order_id, accepted.venue_order_id) == ("mine", order["id"])

    play(main)


def test_r21_an_order_that_is_given_twice_leaves_once_and_ends_nothing() -> None:
    """R-21, R-29: the first is what the answers are about; the broker goes on."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            await one.sent("mine")
            one.broker.send(submit("mine", price="2"))
            await one.sent("other")

            (error,) = one.heard(ErrorRaised)
            assert error.error == "order mine was given twice: it is not sent again"
            assert [body["client_order_id"] for body in one.gateway.bodies] == ["mine", "other"]
            assert [fact.order_id for fact in one.heard(OrderAccepted)] == ["mine", "other"]

    play(main)


@pytest.mark.parametrize(
    ("trail", "said"),
    [
        (Offset(D("2.50")), {"trailing_distance": "2.50", "trailing_type": "ABSOLUTE"}),
        (Percent(D("1.5")), {"trailing_distance": "1.5", "trailing_type": "PERCENT"}),
    ],
)
def test_a_trailing_stop_says_its_distance(trail: Any, said: dict[str, str]) -> None:
    async def main() -> None:
        async with world(order_types=["trailing_stop"]) as one:
            one.gateway.capabilities = {}
            await one.ready()
            await one.sent(price=None, type=OrderType.TRAILING_STOP, trail=trail)

            (body,) = one.gateway.bodies
            assert {name: body[name] for name in said} == said
            assert "limit_price" not in body

    play(main)


@pytest.mark.parametrize(
    "intent",
    [
        {"type": OrderType.TRAILING_STOP, "price": None, "trail": Offset(D(1))},  # not listed
        {"order_id": "x" * 57},
    ],
)
def test_what_the_gateway_has_no_words_for_never_leaves(intent: dict[str, Any]) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.broker.send(submit(intent.pop("order_id", "mine"), **intent))
            await one.pass_time(1)

            (end,) = one.heard(OrderEnded)
            assert (end.kind, end.evidence) == (EndKind.REJECTED, "core")
            assert one.gateway.counted("POST") == 0

    play(main)


def test_a_trailing_stop_without_a_distance_never_leaves() -> None:
    async def main() -> None:
        async with world(order_types=["trailing_stop"]) as one:
            one.gateway.capabilities = {}
            await one.ready()
            one.broker.send(submit("mine", price=None, type=OrderType.TRAILING_STOP))
            await one.pass_time(1)

            assert [end.evidence for end in one.heard(OrderEnded)] == ["core"]

    play(main)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"code": "INVALID_VALUE", "message": "stop_price"}, "INVALID_VALUE stop_price"),
        (400, "plain words", "plain words"),
        (404, None, "404"),
        (422, {"code": "ORDER_REJECTED", "message": "no", "details": None}, "ORDER_REJECTED no"),
        (
            422,
            {"code": "ORDER_REJECTED", "message": "no", "details": {"reject_code": "HALTED"}},
            "ORDER_REJECTED no (HALTED)",
        ),
        (429, {"code": "RATE_LIMITED", "details": {"retry_after_seconds": 3}}, "pause"),
        (501, {"code": "UNSUPPORTED_OPERATION", "message": "no trails"}, "UNSUPPORTED"),
        (503, {"code": "SHUTTING_DOWN", "message": "bye"}, "SHUTTING_DOWN"),
    ],
)
def test_a_refusal_ends_the_order_with_its_reason(status: int, body: Any, reason: str) -> None:
    """20.12: errors may be JSON, plain text or nothing."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.answers["POST", "/v1/orders"] = [(status, body)]
            one.broker.send(submit("mine"))
            await one.pass_time(30)

            (end,) = one.heard(OrderEnded)
            assert (end.kind, end.evidence) == (EndKind.REJECTED, "venue")
            assert reason in end.reason
            assert one.gateway.counted("POST") == 1

    play(main)


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"code": "INTERNAL_ERROR", "message": "?"}),
        (502, {"code": "PROVIDER_ERROR", "message": "?"}),
        (503, {"code": "PROVIDER_UNAVAILABLE", "message": "?"}),
        (504, None),
        (201, "not JSON"),
        (201, {"status": "OPEN"}),
        (
            422,
            {
                "code": "ORDER_REJECTED",
                "message": "again",
                "details": {"reject_code": "DUPLICATE_CLIENT_ORDER_ID"},
            },
        ),
    ],
)
def test_r20_an_outcome_that_nobody_knows_is_doubt_and_no_second_order(
    answer: tuple[int, Any],
) -> None:
    """R-20, 20.3."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.answers["POST", "/v1/orders"] = [answer]
            one.broker.send(submit("mine"))
            await one.pass_time(30)

            (doubt,) = one.heard(RequestInDoubt)
            assert (doubt.order_id, doubt.request) == ("mine", RequestKind.SUBMIT)
            assert one.gateway.counted("POST") == 1
            assert not one.heard(OrderEnded)

    play(main)


def test_r20_an_order_in_doubt_is_found_by_our_id_among_those_that_work_and_those_that_do_not() -> (
    None
):
    """R-20: also where the gateway ignores the filter."""

    async def main() -> None:
        async with world() as one:
            one.gateway.obeys_filters = False
            await one.ready()
            one.gateway.add_order(client_order_id="another")
            one.gateway.lost["POST", "/v1/orders"] = 1
            await one.sent()
            await one.until(lambda: one.heard(RequestInDoubt))

            working = await one.broker.order("main", "mine")
            one.gateway.end(one.gateway.orders["o-2"], "EXPIRED")
            past = await one.broker.order("main", "mine")

            assert working is not None
            assert past is not None
            assert (working.order_id, working.status) == ("mine", OrderStatus.ACCEPTED)
            assert past.status is OrderStatus.EXPIRED
            assert await one.broker.order("main", "never") is None

    play(main)


def test_a_handle_that_says_more_is_looked_into() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = one.gateway.add_order(
                client_order_id="mine", status="REJECTED", reject_reason="MARKET_CLOSED"
            )
            answer = {"id": order["id"], "status": "REJECTED"}
            one.gateway.answers["POST", "/v1/orders"] = [(201, answer)]
            one.broker.send(submit("mine"))
            await one.until(lambda: one.heard(OrderEnded))

            (end,) = one.heard(OrderEnded)
            assert (end.kind, end.reason) == (EndKind.REJECTED, "MARKET_CLOSED")
            assert not one.heard(OrderAccepted)

    play(main)


# -- what the stream tells -------------------------------------------------------------------------


def test_fills_are_asked_for_where_no_trade_frames_come() -> None:
    """R-24, 20.4."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.fill(order, "4", "149.90", is_maker=True)
            await one.gateway.tell_order(order, "ORDER_PARTIALLY_FILLED")
            await one.until(lambda: one.heard(OrderFilled))
            one.gateway.fill(order, "6", "149.95", commission="-0.10")
            await one.gateway.tell_order(order, "ORDER_FILLED")
            await one.until(lambda: len(one.heard(OrderFilled)) == 2)
            await one.pass_time(60)

            first, second = one.heard(OrderFilled)
            assert (first.execution_id, first.quantity, first.price) == ("t-1", D(4), D("149.90"))
            assert first.liquidity is Liquidity.MAKER
            assert second.fees == (Fee("USD", D("-0.10")),)
            assert not one.heard(OrderEnded)
            assert not one.heard(OrderReport)

    play(main)


def test_trade_frames_are_told_at_once_and_once() -> None:
    """R-24: the frame, the question and the poll tell the same trade."""

    async def main() -> None:
        async with world(poll_s=2.0) as one:
            await one.ready()
            order = await one.sent()
            trade = one.gateway.fill(order, "10", "150")
            await one.gateway.tell_order(order, "ORDER_FILLED")
            await one.gateway.tell({"type": "trade", "event": "TRADE_FILLED", "trade": trade})
            await one.pass_time(GRACE_S / 2)
            assert len(one.heard(OrderFilled)) == 1
            await one.pass_time(30)

            assert len(one.heard(OrderFilled)) == 1
            assert one.broker.statistics()["catch_ups"] > 5

    play(main)


def test_where_trade_frames_come_the_question_waits_for_them() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            for number in range(2):
                order = await one.sent(f"order {number}")
                trade = one.gateway.fill(order, "10", "150")
                before = one.gateway.counted("GET /v1/trades")
                await one.gateway.tell_order(order, "ORDER_FILLED")
                await one.gateway.tell({"type": "trade", "trade": trade})
                await one.pass_time(5)
            assert one.gateway.counted("GET /v1/trades") == before

    play(main)


def test_r24_a_trade_of_an_order_not_heard_of_yet_is_asked_about() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.lost["POST", "/v1/orders"] = 1
            order = await one.sent()
            trade = one.gateway.fill(order, "10", "150")
            await one.gateway.tell({"type": "trade", "trade": trade})
            await one.until(lambda: one.heard(OrderFilled))

            (fill,) = one.heard(OrderFilled)
            assert (fill.order_id, fill.quantity) == ("mine", D(10))
            assert not one.heard(ExecutionReport)

    play(main)


def test_a_trade_that_cannot_be_named_is_left_to_the_next_look() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = one.gateway.add_order()
            trade = one.gateway.fill(order, "10", "150")
            one.gateway.answers["GET", f"/v1/orders/{order['id']}"] = [(500, None)] * 9
            await one.gateway.tell({"type": "trade", "trade": trade})
            await one.pass_time(60)
            assert not one.heard(ExecutionReport)

            one.gateway.answers.clear()
            await one.gateway.tell({"type": "connection", "event": "BROKER_RECONNECTED"})
            await one.until(lambda: one.heard(ExecutionReport))
            orphan = {**trade, "id": "t-9", "order_id": "nobody's"}
            await one.gateway.tell({"type": "trade", "trade": orphan})
            await one.until(lambda: len(one.heard(ExecutionReport)) == 2)

    play(main)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("CANCELLED", EndKind.CANCELLED),
        ("EXPIRED", EndKind.EXPIRED),
        ("REJECTED", EndKind.REJECTED),
    ],
)
def test_an_end_is_told_after_the_fills_before_it(status: str, kind: EndKind) -> None:
    """R-25: a fill after an end would be an anomaly."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.fill(order, "3", "150")
            one.gateway.end(order, status, reject_reason="MARKET_CLOSED")
            await one.gateway.tell_order(order, f"ORDER_{status}")
            await one.until(lambda: one.heard(OrderEnded))
            await one.gateway.tell_order({**order, "updated_at": None}, f"ORDER_{status}")
            await one.pass_time(5)

            told = [
                event
                for event in one.context.events
                if isinstance(event, OrderAccepted | OrderFilled | OrderEnded)
            ]
            assert [type(event) for event in told] == [OrderAccepted, OrderFilled, OrderEnded]
            assert told[-1].kind is kind  # type: ignore[union-attr] # the last one is an end
            assert told[-1].reason == "MARKET_CLOSED"  # type: ignore[union-attr] # as above

    play(main)


def test_r45_what_is_unknown_null_or_missing_ends_nothing() -> None:
    """R-45, 20.7: a new word is no end, and costs no frame."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            strange = {**order, "status": "FROZEN", "new": [1], "limit_price": None}
            await one.gateway.tell_order(strange, "ORDER_FROZEN", event_id="e-1")
            await one.gateway.tell({"type": "dreams", "event_id": "e-2"})
            await one.gateway.tell({"type": None, "event_id": "e-3"})
            await one.gateway.tell({"event_id": "e-4"})
            await one.pass_time(2)

            acked = [i for said in one.gateway.said for i in said["events_processed"]]
            assert acked == ["e-1", "e-2", "e-3", "e-4"]
            assert not one.heard(OrderEnded)
            assert not one.heard(ErrorRaised)
            found = await one.broker.order("main", "mine")
            assert found is not None
            assert found.status is OrderStatus.ACCEPTED

    play(main)


@pytest.mark.parametrize("order", [{}, {"id": None}, {"id": "o-9"}, {"id": "o-9", "side": "UP"}])
def test_r45_what_makes_no_order_is_counted_and_acknowledged(order: dict[str, Any]) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            await one.gateway.tell_order(order, event_id="e-1")
            await one.gateway.tell("{nonsense")
            await one.gateway.tell(b"\x00\x01")
            await one.pass_time(1)

            assert one.broker.statistics()["malformed"] == 2
            assert one.broker.statistics()["unexpected"] == 1
            assert len(one.heard(ErrorRaised)) == 1
            assert [said["events_processed"] for said in one.gateway.said] == [["e-1"], []]

    play(main)


def test_r26_what_others_order_is_reported() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = one.gateway.add_order(
                client_order_id="fx-77-sl", side="SELL", order_type="STOP", stop_price="140"
            )
            await one.gateway.tell_order(order, "ORDER_CREATED", parent_order_id="o-0")
            one.gateway.fill(order, "10", "139.90")
            await one.gateway.tell_order(order, "ORDER_FILLED")
            await one.until(lambda: one.heard(ExecutionReport))

            first, second = one.heard(OrderReport)
            assert (first.order_id, first.type) == ("fx-77-sl", OrderType.STOP)
            assert (first.side, first.stop_price) == (Side.SELL, D(140))
            assert second.status is OrderStatus.FILLED
            (execution,) = one.heard(ExecutionReport)
            assert (execution.order_id, execution.side) == ("fx-77-sl", Side.SELL)
            assert not one.heard(OrderFilled)

    play(main)


def test_a_change_that_others_made_is_reported() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            await one.gateway.tell_order(order, "ORDER_CREATED")
            order |= {"limit_price": "151", "updated_at": one.gateway.now}
            await one.gateway.tell_order(order)
            await one.until(lambda: one.heard(OrderReport))

            (report,) = one.heard(OrderReport)
            assert (report.order_id, report.price) == ("mine", D(151))

    play(main)


def test_fills_that_cannot_be_read_leave_the_core_to_look() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.fill(order, "10", "150")
            one.gateway.trades.clear()
            one.gateway.answers["GET", "/v1/trades"] = [(500, "?")] * 3
            await one.gateway.tell_order(order, "ORDER_FILLED")
            await one.until(lambda: one.heard(OrderReport), within_s=60)

            (report,) = one.heard(OrderReport)
            assert (report.filled, report.status) == (D(10), OrderStatus.FILLED)
            assert one.broker.statistics()["fills_not_found"] == 1

    play(main)


# -- cancel ----------------------------------------------------------------------------------------


def test_a_cancel_is_told_by_its_answer_and_not_again_by_the_stream() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(OrderEnded))
            await one.gateway.tell_order(order, "ORDER_CANCELLED")
            await one.pass_time(5)

            assert [end.kind for end in one.heard(OrderEnded)] == [EndKind.CANCELLED]

    play(main)


def test_a_cancel_waits_for_the_answer_to_its_order() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.broker.send(submit("mine"))
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(OrderEnded))

            assert [call.split()[0] for call in one.gateway.calls][-2:] == ["POST", "DELETE"]

    play(main)


def test_a_cancel_whose_answer_is_lost_is_repeated_as_it_does_no_more() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            await one.sent()
            one.gateway.lost["DELETE", "/v1/orders/o-1"] = 1
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(OrderEnded))

            assert one.gateway.counted("DELETE") == 2
            assert not one.heard(RequestInDoubt)

    play(main)


@pytest.mark.parametrize("status", [400, 409])
def test_a_cancel_that_came_too_late_is_refused_or_turns_out_to_be_done(status: int) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.answers["DELETE", "/v1/orders/o-1"] = [(status, "too late")] * 2
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(RequestRefused))
            one.gateway.end(order)
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(OrderEnded))

            (refusal,) = one.heard(RequestRefused)
            assert refusal.request is RequestKind.CANCEL
            assert "too late" in refusal.reason

    play(main)


def test_cancels_of_an_earlier_process_find_their_order() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.add_order(client_order_id="before")
            one.broker.send(cancel("before"))
            await one.until(lambda: one.heard(OrderEnded))
            one.broker.send(cancel("never"))
            await one.until(lambda: one.heard(RequestRefused))

            assert one.gateway.orders["o-1"]["status"] == "CANCELLED"
            assert one.heard(RequestRefused)[0].order_id == "never"

    play(main)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"success": False, "order": {"id": "o-1", "status": "OPEN"}}), RequestRefused),
        ((200, {"success": False}), RequestRefused),
        ((200, {"success": True}), OrderEnded),
        ((200, "?"), RequestInDoubt),
        ((502, "?"), RequestInDoubt),
    ],
)
def test_odd_answers_to_a_cancel(answer: tuple[int, Any], told: type) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.answers["DELETE", "/v1/orders/o-1"] = [answer] * 9
            if told is OrderEnded:
                one.gateway.end(order)
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(told))

    play(main)


def test_a_question_that_fails_before_a_cancel_is_doubt() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            for command in (cancel("before"), modify("before", quantity="1")):
                one.gateway.answers["GET", "/v1/orders"] = [(500, None)] * 9
                one.broker.send(command)
                await one.pass_time(60)
            kinds = [doubt.request for doubt in one.heard(RequestInDoubt)]
            assert kinds == [RequestKind.CANCEL, RequestKind.MODIFY]

    play(main)


# -- modify ----------------------------------------------------------------------------------------


def test_a_change_in_place_is_told_as_the_gateway_states_it() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.broker.send(modify("mine", 1, price="149.50"))
            await one.until(lambda: one.heard(OrderReplaced))
            one.broker.send(modify("mine", 2, quantity="7"))
            await one.until(lambda: len(one.heard(OrderReplaced)) == 2)
            await one.gateway.tell_order(order)
            await one.pass_time(2)

            told = [(f.revision, f.quantity, f.price) for f in one.heard(OrderReplaced)]
            assert told == [(1, D(10), D("149.50")), (2, D(7), D("149.50"))]
            assert not one.heard(OrderReport)

    play(main)


def test_r27_a_replaced_order_goes_on_under_its_new_id() -> None:
    """R-27, 20.10: the end of the old one is not ours, its fills are."""

    async def main() -> None:
        async with world() as one:
            one.gateway.replaces = True
            await one.ready()
            old = await one.sent()
            one.gateway.fill(old, "4", "150")
            await one.gateway.tell_order(old, "ORDER_PARTIALLY_FILLED")
            await one.until(lambda: one.heard(OrderFilled))
            one.broker.send(modify("mine", quantity="5"))
            await one.until(lambda: one.heard(OrderReplaced))
            await one.gateway.tell_order(old, "ORDER_CANCELLED")
            await one.pass_time(2)
            new = one.gateway.orders["o-2"]
            one.gateway.fill(new, "5", "150")
            await one.gateway.tell_order(new, "ORDER_FILLED")
            await one.until(lambda: len(one.heard(OrderFilled)) == 2)

            (replaced,) = one.heard(OrderReplaced)
            assert (replaced.quantity, replaced.venue_order_id) == (D(9), "o-2")
            assert sum(fill.quantity for fill in one.heard(OrderFilled)) == 9
            assert not one.heard(OrderEnded)

    play(main)


def test_r27_an_end_during_a_change_waits_for_what_the_change_says() -> None:
    """R-27: the frame of the old order's end overtakes the answer that explains it."""

    async def main() -> None:
        async with world() as one:
            one.gateway.replaces = True
            await one.ready()
            old = await one.sent()
            one.broker.send(modify("mine", quantity="5"))
            await one.gateway.tell_order({**old, "status": "CANCELLED"}, "ORDER_CANCELLED")
            await one.until(lambda: one.heard(OrderReplaced))
            await one.pass_time(5)
            assert not one.heard(OrderEnded)

            one.broker.send(cancel("mine"))
            await one.until(lambda: one.heard(OrderEnded))
            assert one.gateway.orders["o-2"]["status"] == "CANCELLED"

    play(main)


def test_r27_a_replacement_whose_answer_is_lost_is_found() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.replaces = True
            await one.ready()
            old = await one.sent()
            one.gateway.lost["PATCH", "/v1/orders/o-1"] = 1
            one.broker.send(modify("mine", quantity="5"))
            await one.until(lambda: one.heard(RequestInDoubt))
            await one.gateway.tell_order(old, "ORDER_CANCELLED")
            await one.pass_time(5)
            report = await one.broker.order("main", "mine")

            assert one.gateway.counted("PATCH") == 1
            assert report is not None
            assert (report.venue_order_id, report.quantity) == ("o-2", D(5))

    play(main)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((400, {"code": "INVALID_REQUEST", "message": "less than filled"}), RequestRefused),
        ((409, {"code": "ORDER_NOT_MODIFIABLE", "message": "over"}), RequestRefused),
        ((200, {"order": None}), RequestInDoubt),
        ((200, {"order": {"id": "o-1"}}), RequestInDoubt),
        ((502, ""), RequestInDoubt),
    ],
)
def test_odd_answers_to_a_change(answer: tuple[int, Any], told: type) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.answers["PATCH", "/v1/orders/o-1"] = [answer]
            one.broker.send(modify("mine", quantity="1"))
            one.gateway.end(order)
            await one.gateway.tell_order(order, "ORDER_CANCELLED")
            await one.until(lambda: one.heard(told))
            await one.until(lambda: one.heard(OrderEnded))
            one.broker.send(modify("nobody's", quantity="1"))
            await one.until(lambda: "nobody's" in {f.order_id for f in one.heard(RequestRefused)})

    play(main)


# -- questions -------------------------------------------------------------------------------------


def test_working_orders_are_those_that_work_whatever_the_list_holds() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.lists_all = True
            await one.ready()
            one.gateway.add_order(client_order_id="a")
            one.gateway.add_order(client_order_id="b", status="CANCELLED")
            one.gateway.add_order(status="PENDING_CANCEL", filled_quantity="2")
            reports = await one.broker.open_orders("main")

            assert [(r.order_id, r.status) for r in reports] == [
                ("", OrderStatus.PARTIALLY_FILLED),
                ("a", OrderStatus.ACCEPTED),
            ]

    play(main)


def test_an_order_that_cannot_be_read_is_no_answer() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.add_order(side="UP")
            with pytest.raises(VenueError):
                await one.broker.open_orders("main")

    play(main)


@pytest.mark.parametrize("obeys", [True, False])
def test_executions_come_oldest_first_each_once_by_pages(obeys: bool) -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.obeys_filters = obeys
            await one.ready()
            order = one.gateway.add_order(client_order_id="mine", quantity="5000")
            for _ in range(700):
                one.gateway.fill(order, "1", "150")
                await one.pass_time(0.01)
            other = one.gateway.add_order()
            one.gateway.fill(other, "1", "150")
            found = await one.broker.executions("main", START_NS)

            expected = 701 if obeys else 500  # the second page of one that does not is the first
            assert len({e.execution_id for e in found}) == len(found) == expected
            assert [e.time_ns for e in found] == sorted(e.time_ns for e in found)
            assert {e.order_id for e in found} == {"mine", ""}

    play(main)


def test_cash_is_the_balance_without_what_positions_cost() -> None:
    """6.2: `balance` is cash without unrealised result, so it holds what was paid for spot."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.positions = [
                {
                    "symbol": "AAPL",
                    "side": "LONG",
                    "quantity": "3",
                    "average_entry_price": "33.33333333333333333333333333",
                },
                {
                    "symbol": "EUR/USD",
                    "side": "SHORT",
                    "quantity": "1000",
                    "average_entry_price": "1.08",
                },
            ]
            (balance,) = await one.broker.balances("main")
            positions = await one.broker.positions("main")

            assert (balance.currency, balance.total) == ("USD", D("100980"))
            assert [(p.instrument, p.quantity) for p in positions] == [
                (AAPL, D(3)),
                ("x:EUR/USD", D(-1000)),
            ]

    play(main)


def test_positions_of_a_hedging_platform_are_one_per_instrument() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            terms = {"symbol": "AAPL", "average_entry_price": "150"}
            one.gateway.positions = [
                {**terms, "id": "p-1", "side": "LONG", "quantity": "5"},
                {**terms, "id": "p-2", "side": "SHORT", "quantity": "-2"},
                {"symbol": "MSFT", "side": "LONG", "quantity": "0", "id": "p-3"},
            ]
            (position,) = await one.broker.positions("main")

            assert (position.quantity, position.average_price) == (D(3), None)

    play(main)


@pytest.mark.parametrize(
    "position",
    [
        {"symbol": "AAPL", "side": "UP", "quantity": "1", "average_entry_price": "1"},
        {"side": "LONG", "quantity": "1", "average_entry_price": "1"},
        {"symbol": "AAPL", "side": "LONG"},
    ],
)
def test_r34_what_is_held_is_not_known_where_a_position_cannot_be_read(
    position: dict[str, str],
) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            one.gateway.positions = [position]
            with pytest.raises(VenueError):
                await one.broker.positions("main")
            one.gateway.positions = []
            for account in ({"currency": "USD"}, {"balance": "1"}, {"balance": "NaN"}):
                one.gateway.account = account
                with pytest.raises(VenueError):
                    await one.broker.balances("main")

    play(main)


def test_questions_about_another_account_and_before_the_start_have_no_answer() -> None:
    async def main() -> None:
        async with world() as one:
            with pytest.raises(VenueError, match="not been asked yet"):
                await one.broker.positions("main")
            await one.ready()
            with pytest.raises(VenueError, match="other"):
                await one.broker.positions("other")

    play(main)


def test_breakers_can_be_read_and_closed() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            found = await one.broker.breakers()
            closed = await one.broker.reset_breakers()
            one.gateway.answers["POST", "/v1/circuit-breakers/reset"] = [
                (409, {"code": "RESET_COOLDOWN", "message": "wait"})
            ]

            assert found.adapter is not None
            assert (found.adapter.state, found.adapter.failure_count) == ("open", 3)
            assert closed.adapter is not None
            assert closed.adapter.state == "closed"
            with pytest.raises(Conflict, match="RESET_COOLDOWN"):
                await one.broker.reset_breakers()

    play(main)


# -- the start, and coming back --------------------------------------------------------------------


def test_the_gateway_is_asked_in_the_order_of_the_specification() -> None:
    """20.1."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            await one.pass_time(1)

            paths = [call.split()[1].partition("?")[0] for call in one.gateway.calls]
            assert paths[:5] == ["/readyz", "/health", "/v1/capabilities", "/v1/ws", "/v1/orders"]
            assert "/v1/trades" in paths[5:]
            events = '"events":["order_update","trade_update","position_update","account_update"]'
            asked = one.gateway.queries[0]["subscriptions"]
            assert asked == '[{"platform":"mock","instrument":"*",' + events + "}]"

    play(main)


def test_a_gateway_that_is_not_ready_is_waited_for() -> None:
    async def main() -> None:
        async with world() as one:
            ready = [(503, {"ready": False}), (200, {"ready": False, "message": "soon"})]
            one.gateway.answers["GET", "/readyz"] = [*ready, (503, None), (404, None)]
            await one.ready()

            states = [e.state for e in one.heard(ConnectionChanged) if e.link == "broker"]
            assert states[-1] is ConnectionState.STREAMING
            assert ConnectionState.RECONNECTING in states

    play(main)


@pytest.mark.parametrize("platform", ["alpaca-live", "BINANCE-SPOT-LIVE"])
def test_a_platform_that_trades_for_real_is_refused_unless_allowed(platform: str) -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.health = {"providers": [{"platform": platform}]}
            one.run(one.broker)
            await one.until(lambda: one.running[0].done())
            with pytest.raises(ConfigError, match="allow_live"):
                one.running[0].result()
            one.broker.send(submit("mine"))
            assert [end.evidence for end in one.heard(OrderEnded)] == ["core"]
            assert one.gateway.counted("GET /v1") == 0
        async with world(allow_live=True) as one:
            one.gateway.health = {"providers": [{"platform": platform}]}
            await one.ready()
            await one.sent()

    play(main)


def test_nothing_leaves_before_the_gateway_said_who_it_is() -> None:
    async def main() -> None:
        async with world() as one:
            one.run(one.broker)
            await one.pass_time(0)
            one.broker.send(submit("mine"))

            assert [end.reason for end in one.heard(OrderEnded)] == ["the gateway is not known"]

    play(main)


def test_a_refused_key_stops_the_broker_and_says_so() -> None:
    """20.8."""

    async def main() -> None:
        async with world() as one:
            one.gateway.key = KEY
            one.run(one.broker)
            await one.until(lambda: one.running[0].done())
            await one.pass_time(600)

            with pytest.raises(AccessRefused, match="UNAUTHORIZED"):
                one.running[0].result()
            assert one.gateway.counted("GET /v1/capabilities") == 1
            assert "ACCESS_REFUSED" in [error.handler for error in one.heard(ErrorRaised)]

    play(main)


def test_a_key_that_is_taken_away_stops_the_stream_and_leaves_the_rest_alone() -> None:
    async def main() -> None:
        async with world(api_key=KEY) as one:
            one.gateway.key = KEY
            await one.ready()
            one.gateway.key = "another"
            await one.gateway.close_streams()
            await one.pass_time(600)

            assert not one.running[0].done()
            states = [e.state for e in one.heard(ConnectionChanged) if e.link == "broker"]
            assert states[-1] is ConnectionState.CLOSED
            assert one.gateway.counted("GET /v1/capabilities") == 2

    play(main)


def test_a_handshake_that_is_refused_is_not_tried_again() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.answers["GET", "/v1/ws"] = [(403, None)] * 99
            one.run(one.broker)
            await one.until(lambda: one.running[0].done())

            with pytest.raises(AccessRefused):
                one.running[0].result()
            assert one.gateway.counted("GET /v1/ws") == 1

    play(main)


def test_r43_after_a_clean_close_it_comes_back_and_reads_again() -> None:
    """R-43, 20.5, 20.8."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            one.gateway.fill(order, "10", "150")
            await one.gateway.close_streams()
            await one.until(lambda: one.heard(OrderFilled))
            await one.pass_time(60)

            assert one.gateway.counted("GET /v1/ws") == 2
            assert one.gateway.stream_count == 1

    play(main)


def test_r43_a_stream_with_numbers_goes_on_from_where_it_was() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            await one.gateway.tell_order(order, seq=7, epoch="e")
            await one.pass_time(1)
            await one.gateway.close_streams()
            await one.until(lambda: len(one.gateway.queries) == 2)

            assert (one.gateway.queries[1]["epoch"], one.gateway.queries[1]["after"]) == ("e", "7")

    play(main)


def test_r41_a_gap_is_followed_by_questions() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            await one.gateway.tell_order(order, seq=1, epoch="e")
            one.gateway.fill(order, "10", "150")
            await one.gateway.tell({"type": "ping", "seq": 3, "epoch": "e"})
            await one.until(lambda: one.heard(OrderFilled))

            assert one.broker.statistics()["gaps"] == 1
            assert {"type": "pong"} in one.gateway.said

    play(main)


def test_r34_what_was_lost_for_no_reason_is_found_by_the_poll() -> None:
    """20.4, 20.5: a fill by its trade, an end because two lists leave the order out."""

    async def main() -> None:
        async with world(poll_s=3.0) as one:
            await one.ready()
            filled, ended = await one.sent("filled"), await one.sent("ended")
            await one.sent("working")
            one.gateway.fill(filled, "10", "150")
            one.gateway.end(ended)
            await one.until(lambda: one.heard(OrderFilled) and one.heard(OrderEnded))
            one.gateway.answers["GET", "/v1/orders"] = [(500, None)] * 99
            await one.pass_time(10)

            assert one.heard(OrderEnded)[0].order_id == "ended"
            assert len(one.heard(OrderEnded)) == 1

    play(main)


def test_a_pause_that_only_the_body_asks_for_is_kept() -> None:
    """20.11: the header may be missing."""

    async def main() -> None:
        async with world() as one:
            await one.ready()
            many = {"code": "RATE_LIMITED", "details": {"retry_after_seconds": 7}}
            one.gateway.answers["POST", "/v1/orders"] = [(429, many)]
            one.broker.send(submit("first"))
            await one.until(lambda: one.heard(RateLimited))
            began_ns = one.loop.now_ns
            await one.broker.positions("main")

            assert 6.9e9 <= one.loop.now_ns - began_ns <= 7.2e9

    play(main)


@pytest.mark.parametrize("details", [None, {}, [], {"retry_after_seconds": None}])
def test_a_pause_of_no_length_is_the_toolkits(details: Any) -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            many = {"code": "RATE_LIMITED", "details": details}
            one.gateway.answers["POST", "/v1/orders"] = [(429, many)]
            one.broker.send(submit("first"))
            await one.until(lambda: one.heard(OrderEnded))
            await one.broker.positions("main")

    play(main)


# -- capabilities ----------------------------------------------------------------------------------


def test_trailing_stops_are_the_cores_unless_they_are_asked_for() -> None:
    """15: originals list them for platforms that refuse them."""

    async def main() -> None:
        async with world() as one:
            one.gateway.capabilities = {"supported_order_types": ["TRAILING_STOP", "LIMIT"]}
            await one.ready()
            assert one.broker.capabilities.order_types == {OrderType.LIMIT}

    play(main)


def test_capabilities_are_what_both_sides_have() -> None:
    async def main() -> None:
        async with world(stop_trigger="bid_ask", order_types=["limit", "stop"]) as one:
            before = one.broker.capabilities
            one.gateway.capabilities = {
                "supported_order_types": ["LIMIT", "MARKET", "ICEBERG", None],
                "features": ["reduce_only", None],
                "rate_limits": {"requests_per_minute": 60, "orders_per_second": 1},
            }
            await one.ready()
            after = one.broker.capabilities

            assert before.order_types == {OrderType.LIMIT, OrderType.STOP}
            assert after.order_types == {OrderType.LIMIT}
            assert before.has_post_only
            assert (after.has_reduce_only, after.has_post_only) == (True, False)
            assert after.trigger_bys == {TriggerBy.BID_ASK}
            assert not after.has_brackets

    play(main)


def test_the_limits_that_a_gateway_tells_of_are_kept() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.capabilities = {
                "rate_limits": {"requests_per_minute": 60, "orders_per_second": 4}
            }
            await one.ready()
            for number in range(6):
                one.broker.send(submit(f"order {number}"))
            await one.pass_time(0.2)
            burst = one.gateway.counted("POST")
            await one.pass_time(60)

            assert burst <= 6
            assert one.gateway.counted("") <= 60 + 10

    play(main)


def test_trades_of_an_earlier_process_are_named_by_lists_and_one_by_one() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            names = []
            for number in range(3):
                order = one.gateway.add_order(client_order_id=f"before {number}")
                one.gateway.fill(order, "10", "150")
                names.append(f"before {number}")
            one.gateway.trades[0]["order_id"] = "gone"
            found = await one.broker.executions("main", START_NS)
            assert [e.order_id for e in found] == ["", *names[1:]]
            assert one.gateway.counted("GET /v1/orders/gone") == 1

            late = one.gateway.add_order(client_order_id="late")
            one.gateway.fill(late, "10", "150")
            found = await one.broker.executions("main", START_NS)
            assert [e.order_id for e in found] == ["", *names[1:], "late"]
            assert one.gateway.counted(f"GET /v1/orders/{late['id']}") == 1

    play(main)


def test_an_order_that_left_the_gateways_memory_is_looked_for_by_our_id() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready()
            order = await one.sent()
            del one.gateway.orders[order["id"]]
            assert await one.broker.order("main", "mine") is None
            one.gateway.add_order(client_order_id="mine", status="FILLED", filled_quantity="10")
            found = await one.broker.order("main", "mine")

            assert found is not None
            assert found.status is OrderStatus.FILLED

    play(main)
