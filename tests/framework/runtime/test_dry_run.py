"""A dry run sends nothing and records what would have been sent."""

import asyncio
from decimal import Decimal

from framework.interfaces import Broker, BrokerCapabilities
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderStatus, OrderType
from framework.model.reports import EndKind, OrderEnded, RequestKind, RequestRefused
from framework.runtime.dry_run import REASON, DryRunBroker
from tests.fakes import ManualClock
from tests.framework.orders.world import World


class Seller:
    """A broker that only knows limit orders, and must never be asked to send."""

    capabilities = BrokerCapabilities(order_types=frozenset({OrderType.LIMIT}))

    def send(self, command: object) -> None:
        raise AssertionError(f"sent {command}")

    async def run(self) -> None:
        raise AssertionError("run")


def test_an_order_ends_with_the_reason_and_is_in_the_record() -> None:
    world = World()
    broker: Broker = DryRunBroker(world.clock, world.desk.apply)  # type: ignore[arg-type]
    order = world.buy("2", price=Decimal(100))

    for command in world.sent:
        broker.send(command)

    assert (order.status, order.reason) == (OrderStatus.CANCELLED, REASON)
    submit, end = world.recorded
    assert isinstance(submit, SubmitOrder)
    assert (submit.order_id, submit.intent, submit.quantity) == (
        order.order_id,
        order.intent,
        Decimal(2),
    )
    assert end == OrderEnded(order.order_id, EndKind.CANCELLED, world.clock.now_ns, REASON, "core")
    assert world.ledger.cash("main") == {}
    assert world.desk.position_view("r", order.intent.instrument).is_flat


def test_a_request_about_an_order_that_was_never_sent_is_refused() -> None:
    published: list[object] = []
    broker = DryRunBroker(ManualClock(5), published.append)

    broker.send(CancelOrder("id", "main", "v:X", 5))
    broker.send(ModifyOrder("id", "main", "v:X", 1, 5))

    reason = "dry run: the order was never sent"
    assert published == [
        RequestRefused("id", RequestKind.CANCEL, reason, 5),
        RequestRefused("id", RequestKind.MODIFY, reason, 5),
    ]
    assert broker.kept_count == 0


def test_it_claims_what_the_real_broker_can_do_and_never_asks_it_to() -> None:
    published: list[object] = []
    world = World()
    broker = DryRunBroker(world.clock, published.append, Seller())
    world.buy("2", price=Decimal(100))

    broker.send(world.sent[0])
    asyncio.run(broker.run())

    assert broker.capabilities is Seller.capabilities
    assert broker.kept_count == len(published) == 1
