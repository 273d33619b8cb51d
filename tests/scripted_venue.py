"""A venue whose market is a list of events, and the shortest way to run a strategy on it.

`settings(...)` makes a configuration around strategy classes of the test; `play` runs it on
virtual time and returns the stopped runtime, to look at.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel

from framework.interfaces import Adapter, AdapterContext
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import Order
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import (
    AccountSettings,
    RiskSettings,
    Settings,
    StrategySettings,
    VenueSettings,
)
from framework.simulation.loop import run_simulated
from framework.strategy.strategy import Strategy

BTC = "x:BTC"
ETH = "x:ETH"
START_NS = 1_700_000_040_000_000_000  # a whole minute
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
ADAPTER = "scripted"
_numbers = count()


def candle(number: int, close: float, *, open: float | None = None, at: str = BTC) -> Candle:
    """Return the closed minute candle `number`, flat unless it has an `open`."""
    first = close if open is None else open
    open_ns = START_NS + number * MINUTE_NS
    end_ns = open_ns + MINUTE_NS
    low, high = min(first, close), max(first, close)
    return Candle(at, end_ns, end_ns, "1m", open_ns, end_ns, first, high, low, close, 10.0)


def quote(second: float, bid: float, ask: float, *, at: str = BTC) -> Quote:
    """Return a quote `second` seconds after the start, of a size that nothing exhausts."""
    time_ns = START_NS + round(second * SECOND_NS)
    return Quote(at, time_ns, time_ns, bid, ask, 1000.0, 1000.0)


def trade(second: float, price: float, *, at: str = BTC) -> Trade:
    """Return a trade `second` seconds after the start."""
    time_ns = START_NS + round(second * SECOND_NS)
    return Trade(at, time_ns, time_ns, price, 1.0)


Live = Callable[[AdapterContext], Any]
"""An async function that is the live feed: it publishes what it likes."""


class Script:
    """What the venue will do; what was asked of it is written down in `asked`."""

    def __init__(
        self,
        events: Sequence[Any] = (),
        *,
        live: Live | None = None,
        history: Sequence[Candle] = (),
        broker: Any = None,
    ) -> None:
        self.events = events
        self.live = live
        self.past = list(history)
        self.broker = broker
        self.asked: list[tuple[str, ...]] = []
        self.is_closed = False


class ScriptedFeed:
    """Plays a script, live or as a recording."""

    def __init__(self, script: Script, context: AdapterContext) -> None:
        self.instruments = tuple(
            Instrument(
                name,
                currency="USD",
                kind=InstrumentKind.PERPETUAL,
                ranges=(PriceRange(low=Decimal(0), tick=Decimal("0.5")),),
                lot=Decimal("0.01"),
                minimum_price=Decimal("0.5"),
            )
            for name in (BTC, ETH)
        )
        self._script = script
        self._context = context

    def scan(self) -> Iterator[Any]:
        """Yield the script's events."""
        return iter(self._script.events)

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Write the request down."""
        self._script.asked.append(("subscribe", instrument, channel, interval))

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Write the request down."""
        self._script.asked.append(("unsubscribe", instrument, channel, interval))

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the newest of the script's past."""
        self._script.asked.append(("history", instrument, interval, str(limit)))
        await anyio.lowlevel.checkpoint()
        return [past for past in self._script.past if past.instrument == instrument][-limit:]

    async def run(self) -> None:
        """Be the script's live feed."""
        if self._script.live is not None:
            await self._script.live(self._context)
        await anyio.sleep_forever()


def build(section: Mapping[str, Any], context: AdapterContext) -> Adapter:
    """Return the adapter of the script in the section's settings."""
    script: Script = section["settings"]["script"]
    feed = ScriptedFeed(script, context)

    async def close() -> None:
        script.is_closed = True

    broker = script.broker(context) if script.broker is not None else None
    return Adapter(feed=feed, recorded=feed, broker=broker, close=close)


def install() -> None:
    """Let configurations name `adapter: scripted`."""
    module = ModuleType(f"adapters.{ADAPTER}")
    module.__dict__["build"] = build
    sys.modules[f"adapters.{ADAPTER}"] = module


def class_path(strategy: type[Strategy]) -> str:
    """Return a path under which a configuration finds a class made inside a test."""
    name = f"{strategy.__name__}{next(_numbers)}"
    setattr(sys.modules[__name__], name, strategy)
    return f"{__name__}:{name}"


def run_settings(strategy: type[Strategy], id: str = "run", **fields: Any) -> StrategySettings:
    """Return the settings of one run."""
    return StrategySettings(id=id, class_=class_path(strategy), account="main", **fields)


def settings(
    *strategies: type[Strategy] | StrategySettings,
    script: Script | Sequence[Any],
    mode: Mode = Mode.BACKTEST,
    venue: Mapping[str, Any] | None = None,
    risk: RiskSettings | None = None,
    **fields: Any,
) -> Settings:
    """Return a configuration of one scripted venue with one account of 1,000,000 USD."""
    install()
    chosen = script if isinstance(script, Script) else Script(script)
    runs = [
        item if isinstance(item, StrategySettings) else run_settings(item, f"run{index or ''}")
        for index, item in enumerate(strategies)
    ]
    venues = {"x": VenueSettings(adapter=ADAPTER, settings={"script": chosen}, **(venue or {}))}
    balances = {"USD": Decimal(1_000_000)}
    return Settings(
        mode=mode,
        venues=venues,
        accounts={"main": AccountSettings(venue="x", currency="USD", balances=balances)},
        strategies=runs,
        risk=risk or RiskSettings(),
        **fields,
    )


def play(chosen: Settings, **options: Any) -> Runtime:
    """Run a configuration to its data's end, on virtual time, and return the stopped runtime."""

    async def main() -> Runtime:
        async with Runtime(chosen, **options) as runtime:
            await runtime.wait()
        return runtime

    return run_simulated(main, seed=chosen.seed)


def strategy_of(runtime: Runtime, index: int = 0) -> Any:
    """Return the strategy object of a run."""
    return runtime.system.runs[index].strategy


def orders_of(runtime: Runtime) -> list[Order]:
    """Return every order, oldest first."""
    return [state.event() for state in runtime.engine.registry]


def entries(runtime: Runtime, kind: type) -> list[Any]:
    """Return the log's entries of one type."""
    return [entry for _, entry in runtime.engine.log.read() if isinstance(entry, kind)]


def position_of(runtime: Runtime, run: str = "run", instrument: str = BTC) -> Decimal:
    """Return what a run holds."""
    return runtime.engine.ledger.net_quantity(run, instrument)


def cash_of(runtime: Runtime) -> Decimal:
    """Return the account's US dollars."""
    return runtime.engine.ledger.cash("main")["USD"]
