"""The desk that doors are tested with keeps the promises of the real one's interface."""

from decimal import Decimal

import pytest

from framework.errors import Forbidden, KeyConflict, UnknownInstrument
from framework.interfaces import TradingDesk
from framework.model.account import Account, Position
from framework.model.desk import READ_ONLY, OrderQuery, Place, Principal
from framework.model.events import Event
from framework.model.orders import Fill, Order, OrderIntent, OrderStatus, Side
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import APPLE, OWNER, FakeDesk

BUY = OrderIntent("", "c.1", APPLE.id, Side.BUY, Decimal(2))


def test_it_is_a_trading_desk() -> None:
    desk: TradingDesk = FakeDesk()

    assert desk.instruments("mock")[0] is APPLE


def test_an_order_fills_and_listeners_hear_of_it_in_the_order_of_one_fill() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        heard: list[Event] = []
        subscription = desk.listen(
            "t", dict.fromkeys((Order, Fill, Position, Account), heard.append)
        )

        entry = await desk.submit(OWNER, BUY)
        desk.fill(entry.order.order_id, Decimal(150))
        subscription.close()
        await desk.submit(OWNER, OrderIntent("", "c.2", APPLE.id, Side.SELL, Decimal(1)))

        assert [type(event) for event in heard] == [Order, Order, Fill, Position, Account]
        assert [one.quantity for one in await desk.positions(OWNER)] == [Decimal(2)]
        assert len(await desk.orders(OWNER, OrderQuery(statuses=frozenset(OrderStatus)))) == 2

    run_simulated(scenario)


def test_a_position_turns_and_closes() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        for number, (side, quantity) in enumerate(((Side.BUY, 2), (Side.SELL, 5))):
            intent = OrderIntent("", f"c.{number}", APPLE.id, side, Decimal(quantity))
            entry = await desk.submit(OWNER, intent)
            desk.fill(entry.order.order_id, Decimal(100 + number))

        (position,) = await desk.positions(OWNER)
        assert (position.quantity, position.average_price) == (Decimal(-3), Decimal(101))

        entry = await desk.close(OWNER, position, key="c.close")
        desk.fill(entry.order.order_id, Decimal(99))
        assert await desk.positions(OWNER) == []

    run_simulated(scenario)


def test_the_same_key_returns_the_same_order_or_conflicts() -> None:
    async def scenario() -> None:
        desk = FakeDesk()
        first = await desk.submit(OWNER, BUY)

        assert await desk.submit(OWNER, BUY) is first
        with pytest.raises(KeyConflict):
            await desk.submit(OWNER, OrderIntent("", "c.1", APPLE.id, Side.SELL, Decimal(2)))

    run_simulated(scenario)


def test_it_refuses_what_the_principal_may_not_and_what_nobody_has() -> None:
    reader = Principal("reader", (Place("mock", "main", "tektii"),), verbs=READ_ONLY)

    async def scenario() -> None:
        desk = FakeDesk()
        with pytest.raises(Forbidden):
            await desk.submit(reader, BUY)
        with pytest.raises(UnknownInstrument):
            await desk.quote(OWNER, "mock:NOPE")

    run_simulated(scenario)
