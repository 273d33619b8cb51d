from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.tektii import server_order_troubles
from adapters.tektii.server_order_troubles import DoubleExits, MissingExits
from framework.model.desk import DeskOrder
from framework.model.orders import Order, OrderIntent, OrderStatus, OrderType, Side
from framework.model.records import HoldRole

D = Decimal
STOP, TARGET, TRAIL = HoldRole.STOP_LOSS, HoldRole.TAKE_PROFIT, HoldRole.TRAIL


def order(
    order_id: str = "o-1",
    status: OrderStatus = OrderStatus.ACCEPTED,
    *,
    filled: str = "0",
    asked: str = "10",
    group: str = "pair-9",
    parent: str = "",
    role: HoldRole | None = None,
    run: str = "run",
) -> DeskOrder:
    base = Order(
        order_id, run, "main", "mock:QCOM", Side.SELL, OrderType.LIMIT, status, D(asked),
        D(filled), None, 1, 1, f"c.{order_id}", D(5), parent=parent,
    )  # fmt: skip
    intent = OrderIntent(run, base.key, base.instrument, base.side, D(asked), oco_group=group)
    return DeskOrder(base, intent, role)


def leg(
    order_id: str, status: OrderStatus, role: HoldRole = STOP, parent: str = "e-1"
) -> DeskOrder:
    return order(order_id, status, group="", parent=parent, role=role)


# -- missing exits -----------------------------------------------------------------------------


def refused(missing: MissingExits, one: DeskOrder, message: str = "no", **how: bool) -> Any:
    return missing.refused(one, message, "QCOM", is_tripped=how.get("is_tripped", False))


@pytest.mark.parametrize(
    ("role", "kind"), [(STOP, "StopLoss"), (TRAIL, "StopLoss"), (TARGET, "TakeProfit")]
)
def test_a_refused_exit_is_described(role: HoldRole, kind: str) -> None:
    found = refused(MissingExits(), leg("l-1", OrderStatus.REJECTED, role), "too small")

    assert found.details == {
        "order_id": "e-1",
        "symbol": "QCOM",
        "failed_exits": [{"type": kind, "error": "too small", "actual_order_ids": []}],
        "circuit_breaker_open": False,
    }
    assert (found.account, found.run, found.instrument) == ("main", "run", "mock:QCOM")


def test_an_exit_that_is_not_sent_any_more_has_an_open_breaker() -> None:
    found = refused(MissingExits(), leg("l-1", OrderStatus.REJECTED), is_tripped=True)

    assert found.details["circuit_breaker_open"] is True


def test_an_order_that_is_no_exit_leaves_nothing_uncovered() -> None:
    missing = MissingExits()

    assert refused(missing, order()) is None
    assert refused(missing, order(role=HoldRole.ENTRY, parent="e-1")) is None
    assert len(missing) == 0


def test_what_is_still_missing_is_announced_again() -> None:
    missing = MissingExits()
    refused(missing, leg("l-1", OrderStatus.REJECTED), "first")
    refused(missing, leg("l-2", OrderStatus.REJECTED), "second")
    refused(missing, leg("l-3", OrderStatus.REJECTED, TARGET), "target")

    again = missing.again()

    assert [one.message for one in again] == ["second", "target"]
    assert all(one.details["rebroadcast"] is True for one in again)


@pytest.mark.parametrize("status", [OrderStatus.HELD, OrderStatus.ACCEPTED, OrderStatus.FILLED])
def test_an_exit_that_rests_again_is_missing_no_more(status: OrderStatus) -> None:
    missing = MissingExits()
    refused(missing, leg("l-1", OrderStatus.REJECTED))

    missing.hear(leg("l-2", status, TARGET))
    missing.hear(leg("l-2", OrderStatus.SUBMITTED))
    missing.hear(leg("l-2", status, parent="another"))
    missing.hear(order(status=status))
    assert len(missing) == 1

    missing.hear(leg("l-2", status, TRAIL))
    assert missing.again() == []


def test_a_closed_position_misses_nothing() -> None:
    missing = MissingExits()
    refused(missing, leg("l-1", OrderStatus.REJECTED))

    missing.flat("main", "run", "mock:OTHER")
    assert len(missing) == 1
    missing.flat("main", "run", "mock:QCOM")
    assert len(missing) == 0


def test_missing_exits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_order_troubles, "KEPT_EXITS", 2)
    missing = MissingExits()
    for number in range(5):
        one = leg(f"l-{number}", OrderStatus.REJECTED, parent=f"e-{number}")
        missing.hear(one)
        refused(missing, one)

    assert [one.entry_id for one in missing.again()] == ["e-3", "e-4"]
    assert missing.leg("l-1") is None
    assert missing.leg("l-4") is not None


def test_an_exit_that_rests_already_is_told_and_not_missing() -> None:
    missing = MissingExits()
    missing.hear(leg("l-1", OrderStatus.SUBMITTED))
    missing.hear(leg("l-2", OrderStatus.HELD))

    assert refused(missing, leg("l-1", OrderStatus.REJECTED)) is not None
    assert len(missing) == 0

    missing.hear(leg("l-2", OrderStatus.REJECTED))
    assert refused(missing, leg("l-2", OrderStatus.REJECTED)) is not None
    assert len(missing) == 1


def test_an_exit_refused_while_it_was_thought_to_rest_is_missing() -> None:
    missing = MissingExits()
    missing.hear(leg("l-1", OrderStatus.HELD))

    refused(missing, leg("l-1", OrderStatus.HELD))  # the order's own event comes later

    assert len(missing) == 1


# -- double exits ------------------------------------------------------------------------------


def heard(*orders: DeskOrder) -> list[Any]:
    groups = DoubleExits()
    return [found for one in orders if (found := groups.hear(one, "QCOM")) is not None]


def test_two_whole_fills_of_a_pair_are_one_too_many() -> None:
    (found,) = heard(
        order("o-1"), order("o-1", OrderStatus.FILLED, filled="10"),
        order("o-2", OrderStatus.FILLED, filled="10"),
        order("o-2", OrderStatus.FILLED, filled="10"),
    )  # fmt: skip

    assert found[1] == {
        "oco_group_id": "pair-9",
        "symbol": "QCOM",
        "first_fill": {"order_id": "o-1", "quantity": "10", "side": "Sell"},
        "second_fill": {"order_id": "o-2", "quantity": "10", "side": "Sell"},
        "total_exit_quantity": "20",
    }


def test_parts_that_add_up_to_one_order_are_as_meant() -> None:
    assert heard(order("o-1", filled="4"), order("o-2", filled="6")) == []
    assert heard(*(order(f"o-{n}", filled="1", asked="3") for n in range(3))) == []


def test_parts_that_add_up_to_more_are_too_many() -> None:
    assert len(heard(order("o-1", filled="4"), order("o-2", filled="7"))) == 1


def test_one_order_alone_exits_once() -> None:
    assert heard(order("o-1", filled="11")) == []


def test_groups_of_other_runs_and_none_are_other_groups() -> None:
    whole = {"status": OrderStatus.FILLED, "filled": "10"}

    assert heard(order("o-1", **whole), order("o-2", run="x", **whole)) == []  # type: ignore[arg-type]
    assert heard(order("o-1", group="", **whole), order("o-2", group="", **whole)) == []  # type: ignore[arg-type]
    assert heard(order("o-1", parent="e", **whole), order("o-2", parent="e", **whole)) == []  # type: ignore[arg-type]


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_order_troubles, "KEPT_GROUPS", 1)

    assert (
        heard(
            order("o-1", filled="10"),
            order("p-1", filled="10", group="other"),
            order("o-2", filled="10"),
        )
        == []
    )


def test_an_order_by_amount_counts_by_what_it_became() -> None:
    one = order("o-1", filled="10")
    by_amount = msgspec.structs.replace(
        one, intent=msgspec.structs.replace(one.intent, quantity=None)
    )

    assert len(heard(by_amount, order("o-2", filled="1"))) == 1
