"""Doubt: only evidence ends it, and nothing is ever sent a second time."""

from decimal import Decimal

import pytest

from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderStatus, RequestState
from framework.model.reports import (
    OrderAccepted,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import OrderNotFound
from framework.orders.doubt import NEVER_NS, Inquiry
from framework.orders.order_state import OrderState
from tests.framework.orders.venue_world import VenueWorld

IN_DOUBT = RequestState.IN_DOUBT
NONE = RequestState.NONE
SUBMIT, CANCEL, MODIFY = RequestKind.SUBMIT, RequestKind.CANCEL, RequestKind.MODIFY


def doubt(world: VenueWorld, order: OrderState, kind: RequestKind = SUBMIT) -> None:
    world.publish(RequestInDoubt(order.order_id, kind, "timeout", world.clock.now_ns))


def doubted(world: VenueWorld) -> OrderState:
    order = world.submit()
    doubt(world, order)
    return order


def ask(world: VenueWorld) -> Inquiry:
    """Go on to the next question and return it."""
    while True:
        assert world.doubts.next_ns < NEVER_NS
        world.manual.advance_to(max(world.doubts.next_ns, world.clock.now_ns))
        for fact in world.doubts.overdue(world.clock.now_ns):
            world.publish(fact)
        due = world.doubts.due(world.clock.now_ns)
        if due:
            return due[0]


def say_not_found(world: VenueWorld, inquiry: Inquiry) -> None:
    now_ns = world.clock.now_ns
    world.publish(OrderNotFound("main", inquiry.order_id, now_ns, inquiry.in_history))
    world.doubts.asked(inquiry, now_ns, is_answered=True)


def test_a_request_without_an_answer_is_in_doubt_after_the_limit_r_20() -> None:
    world = VenueWorld()
    order = world.submit()

    assert world.doubts.next_ns == world.clock.now_ns + 5_000_000_000
    world.pass_time(4.9)
    assert world.doubts.overdue(world.clock.now_ns) == []
    world.pass_time(0.1)
    (fact,) = world.doubts.overdue(world.clock.now_ns)
    world.publish(fact)

    assert isinstance(fact, RequestInDoubt)
    assert (fact.order_id, fact.request) == (order.order_id, SUBMIT)
    assert order.facts.submit_state is IN_DOUBT
    assert order.open_quantity == Decimal(1)  # it counts in full


def test_an_answered_request_is_never_overdue() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.cancel(order.order_id)
    world.publish(RequestRefused(order.order_id, CANCEL, "no", world.clock.now_ns))
    world.pass_time(60)

    assert world.doubts.overdue(world.clock.now_ns) == []
    assert {type(command) for command in world.sent} == {SubmitOrder, CancelOrder}


def test_cancels_and_modifications_without_an_answer_are_in_doubt_too() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.modify(order.order_id, price=Decimal(101))
    world.desk.cancel(order.order_id)
    world.pass_time(5)

    for fact in world.doubts.overdue(world.clock.now_ns):
        world.publish(fact)

    assert order.facts.cancel_state is IN_DOUBT
    assert order.facts.modify_state is IN_DOUBT
    assert any(isinstance(command, ModifyOrder) for command in world.sent)


def test_the_first_question_is_asked_at_once_and_later_ones_ever_more_rarely() -> None:
    world = VenueWorld(visibility_s=60)
    order = doubted(world)
    times = []
    for _ in range(7):
        inquiry = ask(world)
        times.append((world.clock.now_ns - order.created_ns) / 1e9)
        say_not_found(world, inquiry)

    assert times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5]


@pytest.mark.parametrize("visibility_s", [0, 3, 10])
def test_not_found_is_evidence_after_three_answers_over_the_visibility_time_r_22(
    visibility_s: float,
) -> None:
    world = VenueWorld(visibility_s=visibility_s)
    order = doubted(world)
    answers = []
    while not order.is_closed:
        inquiry = ask(world)
        answers.append((inquiry.in_history, world.clock.now_ns))
        say_not_found(world, inquiry)

    assert order.status is OrderStatus.REJECTED
    assert order.facts.end is not None
    assert order.facts.end.evidence == "not found"
    assert len(answers) >= 3
    assert answers[-1][0]
    took_s = (world.clock.now_ns - order.created_ns) / 1e9
    assert visibility_s <= took_s <= visibility_s + 5
    assert len(world.doubts) == 0
    assert len(world.sent) == 1


def test_a_failed_question_is_no_evidence_and_is_asked_again_soon_f_02() -> None:
    world = VenueWorld()
    order = doubted(world)
    for _ in range(100):
        inquiry = ask(world)
        world.doubts.asked(inquiry, world.clock.now_ns, is_answered=False)
        assert world.doubts.next_ns - world.clock.now_ns <= 1_500_000_000

    assert order.facts.submit_state is IN_DOUBT
    while not order.is_closed:
        say_not_found(world, ask(world))
    assert order.status is OrderStatus.REJECTED


def test_a_rate_limit_is_obeyed() -> None:
    world = VenueWorld()
    doubted(world)
    inquiry = ask(world)
    world.doubts.asked(inquiry, world.clock.now_ns, is_answered=False, pause_ns=30_000_000_000)

    assert world.doubts.due(world.clock.now_ns + 29_999_999_999) == []
    assert len(world.doubts.due(world.clock.now_ns + 30_000_000_000)) == 1


def test_an_account_is_asked_one_question_at_a_time_and_ten_a_second() -> None:
    world = VenueWorld()
    orders = [doubted(world) for _ in range(3)]
    first = ask(world)

    assert world.doubts.due(world.clock.now_ns) == []
    assert world.doubts.next_ns == NEVER_NS or world.doubts.next_ns > world.clock.now_ns
    world.doubts.asked(first, world.clock.now_ns, is_answered=False)
    start_ns = world.clock.now_ns
    seen = []
    for _ in range(3):
        inquiry = ask(world)
        seen.append(inquiry.order_id)
        say_not_found(world, inquiry)
    assert sorted(seen) == sorted(order.order_id for order in orders)
    assert world.clock.now_ns - start_ns >= 200_000_000


def test_wake_asks_at_once_whatever_waits() -> None:
    world = VenueWorld(visibility_s=60)
    doubted(world)
    for _ in range(5):
        say_not_found(world, ask(world))
    world.pass_time(0.2)

    world.doubts.wake("main")

    assert world.doubts.next_ns <= world.clock.now_ns
    assert len(world.doubts.due(world.clock.now_ns)) == 1


def test_a_found_order_is_in_doubt_no_more_r_20() -> None:
    world = VenueWorld()
    order = doubted(world)
    ask(world)

    world.publish(world.order_report(order))

    assert order.status is OrderStatus.ACCEPTED
    assert order.facts.submit_state is NONE
    assert order.order_id not in world.doubts


def test_a_late_acceptance_after_not_found_is_booked_and_told_r_23() -> None:
    world = VenueWorld()
    order = doubted(world)
    while not order.is_closed:
        say_not_found(world, ask(world))

    world.publish(world.order_report(order))

    assert order.status is OrderStatus.ACCEPTED
    assert len(world.sent) == 1


def test_an_order_that_was_accepted_does_not_end_by_not_found_f_02() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.doubts.look_into(order)
    for _ in range(10):
        say_not_found(world, ask(world))

    assert order.status is OrderStatus.ACCEPTED
    assert world.alert_names() == ["order_lost"]


def test_a_refused_cancel_leads_to_a_question_r_28() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.cancel(order.order_id)
    world.publish(RequestRefused(order.order_id, CANCEL, "unknown order", world.clock.now_ns))

    inquiry = ask(world)
    assert inquiry.order_id == order.order_id
    assert not order.is_closed
    world.publish(world.execution(order, "E1"))
    assert order.status is OrderStatus.FILLED
    assert order.order_id not in world.doubts
    assert len(world.sent) == 2  # the order and its cancel, no new entry


def test_a_refused_modify_leads_to_a_question_too_r_28() -> None:
    """The order may be gone; a strategy that goes on trying must not hide that."""
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.modify(order.order_id, price=Decimal(101))
    world.publish(RequestRefused(order.order_id, MODIFY, "unknown order", world.clock.now_ns))

    assert ask(world).order_id == order.order_id
    assert not order.is_closed


def test_a_refused_cancel_of_an_order_that_works_on_ends_with_one_look_r_28() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.cancel(order.order_id)
    world.publish(RequestRefused(order.order_id, CANCEL, "too late", world.clock.now_ns))
    ask(world)

    world.publish(world.order_report(order))

    assert order.status is OrderStatus.ACCEPTED
    assert len(world.doubts) == 0


@pytest.mark.parametrize("kind", [CANCEL, MODIFY])
def test_a_request_the_venue_shows_no_trace_of_was_not_taken(kind: RequestKind) -> None:
    world = VenueWorld(visibility_s=2)
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    if kind is CANCEL:
        world.desk.cancel(order.order_id)
    else:
        world.desk.modify(order.order_id, price=Decimal(101))
    doubt(world, order, kind)
    started_ns = world.clock.now_ns
    count = 0
    while order.order_id in world.doubts:
        inquiry = ask(world)
        world.publish(world.order_report(order))
        world.doubts.asked(inquiry, world.clock.now_ns, is_answered=True)
        count += 1

    assert count >= 3
    assert world.clock.now_ns - started_ns >= 2_000_000_000
    assert order.status is OrderStatus.ACCEPTED
    assert order.price == Decimal(100)
    assert order.facts.cancel_state is NONE
    assert order.facts.modify_state is NONE


def test_a_modification_found_at_the_venue_is_answered() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.modify(order.order_id, price=Decimal(101))
    doubt(world, order, MODIFY)
    ask(world)

    world.publish(world.order_report(order, price=Decimal(101)))

    assert order.price == Decimal(101)
    assert order.facts.modify_state is NONE
    assert len(world.doubts) == 0


def test_a_cancel_found_done_ends_the_order() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.desk.cancel(order.order_id)
    doubt(world, order, CANCEL)

    world.publish(world.order_report(order, OrderStatus.CANCELLED))

    assert order.status is OrderStatus.CANCELLED
    assert len(world.doubts) == 0


def test_where_nobody_can_be_asked_the_order_stays_in_doubt_and_a_person_is_told() -> None:
    world = VenueWorld(can_ask=False)
    order = doubted(world)
    doubt(world, order)

    assert world.doubts.next_ns > world.clock.now_ns + 4_000_000_000
    assert world.doubts.due(world.clock.now_ns) == []
    assert world.alert_names() == ["doubt_unanswerable"]
    assert order.facts.submit_state is IN_DOUBT
    world.pass_time(10_000)
    assert order.facts.submit_state is IN_DOUBT
    assert len(world.sent) == 1


def test_an_answer_about_an_order_nobody_doubts_ends_nothing() -> None:
    world = VenueWorld()
    order = world.submit()
    for _ in range(5):
        world.pass_time(5)
        world.publish(OrderNotFound("main", order.order_id, world.clock.now_ns, in_history=True))

    assert order.status is OrderStatus.SUBMITTED


def test_an_answer_without_news_does_not_stop_the_questions() -> None:
    world = VenueWorld()
    order = doubted(world)
    inquiry = ask(world)
    world.doubts.asked(inquiry, world.clock.now_ns, is_answered=True)

    assert world.clock.now_ns < world.doubts.next_ns <= world.clock.now_ns + 1_000_000_000
    assert order.order_id in world.doubts
