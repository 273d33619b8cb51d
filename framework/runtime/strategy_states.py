"""What strategies keep over a restart, and what they get to hear again (design.md, section 7).

A state is saved together with a cursor: the log position up to which the strategy had heard of
its orders when it was saved. After a restart it gets its state back before `on_start`, and right
after it what the log says about its orders behind the cursor: at least once, marked.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from framework.bus.subscriber import Handler
from framework.engine.engine import Engine
from framework.model.decimals import ZERO
from framework.model.events import RunStarted
from framework.model.orders import Order
from framework.model.records import StrategyState, order_of
from framework.model.reports import FillCorrection, OrderFact, OrderFilled
from framework.orders.order_state import OrderState
from framework.runtime.system import Run

log = structlog.get_logger("states")

SAVE_EVERY_NS = 60_000_000_000


class StateKeeper:
    """Saves the states of strategies; `check` is to be called a few times a second."""

    def __init__(self, engine: Engine, runs: Iterable[Run], *, is_kept: bool = True) -> None:
        """`is_kept`: there is a log that a later start reads, so that news have to be noted."""
        self._engine = engine
        self._runs = {run.settings.id: run for run in runs}
        self._saved: dict[str, tuple[int, bytes]] = {}  # by run: when, what
        self._touched: dict[str, bool] = {}  # runs with news since; True: a fill, to be saved soon
        self._cursors: dict[str, int] = dict.fromkeys(self._runs, 0)
        if is_kept:
            engine.desk.after_change.append(self._touch)

    def start(self, states: dict[str, StrategyState]) -> None:
        """Take what the log has; strategies load it right before their `on_start`."""
        for name, run in self._runs.items():
            state = states.get(name)
            self._saved[name] = (self._engine.clock.now_ns, b"" if state is None else state.state)
            if state is not None:
                self._cursors[name] = state.cursor
                run.subscriber.wrap(RunStarted, _loading(run, state))

    def check(self) -> None:
        """Save each state that is due and whose strategy is between handlers."""
        now_ns = self._engine.clock.now_ns
        for name, run in self._runs.items():
            if run.subscriber.is_busy:
                continue
            if not run.subscriber.is_waiting:  # it has heard of everything
                self._cursors[name] = self._engine.log.position
            if self._touched.get(name) or now_ns - self._saved[name][0] >= SAVE_EVERY_NS:
                self.save(run)

    def save_all(self) -> None:
        """Save every state that can be saved: at an orderly stop."""
        for run in self._runs.values():
            if not run.subscriber.is_busy:
                self.save(run)

    def save(self, run: Run) -> None:
        """Save one state and its cursor, if either has changed."""
        name, now_ns = run.settings.id, self._engine.clock.now_ns
        try:
            state = run.strategy.save_state()
            encoded = b"" if state is None else msgspec.msgpack.encode(state)
        except Exception as error:  # its own code: reported like a handler's failure
            self._engine.bus.report(name, "save_state", error)
            return
        before = self._saved.get(name, (0, b""))[1]
        self._saved[name] = (now_ns, encoded)
        if encoded != before or self._touched.pop(name, None) is not None:
            self._engine.record(
                StrategyState(name, run.context.session, self._cursors[name], encoded, now_ns)
            )

    def _touch(self, order: OrderState, fact: OrderFact | None) -> None:
        name = order.intent.run
        if name in self._runs:
            self._touched[name] = isinstance(fact, OrderFilled) or self._touched.get(name, False)

    def redeliver(self, run: Run) -> int:
        """Publish what happened to the run's orders behind its cursor; return how many events."""
        engine, name = self._engine, run.settings.id
        known: dict[str, OrderState | Order | None] = {"": None}
        fills: list[Any] = []
        for _, entry in engine.log.read(self._cursors[name]):
            order_id = order_of(entry)
            if isinstance(entry, Order):  # a denied one: nothing else is in the log of it
                known[order_id] = entry if entry.run == name else None
            if order_id not in known:
                known[order_id] = self._order(order_id, name)
            order = known[order_id]
            if order is None or isinstance(order, Order):
                continue
            if isinstance(entry, OrderFilled):
                fills.append(order.fill(entry, ZERO, entry.time_ns))
            elif isinstance(entry, FillCorrection):
                fills.append(order.fill_corrected(entry, entry.time_ns))
        orders = [order for order in known.values() if order is not None]
        if not orders:
            return 0
        events = [order if isinstance(order, Order) else order.event() for order in orders] + fills
        now_ns = engine.clock.now_ns
        events += [holding.event(now_ns) for holding in engine.ledger.holdings(run=name)]
        for event in events:
            engine.bus.publish(replace(event, is_redelivered=True))
        engine.bus.publish(run.context.account())  # as it is: nothing in it can be counted twice
        return len(events) + 1

    def _order(self, order_id: str, run: str) -> OrderState | None:
        """Return an order of a run, from the log where it has left memory: it stays out of it."""
        registry = self._engine.registry
        order = registry.get(order_id)
        if order is None and registry.archive is not None:
            order = registry.archive.read(registry, order_id)
        return None if order is None or order.intent.run != run else order


def _loading(run: Run, state: StrategyState) -> Callable[[Handler], Handler]:
    """Return a wrapper of `on_start` that loads the state first."""

    def wrap(handler: Handler) -> Handler:
        def on_start(event: RunStarted) -> Any:
            if state.state:
                run.strategy.load_state(msgspec.msgpack.decode(state.state))
            return handler(event)

        return on_start

    return wrap
