"""A whole system hosted in the running loop."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from framework.adapter_kit.hosted import Hosted, settings_of
from framework.errors import ConfigError
from framework.model.orders import OrderIntent, OrderType, Side
from framework.simulation.loop import run_simulated

START_NS = 1_780_000_000_000_000_000
BTC = "market:BTC"
CONFIGURATION: dict[str, Any] = {
    "mode": "paper",
    "venues": {"market": {"adapter": "mock", "instruments": [{"symbol": "BTC", "lot": "0.001"}]}},
    "accounts": {"main": {"venue": "market", "currency": "USD", "balances": {"USD": "1000000"}}},
    "strategies": [
        {
            "id": "watch",
            "class": "tests.scenarios.quote_maker:Watcher",
            "account": "main",
            "settings": {"instruments": [BTC]},
        }
    ],
}


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep the system's own lines from being printed."""
    with capture_logs():
        yield


def play(main: Any) -> None:
    run_simulated(main, seed=3, start_ns=START_NS, limit_ns=START_NS + 3_600 * 10**9)


def test_it_trades_and_shows_what_became_of_it() -> None:
    async def main() -> None:
        before = len(asyncio.all_tasks())
        hosted = await Hosted(settings_of(CONFIGURATION)).start()
        await asyncio.sleep(5)
        intent = OrderIntent("watch", "one", BTC, Side.BUY, Decimal("0.002"), OrderType.MARKET)
        order = hosted.engine.desk.submit(intent)
        await asyncio.sleep(5)

        assert hosted.addresses == []
        assert hosted.orders[order.order_id].filled == Decimal("0.002")
        assert [fill.quantity for fill in hosted.fills] == [Decimal("0.002")]
        assert hosted.position("main", BTC) == Decimal("0.002")
        await hosted.aclose()
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == before

    play(main)


def test_what_it_fails_of_is_raised() -> None:
    async def main() -> None:
        strange = {**CONFIGURATION["venues"]["market"], "adapter": "nothing"}
        hosted = Hosted(settings_of({**CONFIGURATION, "venues": {"market": strange}}))
        with pytest.raises(ConfigError, match="nothing"):
            await hosted.start()

        broken = await Hosted(settings_of(CONFIGURATION)).start()
        broken.runtime.failure = ValueError("a part of it")
        with pytest.raises(ValueError, match="a part of it"):
            await broken.aclose()
        await Hosted(settings_of(CONFIGURATION)).aclose()  # never started

    play(main)


def test_a_configuration_that_makes_no_sense_names_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({**CONFIGURATION, "mode": "dreams"})

    assert caught.value.key == "mode"
