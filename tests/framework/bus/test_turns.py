"""How long one subscriber may hold the loop: the others, and an operator, must get their turn."""

import anyio
import pytest

from framework.bus.bus import TURN_NS, Bus
from framework.bus.overflow import BATCH
from framework.model.market_data import Quote
from tests.fakes import ManualClock

pytestmark = pytest.mark.anyio
SLOW_NS = 300_000_000


def quote(number: int) -> Quote:
    return Quote("x:BTC", number, number, 1.0, 2.0)


async def test_r64_a_queue_of_slow_handlers_leaves_the_loop_between_each_of_them() -> None:
    clock = ManualClock()
    bus = Bus(clock)
    handled: list[int] = []
    cost_ns = SLOW_NS

    @bus.on(Quote)
    def slow(event: Quote) -> None:
        handled.append(event.time_ns)
        clock.advance_to(clock.now_ns + cost_ns)

    bus.start()
    bus.publish(quote(0))
    await anyio.lowlevel.checkpoint()
    for number in range(1, 100):
        bus.publish(quote(number))
    for turns in range(1, 101):
        assert len(handled) == turns
        await anyio.lowlevel.checkpoint()
    assert handled == list(range(100))

    cost_ns = TURN_NS // BATCH  # and it gets its whole share back once it is quick again
    for number in range(10 * BATCH):
        bus.publish(quote(number))
        await anyio.lowlevel.checkpoint()
    assert bus.subscribers[0].turn_limit >= BATCH
    bus.stop()
