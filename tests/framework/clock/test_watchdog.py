"""The watchdog sees a handler that holds the loop, from outside it (R-54)."""

import signal
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from framework.bus.subscriber import Interest, Subscriber
from framework.clock.watchdog import Watchdog
from framework.errors import HandlerTimeout
from framework.model.market_data import Quote
from tests.framework.bus.samples import make_bus, quote

LIMIT_S = 0.2  # long enough for a machine that does something else in between
DEADLINE_S = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Hold this thread, as a bad handler does, until `condition` holds."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s


class Watched:
    """A bus whose one handler is `handler`, and its watchdog."""

    def __init__(
        self,
        handler: Callable[[Quote], None],
        *,
        limit_s: float = LIMIT_S,
        interrupts: bool = False,
    ) -> None:
        self.bus = make_bus()
        self.trips: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []
        self.subscriber: Subscriber = self.bus.add(
            "slow", {Quote: handler}, on_error=lambda name, error: self.errors.append(error)
        )
        self.bus.watch(self.subscriber, Interest(Quote))
        self.watchdog = Watchdog(limit_s, self.look, self.trip, interrupts=interrupts)

    def look(self) -> tuple[int, str]:
        running = self.bus.running
        return self.bus.ticket, "" if running is None else running.name

    def trip(self, name: str, stack: str) -> None:
        self.trips.append((name, stack))

    def handle(self, *numbers: int) -> None:
        """Deliver events under the watchdog's eyes."""
        self.watchdog.start()
        try:
            for number in numbers:
                self.bus.publish(quote(number))
            self.bus.deliver_all()
        finally:
            self.watchdog.stop()


def test_r54_a_handler_beyond_the_limit_is_told_once_with_its_stack() -> None:
    def hold_the_loop(event: Quote) -> None:
        until(lambda: bool(watched.trips))
        time.sleep(2 * LIMIT_S)

    watched = Watched(hold_the_loop)
    watched.handle(1)

    ((name, stack),) = watched.trips
    assert name == "slow"
    assert "hold_the_loop" in stack
    assert watched.watchdog.trip_count == 1
    assert watched.errors == []


def test_each_call_has_its_own_limit() -> None:
    watched = Watched(lambda event: time.sleep(0.1), limit_s=1.0)

    watched.handle(*range(12))

    assert watched.trips == []


def test_r54_an_endless_handler_is_interrupted_and_the_next_event_is_handled() -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGUSR2)

    def endless(event: Quote) -> None:
        heard.append(event.time_ns)
        until(lambda: event.time_ns != 1)

    watched = Watched(endless, interrupts=True)
    watched.handle(1, 2)

    assert heard == [1, 2]
    assert [type(error) for error in watched.errors] == [HandlerTimeout]
    assert "slow: a handler held the loop" in str(watched.errors[0])
    assert signal.getsignal(signal.SIGUSR2) == before


def test_r54_a_wrapped_handler_is_interrupted_too() -> None:
    watched = Watched(lambda event: until(lambda: False), interrupts=True)
    watched.subscriber.wrap(Quote, lambda handler: lambda event: handler(event))

    watched.handle(1)

    assert [type(error) for error in watched.errors] == [HandlerTimeout]


def test_r54_the_core_at_work_for_a_handler_is_never_interrupted() -> None:
    finished: list[str] = []

    def step(event: Any) -> None:
        until(lambda: bool(watched.trips))
        time.sleep(LIMIT_S)  # signals come meanwhile
        finished.append("step")

    def asks_the_core(event: Quote) -> None:
        watched.bus.publish(Decimal(1))
        finished.append("core")
        until(lambda: False)

    watched = Watched(asks_the_core, interrupts=True)
    watched.bus.set_step(Decimal, step)
    watched.handle(1)

    assert finished == ["step", "core"]
    assert watched.bus.halted is None
    assert [type(error) for error in watched.errors] == [HandlerTimeout]


def test_a_trip_that_fails_does_not_end_the_watching() -> None:
    calls: list[str] = []

    def trip(name: str, stack: str) -> None:
        calls.append(name)
        raise RuntimeError("no loop any more")

    watched = Watched(lambda event: until(lambda: len(calls) == event.time_ns))
    watched.watchdog = Watchdog(LIMIT_S, watched.look, trip)
    watched.handle(1, 2)

    assert calls == ["slow", "slow"]


def test_a_stopped_watchdog_has_no_thread_and_can_start_again() -> None:
    watched = Watched(lambda event: until(lambda: bool(watched.trips)))

    watched.watchdog.stop()
    watched.watchdog.start()
    watched.watchdog.stop()
    watched.watchdog.stop()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())
    watched.handle(1)

    assert len(watched.trips) == 1


@pytest.mark.parametrize("interrupts", [False, True])
def test_an_idle_loop_is_left_alone(interrupts: bool) -> None:
    watched = Watched(lambda event: None, interrupts=interrupts)

    watched.watchdog.start()
    time.sleep(3 * LIMIT_S)
    watched.watchdog.stop()

    assert watched.trips == []
