"""What the tests of the strategies share: a session behind a history, and its orders in brief."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from framework.cli.check import check
from framework.errors import ConfigError
from framework.interfaces import AdapterContext
from framework.model.market_data import Candle
from framework.model.orders import Order
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import StrategySettings
from framework.simulation.loop import run_simulated
from framework.strategy.strategy import Strategy
from tests.scripted_venue import (
    BTC,
    MINUTE_NS,
    START_NS,
    Script,
    candle,
    orders_of,
    run_settings,
    settings,
)

TURNS = 20  # of the loop between two live candles: time enough to be heard

Ordered = tuple[int, str, Decimal]
"""Minutes from the start to the order, its side, its quantity."""


def candles(closes: Sequence[float], *, at: str = BTC, first: int = 0) -> list[Candle]:
    """Return candles from minute `first` on, each of which opens where the last one closed."""
    opens = (closes[0], *closes)
    return [candle(first + n, close, open=opens[n], at=at) for n, close in enumerate(closes)]


def ordered(runtime: Runtime, instrument: str = BTC) -> list[Ordered]:
    """Return every order of one instrument, oldest first."""
    return [
        (minute_of(order), order.side.value, order.quantity)
        for order in orders_of(runtime)
        if order.instrument == instrument
    ]


def minute_of(order: Order) -> int:
    """Return how many whole minutes after the start an order was made."""
    return (order.created_ns - START_NS) // MINUTE_NS


def after_history(
    run: StrategySettings, history: Sequence[Candle], live: Sequence[Candle]
) -> tuple[Runtime, int]:
    """Run a paper session of `live` candles behind `history`.

    Returns the stopped runtime, and how many orders there were when the history had been heard.
    """
    counts = []

    async def feed(context: AdapterContext) -> None:
        await turns()
        counts.append(len(orders_of(runtimes[0])))
        for shape in live:
            context.publish(shape)
            await turns()
        has_ended.set()

    runtimes: list[Runtime] = []
    has_ended = anyio.Event()

    async def main() -> Runtime:
        script = Script(live=feed, history=history)
        async with Runtime(settings(run, script=script, mode=Mode.PAPER)) as runtime:
            runtimes.append(runtime)
            with anyio.fail_after(10):
                await has_ended.wait()
        return runtime

    return run_simulated(main, start_ns=START_NS), counts[0]


async def turns() -> None:
    """Let everybody else run."""
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


def assert_refused(
    strategy: type[Strategy], section: dict[str, Any], *, key: str, says: str
) -> None:
    """Check that a configuration with this section is refused at `key`."""
    with pytest.raises(ConfigError, match=says) as caught:
        check(settings(run_settings(strategy, settings=section), script=[]))

    assert caught.value.key == ".".join(part for part in ("strategies[0].settings", key) if part)
