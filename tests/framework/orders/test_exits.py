"""Exits: their prices, their keys, and which wishes make no sense."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.interfaces import BrokerCapabilities
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.instrument import Instrument, PriceRange
from framework.model.orders import (
    AtPrice,
    Exits,
    Offset,
    OrderIntent,
    OrderSession,
    OrderType,
    Percent,
    Side,
    TimeInForce,
)
from framework.model.records import HoldRole
from framework.orders.exits import (
    due_intent,
    exit_intent,
    exit_key,
    exit_price,
    fault_in_exits,
    price_of,
    roles_of,
)

D = Decimal
GRID = Instrument("v:X", ranges=(PriceRange(D(0), D("0.05")),))
NATIVE = BrokerCapabilities()
STOP, TARGET, TRAIL = HoldRole.STOP_LOSS, HoldRole.TAKE_PROFIT, HoldRole.TRAIL


def entry(exits: Exits | None, side: Side = Side.BUY, **fields: object) -> OrderIntent:
    merged: dict[str, object] = {"price": D(100), "type": OrderType.LIMIT, **fields}
    return OrderIntent("r", "k", "v:X", side, D(10), exits=exits, **merged)  # type: ignore[arg-type]  # fields of it


def fault(exits: Exits, side: Side = Side.BUY, **fields: object) -> str | None:
    return fault_in_exits(entry(exits, side, **fields), GRID, NATIVE, ExitRules())


@given(
    st.integers(1_000, 9_999).map(lambda n: D(n) / 100),
    st.integers(1, 900).map(lambda n: Offset(D(n) / 100)),
    st.booleans(),
)
def test_prices_are_rounded_towards_the_average_r78(
    average: Decimal, wish: Offset, is_above: bool
) -> None:
    price = exit_price(wish, average, GRID, is_above=is_above)

    exact = average + wish.distance if is_above else average - wish.distance
    assert price % D("0.05") == 0
    assert abs(price - exact) < D("0.05")
    assert price <= exact if is_above else price >= exact


def test_roles_come_in_the_order_of_what_protects() -> None:
    exits = Exits(take_profit=AtPrice(D(1)), trail=Offset(D(1)), stop_loss=AtPrice(D(2)))

    assert roles_of(exits) == (STOP, TRAIL, TARGET)


def test_keys_are_functions_of_the_entry_s() -> None:
    intent = entry(None)

    assert exit_key(intent, STOP, 1) == "k/stop"
    assert exit_key(intent, TARGET, 2) == "k/target.2"
    assert exit_key(intent, TRAIL, 3) == "k/trail.3"


def test_an_exit_leaves_the_position_of_its_entry() -> None:
    intent = entry(Exits(trail=Offset(D(2))), Side.SELL, tags=("a",))

    trail = exit_intent(intent, TRAIL, key="k/trail", quantity=D(3), price=D(90))

    assert (trail.side, trail.quantity, trail.reduce_only) == (Side.BUY, D(3), True)
    assert (trail.trail, trail.trail_activation, trail.tags) == (Offset(D(2)), D(90), ("a",))


def test_a_price_nobody_asked_for_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="k has no price for its target"):
        price_of(TARGET, entry(Exits(stop_loss=AtPrice(D(1)))), D(100), GRID)
    with pytest.raises(ValueError, match="k has no exits"):
        price_of(STOP, entry(None), D(100), GRID)


def test_what_is_due_goes_now_and_as_market_unless_it_has_a_limit() -> None:
    stop_limit = msgspec.structs.replace(
        entry(None),
        type=OrderType.STOP_LIMIT,
        stop_price=D(105),
        session=OrderSession.NEXT_OPEN,
        time_in_force=TimeInForce.GTD,
        expire_ns=9,
    )

    limit = due_intent(stop_limit, quantity=D(4), price=D(106))
    market = due_intent(
        msgspec.structs.replace(stop_limit, type=OrderType.STOP), quantity=D(4), price=None
    )

    assert (limit.type, limit.price, limit.expire_ns) == (OrderType.LIMIT, D(106), 9)
    assert (market.type, market.price, market.expire_ns) == (OrderType.MARKET, None, None)
    assert market.time_in_force is TimeInForce.GTC
    assert limit.session is market.session is OrderSession.NOW


@pytest.mark.parametrize(
    ("exits", "reason"),
    [
        (Exits(), "exits need a stop_loss, a take_profit or a trail"),
        (Exits(trail_activation=AtPrice(D(1))), "exits need"),
        (
            Exits(stop_loss=Offset(D(1)), trail_activation=AtPrice(D(1))),
            "a trail_activation needs a trail",
        ),
        (Exits(stop_loss=Offset(D(0))), "stop_loss must be above zero, and is 0"),
        (Exits(stop_loss=Offset(D("NaN"))), "stop_loss must be above zero, and is NaN"),
        (Exits(trail=Percent(D(-1))), "trail must be above zero, and is -1"),
        (Exits(take_profit=Percent(D(100))), "take_profit must be below 100 percent"),
        (Exits(stop_loss=AtPrice(D("99.99"))), "stop_loss: price 99.99 is not on the tick"),
        (Exits(stop_loss=AtPrice(D(101))), "stop_loss 101 is not on the losing side of 100"),
        (Exits(stop_loss=Offset(D("0.01"))), "stop_loss 100.00 is not on the losing side"),
        (Exits(stop_loss=Offset(D(100))), "stop_loss 0 is not positive"),
        (Exits(take_profit=AtPrice(D(99))), "take_profit 99 is not on the winning side of 100"),
    ],
)
def test_what_makes_no_sense_is_named(exits: Exits, reason: str) -> None:
    assert reason in (fault(exits) or "")


def test_a_short_is_judged_the_other_way_round() -> None:
    assert fault(Exits(stop_loss=AtPrice(D(99))), side=Side.SELL) is not None
    assert fault(Exits(take_profit=AtPrice(D(101))), side=Side.SELL) is not None
    assert (
        fault(Exits(stop_loss=AtPrice(D(101)), take_profit=AtPrice(D(99))), side=Side.SELL) is None
    )


def test_without_any_price_stop_and_target_are_compared() -> None:
    crossed = Exits(stop_loss=AtPrice(D(101)), take_profit=AtPrice(D(99)))

    assert "wrong sides" in (fault(crossed, price=None, type=OrderType.MARKET) or "")
    assert fault(crossed, price=None, side=Side.SELL) is None
    assert fault(Exits(stop_loss=Offset(D(1))), price=None) is None


def test_a_market_entry_is_judged_by_the_reference() -> None:
    intent = entry(Exits(stop_loss=AtPrice(D(101))), price=None)

    assert fault_in_exits(intent, GRID, NATIVE, ExitRules(), D(100)) is not None
    assert fault_in_exits(intent, GRID, NATIVE, ExitRules(), D(102)) is None


def test_a_reduce_only_order_has_no_exits() -> None:
    assert "opens nothing" in (fault(Exits(stop_loss=AtPrice(D(95))), reduce_only=True) or "")


def test_native_only_refuses_a_stop_the_venue_lacks() -> None:
    venue = BrokerCapabilities(order_types=frozenset({OrderType.LIMIT}))
    rules = ExitRules(protection=ProtectionMode.NATIVE_ONLY)
    stop, target = Exits(stop_loss=AtPrice(D(95))), Exits(take_profit=AtPrice(D(105)))

    assert "no stop of its own" in (fault_in_exits(entry(stop), GRID, venue, rules) or "")
    assert fault_in_exits(entry(target), GRID, venue, rules) is None
    assert fault_in_exits(entry(stop), GRID, NATIVE, rules) is None


def test_an_intent_without_exits_has_no_fault_in_them() -> None:
    assert fault_in_exits(entry(None), GRID, NATIVE, ExitRules()) is None
