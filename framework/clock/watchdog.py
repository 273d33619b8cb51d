"""Sees a handler that holds the loop: the one place that reads the real clock beside the loop.

A thread looks at which handler runs and since when. It can act while the loop cannot: it closes
the strategy's order gate, tells of it, and (where the process allows it signals) raises
`HandlerTimeout` into the handler on the main thread. It never raises it into the core at work for
the handler, whose state has to stay whole: then it tries again a moment later.
"""

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog

from framework.errors import HandlerTimeout

Look = Callable[[], tuple[int, str]]
"""Returns (ticket of the running handler, its subscriber); an empty name when none runs."""

SIGNAL = getattr(signal, "SIGUSR2", None)
PACKAGE = __name__.partition(".")[0]
CALLERS = (f"{PACKAGE}.bus.subscriber", f"{PACKAGE}.bus.eager")  # they call handlers
LOOKS = 4  # per limit
log = structlog.get_logger("watchdog")


class Watchdog:
    """Watches handlers from a daemon thread between `start` and `stop`.

    `trip(name, stack)` is called on that thread, once per handler call that exceeds `limit_s`.
    `interrupts` needs the main thread and takes over SIGUSR2: the command line sets it.
    """

    def __init__(
        self,
        limit_s: float,
        look: Look,
        trip: Callable[[str, str], None],
        *,
        interrupts: bool = False,
    ) -> None:
        self.trip_count = 0
        self._limit_s = limit_s
        self._look = look
        self._trip = trip
        self._interrupts = interrupts and SIGNAL is not None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop_thread = 0
        self._tripped_ticket = -1
        self._raised_ticket = -1
        self._previous: Any = None

    def start(self) -> None:
        """Watch handlers of the calling thread."""
        self._loop_thread = threading.get_ident()
        self._stopped.clear()
        if self._interrupts and SIGNAL is not None:
            self._previous = signal.signal(SIGNAL, self._on_signal)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the signal back; harmless if it does not run."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join(timeout=1)
        self._thread = None
        if self._interrupts and SIGNAL is not None:
            previous = self._previous  # None: set by something else than Python
            signal.signal(SIGNAL, signal.SIG_DFL if previous is None else previous)

    def _run(self) -> None:
        # Looks that see one ticket, a whole limit apart, prove that the handler took it.
        seen, seen_count = -1, 0
        while not self._stopped.wait(self._limit_s / LOOKS):
            ticket, name = self._look()
            if not name or ticket != seen:
                seen, seen_count = ticket if name else -1, 0
                continue
            seen_count += 1
            if ticket == self._tripped_ticket:
                self._interrupt(ticket)  # the core was at work when it was due
            elif seen_count >= LOOKS:
                self._bite(ticket, name)

    def _bite(self, ticket: int, name: str) -> None:
        self.trip_count += 1
        self._tripped_ticket = ticket
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        try:
            self._trip(name, stack)
        except Exception as error:  # whatever it is: watching goes on
            log.error("watchdog_trip_failed", subscriber=name, error=repr(error), exc_info=error)
        self._interrupt(ticket)

    def _interrupt(self, ticket: int) -> None:
        if self._interrupts and SIGNAL is not None and ticket != self._raised_ticket:
            signal.pthread_kill(self._loop_thread, SIGNAL)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        ticket, name = self._look()
        if not name or ticket != self._tripped_ticket:  # it may have ended just before
            return
        if _is_users(frame):
            self._raised_ticket = ticket
            raise HandlerTimeout(f"{name}: a handler held the loop for over {self._limit_s} s")


def _is_users(frame: FrameType | None) -> bool:
    """Whether the handler's own code runs in `frame`, called by nothing else of this package."""
    innermost = frame
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == PACKAGE or module.startswith(f"{PACKAGE}."):
            return module in CALLERS and frame is not innermost
        frame = frame.f_back
    return False
