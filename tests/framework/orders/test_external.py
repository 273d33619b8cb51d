"""What nobody here sent is kept in the run `external`, and whose a report is, is never guessed."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.engine.archive import Archive
from framework.model.orders import NO_BUCKET, OrderStatus, Side
from framework.model.records import AlertRaised
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    RequestInDoubt,
    RequestKind,
)
from framework.orders.external import (
    LONGEST_KEY,
    MOST_UNCLAIMED,
    Candidate,
    RecentIds,
    external_key,
    find_match,
)
from framework.orders.intake import describe
from framework.orders.order_state import OrderState
from tests.framework.orders.venue_world import PERPETUAL, VenueWorld, facts_of

EXTERNAL = "external"


def external_orders(world: VenueWorld) -> list[str]:
    return [order.order_id for order in world.registry if order.run == EXTERNAL]


def test_an_order_nobody_here_sent_is_kept_as_external_once_r_26() -> None:
    world = VenueWorld()
    report = world.order_report(None)
    world.publish(report)
    world.publish(report)

    (order_id,) = external_orders(world)
    order = world.registry.orders[order_id]
    assert order.status is OrderStatus.ACCEPTED
    assert order.facts.venue_order_ids == ("V1",)
    assert world.alert_names() == ["external_order"]
    assert order_id == world.ids.order_id(EXTERNAL, external_key("main", "V1"))


def test_executions_of_unknown_orders_are_booked_as_external_exactly_once_r_26_f_18() -> None:
    world = VenueWorld()
    for _ in range(3):
        world.publish(world.execution(None, "E1", "2"))
        world.publish(world.execution(None, "E2", "3", "101"))

    assert world.held(EXTERNAL) == Decimal(5)
    assert len(external_orders(world)) == 1
    assert world.ledger.account_quantity("main", PERPETUAL, NO_BUCKET) == Decimal(5)


def test_an_execution_of_ours_by_the_venues_id_goes_to_our_order() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))

    world.publish(world.execution(None, "E1"))

    assert order.status is OrderStatus.FILLED
    assert world.held("r") == Decimal(1)
    assert external_orders(world) == []


def test_a_fill_before_the_acceptance_waits_for_its_order_and_is_booked_once() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(world.execution(None, "E1"))  # only the venue's id, which nobody knows yet
    world.publish(world.execution(None, "E1"))
    assert world.held("r") == world.held(EXTERNAL) == Decimal(0)

    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))

    assert order.status is OrderStatus.FILLED
    assert world.held("r") == Decimal(1)
    assert external_orders(world) == []
    assert len(world.intake.unclaimed) == 0


def test_what_waited_is_external_once_no_order_of_ours_may_own_it() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(world.order_report(None, name="X9"))
    world.publish(world.execution(None, "E9", name="X9"))
    assert external_orders(world) == []

    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))

    assert world.held(EXTERNAL) == Decimal(1)
    assert world.held("r") == Decimal(0)
    assert order.status is OrderStatus.ACCEPTED


def test_another_clients_id_is_not_ours_however_it_fits() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(world.order_report(None, name="X9", order_id="somebody-else"))

    assert len(external_orders(world)) == 1
    assert order.facts.venue_order_ids == ()


def test_a_report_that_contradicts_the_order_it_names_is_told_and_not_applied() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(world.execution(order, "E1", side=Side.SELL))
    world.publish(world.order_report(order, instrument="v:BTCUSD", name=""))

    assert order.facts.executions == {}
    assert "report_contradicts" in world.alert_names()


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "-1"},
        {"quantity": "NaN"},
        {"quantity": "Infinity"},
        {"price": "NaN"},
    ],
)
def test_reports_that_make_no_sense_are_refused_and_told(fields: dict[str, str]) -> None:
    world = VenueWorld()
    values = {"quantity": "1", "price": "100", **fields}
    world.publish(world.execution(None, "E1", values["quantity"], values["price"]))
    world.publish(world.execution(None, ""))

    assert world.alert_names() == ["report_refused", "report_refused"]
    assert external_orders(world) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": Decimal(0)},
        {"filled": "-1"},
        {"filled": "NaN"},
        {"status": OrderStatus.DENIED},
        {"price": Decimal("NaN")},
        {"average_price": Decimal("Infinity")},
    ],
)
def test_order_reports_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(world.order_report(order, **fields))

    assert world.alert_names() == ["report_refused"]
    assert order.status is OrderStatus.SUBMITTED


def test_an_order_of_an_unknown_instrument_is_told() -> None:
    world = VenueWorld()
    world.publish(world.order_report(None, instrument="v:NOPE"))

    assert world.alert_names() == ["external_unknown"]


def test_an_unknown_order_that_is_over_leaves_nothing_behind() -> None:
    world = VenueWorld()
    for status in (OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.FILLED):
        world.publish(world.order_report(None, status, filled="1"))

    assert external_orders(world) == []


def test_an_order_that_left_memory_is_found_by_the_venues_id_f_04() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), 5))
    attach_log(world)
    assert world.registry.release(order.order_id)

    world.publish(world.execution(None, "E1"))  # polled again, without our id
    world.publish(world.order_report(None, OrderStatus.FILLED, filled="1"))

    assert world.held("r") == Decimal(1)
    assert world.held(EXTERNAL) == Decimal(0)


def attach_log(world: VenueWorld) -> None:
    Archive(world.log, world.ids, world.instrument).attach(world.registry)


def test_an_execution_that_may_be_of_a_forgotten_order_is_told_and_not_booked() -> None:
    world = VenueWorld()
    world.intake.recent.forgotten_ns["main"] = world.clock.now_ns
    world.publish(world.execution(None, "E1"))
    assert world.held(EXTERNAL) == Decimal(0)
    assert world.alert_names() == ["execution_too_old"]

    world.pass_time(1)
    world.publish(world.execution(None, "E2"))
    assert world.held(EXTERNAL) == Decimal(1)


def test_the_ids_of_closed_orders_are_bounded_and_what_is_forgotten_is_known() -> None:
    recent = RecentIds(capacity=2)
    for number in range(4):
        recent.remember("main", f"V{number}", f"o{number}", number)
        recent.book("main", "o", f"E{number}")
    recent.remember("main", "V3", "other", 9)

    assert recent.closed == {("main", "V2"): "o2", ("main", "V3"): "o3"}
    assert recent.forgotten_ns == {"main": 1}
    assert recent.entries() == [("main", "V2", "o2", 2), ("main", "V3", "o3", 3)]
    assert not recent.is_booked("main", "o", "E1")
    assert recent.is_booked("main", "o", "E3")


def test_long_venue_ids_make_keys_of_their_own_within_the_limit() -> None:
    one, other = external_key("main", "x" * 500), external_key("main", "x" * 501)

    assert len(one) <= LONGEST_KEY
    assert one != other
    assert external_key("main", "x" * 500) == one


def test_what_cannot_wait_any_more_is_external_and_told() -> None:
    world = VenueWorld()
    world.submit()
    for number in range(MOST_UNCLAIMED):
        world.intake.unclaimed.keep(world.execution(None, f"E{number}", name=f"X{number}"))
    world.publish(world.execution(None, "last", name="last"))

    assert world.held(EXTERNAL) == Decimal(1)
    assert "unclaimed_full" in world.alert_names()


# -- venues without client ids ---------------------------------------------------------------


def doubted(world: VenueWorld, tags: tuple[str, ...] = ()) -> OrderState:
    order = world.submit(tags=tags)
    now_ns = world.clock.now_ns
    world.publish(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", now_ns))
    return order


def nameless(visibility_s: float = 0.0) -> VenueWorld:
    return VenueWorld(has_client_ids=False, visibility_s=visibility_s)


def test_a_single_match_is_adopted_as_probable_with_an_alert_r_21() -> None:
    world = nameless()
    order = doubted(world)
    world.look(orders=(world.order_report(None, name="X1"),))

    assert order.facts.venue_order_ids == ("X1",)
    assert order.status is OrderStatus.ACCEPTED
    assert world.alert_names() == ["order_matched"]
    assert external_orders(world) == []
    assert len(world.sent) == 1


def test_a_single_match_by_its_execution_is_booked_to_us_once_r_21() -> None:
    world = nameless()
    order = doubted(world)
    fill = world.execution(None, "E1", name="X1")
    world.look(executions=(fill,))
    world.look(executions=(fill,))

    assert order.status is OrderStatus.FILLED
    assert world.held("r") == Decimal(1)
    assert world.held(EXTERNAL) == Decimal(0)


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": Decimal(2)},
        {"price": Decimal(101)},
        {"tags": ("other",)},
        {"time_ns": 1},
        {"side": Side.SELL},
    ],
)
def test_what_differs_in_anything_is_not_ours_r_21(fields: dict[str, Any]) -> None:
    world = nameless()
    order = doubted(world, tags=("mine",))
    world.look(orders=(world.order_report(None, name="X1", **fields),))

    assert order.facts.venue_order_ids == ()


def test_two_candidates_stay_in_doubt_for_a_person_r_21() -> None:
    world = nameless()
    order = doubted(world)
    both = tuple(world.order_report(None, name=name) for name in ("X1", "X2"))
    for _ in range(10):
        world.look(orders=both)

    assert order.facts.submit_state.value == "in_doubt"
    assert world.alert_names() == ["order_ambiguous"]
    assert external_orders(world) == []

    now_ns = world.clock.now_ns
    world.publish(OrderAccepted(order.order_id, now_ns, "X2"))
    assert external_orders(world) == [world.ids.order_id(EXTERNAL, "main/X1")]


def test_two_orders_in_doubt_and_one_candidate_stay_in_doubt_r_21() -> None:
    world = nameless()
    first, second = doubted(world), doubted(world)
    for _ in range(10):
        world.look(orders=(world.order_report(None, name="X1"),))

    for order in (first, second):
        assert order.facts.submit_state.value == "in_doubt"


def test_without_client_ids_what_is_nowhere_ends_after_three_looks_r_22() -> None:
    world = nameless(visibility_s=2)
    order = doubted(world)
    for _ in range(2):
        world.look()
        assert not order.is_closed
    world.look()

    assert order.status is OrderStatus.REJECTED
    assert len(world.sent) == 1


def test_a_person_ends_a_doubt_with_a_fact() -> None:
    world = nameless()
    order = doubted(world)
    both = tuple(world.order_report(None, name=name) for name in ("X1", "X2"))
    world.look(orders=both)
    now_ns = world.clock.now_ns
    world.publish(OrderEnded(order.order_id, EndKind.REJECTED, now_ns, "resolved", "person"))

    assert len(external_orders(world)) == 2
    assert len(world.doubts) == 0


@given(st.permutations(range(4)))
def test_any_order_of_acceptance_and_reports_ends_the_same_r_25(sequence: list[int]) -> None:
    world = VenueWorld()
    order = world.submit()
    reports = [
        OrderAccepted(order.order_id, world.clock.now_ns, "V1"),
        world.order_report(order, OrderStatus.PARTIALLY_FILLED, filled="0.4"),
        world.execution(None, "E1", "0.4"),
        world.execution(order, "E2", "0.6"),
    ]
    for index in sequence:
        world.publish(reports[index])

    assert order.status is OrderStatus.FILLED
    assert world.held("r") == Decimal(1)
    assert external_orders(world) == []


def test_find_match_pairs_only_what_fits_nothing_else() -> None:
    world = VenueWorld()
    one, other = world.submit(quantity="1"), world.submit(quantity="2")
    candidates = [
        Candidate("A", world.order_report(None, name="A")),
        Candidate("B", world.order_report(None, name="B", quantity=Decimal(2))),
    ]
    pairs, ambiguous = find_match([one, other], candidates)

    assert [(order, found.venue_order_id) for order, found in pairs] == [(one, "A"), (other, "B")]
    assert ambiguous == []


def test_a_report_in_few_words() -> None:
    world = VenueWorld()

    assert describe(world.execution(None, "E1")) == (
        "execution 'E1' on account 'main': buy 1 v:BTC-PERP"
    )
    assert not any(isinstance(fact, AlertRaised) for fact in facts_of(world))


def test_a_busted_execution_in_an_answer_takes_back_what_was_booked() -> None:
    """R-26: a quantity of zero is a venue's word that it took the execution back."""
    world = VenueWorld()
    order = world.submit(quantity="2")
    fill = world.execution(order, "E1", "2")
    world.publish(fill)
    busted = msgspec.structs.replace(fill, quantity=Decimal(0), time_ns=fill.time_ns + 1)
    for _ in range(2):
        world.publish(busted)
    world.publish(fill)  # how it was before

    assert order.facts.filled == Decimal(0)
    assert world.ledger.net_quantity(order.run, order.intent.instrument) == Decimal(0)


def test_a_corrected_execution_in_an_answer_may_be_smaller_and_the_newest_holds() -> None:
    world = VenueWorld()
    order = world.submit(quantity="2")
    fill = world.execution(order, "E1", "2")
    smaller, larger = (
        msgspec.structs.replace(
            fill, quantity=Decimal(size), time_ns=fill.time_ns + later, is_corrected=True
        )
        for size, later in (("0.5", 1), ("1", 2))
    )
    for report in (fill, larger, smaller, fill, larger):
        world.publish(report)

    assert order.facts.filled == Decimal(1)


def test_a_correction_of_an_execution_nobody_told_of_is_booked_as_it_stands() -> None:
    world = VenueWorld()
    order = world.submit(quantity="2")
    told = world.execution(order, "E1", "1")
    world.publish(msgspec.structs.replace(told, is_corrected=True))

    assert order.facts.filled == Decimal(1)


def test_what_was_busted_before_anybody_heard_of_it_is_nobodys() -> None:
    world = VenueWorld()
    world.publish(world.execution(None, "E1", "0"))

    assert external_orders(world) == []
    assert world.alert_names() == []


def test_a_bust_among_reports_that_nobody_owns_yet_is_kept_with_them() -> None:
    """R-21: without client ids the order they belong to is found later."""
    world = VenueWorld(has_client_ids=False)
    order = world.submit(quantity="2")
    told = msgspec.structs.replace(world.execution(order, "E1", "2"), order_id="")
    world.publish(told)
    world.publish(msgspec.structs.replace(told, quantity=Decimal(0), time_ns=told.time_ns + 1))
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, told.venue_order_id))

    assert order.facts.filled == Decimal(0)
    assert [one.quantity for one in order.facts.executions.values()] == [Decimal(0)]
