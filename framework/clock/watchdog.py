"""Sees a handler that holds the loop: the one place that reads the real clock beside the loop.

A thread looks at which handler runs and since when. It can act while the loop cannot: it closes
the strategy's order gate, tells of it, and (where the process allows it signals) raises
`HandlerTimeout` into the handler on the main thread.
"""

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from framework.errors import HandlerTimeout

Look = Callable[[], tuple[int, str]]
"""Returns (ticket of the running handler, its subscriber); an empty name when none runs."""

SIGNAL = getattr(signal, "SIGUSR2", None)


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
        self._previous: Any = None

    def start(self) -> None:
        """Watch handlers of the calling thread."""
        self._loop_thread = threading.get_ident()
        if self._interrupts and SIGNAL is not None:
            self._previous = signal.signal(SIGNAL, self._raise)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the signal back."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=1)
        if self._interrupts and SIGNAL is not None:
            signal.signal(SIGNAL, self._previous)

    def _run(self) -> None:
        # Two looks that see one ticket, a whole limit apart, prove that the handler took it.
        interval_s = self._limit_s / 4
        seen, seen_count = -1, 0
        while not self._stopped.wait(interval_s):
            ticket, name = self._look()
            if not name or ticket == self._tripped_ticket:
                seen_count = 0
                continue
            seen, seen_count = ticket, seen_count + 1 if ticket == seen else 0
            if seen_count >= 4:
                self._bite(ticket, name)

    def _bite(self, ticket: int, name: str) -> None:
        self.trip_count += 1
        self._tripped_ticket = ticket
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        self._trip(name, stack)
        if self._interrupts and SIGNAL is not None:
            signal.pthread_kill(self._loop_thread, SIGNAL)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        ticket, name = self._look()
        if name and ticket == self._tripped_ticket:  # it may have ended just before
            raise HandlerTimeout(f"{name}: a handler held the loop for over {self._limit_s} s")
