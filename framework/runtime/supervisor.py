"""What happens to a run whose handler raises, hangs or falls behind, and how every run ends."""

import asyncio
from collections.abc import Awaitable, Sequence
from inspect import iscoroutine
from typing import Any

import structlog

from framework.bus.subscriber import Handler
from framework.clock.watchdog import Watchdog
from framework.engine.engine import Engine
from framework.errors import ChannelOverflow, HandlerTimeout
from framework.model.events import ErrorRaised, RunStopping
from framework.runtime.system import Run
from framework.settings.structs import ErrorPolicy, StopPolicy

log = structlog.get_logger("runtime")

MOST_FLATTENINGS = 5  # a closing order that is denied each time must not become a storm
ON_ERROR, ON_START = "on_error", "on_start"


class Supervisor:
    """Isolates each run from the others' failures and acts by its policies (R-54)."""

    def __init__(self, engine: Engine, runs: Sequence[Run]) -> None:
        self._engine = engine
        self._runs = runs
        for run in runs:
            self._supervise(run)

    def halt(self, run: Run, reason: str) -> None:
        """Deny the run's orders from now on, tell its strategy, and act by its stop policy."""
        if run.is_halted or run.is_stopped:
            return
        self._note_halt(run, reason)
        self._engine.bus.publish(self._stopping(run))

    def ask_to_stop(self) -> None:
        """Tell every strategy that still runs to stop, behind what it has queued."""
        for run in self._runs:
            if not run.is_stopped:
                self._engine.bus.publish(self._stopping(run))

    def has_stopped(self) -> bool:
        """Whether `on_stop` or `on_halt` of every strategy has ended."""
        return all(run.is_stopped for run in self._runs)

    def cancel_handlers(self) -> None:
        """Cancel what waits in strategies that have not stopped; `on_stop` is next in them."""
        for run in self._runs:
            if not run.is_stopped and run.subscriber.is_busy:
                log.warning("handler_cancelled", run=run.settings.id)
                run.subscriber.task.give_up()
                run.subscriber.release([self._stopping(run)])  # before what is queued

    def finish_all(self) -> None:
        """Act by the stop policy of strategies that did not stop by themselves."""
        for run in self._runs:
            if not run.is_stopped:
                log.error("strategy_did_not_stop", run=run.settings.id)
                self._finish(run)

    def is_closing(self) -> bool:
        """Whether orders that a stop policy wants gone are still open."""
        return any(map(self._is_closing, self._runs))

    def watch_handlers(self, limit_s: float, *, interrupts: bool) -> Watchdog:
        """Start a watchdog over handlers that hold the loop; call it on the loop's thread."""
        bus, loop = self._engine.bus, asyncio.get_running_loop()
        runs = {run.settings.id: run for run in self._runs}

        def look() -> tuple[int, str]:
            running = bus.running
            return bus.ticket, "" if running is None else running.name

        def trip(name: str, stack: str) -> None:
            reason = f"a handler held the loop for over {limit_s} s"
            run = runs.get(name)
            if run is not None:
                run.context.block(f"halted: {reason}")  # at once: the loop cannot
                loop.call_soon_threadsafe(self.halt, run, reason)
            log.critical("handler_blocks_loop", subscriber=name, stack=stack)

        watchdog = Watchdog(limit_s, look, trip, interrupts=interrupts)
        watchdog.start()
        return watchdog

    def _stopping(self, run: Run) -> RunStopping:
        now_ns = self._engine.clock.now_ns
        reason = run.halt_reason or "stop"
        return RunStopping(run.settings.id, now_ns, reason, is_halt=run.is_halted)

    def _supervise(self, run: Run) -> None:
        subscriber = run.subscriber
        subscriber.on_error = lambda handler, error: self._failed(run, handler, error)
        subscriber.on_overflow = lambda failure: self._overflowed(run, failure)
        subscriber.wrap(RunStopping, lambda handler: self._finishing(run, handler))
        subscriber.wrap(ErrorRaised, _without_errors_of_error_handlers)

    def _failed(self, run: Run, handler: str, error: BaseException) -> None:
        self._engine.bus.report(run.settings.id, handler, error)
        if (
            run.settings.on_error is ErrorPolicy.HALT
            or handler == ON_START  # it has not set up what its other handlers need
            or isinstance(error, HandlerTimeout)
        ):
            self.halt(run, f"{handler} raised {error!r}")

    def _overflowed(self, run: Run, failure: ChannelOverflow) -> None:
        self._engine.bus.report(run.settings.id, "overflow", failure)
        self._note_halt(run, str(failure))
        self._finish(run)  # it can hear nothing any more

    def _note_halt(self, run: Run, reason: str) -> None:
        run.is_halted = True
        run.halt_reason = reason
        log.error("run_halted", run=run.settings.id, reason=reason)
        run.context.block(f"halted: {reason}")

    def _finishing(self, run: Run, handler: Handler) -> Handler:
        """Act by the stop policy once `on_stop` or `on_halt` has ended, whatever came of it."""

        async def wait_for(coroutine: Awaitable[Any]) -> None:
            try:
                await coroutine
            finally:
                self._finish(run)

        def on_stopping(event: RunStopping) -> Any:
            if run.is_stopped:
                return None
            try:
                result = handler(event)
            except BaseException:
                self._finish(run)
                raise
            if iscoroutine(result):
                return wait_for(result)
            self._finish(run)
            return None

        on_stopping.__name__ = "on_stop"
        return on_stopping

    def _finish(self, run: Run) -> None:
        if run.is_stopped:
            return
        run.is_stopped = True
        run.subscriber.silence()
        desk, run_id = self._engine.desk, run.settings.id
        policy = run.settings.on_stop
        if policy is StopPolicy.CANCEL_ENTRIES:
            desk.cancel_entries(run_id)
        elif policy is StopPolicy.CANCEL_ALL:
            desk.cancel_all(run_id)
        elif policy is StopPolicy.FLATTEN:
            desk.flatten(run_id)
        run.context.block(run.context.blocked_reason or "stopped")
        run.context.end_timers()

    def _is_closing(self, run: Run) -> bool:
        policy = run.settings.on_stop
        if policy is StopPolicy.FLATTEN and self._flatten_again(run):
            return True
        return policy is not StopPolicy.LEAVE and any(
            policy is not StopPolicy.CANCEL_ENTRIES or not order.reduce_only
            for order in self._engine.registry.open_orders(run.settings.id)
        )

    def _flatten_again(self, run: Run) -> bool:
        """Close what an entry brought that was filled before its cancel arrived."""
        desk, run_id = self._engine.desk, run.settings.id
        if run.flattenings >= MOST_FLATTENINGS or self._engine.registry.open_orders(run_id):
            return False
        run.flattenings += 1
        return bool(desk.flatten(run_id))


def _without_errors_of_error_handlers(handler: Handler) -> Handler:
    """Keep strategies from hearing of errors in `on_error`: two could raise for ever in turn."""

    def on_error(event: ErrorRaised) -> Any:
        return None if event.handler == ON_ERROR else handler(event)

    return on_error
