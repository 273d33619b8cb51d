"""Live trading from end to end: the real runtime, its log, and a broker with a will of its own."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import pytest
from structlog.testing import capture_logs

from framework.model.orders import OrderStatus, RequestState
from framework.orders.order_state import OrderState
from tests.broker.script import CALM, Script
from tests.scenarios.live_stage import BTC, RUN, Stage, stage

D = Decimal
IN_DOUBT = RequestState.IN_DOUBT
WAY = 3.0  # seconds until a doubted request is known to be one: the adapter gives it 1


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


def is_in_doubt(order: OrderState) -> bool:
    return order.facts.submit_state is IN_DOUBT and not order.facts.is_closed


# -- R-20, F-01: lost answers ----------------------------------------------------------------------


class Loss(msgspec.Struct):
    """One order whose answer does not come, drawn from a seed."""

    arrives: bool
    visible_s: float  # how long the broker hides the order
    down_s: float  # how long it cannot be asked
    is_filled: bool

    @classmethod
    def drawn(cls, seed: int) -> "Loss":
        """Draw one."""
        chance = Random(f"loss {seed}")
        return cls(
            arrives=chance.random() < 0.5,
            visible_s=chance.choice([0.0, 0.0, 0.5, 2.0, 8.0]),
            down_s=chance.choice([0.0, 0.0, 0.0, 1.0, 20.0]),
            is_filled=chance.random() < 0.3,
        )

    def script(self) -> Script:
        """Return the broker's script while the order is sent: it is mute."""
        return Script(
            lose_request=0 if self.arrives else 1,
            lose_answer=1,
            lose_push=1,
            ignore_questions=1,
        )


def lose(live: Stage, loss: Loss) -> OrderState:
    """Send an order whose answer is lost, and wait until that is noticed."""
    live.server.script = loss.script()
    order = live.submit("2", price=None if loss.is_filled else "90")
    if loss.down_s:
        live.wait(0.01)
        live.take_down(loss.down_s)
    live.wait_until(lambda: is_in_doubt(order), WAY)
    live.server.script = Script(visible_after_ms=loss.visible_s * 1_000)
    return order


def judge(live: Stage, seed: int) -> None:
    """Play one loss to its end."""
    loss = Loss.drawn(seed)
    order = lose(live, loss)
    assert live.engine.registry.working(RUN, BTC).open_buy == 2, (seed, loss)
    assert not live.engine.desk.position_view(RUN, BTC).is_flat
    live.wait_until(lambda: not live.server.is_down, loss.down_s + 1)
    back_off_s = min(loss.down_s, 5.0)  # of the link: until then the broker cannot be asked
    live.wait_until(lambda: not is_in_doubt(order), loss.visible_s + 5 + back_off_s)
    expected = OrderStatus.REJECTED
    if loss.arrives:
        expected = OrderStatus.FILLED if loss.is_filled else OrderStatus.ACCEPTED
    live.wait_until(lambda: order.status is expected, loss.visible_s + 3)
    assert live.orders_at_broker(order.order_id) == 1
    assert live.differences() == []


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_r20_f01_an_order_without_an_answer_is_found_or_given_up_in_time(first: int) -> None:
    for seed in range(first, first + 20):
        visibility_ms = round(Loss.drawn(seed).visible_s * 1_000)
        with stage(seed=seed, visibility_delay_ms=visibility_ms) as live:
            judge(live, seed)
