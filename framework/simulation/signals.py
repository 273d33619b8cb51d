"""Signals on a loop that never sleeps: a handler runs as an ordinary callback of the next round."""

import asyncio
import signal
from asyncio import Handle
from collections import deque
from collections.abc import Callable
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")


class SignalledLoop(asyncio.BaseEventLoop):
    """A loop with signal handlers and without the self-pipe that others need to be woken by."""

    _check_closed: Callable[[], None]
    _ready: deque[Handle]

    def __init__(self) -> None:
        super().__init__()
        self._signal_handlers: dict[int, Handle] = {}

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run `callback` in the loop whenever signal `sig` comes."""
        self._check_closed()
        try:
            signal.signal(sig, self._on_signal)
        except (ValueError, OSError) as error:  # not the main thread, or a signal like SIGKILL
            raise RuntimeError(str(error)) from error
        self._signal_handlers[sig] = Handle(callback, args, self)

    def remove_signal_handler(self, sig: int) -> bool:
        """Give signal `sig` back its default; false if it had no handler here."""
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        signal.signal(sig, default)
        return True

    def close(self) -> None:
        """Close the loop and give all signals back."""
        for number in list(self._signal_handlers):
            self.remove_signal_handler(number)
        super().close()

    def _on_signal(self, number: int, frame: object) -> None:
        # Python calls this between two steps of the main thread, so nothing needs waking.
        handle = self._signal_handlers.get(number)
        if handle is not None:
            self._ready.append(handle)
