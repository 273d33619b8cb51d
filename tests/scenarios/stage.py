"""Plays a market to a strategy in backtest and in paper, and over restarts on one journal."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import anyio

from framework import Strategy
from framework.interfaces import AdapterContext
from framework.model.commands import SubmitOrder
from framework.model.orders import Order, OrderStatus
from framework.model.reports import OrderEnded, OrderFilled, OrderReplaced
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import Settings, StopPolicy
from framework.simulation.loop import run_simulated
from framework.store.copies import whole_rows
from framework.store.entries import record_of
from framework.store.opening import open_for_reading
from tests.scripted_venue import (
    BTC,
    SECOND_NS,
    START_NS,
    Script,
    run_settings,
    settings,
)

D = Decimal
Act = Callable[[Any], object]
BOTH = (Mode.BACKTEST, Mode.PAPER)
AFTERWARDS_S = 0.5  # paper goes on for this long after the last event


class Actor(Strategy):
    """Does at the n-th quote what `plan` says, and writes down what it hears."""

    plan: ClassVar[Mapping[int, Act]] = {}
    watched: ClassVar[Sequence[str]] = (BTC,)

    def on_start(self) -> None:
        self.count = 0
        self.heard: list[Any] = []
        self.made: dict[str, Any] = {}
        for instrument in self.watched:
            self.watch_quotes(instrument)

    def on_quote(self, quote: Any) -> None:
        self.count += 1
        act = self.plan.get(self.count)
        if act is not None:
            act(self)

    def on_order(self, order: Order) -> None:
        self.heard.append(order)

    def on_fill(self, fill: Any) -> None:
        self.heard.append(fill)

    def on_position(self, position: Any) -> None:
        self.heard.append(position)


def acting(plan: Mapping[int, Act], *watched: str) -> type[Strategy]:
    """Return a strategy that does at the n-th quote, counted from 1, what `plan` says."""
    return type("Acting", (Actor,), {"plan": plan, "watched": watched or (BTC,)})


def make(name: str, side: str, *args: Any, **wishes: Any) -> Act:
    """Return an act that buys or sells and keeps the handle under `name`."""

    def act(strategy: Any) -> None:
        strategy.made[name] = getattr(strategy, side)(*args, **wishes)

    return act


def staged(
    plan: Mapping[int, Act] | type[Strategy],
    events: Sequence[Any],
    mode: Mode = Mode.BACKTEST,
    *,
    journal: Path | None = None,
    run: Mapping[str, Any] | None = None,
    watched: Sequence[str] = (),
    **fields: Any,
) -> Settings:
    """Return the settings of one run on a market of `events`; its orders stay at the stop."""
    strategy = plan if isinstance(plan, type) else acting(plan, *watched)
    own = {"on_stop": StopPolicy.LEAVE, **(run or {})}
    if journal is not None:
        fields["journal"] = f"sqlite:///{journal}"
    script = Script(events) if mode is Mode.BACKTEST else Script(live=_feed(events))
    return settings(run_settings(strategy, **own), script=script, mode=mode, **fields)


def perform(
    chosen: Settings,
    *,
    start_ns: int = START_NS,
    during: Callable[[Runtime], Any] | None = None,
) -> Runtime:
    """Play until the market has ended; return the stopped runtime."""

    async def main() -> Runtime:
        async with Runtime(chosen) as runtime:
            if during is not None:
                await during(runtime)
            if chosen.mode is Mode.PAPER:
                await _feed_of(chosen).wait()
            else:
                await runtime.wait()
        return runtime

    return run_simulated(main, start_ns=start_ns)


class _feed:  # noqa: N801 - used like the function that it is
    """A live feed that publishes events at their times, and tells when it is through."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events
        self._ended: anyio.Event

    async def __call__(self, context: AdapterContext) -> None:
        self._ended = anyio.Event() if not hasattr(self, "_ended") else self._ended
        for event in self._events:
            await anyio.sleep(max(0, event.received_ns - context.clock.now_ns) / SECOND_NS)
            context.publish(event)
        await anyio.sleep(AFTERWARDS_S)
        self._ended.set()

    async def wait(self) -> None:
        if not hasattr(self, "_ended"):
            self._ended = anyio.Event()
        await self._ended.wait()


def _feed_of(chosen: Settings) -> _feed:
    feed = (chosen.venues["x"].settings or {})["script"].live
    assert isinstance(feed, _feed)
    return feed


def by_key(runtime: Runtime, suffix: str, run: str = "run") -> Order:
    """Return the run's only order whose key ends so, in memory or not."""
    found = [order for order in states(runtime, run) if order.key.endswith(suffix)]
    assert len(found) == 1, [order.key for order in states(runtime, run)]
    return found[0]


def states(runtime: Runtime, run: str = "run") -> list[Order]:
    """Return the orders of a run that are in memory, oldest first."""
    return [state.event() for state in runtime.engine.registry if state.run == run]


def statuses(runtime: Runtime) -> dict[str, OrderStatus]:
    """Return what became of each exit and other order, by the end of its key."""
    return {order.key.rpartition("/")[2]: order.status for order in states(runtime)}


def most_at_venue(runtime: Runtime) -> Decimal:
    """Return the most that reducing orders at the venue could have filled beyond what was held.

    Read off the log: what had been sent and had not ended, against the position of each moment.
    """
    registry = runtime.engine.registry
    totals: dict[str, Decimal] = {}
    filled: dict[str, Decimal] = {}
    held, worst = D(0), D(0)
    for _, entry in runtime.engine.log.read():
        if (isinstance(entry, SubmitOrder) and entry.intent.reduce_only) or (
            isinstance(entry, OrderReplaced) and entry.order_id in totals
        ):
            totals[entry.order_id] = entry.quantity
        elif isinstance(entry, OrderEnded):
            totals.pop(entry.order_id, None)
        elif isinstance(entry, OrderFilled):
            order = registry.get(entry.order_id)
            assert order is not None
            held += entry.quantity if order.is_buy else -entry.quantity
            filled[entry.order_id] = filled.get(entry.order_id, D(0)) + entry.quantity
        open_ = sum((total - filled.get(name, D(0)) for name, total in totals.items()), D(0))
        worst = max(worst, open_ - abs(held))
    return worst


def logged(journal: Path, kind: type) -> list[Any]:
    """Return a closed journal's entries of one type."""
    reading = open_for_reading(f"sqlite:///{journal}")
    try:
        found = [record_of(row, reading.place) for row in whole_rows(reading)]
    finally:
        reading.close()
    return [entry for entry in found if isinstance(entry, kind)]
