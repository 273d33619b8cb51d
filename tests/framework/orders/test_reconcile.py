"""Reconciliation: the table of R-34, and that the same word twice is once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.engine.snapshots import state_of
from framework.model.account import CashBooked, CashReason
from framework.model.orders import OrderStatus
from framework.model.reports import (
    FillCorrection,
    OrderAccepted,
    OrderFilled,
    RequestInDoubt,
    RequestKind,
)
from framework.model.venue_state import PositionReport, VenueState
from framework.orders.evidence import made_up_id
from framework.orders.order_state import OrderState
from tests.framework.orders.venue_world import BUY, PERPETUAL, SELL, SPOT, VenueWorld

EXTERNAL = "external"
FILLED = OrderStatus.FILLED
PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED


def working(world: VenueWorld, quantity: str = "1", *, name: str = "V1") -> OrderState:
    """Return an accepted order of a minute ago."""
    order = world.submit(quantity=quantity)
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, name))
    world.pass_time(60)
    return order


def holder(world: VenueWorld, quantity: str = "5", *, instrument: str = PERPETUAL) -> OrderState:
    """Return an order that was filled a minute ago."""
    order = world.submit(quantity=quantity, instrument=instrument)
    now_ns = world.clock.now_ns
    world.publish(OrderAccepted(order.order_id, now_ns, "V1"))
    world.publish(OrderFilled(order.order_id, "E1", Decimal(quantity), Decimal(100), now_ns))
    world.pass_time(60)
    return order


# -- orders and fills ------------------------------------------------------------------------


def test_nothing_anywhere_is_settled_at_once() -> None:
    world = VenueWorld()
    findings = world.look()

    assert findings.is_complete
    assert findings.is_settled
    assert findings.unbacked == ()


def test_an_order_in_doubt_that_the_venue_lists_is_found_r_20() -> None:
    world = VenueWorld()
    order = world.submit()
    now_ns = world.clock.now_ns
    world.publish(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", now_ns))
    world.look(orders=(world.order_report(order),))

    assert order.status is OrderStatus.ACCEPTED
    assert len(world.doubts) == 0


def test_a_fill_of_an_outage_is_booked_f_03() -> None:
    world = VenueWorld()
    order = working(world)
    world.look(executions=(world.execution(order, "E1"),))

    assert order.status is FILLED
    assert world.held("r") == Decimal(1)


def test_an_order_that_is_not_listed_is_asked_about_and_not_gone_f_02_f_13() -> None:
    world = VenueWorld()
    order = working(world)
    findings = world.look()

    assert order.status is OrderStatus.ACCEPTED
    assert findings.missing == (order.order_id,)
    assert order.order_id in world.doubts


@pytest.mark.parametrize("part", ["orders", "executions", "positions", "balances"])
def test_a_failed_question_is_never_an_empty_answer_r_34(part: str) -> None:
    world = VenueWorld()
    order = holder(world)
    open_order = working(world, name="V2")
    listed = (world.order_report(open_order, name="V2"),)
    answers: dict[str, object] = {
        "orders": listed,
        "positions": (world.position("5"),),
        part: None,
    }
    before = state_of(world.parts)
    for _ in range(3):
        findings = world.look(**answers)
        assert not findings.is_complete
        assert not findings.is_settled

    assert state_of(world.parts) == before
    assert world.held("r") == Decimal(5)
    assert order.status is FILLED
    assert len(world.doubts) == 0
    assert world.reconciliation.reconciled_ns == {}


def test_all_parts_but_a_failure_in_words_is_not_complete() -> None:
    world = VenueWorld()
    findings = world.look(failures=("3 answers are about another account",))

    assert not findings.is_complete


def test_reports_about_another_account_are_passed_over() -> None:
    world = VenueWorld()
    order = working(world)
    world.look(
        orders=(world.order_report(order, account="other", filled="1", status=FILLED),),
        executions=(world.execution(order, "E1", account="other"),),
    )

    assert order.filled == Decimal(0)


def test_an_order_that_is_too_new_to_be_seen_is_not_missed_r_22() -> None:
    world = VenueWorld(visibility_s=10)
    order = world.submit()
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    assert world.look().missing == ()
    world.pass_time(10)
    assert world.look().missing == (order.order_id,)


def test_what_changed_since_the_question_left_is_looked_at_next_time() -> None:
    world = VenueWorld()
    order = working(world, "2")
    asked_ns = world.clock.now_ns
    old = world.state(orders=(world.order_report(order, quantity=Decimal(1)),))
    world.pass_time(1)
    world.publish(OrderFilled(order.order_id, "E1", Decimal(2), Decimal(100), asked_ns + 5))
    other = world.submit(quantity="3")  # in flight while the answers came
    world.publish(old)

    assert order.status is FILLED
    assert world.findings[-1].missing == ()
    assert not world.findings[-1].differences
    assert other.status is OrderStatus.SUBMITTED


def test_a_change_by_others_is_taken_over_f_18() -> None:
    world = VenueWorld()
    order = working(world, "2")
    report = world.order_report(order, quantity=Decimal(3), price=Decimal(99))
    world.look(orders=(report,))
    world.look(orders=(report,))

    assert (order.quantity, order.price) == (Decimal(3), Decimal(99))
    assert order.facts.replaced is not None
    assert order.facts.replaced.revision == 0


def test_an_older_word_does_not_undo_a_newer_one() -> None:
    world = VenueWorld()
    order = working(world, "2")
    old = world.order_report(order, price=Decimal(98))
    world.pass_time(1)
    world.publish(world.order_report(order, price=Decimal(99)))
    world.publish(old)

    assert order.price == Decimal(99)


def test_a_triggered_stop_is_told() -> None:
    world = VenueWorld()
    order = working(world)
    world.publish(world.order_report(order, OrderStatus.TRIGGERED))
    world.publish(world.order_report(order, OrderStatus.TRIGGERED))

    assert order.status is OrderStatus.TRIGGERED


@pytest.mark.parametrize("status", ["cancelled", "expired", "rejected"])
def test_an_end_the_venue_tells_of_is_taken(status: str) -> None:
    world = VenueWorld()
    order = working(world)
    report = world.order_report(order, OrderStatus(status), reason="why not")
    world.publish(report)
    position = world.log.position
    world.publish(report)

    assert order.status is OrderStatus(status)
    assert order.reason == "why not"
    assert world.log.position == position  # repeats leave no trace


# -- made-up fills ---------------------------------------------------------------------------


def test_a_fill_nobody_tells_of_is_made_up_only_after_executions_were_asked_for_f_13() -> None:
    world = VenueWorld()
    order = working(world, "10")
    report = world.order_report(order, PARTIALLY_FILLED, filled="4", average_price=Decimal(99))
    world.look(orders=(report,))
    assert order.filled == Decimal(0)
    assert not world.findings[-1].is_settled

    findings = world.look(orders=(report,))
    world.look(orders=(report,), positions=(world.position("4"),))

    assert order.filled == Decimal(4)
    assert order.facts.average_price == Decimal(99)
    assert list(order.facts.executions) == [made_up_id("main", "V1", Decimal(4))]
    assert len(findings.made_up) == 1
    assert "fill_made_up" in world.alert_names()


def test_an_order_found_half_filled_waits_for_its_executions_before_all_is_settled() -> None:
    world = VenueWorld()
    order = world.submit(quantity="10")
    now_ns = world.clock.now_ns
    world.publish(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", now_ns))
    report = world.order_report(order, PARTIALLY_FILLED, filled="4")

    assert not world.look(orders=(report,)).is_settled
    world.look(orders=(report,))
    assert order.filled == Decimal(4)


def test_an_execution_newer_than_the_list_of_orders_needs_no_other_look() -> None:
    world = VenueWorld()
    order = working(world, "10")
    report = world.order_report(order)
    findings = world.look(orders=(report,), executions=(world.execution(order, "E1", "4"),))

    assert order.filled == Decimal(4)
    assert world.reconciliation.reconciled_ns == {"main": findings.asked_ns}


def test_an_execution_in_time_leaves_nothing_to_make_up() -> None:
    world = VenueWorld()
    order = working(world, "10")
    report = world.order_report(order, PARTIALLY_FILLED, filled="4")
    world.look(orders=(report,))
    world.look(orders=(report,), executions=(world.execution(order, "E1", "4"),))

    assert list(order.facts.executions) == ["E1"]


def make_up(world: VenueWorld, order: OrderState, filled: str) -> None:
    report = world.order_report(order, PARTIALLY_FILLED, filled=filled)
    world.look(orders=(report,))
    world.look(orders=(report,))
    assert order.filled == Decimal(filled)


@pytest.mark.parametrize("is_pushed", [True, False])
def test_real_executions_replace_a_made_up_one_piece_by_piece_f_04(is_pushed: bool) -> None:
    world = VenueWorld()
    order = working(world, "10")
    early_ns = world.clock.now_ns
    make_up(world, order, "4")
    for name, quantity in (("E1", "1"), ("E2", "3")):
        if is_pushed:
            world.publish(
                OrderFilled(order.order_id, name, Decimal(quantity), Decimal(100), early_ns)
            )
        else:
            world.publish(world.execution(order, name, quantity, time_ns=early_ns))
        assert order.filled == Decimal(4)
        assert world.held("r") == Decimal(4)

    real = {name: one.quantity for name, one in order.facts.executions.items() if one.quantity}
    assert real == {"E1": Decimal(1), "E2": Decimal(3)}


def test_a_real_execution_of_later_comes_on_top() -> None:
    world = VenueWorld()
    order = working(world, "10")
    make_up(world, order, "4")
    world.publish(world.execution(order, "E5", "2"))

    assert order.filled == Decimal(6)


def test_a_made_up_fill_that_was_too_much_is_taken_back() -> None:
    world = VenueWorld()
    order = working(world, "10")
    make_up(world, order, "4")
    world.publish(world.execution(order, "E1", "4"))  # of the same fill, stamped too late
    assert order.filled == Decimal(8)

    report = world.order_report(order, PARTIALLY_FILLED, filled="4")
    for _ in range(3):
        world.look(orders=(report,), executions=(world.execution(order, "E1", "4"),))

    assert order.filled == Decimal(4)
    assert world.held("r") == Decimal(4)


def test_a_fill_taken_back_can_come_again() -> None:
    world = VenueWorld()
    order = working(world, "10")
    early_ns = world.clock.now_ns
    make_up(world, order, "4")
    world.publish(world.execution(order, "E1", "4", time_ns=early_ns))
    world.publish(busted(order, "E1", early_ns))
    assert order.filled == Decimal(0)

    make_up(world, order, "4")
    assert world.held("r") == Decimal(4)


def busted(order: OrderState, execution_id: str, time_ns: int) -> object:
    return FillCorrection(order.order_id, execution_id, Decimal(0), Decimal(100), time_ns + 1)


def test_a_report_older_than_what_we_know_takes_nothing_back() -> None:
    world = VenueWorld()
    order = working(world, "10")
    make_up(world, order, "4")
    world.publish(world.order_report(order, PARTIALLY_FILLED, filled="3"))
    world.publish(world.execution(order, "E5", "2"))
    world.look(orders=(world.order_report(order, PARTIALLY_FILLED, filled="6"),))

    assert order.filled == Decimal(6)


def test_a_made_up_id_is_a_function_of_account_order_and_total() -> None:
    assert made_up_id("main", "V1", Decimal("4.0")) == made_up_id("main", "V1", Decimal(4))
    names = {
        made_up_id(account, name, Decimal(total))
        for account in ("main", "other")
        for name in ("V1", "V2")
        for total in (4, 40)
    }
    assert len(names) == 8


def test_a_fill_without_any_price_is_told_and_not_booked() -> None:
    world = VenueWorld()
    world.market.price = None
    order = world.submit(price=None)
    world.publish(OrderAccepted(order.order_id, world.clock.now_ns, "V1"))
    report = world.order_report(order, PARTIALLY_FILLED, filled="0.5", price=None)
    world.look(orders=(report,))
    world.look(orders=(report,))

    assert order.filled == Decimal(0)
    assert "fill_without_price" in world.alert_names()


def test_a_manual_order_half_filled_before_we_came_is_external_in_full() -> None:
    world = VenueWorld()
    report = world.order_report(None, PARTIALLY_FILLED, filled="0.4")
    world.look(orders=(report,), positions=(world.position("0.4"),))
    world.look(orders=(report,), positions=(world.position("0.4"),))
    findings = world.look(orders=(report,), positions=(world.position("0.4"),))

    assert world.held(EXTERNAL) == Decimal("0.4")
    assert findings.is_settled
    assert not findings.corrections


def test_an_external_order_that_is_listed_no_more_is_over_after_two_looks() -> None:
    world = VenueWorld()
    world.look(orders=(world.order_report(None),))
    (order,) = list(world.registry)
    world.pass_time(60)
    world.look()
    assert not order.is_closed
    world.look(orders=None)
    world.look(executions=None)
    assert not order.is_closed
    world.look()
    assert order.status is OrderStatus.CANCELLED


# -- positions and cash ----------------------------------------------------------------------


def test_a_position_difference_is_corrected_only_when_seen_twice_r_34() -> None:
    world = VenueWorld()
    first = world.look(positions=(world.position("7"),))
    assert world.held(EXTERNAL) == Decimal(0)
    assert not first.is_settled
    assert len(first.differences) == 1

    second = world.look(positions=(world.position("7"),))
    assert world.held(EXTERNAL) == Decimal(7)
    assert len(second.corrections) == 1
    assert world.look(positions=(world.position("7"),)).is_settled


def test_a_difference_is_certain_once_it_has_outlived_the_lag_of_answers_r_34() -> None:
    world = VenueWorld(visibility_s=3)
    for _ in range(3):
        assert not world.look(positions=(world.position("7"),)).is_settled
        assert world.held(EXTERNAL) == Decimal(0)

    world.look(positions=(world.position("7"),))
    assert world.held(EXTERNAL) == Decimal(7)


def test_answers_that_lag_behind_a_fill_are_no_difference_r_34() -> None:
    """The venue shows for up to three seconds what was; our own fill was pushed at once."""
    world = VenueWorld(visibility_s=3)
    order = working(world)
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), world.clock.now_ns))
    stale = world.order_report(order, filled="0")
    for _ in range(2):
        assert not world.look(orders=(stale,)).differences
    world.look(positions=(world.position("1"),))

    assert world.look(positions=(world.position("1"),)).is_settled
    assert world.held("r") == Decimal(1)
    assert world.held(EXTERNAL) == Decimal(0)
    assert order.status is FILLED


def test_a_difference_that_passes_is_not_corrected() -> None:
    world = VenueWorld()
    order = holder(world)
    world.look(positions=(world.position("4"),))
    world.look(positions=(world.position("5"),))
    world.look(positions=(world.position("4"),))
    world.look(positions=(world.position("5"),))

    assert world.held(EXTERNAL) == Decimal(0)
    assert order.status is FILLED


def test_the_same_state_again_is_no_second_look_r_34() -> None:
    world = VenueWorld()
    world.pass_time(1)
    state = world.state(positions=(world.position("7"),))
    for _ in range(5):
        world.publish(state)

    assert world.held(EXTERNAL) == Decimal(0)


def test_a_difference_while_something_is_in_doubt_is_not_judged() -> None:
    world = VenueWorld()
    order = world.submit()
    now_ns = world.clock.now_ns
    world.publish(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", now_ns))
    for _ in range(5):
        findings = world.look(positions=(world.position("1"),))

    assert world.held(EXTERNAL) == Decimal(0)
    assert findings.is_settled  # a doubt that only a person can end must not stop everything
    assert findings.unbacked is None


def test_a_shortfall_goes_to_external_and_the_runs_are_unbacked() -> None:
    world = VenueWorld()
    holder(world, "5")
    for _ in range(3):
        findings = world.look(positions=(world.position("2"),))

    assert world.held("r") == Decimal(5)
    assert world.held(EXTERNAL) == Decimal(-3)
    assert findings.unbacked == ("r",)

    for _ in range(3):
        findings = world.look(positions=(world.position("6"),))
    assert findings.unbacked == ()


def test_a_position_that_is_gone_is_a_shortfall_of_all_of_it() -> None:
    world = VenueWorld()
    holder(world, "5")
    for _ in range(3):
        findings = world.look()

    assert world.held(EXTERNAL) == Decimal(-5)
    assert findings.unbacked == ("r",)


def bookings(world: VenueWorld) -> list[tuple[str, str, Decimal, CashReason]]:
    booked = [entry for _, entry in world.log.read() if isinstance(entry, CashBooked)]
    return [(one.run, one.currency, one.amount, one.reason) for one in booked]


def test_a_cash_difference_is_booked_as_a_correction_of_external() -> None:
    world = VenueWorld()
    world.look()
    for _ in range(3):
        world.look(balances=(world.balance("1000"),))

    assert bookings(world) == [(EXTERNAL, "USD", Decimal(1000), CashReason.CORRECTION)]
    assert world.alert_names() == ["cash_corrected"]  # it was known to be nothing
    assert world.ledger.cash("main") == {"USD": Decimal(1000)}
    assert world.ledger.cash("main", EXTERNAL) == {"USD": Decimal(1000)}


def test_what_a_new_account_holds_is_its_opening_and_no_alert_f_18() -> None:
    """F-18: in the ledger, the log and the findings; only what changes later is told."""
    world = VenueWorld()
    opening = (world.balance("1000"), world.balance("7", "EUR"))
    found = [len(world.look(balances=opening).corrections) for _ in range(3)]

    assert found == [0, 2, 0]
    assert bookings(world) == [
        (EXTERNAL, "USD", Decimal(1000), CashReason.DEPOSIT),
        (EXTERNAL, "EUR", Decimal(7), CashReason.DEPOSIT),
    ]
    assert world.ledger.cash("main") == {"USD": Decimal(1000), "EUR": Decimal(7)}
    assert world.alert_names() == []

    for _ in range(3):
        world.look(balances=(world.balance("990"), world.balance("7", "EUR")))
    assert world.alert_names() == ["cash_corrected"]
    assert bookings(world)[2:] == [(EXTERNAL, "USD", Decimal(-10), CashReason.CORRECTION)]


def test_an_account_that_was_known_before_the_restart_has_no_second_opening() -> None:
    world = VenueWorld()
    world.reconciliation.reconciled_ns["main"] = 1  # as read from the journal
    for _ in range(3):
        world.look(balances=(world.balance("1000"),))

    assert [reason for *_, reason in bookings(world)] == [CashReason.CORRECTION]
    assert world.alert_names() == ["cash_corrected"]


def test_an_account_that_does_not_stand_still_opens_each_currency_once() -> None:
    """A position that cannot be settled holds nothing open: cash that changes then is told."""
    world = VenueWorld()
    for count in range(1, 7):
        moving = (world.position(str(count)),)
        cash = "1000" if count < 4 else "1010"
        world.look(balances=(world.balance(cash),), positions=moving)

    assert [(amount, reason) for _, _, amount, reason in bookings(world)] == [
        (Decimal(1000), CashReason.DEPOSIT),
        (Decimal(10), CashReason.CORRECTION),
    ]
    assert world.alert_names() == ["cash_corrected"]


def test_base_assets_of_spot_are_compared_as_balances_f_13() -> None:
    world = VenueWorld()
    world.publish(deposit("1000"))
    holder(world, "5", instrument=SPOT)
    answers = (world.balance("500"), world.balance("5", "BTC"))
    for _ in range(3):
        findings = world.look(balances=answers)

    assert findings.is_settled
    assert not findings.differences
    assert world.held("r", SPOT) == Decimal(5)


def deposit(amount: str) -> CashBooked:
    return CashBooked("main", EXTERNAL, "USD", Decimal(amount), CashReason.DEPOSIT, 1, "d1")


def test_a_base_asset_that_went_elsewhere_is_taken_from_external() -> None:
    world = VenueWorld()
    world.publish(deposit("1000"))
    holder(world, "5", instrument=SPOT)
    for _ in range(3):
        findings = world.look(balances=(world.balance("500"), world.balance("4", "BTC")))

    assert world.held("r", SPOT) == Decimal(5)
    assert world.held(EXTERNAL, SPOT) == Decimal(-1)
    assert findings.unbacked == ("r",)


def test_a_spot_venue_that_reports_positions_is_compared_by_them() -> None:
    world = VenueWorld()
    world.publish(deposit("1000"))
    holder(world, "5", instrument=SPOT)
    for _ in range(4):
        findings = world.look(
            positions=(world.position("7", SPOT),), balances=(world.balance("500"),)
        )

    assert world.held(EXTERNAL, SPOT) == Decimal(2)
    assert world.ledger.cash("main") == {"USD": Decimal(500)}
    assert findings.is_settled


def test_a_position_nobody_can_price_or_name_is_told() -> None:
    world = VenueWorld()
    world.market.price = None
    for _ in range(3):
        world.look(positions=(world.position("7", "v:NOPE"), unpriced(world)))

    assert {"position_unknown", "position_unpriced"} <= set(world.alert_names())
    assert world.held(EXTERNAL) == Decimal(0)


def unpriced(world: VenueWorld) -> object:
    return PositionReport("main", PERPETUAL, Decimal(1), world.clock.now_ns)


def test_the_price_of_a_correction_is_the_markets_or_our_own_cost() -> None:
    world = VenueWorld()
    holder(world, "5")
    world.market.price = None
    for _ in range(3):
        world.look()

    assert world.held(EXTERNAL) == Decimal(-5)
    assert world.ledger.realised("main") == {"USD": Decimal(0)}


# -- from when on to ask ---------------------------------------------------------------------


def test_executions_are_asked_for_since_the_last_complete_look_less_an_overlap_f_03() -> None:
    world = VenueWorld()
    first = world.submit()
    asked_ns = world.clock.now_ns + 500
    minute = 60_000_000_000
    assert world.reconciliation.since_ns("main", asked_ns) == first.created_ns - minute
    world.look(orders=(world.order_report(first),))
    complete_ns = world.clock.now_ns
    world.look(executions=None)

    assert world.reconciliation.since_ns("main", asked_ns) == complete_ns - minute
    marks = [entry for _, entry in world.log.read() if isinstance(entry, VenueState)]
    assert [mark.asked_ns for mark in marks] == [complete_ns]


def test_what_is_not_explained_yet_keeps_the_window_open() -> None:
    world = VenueWorld()
    order = working(world, "10")
    world.look(orders=(world.order_report(order, PARTIALLY_FILLED, filled="4"),))

    assert world.reconciliation.reconciled_ns == {}


# -- properties ------------------------------------------------------------------------------

quantities = st.sampled_from(["0", "1", "2", "3"])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, str]]:
    kinds = st.sampled_from(["submit", "accept", "fill", "doubt", "foreign", "look"])
    return draw(st.lists(st.tuples(kinds, quantities), max_size=12))


def play(world: VenueWorld, history: list[tuple[str, str]]) -> None:
    orders: list[OrderState] = []
    for number, (kind, quantity) in enumerate(history):
        now_ns = world.clock.now_ns
        if kind == "submit":
            orders.append(world.submit(BUY if number % 2 else SELL, quantity="3"))
        elif kind == "foreign" and quantity != "0":
            world.publish(world.execution(None, f"X{number}", quantity, name=f"X{number}"))
        elif kind == "look":
            world.look(positions=(world.position(quantity),))
        elif orders and kind == "accept":
            world.publish(OrderAccepted(orders[-1].order_id, now_ns, f"V{len(orders)}"))
        elif orders and kind == "fill" and quantity != "0":
            world.publish(world.execution(orders[-1], f"E{number}", quantity, name=f"V{number}"))
        elif orders and kind == "doubt":
            world.publish(
                RequestInDoubt(orders[-1].order_id, RequestKind.SUBMIT, "timeout", now_ns)
            )
        world.pass_time(1)


@given(histories(), quantities, st.sets(st.sampled_from(["orders", "executions", "positions"])))
def test_reconciled_twice_is_reconciled_once_r_34(
    history: list[tuple[str, str]], held: str, failed: set[str]
) -> None:
    world = VenueWorld()
    play(world, history)
    world.pass_time(60)
    reports = tuple(
        world.order_report(order, name=f"V{number}", filled=held)
        for number, order in enumerate(world.registry, 1)
        if order.run == "r"
    )
    answers: dict[str, object] = {
        "orders": reports,
        "executions": (world.execution(None, "X", "2", name="X"),),
        "positions": (world.position(held),),
    }
    answers.update(dict.fromkeys(failed))
    state = world.state(**answers)
    world.publish(state)
    once = state_of(world.parts)
    world.publish(state)

    assert state_of(world.parts) == once


@given(histories(), quantities)
def test_a_quiet_account_comes_to_equal_its_venue(
    history: list[tuple[str, str]], held: str
) -> None:
    world = VenueWorld()
    play(world, history)
    for order in list(world.registry):
        world.publish(world.order_report(order, OrderStatus.CANCELLED, name=""))
    for _ in range(4):
        findings = world.look(positions=(world.position(held),), balances=(world.balance("9"),))

    total = sum((holding.quantity for holding in world.ledger.holdings()), Decimal(0))
    assert total == Decimal(held)
    assert world.ledger.cash("main") == {"USD": Decimal(9)}
    assert findings.is_settled
