"""Our adapter on a gateway of ours, and what the line between them can do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from adapters.tektii import build
from adapters.tektii.simulated.line import LineFaults
from adapters.tektii.simulated.rig import KEY, TektiiRig
from adapters.tektii.venue import rig
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import Stage, staged
from framework.adapter_kit.trading import Trader
from framework.errors import AccessRefused, SimulationError
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionChanged, ErrorRaised, GapDetected
from framework.model.market_data import Candle, Quote
from framework.model.orders import OrderType, Side
from framework.model.reports import OrderAccepted, OrderEnded
from framework.simulation.loop import run_simulated

START_NS = 1_780_000_000_000_000_000


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep the systems' own lines from being printed."""
    with capture_logs():
        yield


def play(main: Callable[[], Awaitable[None]]) -> None:
    run_simulated(main, seed=7, start_ns=START_NS, limit_ns=START_NS + 3_600 * 10**9)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with staged(build, rig(7)) as one:
        yield one


def test_r41_frames_that_were_lost_on_the_way_are_noticed() -> None:
    """R-41: our gateway numbers its frames; candles would be missed otherwise."""

    async def main() -> None:
        async with stage() as one:
            one.subscribe("quotes")
            await one.until_data(within_s=10)
            one.inflict(Fault.LOSE, count=2)
            await one.pass_time(10)
            assert one.of(GapDetected)
            count = len(one.of(Quote))
            await one.pass_time(10)
            assert len(one.of(Quote)) > count + 10

    play(main)


def test_repeated_and_late_frames_are_no_news() -> None:
    async def main() -> None:
        async with stage() as one:
            one.subscribe("quotes")
            await one.until_data(within_s=10)
            one.inflict(Fault.REPEAT, count=5)
            await one.pass_time(10)
            one.inflict(Fault.SWAP, count=3)
            await one.pass_time(20)

            quotes = one.of(Quote)
            times = [quote.time_ns for quote in quotes]
            assert times == sorted(times)
            assert len(set(times)) == len(times)

    play(main)


def test_r45_garbled_frames_are_told_once_and_cost_nothing_else() -> None:
    async def main() -> None:
        async with stage() as one:
            one.subscribe("quotes")
            await one.until_data(within_s=10)
            one.inflict(Fault.GARBLE, count=3)
            await one.pass_time(10)
            assert len(one.of(ErrorRaised)) == 1
            one.rig.heal()
            assert cast(TektiiRig, one.rig).line.faults == LineFaults()
            lost = [e for e in one.of(ConnectionChanged) if e.reason]
            assert lost == []

    play(main)


def test_candles_come_as_they_close() -> None:
    async def main() -> None:
        async with stage() as one:
            one.feed.subscribe(one.name(), "candles", "1m")
            await one.pass_time(200)
            candles = one.of(Candle)

            assert len(candles) >= 3
            assert all(candle.is_closed for candle in candles)
            past = await one.feed.history(
                one.name(), "1m", end_ns=candles[-1].close_ns, limit=len(candles)
            )
            assert [(c.open_ns, c.open, c.high, c.low, c.close, c.volume) for c in past] == [
                (c.open_ns, c.open, c.high, c.low, c.close, c.volume) for c in candles
            ]

    play(main)


def test_a_second_cancel_finds_the_order_taken_back() -> None:
    async def main() -> None:
        async with stage() as one:
            trader = await Trader.on(one)
            assert OrderType.TRAILING_STOP in one.broker.capabilities.order_types
            assert one.broker.capabilities.has_post_only
            order_id = trader.submit(one.rig.passive(Side.BUY))
            await trader.until(order_id, OrderAccepted)
            trader.cancel(order_id)
            trader.cancel(order_id)
            await trader.until(order_id, OrderEnded)
            await one.pass_time(5)
            assert [type(fact) for fact in trader.facts(order_id)] == [OrderAccepted, OrderEnded]

    play(main)


def test_a_wrong_key_is_refused_on_both_ways() -> None:
    async def main() -> None:
        gateway = TektiiRig(7)
        section: dict[str, Any] = dict(await gateway.start())
        one = Stage(gateway, cast(Any, asyncio.get_running_loop()))
        section["settings"] = {**section["settings"], "api_key": KEY[::-1]}
        adapter = build(section, cast(AdapterContext, one))
        assert adapter.broker is not None
        assert adapter.close is not None
        with pytest.raises(AccessRefused):
            await adapter.broker.run()
        await adapter.close()
        await gateway.aclose()

    play(main)


def test_the_rig_stands_on_a_simulated_loop_only() -> None:
    async def main() -> None:
        with pytest.raises(SimulationError):
            rig(7)

    asyncio.run(main())
