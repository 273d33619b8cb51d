"""SIGINT and SIGTERM: the first stops in order, the second ends the process at once.

A plain signal handler and not the loop's own: it also works while a strategy blocks the loop.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = b"headrace: stopping in order; once more to leave at once\n"
LEAVING = b"headrace: leaving at once\n"
STDERR = 2


class StopSignals:
    """What the process was asked to do, and who is to be told on the loop."""

    def __init__(self, leave: Callable[[int], None] = os._exit) -> None:
        self.received: int | None = None
        self._leave = leave
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], object] | None = None

    @property
    def exit_code(self) -> int:
        """0, or 128 + the signal that asked to stop."""
        return 0 if self.received is None else 128 + self.received

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Catch both signals inside; put the former handlers back after it. Main thread only."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        former = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def on_stop(self, stop: Callable[[], object]) -> None:
        """Call `stop` on the running loop at the first signal, or soon if it already came."""
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        if self.received is not None:
            self._loop.call_soon(stop)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # os.write and not print: a handler may interrupt a print, which is not re-entrant
        if self.received is not None:
            os.write(STDERR, LEAVING)
            self._leave(128 + number)
            return
        self.received = number
        os.write(STDERR, STOPPING)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self._stop is not None:
            self._stop()
