from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import server_order_story
from adapters.tektii.server_order_story import RATCHET_NS, OrderStories
from framework.model.desk import DeskOrder
from framework.model.orders import Order, OrderIntent, OrderStatus, OrderType, RequestState, Side
from framework.model.records import HoldRole

D = Decimal
BEGAN = 1_000
INTENT = OrderIntent("run", "c.k", "mock:A", Side.BUY, D(10), OrderType.LIMIT, D(5))
NEW = Order(
    "o-1", "run", "main", "mock:A", Side.BUY, OrderType.LIMIT, OrderStatus.SUBMITTED,
    D(10), D(0), None, 2_000, 2_000, "c.k", D(5),
)  # fmt: skip
LIFE = {
    "taken": OrderStatus.ACCEPTED,
    "held": OrderStatus.HELD,
    "partly": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "denied": OrderStatus.DENIED,
    "triggered": OrderStatus.TRIGGERED,
}


def state(name: str = "taken", **changes: Any) -> DeskOrder:
    """Return the order of these tests in a state; `stop_loss`, `role` are of what is shown."""
    shown = {key: changes.pop(key) for key in ("stop_loss", "role") if key in changes}
    if name == "filled":
        changes.setdefault("filled", D(10))
    status = LIFE.get(name, OrderStatus.SUBMITTED)
    return DeskOrder(msgspec.structs.replace(NEW, status=status, **changes), INTENT, **shown)


def story(*states: DeskOrder, now_ns: int = 5_000) -> list[str]:
    stories = OrderStories(BEGAN)
    return [event.value for one in states for event, _ in stories.hear(one, now_ns)]


def test_an_ordinary_life() -> None:
    assert story(
        state("asked"),
        state("taken"),
        state("taken", modify_state=RequestState.SENT),
        state("taken", price=D(6)),
        state("partly", price=D(6), filled=D(4)),
        state("partly", price=D(6), filled=D(4), cancel_state=RequestState.SENT),
        state("cancelled", price=D(6), filled=D(4)),
    ) == ["ORDER_CREATED", "ORDER_MODIFIED", "ORDER_PARTIALLY_FILLED", "ORDER_CANCELLED"]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("filled", "ORDER_FILLED"),
        ("cancelled", "ORDER_CANCELLED"),
        ("expired", "ORDER_EXPIRED"),
        ("rejected", "ORDER_REJECTED"),
        ("denied", "ORDER_REJECTED"),
    ],
)
def test_an_end_is_told_after_the_creation_and_once(end: str, told: str) -> None:
    assert story(state("asked"), state(end), state(end)) == ["ORDER_CREATED", told]


def test_what_overtakes_the_acceptance_follows_an_order_as_it_was() -> None:
    stories = OrderStories(BEGAN)

    (created, before), (event, after) = stories.hear(
        state("partly", filled=D(4), average_price=D(5), time_ns=3_000), 5_000
    )

    assert (created.value, event.value) == ("ORDER_CREATED", "ORDER_PARTIALLY_FILLED")
    assert before.order.status is OrderStatus.ACCEPTED
    assert (before.order.filled, before.order.average_price) == (D(0), None)
    assert before.order.time_ns == before.order.created_ns
    assert after.order.filled == D(4)


def test_a_refused_order_was_never_open() -> None:
    (_, before), (_, after) = OrderStories(BEGAN).hear(state("rejected", reason="no"), 5_000)

    assert before.order.status is OrderStatus.SUBMITTED
    assert before.order.reason == ""
    assert after.order.reason == "no"


def test_an_order_that_the_core_keeps_is_created_when_it_is_held() -> None:
    assert story(state("held"), state("asked"), state("taken"), state("triggered")) == [
        "ORDER_CREATED"
    ]


@pytest.mark.parametrize(
    "change", [{"quantity": D(8)}, {"stop_price": D(4)}, {"stop_loss": D(3)}, {"price": D(7)}]
)
def test_each_change_is_told_once(change: dict[str, Any]) -> None:
    assert story(state(), state(**change), state(**change)) == ["ORDER_CREATED", "ORDER_MODIFIED"]


def test_orders_of_before_the_start_are_not_created_again() -> None:
    old: dict[str, Any] = {"created_ns": BEGAN - 1}

    assert story(state(**old), state("filled", **old)) == ["ORDER_FILLED"]


def test_what_is_redelivered_is_known() -> None:
    assert (
        story(state("partly", filled=D(4), is_redelivered=True), state("partly", filled=D(4))) == []
    )
    assert story(state(is_redelivered=True), state("partly", filled=D(4))) == [
        "ORDER_PARTIALLY_FILLED"
    ]


def test_what_was_there_before_anybody_listened_is_known() -> None:
    stories = OrderStories(BEGAN)
    stories.know(state("partly", filled=D(4)))

    assert stories.hear(state("partly", filled=D(4)), 5_000) == []
    assert [event.value for event, _ in stories.hear(state("filled"), 5_000)] == ["ORDER_FILLED"]


def test_a_fill_that_comes_after_the_end_is_a_change() -> None:
    assert story(state(), state("cancelled"), state("cancelled", filled=D(2))) == [
        "ORDER_CREATED",
        "ORDER_CANCELLED",
        "ORDER_MODIFIED",
    ]


def test_an_execution_taken_back_is_a_change() -> None:
    assert story(state(), state("partly", filled=D(4)), state("partly", filled=D(3))) == [
        "ORDER_CREATED",
        "ORDER_PARTIALLY_FILLED",
        "ORDER_MODIFIED",
    ]


def test_ended_orders_are_forgotten_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_order_story, "KEPT_ENDED", 3)
    stories = OrderStories(BEGAN)
    for number in range(10):
        stories.hear(state("filled", order_id=f"o-{number}"), 5_000)

    assert len(stories) == 3


# -- trailing stops --------------------------------------------------------------------------------


def trailing(stop: int, **changes: Any) -> DeskOrder:
    return state("held", stop_price=D(stop), type=OrderType.TRAILING_STOP, price=None, **changes)


class Ratchets:
    """A trailing stop, and what is told of it with the times."""

    def __init__(self) -> None:
        self.stories = OrderStories(BEGAN)
        self.told: list[tuple[str, str, int]] = []
        self.due_ns: int | None = None
        self.hear(trailing(100), 10_000)

    def hear(self, entry: DeskOrder, now_ns: int) -> None:
        for event, shown in self.stories.hear(entry, now_ns):
            self.told.append((event.value, str(shown.order.stop_price), now_ns))
        self.arrange()

    def arrange(self) -> None:
        due_ns = self.stories.arrange("o-1")
        if due_ns is not None:
            assert self.due_ns is None
            self.due_ns = due_ns

    def turn(self, now_ns: int) -> None:
        self.due_ns = None
        order = self.stories.take_due("o-1", now_ns)
        if order is not None:
            self.told.append(("ORDER_MODIFIED", str(order.stop_price), now_ns))
        self.arrange()


def test_a_trailing_stop_is_told_every_250_ms_and_its_last_move_always() -> None:
    one = Ratchets()
    one.hear(trailing(101), 20_000)
    one.hear(trailing(102), 30_000)
    one.hear(trailing(103), 40_000)
    assert one.due_ns == 20_000 + RATCHET_NS

    one.turn(one.due_ns)
    one.hear(trailing(104), 30_000 + RATCHET_NS)
    assert one.due_ns == 20_000 + 2 * RATCHET_NS
    one.turn(one.due_ns)

    assert one.told == [
        ("ORDER_CREATED", "100", 10_000),
        ("ORDER_MODIFIED", "101", 20_000),
        ("ORDER_MODIFIED", "103", 20_000 + RATCHET_NS),
        ("ORDER_MODIFIED", "104", 20_000 + 2 * RATCHET_NS),
    ]
    assert one.due_ns is None


def test_what_is_told_meanwhile_has_the_newest_stop() -> None:
    one = Ratchets()
    one.hear(trailing(101), 20_000)
    one.hear(trailing(102), 30_000)
    one.hear(trailing(102, filled=D(10)), 40_000)
    assert one.due_ns is not None
    one.turn(one.due_ns)

    assert [told[:2] for told in one.told][2:] == [("ORDER_PARTIALLY_FILLED", "102")]


def test_an_end_is_never_held_back() -> None:
    one = Ratchets()
    one.hear(trailing(101), 20_000)
    one.hear(trailing(102), 20_000)
    ended = trailing(102)
    order = msgspec.structs.replace(ended.order, status=OrderStatus.CANCELLED)
    one.hear(msgspec.structs.replace(ended, order=order), 30_000)
    assert one.due_ns is not None
    one.turn(one.due_ns)

    assert one.told[-1][:2] == ("ORDER_CANCELLED", "102")


def test_a_leg_that_trails_counts_by_its_role() -> None:
    stories = OrderStories(BEGAN)
    leg = [state("held", stop_price=D(price), role=HoldRole.TRAIL) for price in (1, 2, 3)]

    told = [event.value for one in leg for event, _ in stories.hear(one, 5_000)]

    assert told == ["ORDER_CREATED", "ORDER_MODIFIED"]
    assert stories.arrange("o-1") == 5_000 + RATCHET_NS
    assert stories.arrange("o-1") is None


def test_other_stops_are_told_at_once() -> None:
    assert story(*[state("held", stop_price=D(price)) for price in (1, 2, 3)]) == [
        "ORDER_CREATED",
        "ORDER_MODIFIED",
        "ORDER_MODIFIED",
    ]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, RATCHET_NS // 2)), max_size=30))
def test_whatever_a_trailing_stop_does_its_last_place_is_told(moves: list[tuple[int, int]]) -> None:
    one, now_ns, stop = Ratchets(), 10_000, 100
    for step, wait_ns in moves:
        now_ns += wait_ns
        if one.due_ns is not None and one.due_ns <= now_ns:
            one.turn(one.due_ns)
        stop += step - 1
        one.hear(trailing(stop), now_ns)
    while one.due_ns is not None:
        one.turn(one.due_ns)

    assert one.told[-1][1] == str(stop)
    moved = [now_ns for event, _, now_ns in one.told if event == "ORDER_MODIFIED"]
    assert all(later - earlier >= RATCHET_NS for earlier, later in pairwise(moved))


def test_nothing_is_due_of_an_order_that_is_not_known() -> None:
    assert OrderStories(0).take_due("nobody", 0) is None
    assert OrderStories(0).arrange("nobody") is None


# -- every life ------------------------------------------------------------------------------------

STEPS = st.sampled_from(
    ["asked", "taken", "held", "triggered", "partly", "cancelled", "expired", "rejected", "filled"]
)


@given(st.lists(st.tuples(STEPS, st.integers(0, 9), st.integers(1, 3)), max_size=12))
def test_one_creation_comes_first_and_one_end_at_most(steps: list[tuple[str, int, int]]) -> None:
    states = [
        state(name, price=D(price), **({} if name == "filled" else {"filled": D(filled)}))
        for name, filled, price in steps
    ]

    told = story(*states)

    ends = {"ORDER_FILLED", "ORDER_CANCELLED", "ORDER_EXPIRED", "ORDER_REJECTED"}
    assert told.count("ORDER_CREATED") == bool(told)
    assert not told or told[0] == "ORDER_CREATED"
    assert sum(event in ends for event in told) <= 1
    if any(event in ends for event in told):
        last = max(index for index, event in enumerate(told) if event in ends)
        assert set(told[last + 1 :]) <= {"ORDER_MODIFIED"}
