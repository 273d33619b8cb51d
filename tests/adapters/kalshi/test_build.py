"""From a configuration to an adapter: its keys, its markets, and the venue inside the process."""

import asyncio
from typing import Any, cast

import pytest

from adapters.kalshi import build
from adapters.kalshi.broker import KalshiBroker
from adapters.kalshi.feed import KalshiFeed
from adapters.kalshi.place import Place
from adapters.kalshi.settings import Environment, KalshiSettings, Urls
from adapters.kalshi.simulated.rig import rig_key
from framework.clock.clock import LiveClock
from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext
from framework.model.market_data import BookSnapshot, Candle, Trade
from framework.model.reports import OrderAccepted, OrderFilled
from framework.settings.structs import InstrumentSettings
from framework.simulation.loop import SimulatedLoop
from tests.adapters.kalshi.world import order, play
from tests.adapters.mock.seams import HandContext
from tests.broker.rig import RigContext

SIMULATED = {"environment": "simulated", "markets": ["KXRAIN-26MAY29-BOS", "KXWIND-26MAY29-BOS"]}
FIRST = "x:KXRAIN-26MAY29-BOS"


def built(section: dict[str, Any]) -> Adapter:
    """Build on seams that do nothing."""
    return build(section, cast(AdapterContext, HandContext("x")))


def test_without_a_key_there_is_market_data_and_no_broker() -> None:
    adapter = built({"settings": {"markets": ["A-1"]}})

    assert isinstance(adapter.feed, KalshiFeed)
    assert adapter.broker is None
    assert [known.id for known in adapter.feed.instruments] == ["x:A-1"]


def test_with_a_key_there_is_a_broker() -> None:
    settings = {"markets": ["A-1"], "key_id": "key", "private_key": rig_key()[1]}

    assert isinstance(built({"settings": settings}).broker, KalshiBroker)


def test_listed_instruments_stand_beside_the_markets_and_win() -> None:
    listed = [{"symbol": "A-1", "tick": "0.001"}, InstrumentSettings(symbol="B-1")]
    adapter = built({"settings": {"markets": ["A-1", "C-1"]}, "instruments": listed})
    assert adapter.feed is not None
    ticks = {
        known.id: [str(part.tick) for part in known.ranges] for known in adapter.feed.instruments
    }

    assert ticks == {"x:A-1": ["0.001"], "x:B-1": [], "x:C-1": ["0.01"]}


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({}, "settings.markets"),
        ({"settings": {"markets": []}}, "settings.markets"),
        ({"settings": {"markets": ["A-1"], "key_id": "key"}}, "settings.private_key"),
        ({"settings": {"markets": ["A-1"], "private_key": "pem"}}, "settings.key_id"),
        ({"settings": {"markets": ["A 1"]}}, "settings.markets[0]"),
        ({"settings": {"market": ["A-1"]}}, "settings.market"),
        ({"instruments": [{"symbol": "A-1", "tack": "1"}]}, "instruments[0].tack"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_place(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(section)

    assert caught.value.key == key


@pytest.mark.parametrize(
    ("settings", "urls"),
    [
        (
            KalshiSettings(),
            Urls(
                "https://external-api.demo.kalshi.co/trade-api/v2",
                "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
            ),
        ),
        (
            KalshiSettings(environment=Environment.PRODUCTION, rest_url="http://here/v2/"),
            Urls("http://here/v2", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
        ),
        (
            KalshiSettings(
                environment=Environment.SIMULATED, rest_url="http://a/", stream_url="ws://b/"
            ),
            Urls("http://a", "ws://b"),
        ),
    ],
)
def test_the_place_is_the_environments_unless_it_is_given(
    settings: KalshiSettings, urls: Urls
) -> None:
    async def main() -> None:
        place = Place(settings, cast(AdapterContext, HandContext("x")))
        assert not place.is_embedded
        assert Urls(await place.rest_url(), await place.stream_url()) == urls
        await place.aclose()

    play(main)


def test_a_simulated_venue_has_no_fixed_place() -> None:
    with pytest.raises(ConfigError):
        KalshiSettings(environment=Environment.SIMULATED).urls()


def started_clock(context: RigContext, loop: SimulatedLoop) -> LiveClock:
    """Give the context a clock that fires by itself."""
    clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
    context.clock = clock
    clock.start()
    return clock


@pytest.mark.parametrize("chosen", [{}, {"rate": 0, "hit_s": None, "cash": 5}])
def test_a_configuration_that_names_only_markets_has_a_venue_in_this_process(
    chosen: dict[str, Any],
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        context = RigContext(loop)
        clock = started_clock(context, loop)
        adapter = build({"settings": SIMULATED | {"simulated": chosen}}, cast(Any, context))
        feed, broker = adapter.feed, adapter.broker
        assert isinstance(feed, KalshiFeed)
        assert isinstance(broker, KalshiBroker)
        assert adapter.close is not None
        for channel in ("book", "trades"):
            feed.subscribe(FIRST, channel)
        running = [loop.create_task(feed.run()), loop.create_task(broker.run())]
        await loop.sleep_until(loop.now_ns + 2 * 10**9)
        broker.send(order("mine", None, instrument=FIRST))
        await loop.sleep_until(loop.now_ns + 30 * 10**9)
        (balance,) = await broker.balances("main")
        candles = await feed.history(FIRST, "1m", end_ns=loop.now_ns, limit=3)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await adapter.close()
        clock.stop()

        kinds = {type(event) for event in context.events}
        assert {BookSnapshot, OrderAccepted} <= kinds
        assert ({Trade, OrderFilled} <= kinds) == (not chosen)
        assert (balance.total == 5) == bool(chosen)
        assert all(isinstance(candle, Candle) for candle in candles)
        assert len(candles) == 3  # from before it began

    play(main)
