"""The status of an order is a function of its facts, not of their order."""

from decimal import Decimal
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.model.orders import Fee, Liquidity, OrderStatus, RequestState
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.orders.lifecycle import OrderFacts

ORDER = "o"
D = Decimal


def new_facts(quantity: str = "10", *, origin: OrderStatus = OrderStatus.SUBMITTED) -> OrderFacts:
    return OrderFacts(D(quantity), D(100), None, 0, origin=origin, status=origin)


def fill(execution: str, quantity: str, price: str = "100", time_ns: int = 5) -> OrderFilled:
    return OrderFilled(ORDER, execution, D(quantity), D(price), time_ns)


def end_state(facts: OrderFacts) -> dict[str, object]:
    """Everything that lasts: not the anomalies told, nor which path a fact took."""
    state = msgspec.structs.asdict(facts)
    del state["anomalies"], state["is_plain"], state["has_requests"]
    return state


ACCEPTED = OrderAccepted(ORDER, 2, "v1")
CANCELLED = OrderEnded(ORDER, EndKind.CANCELLED, 9, "by user")
SETS: dict[str, list[OrderFact]] = {
    "an ordinary life": [ACCEPTED, fill("a", "4"), fill("b", "6", "101")],
    "cancel crossing with fills": [
        ACCEPTED,
        RequestInDoubt(ORDER, RequestKind.CANCEL, "timeout", 6),
        fill("a", "4"),
        fill("b", "3", "99.5", 8),
        CANCELLED,
        fill("a", "4"),
    ],
    "replaced twice": [
        ACCEPTED,
        OrderReplaced(ORDER, 1, D(8), 3, price=D(99), venue_order_id="v2"),
        OrderReplaced(ORDER, 2, D(7), 4, stop_price=D(98), venue_order_id="v3"),
        OrderReplaced(ORDER, 2, D(7), 4, price=D(97)),
        fill("a", "4"),
        fill("b", "3", "97"),
    ],
    "corrected and busted": [
        fill("a", "4"),
        fill("b", "6"),
        FillCorrection(ORDER, "a", D(5), D(101), 7),
        FillCorrection(ORDER, "a", D(0), D(101), 8, reason="bust"),
        FillCorrection(ORDER, "b", D(2), D(100), 3),
        ACCEPTED,
    ],
    "everything contradicts": [
        ACCEPTED,
        OrderEnded(ORDER, EndKind.REJECTED, 3, "not found", "inferred"),
        OrderEnded(ORDER, EndKind.EXPIRED, 3, "day over"),
        CANCELLED,
        fill("a", "12"),
        fill("a", "11", "100", 9),
    ],
    "a stop in doubt": [
        RequestInDoubt(ORDER, RequestKind.SUBMIT, "timeout", 1),
        OrderTriggered(ORDER, 4),
        ACCEPTED,
        RequestRefused(ORDER, RequestKind.CANCEL, "too late", 5),
        RequestInDoubt(ORDER, RequestKind.MODIFY, "timeout", 5),
        fill("a", "1"),
    ],
    "wrongly given up": [
        OrderEnded(ORDER, EndKind.REJECTED, 3, "not found", "inferred"),
        RequestInDoubt(ORDER, RequestKind.SUBMIT, "timeout", 1),
        RequestInDoubt(ORDER, RequestKind.CANCEL, "timeout", 4),
        ACCEPTED,
        OrderAccepted(ORDER, 1, "v0"),
    ],
    "told twice, once with the new id": [
        OrderReplaced(ORDER, 3, D(1), 0, price=D(98)),
        OrderReplaced(ORDER, 3, D(1), 0, price=D(98), venue_order_id="v1"),
        OrderFilled(ORDER, "a", D(1), D(98), 2),
        OrderFilled(ORDER, "a", D(1), D(98), 2, (), Liquidity.MAKER),
        FillCorrection(ORDER, "b", D(1), D(98), 2),
        FillCorrection(ORDER, "b", D(1), D(98), 2, reason="price"),
    ],
    "a refused submit": [
        RequestRefused(ORDER, RequestKind.SUBMIT, "no funds", 3),
        RequestInDoubt(ORDER, RequestKind.SUBMIT, "timeout", 2),
        OrderEnded(ORDER, EndKind.REJECTED, 4, "no funds"),
    ],
}


@pytest.mark.parametrize("name", SETS)
def test_any_arrival_order_gives_the_same_end_state(name: str) -> None:
    """R-25: all permutations of up to six reports."""
    states = []
    for arrival in permutations(SETS[name]):
        facts = new_facts()
        for fact in arrival:
            facts.apply(fact)
        states.append(end_state(facts))

    assert all(state == states[0] for state in states)


REPORTS = st.one_of(
    st.builds(OrderAccepted, st.just(ORDER), st.integers(0, 9), st.sampled_from(["", "v1", "v2"])),
    st.builds(
        OrderFilled,
        st.just(ORDER),
        st.sampled_from("abcd"),
        st.integers(1, 6).map(D),
        st.integers(98, 102).map(D),
        st.integers(0, 9),
        st.sampled_from([(), (Fee("USD", D(1)),)]),
    ),
    st.builds(OrderTriggered, st.just(ORDER), st.integers(0, 9)),
    st.builds(
        OrderReplaced,
        st.just(ORDER),
        st.integers(1, 3),
        st.integers(1, 12).map(D),
        st.integers(0, 9),
        st.none() | st.integers(98, 102).map(D),
        st.none() | st.integers(98, 102).map(D),
        st.sampled_from(["", "v1", "v3"]),
    ),
    st.builds(
        OrderEnded,
        st.just(ORDER),
        st.sampled_from(EndKind),
        st.integers(0, 9),
        st.sampled_from(["", "x"]),
        st.sampled_from(["venue", "inferred"]),
    ),
    st.builds(
        RequestRefused,
        st.just(ORDER),
        st.sampled_from(RequestKind),
        st.just("no"),
        st.integers(0, 9),
    ),
    st.builds(
        RequestInDoubt,
        st.just(ORDER),
        st.sampled_from(RequestKind),
        st.just("timeout"),
        st.integers(0, 9),
    ),
    st.builds(
        FillCorrection,
        st.just(ORDER),
        st.sampled_from("abcd"),
        st.integers(0, 6).map(D),
        st.integers(98, 102).map(D),
        st.integers(0, 9),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(REPORTS, max_size=20), st.randoms(use_true_random=False))
def test_twenty_reports_in_any_order_repeated_or_not_end_alike(
    reports: list[OrderFact], chance: object
) -> None:
    """R-24, R-25: shuffled, and with every report delivered a second time."""
    shuffled = reports + reports
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = new_facts(), new_facts()
    for report in reports:
        one.apply(report)
    for report in shuffled:
        other.apply(report)

    assert end_state(one) == end_state(other)


@settings(max_examples=300, deadline=None)
@given(st.lists(REPORTS, max_size=8))
def test_the_short_cut_equals_the_table(reports: list[OrderFact]) -> None:
    fast, plain = new_facts("4"), new_facts("4")
    for report in reports:
        assert fast.apply(report) is plain.apply_by_table(report)

    assert end_state(fast) == end_state(plain)
    assert fast.take_anomalies() == plain.take_anomalies()


@settings(max_examples=300, deadline=None)
@given(st.lists(REPORTS, max_size=20))
def test_filled_falls_only_by_a_correction_and_adds_up_with_what_remains(
    reports: list[OrderFact],
) -> None:
    """R-36."""
    facts = new_facts()
    for report in reports:
        before = facts.filled
        facts.apply(report)
        assert facts.filled >= before or isinstance(report, FillCorrection)
        assert facts.filled == sum((e.quantity for e in facts.executions.values()), D(0))
        if not facts.is_closed and facts.filled <= facts.quantity:
            assert facts.filled + facts.remaining == facts.quantity


def test_a_fill_before_the_acceptance_is_nothing_special() -> None:
    facts = new_facts()

    facts.apply(fill("a", "4"))
    facts.apply(ACCEPTED)

    assert facts.status is OrderStatus.PARTIALLY_FILLED
    assert facts.take_anomalies() == []


@pytest.mark.parametrize("origin", [OrderStatus.INITIALISED, OrderStatus.HELD])
def test_an_order_that_has_not_left_stands_where_it_started(origin: OrderStatus) -> None:
    facts = new_facts(origin=origin)
    facts.refresh()
    assert facts.status is origin
    assert not facts.is_closed

    facts.apply(OrderEnded(ORDER, EndKind.CANCELLED, 1, "cancelled", "core"))

    assert facts.status is OrderStatus.CANCELLED


def test_a_denied_order_is_closed_with_its_reason() -> None:
    facts = new_facts()

    facts.deny("too large")

    assert facts.status is OrderStatus.DENIED
    assert facts.is_closed
    assert facts.reason == "too large"
    assert facts.submit_state is RequestState.NONE


@pytest.mark.parametrize(
    ("first", "late", "text"),
    [
        (CANCELLED, fill("a", "4"), "fill a of 4 after it was cancelled"),
        (CANCELLED, ACCEPTED, "accepted after it was cancelled"),
        (
            OrderEnded(ORDER, EndKind.REJECTED, 2),
            fill("a", "4"),
            "fill a of 4 after it was rejected",
        ),
        (ACCEPTED, OrderEnded(ORDER, EndKind.REJECTED, 4), "rejected although it had been"),
        (fill("a", "10"), fill("b", "1"), "filled 11 of 10: more than was ordered"),
        (fill("a", "1"), fill("a", "2"), "fill a was repeated with other content"),
        (CANCELLED, OrderEnded(ORDER, EndKind.EXPIRED, 4), "ended as cancelled and as expired"),
        (fill("a", "10"), FillCorrection(ORDER, "a", D(4), D(100), 6), "reopens a filled order"),
        (CANCELLED, OrderReplaced(ORDER, 1, D(5), 4), "replaced after it was cancelled"),
    ],
)
def test_a_contradiction_is_booked_and_told(first: OrderFact, late: OrderFact, text: str) -> None:
    """R-23, R-36: facts are never refused."""
    facts = new_facts()
    facts.apply(first)
    facts.take_anomalies()

    facts.apply(late)

    assert any(text in anomaly for anomaly in facts.take_anomalies())
    if isinstance(late, OrderFilled):
        assert late.execution_id in facts.executions


def test_a_late_fill_of_everything_makes_a_cancelled_order_filled() -> None:
    facts = new_facts()
    facts.apply(CANCELLED)

    facts.apply(fill("a", "10"))

    assert facts.status is OrderStatus.FILLED


def test_doubt_about_a_submit_ends_only_by_evidence() -> None:
    """R-20: neither a timeout nor its repetition says anything."""
    facts = new_facts()
    doubt = RequestInDoubt(ORDER, RequestKind.SUBMIT, "timeout", 3)
    facts.apply(doubt)
    facts.apply(doubt)
    assert (facts.submit_state, facts.status) == (RequestState.IN_DOUBT, OrderStatus.SUBMITTED)

    facts.apply(ACCEPTED)

    assert facts.submit_state is RequestState.NONE


def test_an_inferred_rejection_does_not_hold_against_the_venues_acceptance() -> None:
    """R-22, R-23: an order given up as not found turns out to live."""
    facts = new_facts()
    facts.apply(OrderEnded(ORDER, EndKind.REJECTED, 3, "not found", "inferred"))
    assert facts.is_closed

    facts.apply(ACCEPTED)

    assert facts.status is OrderStatus.ACCEPTED
    assert not facts.is_closed


def test_a_refused_cancel_leaves_the_order_working_and_may_be_asked_again() -> None:
    """R-28."""
    facts = new_facts()
    facts.apply(ACCEPTED)
    facts.request_cancel()
    facts.apply(RequestRefused(ORDER, RequestKind.CANCEL, "busy", 5))
    assert (facts.cancel_state, facts.status) == (RequestState.NONE, OrderStatus.ACCEPTED)

    facts.request_cancel()

    assert facts.cancel_state is RequestState.WAITING


def test_the_average_price_follows_fills_and_corrections() -> None:
    facts = new_facts()
    assert facts.average_price is None
    facts.apply(fill("a", "4", "100"))
    facts.apply(fill("b", "4", "101"))
    assert facts.average_price == D("100.5")

    facts.apply(FillCorrection(ORDER, "b", D(0), D(101), 9))
    facts.apply(FillCorrection(ORDER, "a", D(0), D(100), 9))

    assert facts.average_price is None
    assert facts.filled == D(0)


class TestAReplacementWithoutAnAnswer:
    """R-27, R-32: a fill of all that was known does not end what the venue may have made larger."""

    def changing(self, quantity: str | None = "15") -> OrderFacts:
        facts = new_facts("10")
        facts.apply(ACCEPTED)
        facts.request_modify(1, None if quantity is None else D(quantity))
        facts.apply(fill("a", "10"))
        return facts

    def test_it_stays_open_until_the_venue_has_answered(self) -> None:
        facts = self.changing()
        assert (facts.status, facts.remaining) == (OrderStatus.PARTIALLY_FILLED, D(0))

        facts.apply(OrderReplaced(ORDER, 1, D(15), 6))
        assert (facts.status, facts.remaining) == (OrderStatus.PARTIALLY_FILLED, D(5))

        facts.apply(fill("b", "5"))
        assert facts.status is OrderStatus.FILLED

    def test_a_refusal_says_that_it_was_filled(self) -> None:
        facts = self.changing()

        facts.apply(RequestRefused(ORDER, RequestKind.MODIFY, "the order is filled", 6))

        assert facts.status is OrderStatus.FILLED

    def test_a_doubt_says_nothing(self) -> None:
        facts = self.changing()

        facts.apply(RequestInDoubt(ORDER, RequestKind.MODIFY, "timeout", 6))

        assert not facts.is_closed
        assert facts.modify_state is RequestState.IN_DOUBT

    @pytest.mark.parametrize("quantity", [None, "10", "8"])
    def test_a_change_that_asks_for_no_more_does_not_keep_it_open(
        self, quantity: str | None
    ) -> None:
        assert self.changing(quantity).status is OrderStatus.FILLED

    def test_an_end_of_it_holds(self) -> None:
        facts = self.changing()

        facts.apply(CANCELLED)

        assert facts.status is OrderStatus.FILLED
