"""Orders and questions against the simulated venue."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.kalshi.simulated.faults import RefuseCommands, SendError, unknown_type
from adapters.kalshi.simulated.rest_faults import RestFault
from framework.errors import VenueError
from framework.model.account import Settled
from framework.model.events import ConnectionChanged, ConnectionState, ErrorRaised
from framework.model.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
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
from tests.adapters.kalshi.world import (
    CENT,
    RAIN,
    SNOW,
    START_NS,
    X_RAIN,
    World,
    cancel,
    modify,
    order,
    play,
    world,
)

ORDERS = "/portfolio/events/orders"
TEN = Decimal(10)


async def ready(one: World) -> None:
    """Let the broker connect, and hear of its three channels."""
    one.run(one.broker)
    await one.until(lambda: len(one.venue.control.subscriptions()) == 3)


async def accepted(one: World, order_id: str, price: str = "0.40", **terms: Any) -> None:
    """Send an order that rests."""
    one.broker.send(order(order_id, price, **terms))
    await one.until(lambda: one.told(order_id, OrderAccepted))


def errors(one: World, handler: str) -> list[str]:
    """Return what the broker complained of."""
    return [event.error for event in one.heard(ErrorRaised) if event.handler == handler]


def lost(method: str, path: str, **changes: Any) -> RestFault:
    """Return a fault of one request; its answer is lost unless told otherwise."""
    return RestFault(method=method, path=path, **{"kind": "lose_answer", "count": 1, **changes})


def test_an_order_is_accepted_under_our_id_and_taken_back() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", OrderEnded))
            await one.pass_time(1.0)

            (taken,) = one.venue.exchange.portfolio.orders("main")
            (fact,) = one.told("mine", OrderAccepted)
            assert (fact.venue_order_id, taken.client_order_id) == (taken.order_id, "mine")
            (end,) = one.told("mine", OrderEnded)
            assert (end.kind, end.evidence) == (EndKind.CANCELLED, "venue")
            assert not one.heard(OrderReport)

    play(main)


@pytest.mark.parametrize("pause_s", [0.0, 5.0])
def test_r21_an_order_that_is_given_twice_leaves_once_and_ends_nothing(pause_s: float) -> None:
    """R-21, R-29: before its answer or after it; the broker goes on."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(order("mine"))
            await one.pass_time(pause_s)
            one.broker.send(order("mine", "0.41"))
            await one.until(lambda: one.told("mine", OrderAccepted))
            await accepted(one, "other")

            assert errors(one, "send") == ["order mine was given twice: it is not sent again"]
            assert len(one.venue.exchange.portfolio.orders("main")) == 2
            assert not one.told("mine", OrderEnded)
            assert not one.told("mine", RequestInDoubt)

    play(main)


def test_a_cancel_right_behind_its_order_waits_for_the_answer() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.rest.faults.add(lost("POST", ORDERS, kind="delay_answer", delay_s=2.0))
            one.broker.send(order("mine"))
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", OrderEnded))

            assert one.told("mine", OrderEnded)[0].kind is EndKind.CANCELLED
            assert not one.told("mine", RequestRefused)

    play(main)


@pytest.mark.parametrize(
    ("side", "is_bid_there", "held"), [(Side.BUY, False, "4"), (Side.SELL, True, "-4")]
)
def test_f17_a_fill_has_side_price_fee_and_liquidity(
    side: Side, is_bid_there: bool, held: str
) -> None:
    """F-17, R-24: a buy adds yes contracts, a sell without any adds no contracts."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(is_bid_there, 40, 4)
            await accepted(one, "mine", side=side)
            await one.until(lambda: one.told("mine", OrderFilled))
            one.rest(side is not Side.BUY, 40, 1)  # a maker's fill
            await one.until(lambda: len(one.told("mine", OrderFilled)) == 2)

            taken, made = one.told("mine", OrderFilled)
            assert (taken.quantity, taken.price) == (Decimal(4), Decimal("0.4"))
            assert (taken.liquidity, made.liquidity) == (Liquidity.TAKER, Liquidity.MAKER)
            (fee,) = taken.fees
            assert (fee.currency, fee.amount) == ("USD", Decimal("0.07"))  # 0.07 * 4 * 0.4 * 0.6
            assert not made.fees
            (position,) = await one.broker.positions("main")
            assert position.quantity == Decimal(held) + (1 if side is Side.BUY else -1)

    play(main)


@pytest.mark.parametrize(
    ("intent", "kind", "filled"),
    [
        ({"time_in_force": TimeInForce.FOK}, EndKind.CANCELLED, 0),
        ({"time_in_force": TimeInForce.IOC}, EndKind.CANCELLED, 4),
        ({"post_only": True}, EndKind.REJECTED, 0),
        ({"reduce_only": True}, EndKind.CANCELLED, 0),
    ],
)
def test_what_cannot_rest_ends_as_it_came(
    intent: dict[str, Any], kind: EndKind, filled: int
) -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(False, 40, 4)
            one.broker.send(order("mine", **intent))
            await one.until(lambda: one.told("mine", OrderEnded))
            await one.pass_time(1.0)

            (end,) = one.told("mine", OrderEnded)
            assert end.kind is kind
            assert sum(fill.quantity for fill in one.told("mine", OrderFilled)) == filled

    play(main)


def test_a_market_order_takes_what_is_there_at_any_price() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(False, 40, 4)
            one.rest(False, 99, 6)
            one.broker.send(order("mine", None))
            await one.until(lambda: len(one.told("mine", OrderFilled)) == 2)

            assert [fill.price for fill in one.told("mine", OrderFilled)] == [
                Decimal("0.4"),
                Decimal("0.99"),
            ]
            assert not one.told("mine", OrderEnded)

    play(main)


def test_a_reduce_only_order_closes_what_is_held_and_no_more() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(False, 40, 4)
            await accepted(one, "entry", quantity="4")
            one.rest(True, 30, 50)
            one.broker.send(order("exit", "0.30", side=Side.SELL, reduce_only=True))
            await one.until(lambda: one.told("exit", OrderFilled))

            assert sum(fill.quantity for fill in one.told("exit", OrderFilled)) == 4
            assert await one.broker.positions("main") == []

    play(main)


def test_a_good_till_date_order_expires() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            expire_ns = one.loop.now_ns + 60 * 10**9
            await accepted(one, "mine", time_in_force=TimeInForce.GTD, expire_ns=expire_ns)
            await one.until(lambda: one.told("mine", OrderEnded), within_s=65.0)

            assert one.told("mine", OrderEnded)[0].kind is EndKind.EXPIRED

    play(main)


def test_price_and_quantity_are_changed_with_their_revision() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")
            one.broker.send(modify("mine", 1, price=Decimal("0.41")))
            await one.until(lambda: one.told("mine", OrderReplaced))
            one.broker.send(modify("mine", 2, quantity=Decimal(7)))
            await one.until(lambda: len(one.told("mine", OrderReplaced)) == 2)

            facts = [(f.revision, f.price, f.quantity) for f in one.told("mine", OrderReplaced)]
            assert facts == [(1, Decimal("0.41"), TEN), (2, Decimal("0.41"), Decimal(7))]
            (taken,) = one.venue.exchange.portfolio.orders("main")
            assert (taken.yes_price, taken.remaining_count) == (41 * CENT, 700)

    play(main)


def test_r20_a_change_without_an_answer_is_in_doubt_and_the_next_builds_on_the_truth() -> None:
    """R-20: what the stream told of the order is what it asks for."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")
            one.venue.rest.faults.add(lost("POST", "/amend"))
            one.broker.send(modify("mine", 1, quantity=Decimal(6)))
            await one.until(lambda: one.told("mine", RequestInDoubt))
            one.broker.send(modify("mine", 2, price=Decimal("0.39")))
            await one.until(lambda: one.told("mine", OrderReplaced))

            assert one.told("mine", RequestInDoubt)[0].request is RequestKind.MODIFY
            (fact,) = one.told("mine", OrderReplaced)
            assert (fact.quantity, fact.price) == (Decimal(6), Decimal("0.39"))

    play(main)


def test_r20_a_cancel_without_an_answer_is_in_doubt_until_the_stream_tells() -> None:
    """R-20."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")
            one.venue.rest.faults.add(lost("DELETE", ORDERS))
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", RequestInDoubt))

            assert one.told("mine", RequestInDoubt)[0].request is RequestKind.CANCEL
            assert one.told("mine", OrderEnded)[0].kind is EndKind.CANCELLED

    play(main)


def test_r20_an_order_without_an_answer_is_in_doubt_and_can_be_taken_back() -> None:
    """R-20: with the stream down as well, its id is found by asking."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.control.inject(SendError(code=10, channel="user_orders"))
            one.venue.control.inject(RefuseCommands(cmd="subscribe", code=18, count=9))
            one.venue.rest.faults.add(lost("POST", ORDERS))
            one.broker.send(order("mine"))
            await one.until(lambda: one.told("mine", RequestInDoubt))
            assert not one.told("mine", OrderAccepted)
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", OrderEnded))

            assert one.venue.exchange.portfolio.orders("main")[0].status == "canceled"

    play(main)


@pytest.mark.parametrize("kind", ["lose_answer", "fail_after", "garble"])
def test_r20_f01_an_order_that_may_have_been_taken_is_in_doubt(kind: str) -> None:
    """R-20, F-01: never rejected, never sent again."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.rest.faults.add(lost("POST", ORDERS, kind=kind))
            one.broker.send(order("mine"))
            await one.until(lambda: one.told("mine", RequestInDoubt))
            await one.pass_time(60.0)

            assert not one.told("mine", OrderEnded)
            assert len(one.venue.exchange.portfolio.orders("main")) == 1
            assert len(one.told("mine", OrderAccepted)) == 1  # by the stream

    play(main)


def test_r20_a_used_client_id_is_in_doubt_it_may_be_this_very_order() -> None:
    """R-20: section 10.1, 409."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")
            later = one.restarted()
            try:
                await ready_beside(later)
                later.broker.send(order("mine"))
                await later.until(lambda: later.told("mine", RequestInDoubt))

                assert not later.told("mine", OrderEnded)
            finally:
                await later.aclose()

    play(main)


async def ready_beside(one: World) -> None:
    """Let another broker connect."""
    one.run(one.broker)
    await one.until(lambda: len(one.venue.control.subscriptions()) == 6)


def test_a_paused_market_rejects_with_its_reason() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.exchange.lifecycle.pause(RAIN)
            one.broker.send(order("mine"))
            await one.until(lambda: one.told("mine", OrderEnded))

            (end,) = one.told("mine", OrderEnded)
            assert (end.kind, end.evidence) == (EndKind.REJECTED, "venue")
            assert "paused" in end.reason

    play(main)


def test_what_cannot_leave_is_rejected_by_the_core() -> None:
    async def main() -> None:
        async with world() as one:
            one.broker.send(order("early"))
            one.broker.send(cancel("early"))
            await ready(one)
            one.broker.send(order("strange", instrument="x:NOPE"))
            await one.pass_time(1.0)

            for order_id in ("early", "strange"):
                (end,) = one.told(order_id, OrderEnded)
                assert (end.kind, end.evidence) == (EndKind.REJECTED, "core")
            assert one.told("early", RequestRefused)[0].request is RequestKind.CANCEL

    play(main)


def test_what_the_venue_does_not_have_is_neither_cancelled_nor_changed() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.broker.send(cancel("nobody"))
            one.broker.send(modify("nobody", 1, price=Decimal("0.5")))
            await one.until(lambda: len(one.told("nobody", RequestRefused)) == 2)
            await accepted(one, "mine")
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", OrderEnded))
            one.broker.send(cancel("mine"))
            await one.until(lambda: one.told("mine", RequestRefused))

            assert len(one.told("mine", OrderEnded)) == 1

    play(main)


def test_an_earlier_process_s_order_can_be_changed_and_taken_back() -> None:
    """R-26: after a restart only the venue knows its id and terms; it is told of as reports."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "old")
            later = one.restarted()
            try:
                await ready_beside(later)
                later.broker.send(modify("old", 1, price=Decimal("0.41")))
                await later.until(lambda: later.told("old", OrderReplaced))
                one.rest(False, 41, 3)
                await later.until(lambda: later.heard(ExecutionReport))
                later.broker.send(cancel("old"))
                await later.until(lambda: later.told("old", OrderEnded))
                await later.pass_time(1.0)

                assert later.told("old", OrderReplaced)[0].quantity == TEN
                (execution,) = later.heard(ExecutionReport)
                assert (execution.order_id, execution.quantity) == ("old", Decimal(3))
                statuses = [report.status for report in later.heard(OrderReport)]
                assert statuses[-1] is OrderStatus.CANCELLED
            finally:
                await later.aclose()

    play(main)


def test_r26_what_is_done_by_hand_is_reported() -> None:
    """R-26."""

    async def main() -> None:
        async with world() as one:
            await ready(one)
            foreign = one.rest(True, 40)
            mine = one.venue.exchange.orders.submit(
                "main", request_of(foreign.client_order_id + "-web")
            )
            await one.until(lambda: one.heard(ExecutionReport))

            (execution,) = one.heard(ExecutionReport)
            assert execution.venue_order_id == mine.order_id
            assert execution.side is Side.SELL
            assert {report.venue_order_id for report in one.heard(OrderReport)} == {mine.order_id}
            assert not one.heard(OrderFilled)

    play(main)


def request_of(client_order_id: str) -> Any:
    """Return an order to sell yes at 40 cents."""
    from adapters.kalshi.simulated.domain import NewOrder

    return NewOrder(
        ticker=RAIN,
        side="yes",
        action="sell",
        price=40 * CENT,
        count=200,
        client_order_id=client_order_id,
    )


def test_questions_are_about_our_account_alone() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            await accepted(one, "mine")

            with pytest.raises(VenueError, match="other"):
                await one.broker.open_orders("other")
            found = await one.broker.order("main", "mine")
            assert found is not None
            assert (found.order_id, found.status) == ("mine", OrderStatus.ACCEPTED)
            assert [report.order_id for report in await one.broker.open_orders("main")] == ["mine"]
            (balance,) = await one.broker.balances("main")
            assert (balance.total, balance.reserved) == (Decimal(10_000), Decimal(4))

    play(main)


def test_a_settlement_is_told_once_reads_show_it() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(False, 40, 4)
            await accepted(one, "mine", quantity="4")
            lifecycle = one.venue.exchange.lifecycle
            lifecycle.determine(RAIN, "yes")
            lifecycle.determine(SNOW, "no")  # settles at the same moment
            await one.until(lambda: one.heard(Settled), within_s=120.0)
            asked = [r for r in one.venue.rest.received if r.path.endswith("/settlements")]

            (settled,) = one.heard(Settled)
            assert (settled.instrument, settled.price) == (X_RAIN, Decimal(1))
            assert len(asked) == 1
            assert await one.broker.executions("main", START_NS)
            assert one.heard(Settled) == [settled]

    play(main)


def test_settlements_of_other_markets_cost_no_question() -> None:
    async def main() -> None:
        async with world(markets=[SNOW]) as one:
            await ready(one)
            one.venue.exchange.lifecycle.determine(RAIN, "yes")
            await one.pass_time(120.0)

            assert not any(r.path.endswith("/settlements") for r in one.venue.rest.received)

    play(main)


def test_settlements_that_cannot_be_had_are_said_and_come_with_the_next_question() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.rest(False, 40, 4)
            await accepted(one, "mine", quantity="4")
            one.venue.rest.faults.add(
                lost("GET", "/settlements", kind="refuse", status=403, count=1)
            )
            one.venue.exchange.lifecycle.determine(RAIN, "no")
            await one.until(lambda: errors(one, "settlements"), within_s=120.0)
            assert not one.heard(Settled)
            await one.broker.executions("main", START_NS)

            assert [event.price for event in one.heard(Settled)] == [Decimal(0)]

    play(main)


def test_a_broker_that_stops_asks_for_no_settlement() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.exchange.lifecycle.determine(RAIN, "no")
            await one.pass_time(61.0)
            await one.broker.aclose()
            await one.pass_time(10.0)

            assert not any(r.path.endswith("/settlements") for r in one.venue.rest.received)

    play(main)


def test_a_broker_can_stop_while_it_waits_for_an_answer() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.rest.faults.add(lost("POST", ORDERS, kind="delay_answer", delay_s=5.0))
            one.broker.send(order("mine"))
            await one.pass_time(1.0)
            await one.aclose()

            assert len(one.told("mine", OrderAccepted)) == 1  # by the stream
            assert not one.told("mine", OrderEnded)

    play(main)


def test_a_channel_that_is_refused_is_said_and_asked_for_again() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.control.inject(RefuseCommands(cmd="subscribe", channel="fill", code=9))
            one.run(one.broker)
            await one.pass_time(5.0)
            assert len(errors(one, "subscription fill")) == 1
            assert len(one.venue.control.subscriptions()) == 2
            await one.until(lambda: len(one.venue.control.subscriptions()) == 3)
            await one.pass_time(60.0)

            assert len(one.commands("subscribe")) == 4

    play(main)


def test_a_broker_that_has_stopped_asks_for_no_channel() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.control.inject(RefuseCommands(cmd="subscribe", channel="fill", code=9))
            one.run(one.broker)
            await one.pass_time(5.0)
            await one.broker.aclose()
            await one.pass_time(20.0)

            assert len(one.commands("subscribe")) == 3
            states = [event.state for event in one.heard(ConnectionChanged)]
            assert states[-1] is ConnectionState.CLOSED

    play(main)


def test_what_the_venue_ends_or_sends_strangely_is_said() -> None:
    async def main() -> None:
        async with world() as one:
            await ready(one)
            one.venue.control.inject(SendError(code=25, channel="fill"))
            one.venue.control.inject(unknown_type("user_orders"))
            await one.pass_time(10.0)

            assert len(errors(one, "subscription interrupted")) == 1
            assert errors(one, "unknown_type") == ["unheard_of"]
            assert len(one.venue.control.subscriptions()) == 3

    play(main)


def test_what_the_broker_can_do_is_what_the_venue_takes() -> None:
    async def main() -> None:
        async with world() as one:
            can = one.broker.capabilities
            assert can.order_types == {OrderType.LIMIT, OrderType.MARKET}
            assert can.has_post_only
            assert can.has_modify
            assert not can.trigger_bys

    play(main)
