"""Settings become a system, or one error that names the key."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from framework import Order, OrderStatus, Strategy
from framework.clock.clock import VirtualClock
from framework.errors import ConfigError
from framework.model.account import CashBooked
from framework.model.market_data import Quote
from framework.net.connectors import no_connector
from framework.runtime.adapters import find_adapter
from framework.runtime.wiring import Seams, build, describe
from framework.settings.modes import DataSource, Mode, OrderRoute
from framework.settings.structs import (
    InstrumentSettings,
    LatencySettings,
    QueueOverflow,
    QueueSettings,
    Settings,
)
from framework.simulation.loop import seeded_random
from framework.store.memory import MemoryLog
from tests.scripted_venue import (
    BTC,
    ETH,
    SECOND_NS,
    START_NS,
    Script,
    entries,
    play,
    quote,
    run_settings,
    settings,
    strategy_of,
)


class Idle(Strategy):
    """Does nothing."""


async def inline(function: Any) -> Any:
    """Run a function at once."""
    return function()


def built(chosen: Settings) -> Any:
    """Return the system of a configuration, not started."""
    clock = VirtualClock()
    seams = Seams(
        clock=clock,
        random_for=lambda name: seeded_random(1, name),
        blocking=inline,
        connector=no_connector,
    )
    return build(chosen, seams, MemoryLog(), journal_id="test")


def test_what_would_run_can_be_described() -> None:
    venue = {"costs": {"fees_bps": 5}, "latency": LatencySettings(order_ms=3)}
    chosen = settings(run_settings(Idle), script=[], venue=venue)

    lines = describe(chosen, built(chosen))

    assert lines[0] == "mode backtest, seed 0"
    assert "venue x: adapter scripted, data replay, orders simulated" in lines
    assert f"instrument {BTC}" in lines
    assert f"instrument {ETH}" in lines
    assert any(line.startswith("run run: ") and line.endswith("on account main") for line in lines)
    assert any("fees_bps 5" in line for line in lines)


def test_opening_balances_belong_to_nobody_in_particular() -> None:
    runtime = play(settings(run_settings(Idle), script=[]))

    assert runtime.engine.ledger.cash("main") == {"USD": Decimal(1_000_000)}
    assert runtime.engine.ledger.cash("main", "run").get("USD", 0) == 0
    assert [booking.run for booking in entries(runtime, CashBooked)] == ["external"]


@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"adapter": "none"}, "venues.x.adapter", "there is no adapter 'none'"),
        ({"costs": {"fee": 1}}, "venues.x.costs.fee", "unknown"),
        ({"fills": "lucky"}, "venues.x.fills.model", "lucky"),
        ({"fills": {"model": "volume_share", "share": 2}}, "share", "2"),
        ({"path": "sideways"}, "venues.x.fills.candle_path", "sideways"),
    ],
)
def test_a_venue_that_makes_no_sense_is_refused_at_its_key(
    changes: Mapping[str, Any], key: str, reason: str
) -> None:
    good = settings(run_settings(Idle), script=[])
    bad = msgspec.structs.replace(good.venues["x"], **changes)

    with pytest.raises(ConfigError) as caught:
        built(msgspec.structs.replace(good, venues={"x": bad}))

    assert key in caught.value.key
    assert reason in caught.value.reason


def test_live_orders_need_a_broker() -> None:
    with pytest.raises(ConfigError, match="this adapter has no broker"):
        built(settings(run_settings(Idle), script=[], mode=Mode.LIVE))


def test_queues_are_as_large_as_the_configuration_says() -> None:
    queues = {"quotes": QueueSettings(capacity=300, overflow=QueueOverflow.ERROR)}
    system = built(settings(run_settings(Idle), script=[], queues=queues))

    assert system.engine.bus.rules["quotes"].capacity == 300
    with pytest.raises(ConfigError, match=r"queues\.quotas: unknown channel"):
        built(settings(run_settings(Idle), script=[], queues={"quotas": QueueSettings()}))


def test_an_adapter_whose_package_lacks_something_says_what() -> None:
    with pytest.raises(ConfigError, match=r"there is no adapter 'nobody' \(known: .*mock.*\)"):
        find_adapter("nobody", key="venues.x.adapter")


class Buyer(Strategy):
    """Buys on each quote."""

    def on_start(self) -> None:
        self.heard: list[Order] = []
        self.times: list[int] = []
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.times.append((self.now_ns - START_NS) // 1_000_000)
        if len(self.times) == 1:
            order = self.buy(BTC, 1, price=50)
            self.cancel(order)

    def on_order(self, order: Order) -> None:
        self.heard.append(order)


def test_without_orders_every_order_is_refused_with_that_reason() -> None:
    runtime = play(
        settings(
            run_settings(Buyer), script=[quote(0, 1.0, 2.0)], venue={"orders": OrderRoute.NONE}
        )
    )

    last = strategy_of(runtime).heard[-1]
    assert (last.status, last.reason) == (OrderStatus.REJECTED, "orders: none")


def test_a_feed_delay_lets_events_arrive_later_than_they_happened() -> None:
    venue = {"latency": LatencySettings(feed_ms=250)}
    runtime = play(
        settings(run_settings(Buyer), script=[quote(0, 1.0, 2.0), quote(1, 1.0, 2.0)], venue=venue)
    )

    assert strategy_of(runtime).times == [250, 1_250]


def test_the_data_of_several_venues_comes_in_time_order() -> None:
    class Both(Strategy):
        def on_start(self) -> None:
            self.seen: list[tuple[str, int]] = []
            for name in (BTC, "y:BTC"):
                self.watch_quotes(name)

        def on_quote(self, quote: Quote) -> None:
            self.seen.append((quote.instrument[0], (quote.time_ns - START_NS) // SECOND_NS))

    here = [quote(second, 1.0, 2.0) for second in (0, 2, 4, 4)]
    there = [quote(second, 1.0, 2.0, at="y:BTC") for second in (1, 2, 3, 4)]
    first = settings(run_settings(Both), script=here)
    other = msgspec.structs.replace(
        first.venues["x"],
        settings={"script": Script(there)},
        instruments=[InstrumentSettings(symbol="BTC")],
        data=DataSource.REPLAY,
    )
    chosen = msgspec.structs.replace(first, venues={**first.venues, "y": other})

    seen = strategy_of(play(chosen)).seen

    assert [second for _, second in seen] == [0, 1, 2, 2, 3, 4, 4, 4]
    assert [name for name, second in seen if second in (2, 4)] == ["x", "y", "x", "x", "y"]
