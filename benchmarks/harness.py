"""Runs one strategy over prepared events with everything on that a user gets."""

import gc
from array import array
from collections.abc import Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import Any
from unittest.mock import patch

from framework.cli.run import freeze_objects
from framework.interfaces import Adapter, AdapterContext, OrderLog
from framework.model.instrument import Instrument
from framework.runtime.runner import Runtime
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from framework.strategy.strategy import Strategy

Columns = list["array[Any]"]


class PreparedFeed:
    """A recorded feed over an iterator that is there already."""

    def __init__(self, events: Iterator[Any], instruments: tuple[Instrument, ...]) -> None:
        self.instruments = instruments
        self._events = events

    def scan(self) -> Iterator[Any]:
        """Return the events."""
        return self._events


def settings_for(
    strategy: type[Strategy], instrument: str, *, source: Mapping[str, object] | None = None
) -> Settings:
    """Return a backtest of one strategy with fees, limits and all statistics on."""
    venue, _, symbol = instrument.partition(":")
    return decode_section(
        {
            "mode": "backtest",
            "venues": {
                venue: {
                    "adapter": "prepared" if source is None else "replay",
                    "source": source,
                    "costs": {"fees_bps": "10"},
                    "instruments": [
                        {"symbol": symbol, "kind": "perpetual", "tick": "0.5", "lot": "0.001"}
                    ],
                }
            },
            "accounts": {
                "main": {"venue": venue, "currency": "USD", "balances": {"USD": "1000000"}}
            },
            "strategies": [
                {
                    "id": "run",
                    "class": f"{strategy.__module__}:{strategy.__qualname__}",
                    "account": "main",
                }
            ],
            "risk": {
                "max_order_notional": "1000000",
                "max_position_notional": "5000000",
                "max_orders_per_second": 100,
            },
        },
        Settings,
        key="",
    )


def run_engine(
    strategy: type[Strategy],
    events: Iterator[Any],
    instrument: str,
    *,
    order_log: OrderLog | None = None,
) -> tuple[float, Runtime]:
    """Play `events` to `strategy`; return the seconds it took and the runtime for its counts.

    `order_log` stands in for the one in memory.
    """
    settings = settings_for(strategy, instrument)

    def make(section: object, context: AdapterContext) -> Adapter:
        return Adapter(recorded=PreparedFeed(events, ()))

    with patch("framework.runtime.venues.find_adapter", lambda name, *, key: make):
        return run_simulated(partial(_play, settings, order_log))


async def _play(settings: Settings, order_log: OrderLog | None) -> tuple[float, Runtime]:
    async with Runtime(settings, order_log=order_log) as runtime:
        freeze_objects()  # as the command line does
        started = perf_counter()
        await runtime.wait()
        seconds = perf_counter() - started
        gc.unfreeze()
    return seconds, runtime
