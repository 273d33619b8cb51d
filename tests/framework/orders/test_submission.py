"""The desk: one way out for wishes, one way in for facts."""

from decimal import Decimal
from typing import Any

import pytest

from framework.model.account import Account, Balance, CashBooked, CashReason, Position, Settled
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.events import OrderAnomaly
from framework.model.orders import (
    Bucket,
    Fee,
    Fill,
    FillCorrected,
    Order,
    OrderStatus,
    OrderType,
    RequestState,
    Side,
)
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderEnded,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.orders.order_state import OrderState
from framework.risk.kill_switch import GateState
from tests.framework.orders.world import PERPETUAL, SPOT, World

D = Decimal


def cancelled(order: OrderState) -> OrderEnded:
    return OrderEnded(order.order_id, EndKind.CANCELLED, 7)


def test_an_order_is_recorded_before_it_is_sent_and_told() -> None:
    """R-03: the queue behind `send` is released only when the record is durable."""
    world = World()

    order = world.buy("1")

    [command] = world.sent
    assert isinstance(command, SubmitOrder)
    assert command.order_id == order.order_id
    assert command.quantity == D(1)
    assert world.recorded == [command]
    assert world.kinds() == ["Order"]
    assert order.status is OrderStatus.SUBMITTED
    assert order.facts.submit_state is RequestState.WAITING


def test_an_orders_life_gives_its_events_in_order() -> None:
    world = World()
    order = world.buy("1")
    world.emitted.clear()

    world.accept(order)
    world.fill(order, "1", "101", fees=(Fee("USD", D("0.1")),))

    assert world.kinds() == ["Order", "Order", "Fill", "Position", "Account"]
    account = world.emitted[-1]
    assert isinstance(account, Account)
    assert account.balances == (Balance("USD", D("-101.1")),)


def test_a_repeated_report_is_recorded_but_emits_nothing() -> None:
    """R-24."""
    world = World()
    order = world.buy("2")
    world.accept(order)
    world.fill(order, "1", "100", execution="e")
    world.emitted.clear()

    world.accept(order)
    world.fill(order, "1", "100", execution="e")

    assert world.emitted == []
    assert world.ledger.net_quantity("r", SPOT) == D(1)


def test_nothing_is_made_for_types_nobody_wants() -> None:
    world = World()
    world.wanted = {Position}

    order = world.buy("1")
    world.accept(order)
    world.fill(order, "1", "101")

    assert world.kinds() == ["Position"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": "0"}, "quantity 0 is not positive"),
        ({"quantity": "-1"}, "quantity -1 is not positive"),
        ({"quantity": "NaN"}, "not finite"),
        ({"quantity": "sNaN"}, "is not a number"),
        ({"quantity": "Infinity"}, "not finite"),
        ({"quantity": "1.0005"}, "not on the lot 0.001"),
        ({"quantity": "1E+60"}, "quantity"),
        ({"quantity": None}, "exactly one of quantity and quote_quantity"),
        ({"quantity": "1", "quote_quantity": D(5)}, "exactly one of quantity and quote_quantity"),
        ({"quantity": None, "quote_quantity": D("0.01")}, "does not make one lot"),
        ({"quantity": "1", "price": D("99.995")}, "not on the tick 0.01"),
        ({"quantity": "1", "price": D("NaN")}, "not finite"),
        ({"quantity": "1", "type": OrderType.LIMIT}, "a limit order needs a price"),
        ({"quantity": "1", "stop_price": D(9)}, "a market order takes no stop price"),
        ({"quantity": "1", "type": OrderType.TRAILING_STOP}, "needs a trail"),
        ({"quantity": "1", "instrument": "v:NONE"}, "unknown instrument 'v:NONE'"),
        ({"quantity": "1", "key": ""}, "1 to 160 characters"),
        ({"quantity": "1", "key": "x" * 161}, "1 to 160 characters"),
        ({"quantity": "1", "send_by_ns": 5}, "too late"),
        ({"quantity": "2", "display_quantity": D(1)}, "display_quantity is not supported"),
    ],
)
def test_a_malformed_intent_is_denied_with_one_reason(
    fields: dict[str, object], reason: str
) -> None:
    world = World()
    quantity = fields.pop("quantity")
    assert quantity is None or isinstance(quantity, str)

    order = world.buy(quantity, **fields)

    assert order.status is OrderStatus.DENIED
    assert reason in order.reason
    assert world.sent == []
    [denied] = world.emitted
    assert isinstance(denied, Order)
    assert world.recorded[-1] == denied


def test_a_float_is_not_a_quantity() -> None:
    """R-78."""
    world = World()
    intent = world.intent(Side.BUY, "1")

    order = world.desk.submit(type(intent)(intent.run, "f", SPOT, Side.BUY, 1.0))  # type: ignore[arg-type]

    assert order.reason == "quantity 1.0 is not a Decimal"


def test_a_quote_quantity_buys_what_it_can_at_the_known_price() -> None:
    world = World()

    order = world.buy(None, quote_quantity=D("55.5555"))

    assert order.quantity == D("0.555")


def test_a_denied_intent_repeated_gives_the_same_answer() -> None:
    world = World()
    intent = world.intent(Side.BUY, "0")

    assert world.desk.submit(intent) is world.desk.submit(intent)
    assert world.desk.deny(intent, "another reason") is world.desk.submit(intent)


def test_a_reason_found_outside_becomes_a_denied_order() -> None:
    world = World()

    order = world.desk.deny(world.intent(Side.BUY, None), "warming_up")

    assert (order.status, order.reason) == (OrderStatus.DENIED, "warming_up")
    assert world.sent == []


def test_a_changed_instrument_is_judged_by_its_new_grid() -> None:
    world = World()
    world.buy("0.001")
    coarse = world.instruments[SPOT]
    world.instruments[SPOT] = type(coarse)(SPOT, base="BTC", lot=D(1))

    assert world.buy("0.001").status is OrderStatus.DENIED


def test_a_cancel_is_sent_once_while_it_waits_and_again_when_in_doubt() -> None:
    world = World()
    order = world.buy("1")
    assert world.desk.cancel(order.order_id) is None
    assert world.desk.cancel(order.order_id) is None
    assert [type(command) for command in world.sent] == [SubmitOrder, CancelOrder]

    world.desk.apply(RequestInDoubt(order.order_id, RequestKind.CANCEL, "timeout", 5))
    assert order.facts.cancel_state is RequestState.IN_DOUBT
    assert world.desk.cancel(order.order_id) is None

    assert len(world.sent) == 3


def test_a_cancel_that_makes_no_sense_says_so() -> None:
    world = World()
    order = world.buy("1")
    world.desk.apply(cancelled(order))

    assert world.desk.cancel(order.order_id) == f"order {order.order_id} is already cancelled"
    assert world.desk.cancel("nobody") == "unknown order nobody"


def test_an_unanswered_modify_reserves_the_larger_of_both() -> None:
    """R-20: what may be true counts at full size."""
    world = World()
    order = world.buy("2", price=D(100))
    world.accept(order)
    working = world.registry.working("r", SPOT)

    assert world.desk.modify(order.order_id, quantity=D(5), price=D(110)) is None

    command = world.sent[-1]
    assert isinstance(command, ModifyOrder)
    assert (command.revision, command.quantity, command.price) == (1, D(5), D(110))
    assert (working.open_buy, working.reserved) == (D(5), D(550))
    assert "without an answer" in (world.desk.modify(order.order_id, quantity=D(6)) or "")

    world.desk.apply(RequestRefused(order.order_id, RequestKind.MODIFY, "no", 5))
    assert (working.open_buy, working.reserved) == (D(2), D(200))


def test_a_smaller_order_is_reserved_in_full_until_the_venue_confirms() -> None:
    world = World()
    order = world.buy("5", price=D(100))
    world.desk.modify(order.order_id, quantity=D(2))
    working = world.registry.working("r", SPOT)
    assert working.open_buy == D(5)

    world.desk.apply(OrderReplaced(order.order_id, 1, D(2), 5))

    assert working.open_buy == D(2)
    assert order.facts.modify_state is RequestState.NONE
    assert world.desk.modify(order.order_id, price=D(101)) is None
    command = world.sent[-1]
    assert isinstance(command, ModifyOrder)
    assert command.revision == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quantity": D(1)}, "not above what is filled, 1"),
        ({"quantity": D("NaN")}, "not above what is filled"),
        ({"quantity": D("2.0001")}, "not on the lot"),
        ({"price": D("1.001")}, "not on the tick"),
        ({"quantity": D(100)}, "above max_order_notional"),
        ({"stop_price": D(90)}, "takes no stop price"),
    ],
)
def test_an_impossible_modify_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """R-36: our illegal requests are refused."""
    world = World(max_order_notional=D(1000))
    order = world.buy("2", price=D(100))
    world.fill(order, "1", "100")

    assert reason in (world.desk.modify(order.order_id, **change) or "")
    assert len(world.sent) == 1


def test_closing_cancels_entries_and_sends_one_reducing_order() -> None:
    world = World()
    world.fill(world.buy("2"), "2", "100")
    entry = world.buy("1", price=D(90))
    target = world.sell("2", price=D(120), reduce_only=True)

    closing = world.desk.close("r", SPOT)

    assert closing is not None
    assert (closing.intent.side, closing.quantity, closing.reduce_only) == (Side.SELL, D(2), True)
    assert world.desk.close("r", SPOT) is closing
    cancels = [c.order_id for c in world.sent if isinstance(c, CancelOrder)]
    assert cancels == [entry.order_id]  # the exit stays
    assert target.facts.cancel_state is RequestState.NONE

    world.fill(closing, "2", "100")
    assert world.desk.close("r", SPOT) is None


def test_closing_sends_a_new_order_once_the_first_has_ended() -> None:
    world = World()
    world.fill(world.buy("2"), "2", "100")
    first = world.desk.close("r", SPOT)
    assert first is not None
    world.desk.apply(cancelled(first))

    second = world.desk.close("r", SPOT)

    assert second is not None
    assert second is not first
    assert second.order_id != first.order_id


def test_closing_leaves_less_than_a_lot_alone() -> None:
    """A fee in the base asset leaves dust that no order can sell."""
    world = World()
    world.fill(world.buy("1"), "1", "100", fees=(Fee("BTC", D("0.0005")),))

    closing = world.desk.close("r", SPOT)

    assert closing is not None
    assert closing.quantity == D("0.999")
    world.fill(closing, "0.999", "100")
    assert world.desk.close("r", SPOT) is None


def test_each_bucket_is_closed_by_itself() -> None:
    world = World()
    day, carry = Bucket("day"), Bucket("carry")
    world.fill(world.buy("2", bucket=day), "2", "100")
    world.fill(world.buy("3", bucket=carry), "3", "100")

    closing = world.desk.close("r", SPOT, carry)

    assert closing is not None
    assert (closing.quantity, closing.intent.bucket) == (D(3), carry)
    assert world.desk.position_view("r", SPOT).quantity == D(5)


def test_flatten_cancels_exits_too_and_closes_everything() -> None:
    world = World(max_orders_per_second=2)
    world.fill(world.buy("1"), "1", "100")
    world.fill(world.sell("2", instrument=PERPETUAL), "2", "100")
    assert world.buy("1").status is OrderStatus.DENIED  # the rate limit

    closings = world.desk.flatten("r")

    assert [(c.intent.side, c.quantity) for c in closings] == [
        (Side.SELL, D(1)),
        (Side.BUY, D(2)),
    ]  # which holds no closing order back
    assert world.desk.flatten("r") == closings


def test_cancel_all_spares_other_instruments_and_runs() -> None:
    world = World()
    mine, other = world.buy("1"), world.buy("1", instrument=PERPETUAL)
    world.buy("1", run="another")

    assert world.desk.cancel_all("r", SPOT) == [mine]
    assert world.desk.cancel_all("r") == [mine, other]
    assert sum(isinstance(command, CancelOrder) for command in world.sent) == 2


def test_cancel_entries_spares_exits() -> None:
    world = World()
    world.fill(world.buy("2"), "2", "100")
    entry = world.buy("1", price=D(90))
    world.sell("2", price=D(120), reduce_only=True)

    assert world.desk.cancel_entries("r") == [entry]


def test_reduce_only_reaches_the_venue_only_when_the_account_shrinks_too() -> None:
    world = World()
    world.fill(world.buy("2"), "2", "100")
    world.fill(world.sell("1", run="short", instrument=SPOT), "1", "100")

    world.sell("2", reduce_only=True)  # the run holds 2, the account 1
    world.sell("1", reduce_only=True)

    flags = [command.reduce_only for command in world.sent if isinstance(command, SubmitOrder)]
    assert flags == [False, False, False, True]


def test_flat_means_nothing_held_and_nothing_working_or_in_doubt() -> None:
    """Else a strategy that asks `is_flat` would enter twice."""
    world = World()
    assert world.desk.position_view("r", SPOT).is_flat

    order = world.buy("1")
    world.desk.apply(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", 5))
    view = world.desk.position_view("r", SPOT)
    assert not view.is_flat
    assert (view.open_buy, view.quantity) == (D(1), D(0))

    world.fill(order, "1", "105")
    view = world.desk.position_view("r", SPOT)
    assert view.is_long
    assert (view.average_price, view.open_buy) == (D(105), D(0))


def test_on_change_is_called_when_position_or_open_orders_change_and_not_otherwise() -> None:
    world = World()
    order = world.buy("1")
    assert world.changed == [("r", SPOT)]

    world.accept(order)
    assert len(world.changed) == 1

    world.fill(order, "1", "100")
    assert len(world.changed) == 2


def test_a_correction_rebooks_the_fill_and_a_bust_takes_it_back() -> None:
    world = World()
    order = world.buy("2")
    world.fill(order, "2", "100", execution="e", fees=(Fee("USD", D(1)),))
    world.emitted.clear()

    world.desk.apply(FillCorrection(order.order_id, "e", D(1), D(90), 8, (Fee("USD", D(2)),)))
    assert world.kinds() == [
        "Order",
        "FillCorrected",
        "Position",
        "Account",
        "OrderAnomaly",
    ]
    assert world.ledger.cash("main") == {"USD": D(-92)}

    world.desk.apply(FillCorrection(order.order_id, "e", D(0), D(90), 9))
    assert world.ledger.cash("main") == {"USD": D(0)}
    assert world.ledger.net_quantity("r", SPOT) == D(0)
    assert len(world.events(FillCorrected)) == 2
    assert order.status is OrderStatus.ACCEPTED  # the venue had it


def test_a_fill_after_the_end_is_booked_with_an_alert() -> None:
    """R-23."""
    world = World()
    order = world.buy("1")
    world.desk.apply(cancelled(order))
    world.emitted.clear()

    world.fill(order, "1", "100")

    assert world.kinds() == ["Order", "Fill", "Position", "Account", "OrderAnomaly"]
    [anomaly] = world.events(OrderAnomaly)
    assert isinstance(anomaly, OrderAnomaly)
    assert "after it was cancelled" in anomaly.what


def test_cash_is_booked_once_and_told() -> None:
    world = World()
    booking = CashBooked("main", "r", "USD", D(50), CashReason.DEPOSIT, 3, booking_id="b")

    world.desk.apply(booking)
    world.desk.apply(booking)

    assert world.kinds() == ["CashBooked", "Account"]
    assert world.ledger.cash("main") == {"USD": D(50)}


def test_a_settlement_closes_every_runs_position() -> None:
    world = World()
    world.fill(world.buy("1"), "1", "100")
    world.fill(world.sell("2", run="other"), "2", "100")
    world.emitted.clear()

    world.desk.apply(Settled("main", SPOT, D(110), 9, "s"))
    world.desk.apply(Settled("main", SPOT, D(110), 9, "s"))

    assert world.kinds() == ["Settled", "Position", "Account"] * 2
    assert world.ledger.realised("main") == {"USD": D(-10)}


def test_a_halted_gate_still_lets_cancels_and_closings_out() -> None:
    """Law 2: HALTED keeps the ability to cancel and to reduce."""
    world = World()
    world.fill(world.buy("1"), "1", "100")
    entry = world.buy("1", price=D(90))
    world.gate.set_state(GateState.HALTED, "the log cannot be written")

    assert world.buy("1").reason == "halted: the log cannot be written"
    assert world.desk.cancel(entry.order_id) is None
    closing = world.desk.close("r", SPOT)

    assert closing is not None
    assert closing.status is OrderStatus.SUBMITTED


def test_what_was_written_to_the_venue_is_sent() -> None:
    world = World()
    order = world.buy("1")

    world.desk.mark_sent(world.sent[0])

    assert order.event().submit_state is RequestState.SENT
    world.desk.cancel(order.order_id)
    world.desk.mark_sent(world.sent[1])
    assert order.event().cancel_state is RequestState.SENT


def test_a_fill_event_carries_what_it_realised() -> None:
    world = World()
    world.fill(world.buy("2"), "2", "100")

    world.fill(world.sell("1"), "1", "110")

    fill = world.events(Fill)[-1]
    assert isinstance(fill, Fill)
    assert fill.realised == D(10)
