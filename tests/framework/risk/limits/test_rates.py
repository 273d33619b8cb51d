"""How many orders may be sent within a time, and how many may be open."""

import pytest

from framework.risk.limits.rates import DAY_NS, MINUTE_NS, SECOND_NS, MaxOpenOrders, OrderRate
from framework.risk.limits.scope import EVERYTHING
from tests.framework.risk.samples import FakeInputs, asked, buy, sell, view


@pytest.mark.parametrize(
    ("window_ns", "words"),
    [(SECOND_NS, "one second"), (MINUTE_NS, "one minute"), (DAY_NS, "24 hours")],
)
def test_at_most_so_many_orders_pass_within_any_window(window_ns: int, words: str) -> None:
    limit = OrderRate(2, window_ns, "the limit 2")
    order, later = buy(), window_ns * 6 // 10
    for now_ns in (0, later):
        assert limit.check(order, view(at=now_ns)) is None
        limit.reserve(order, view(at=now_ns))

    reason = limit.check(order, view(at=window_ns - 1))
    assert reason == f"2 orders within {words} reach the limit 2"
    assert limit.check(order, view(at=window_ns)) is None
    limit.reserve(order, view(at=window_ns))
    assert limit.check(order, view(at=window_ns + later - 1)) is not None  # it slides, no reset


@pytest.mark.parametrize("kind", ["reduce_only", "is_closing"])
def test_exits_are_counted_but_never_held_back(kind: str) -> None:
    limit = OrderRate(1, SECOND_NS, "the limit 1")
    leaving = sell("1", **{kind: True})
    limit.reserve(leaving, view(at=0))

    assert limit.check(leaving, view(at=1)) is None
    assert limit.check(sell("1"), view(at=1)) is not None


def test_taking_counts_only_where_there_is_room() -> None:
    limit = OrderRate(1, SECOND_NS, "the limit 1")

    assert [limit.take(now_ns) for now_ns in (0, 5, SECOND_NS, SECOND_NS + 1)] == [
        True,
        False,
        True,
        False,
    ]


def test_open_orders_are_counted_but_for_exits_and_changes() -> None:
    inputs = FakeInputs()
    limit = MaxOpenOrders(3, asked(inputs), EVERYTHING)
    inputs.open_orders = 2
    assert limit.check(buy(), view()) is None

    inputs.open_orders = 3
    assert limit.check(buy(), view()) == "3 open orders reach max_open_orders 3"
    assert limit.check(buy(order_id="known"), view()) is None
    assert limit.check(sell(reduce_only=True), view("1")) is None
