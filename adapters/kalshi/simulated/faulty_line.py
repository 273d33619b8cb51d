"""The way of one connection's frames to its outbox, past whatever faults strike."""

from collections.abc import Callable

import msgspec

from adapters.kalshi.simulated.fault_injection import Faults
from adapters.kalshi.simulated.faults import (
    AddFields,
    Delay,
    Duplicate,
    FrameFault,
    Garble,
    Lose,
    Swap,
)
from adapters.kalshi.simulated.frames import Frame
from adapters.kalshi.simulated.wire_units import NS_PER_S
from framework.interfaces import Clock


class _Held(msgspec.Struct):
    frame: Frame
    left: int  # frames that go first


class FaultyLine:
    """Passes frames on to `out`, in order unless a fault says otherwise."""

    def __init__(
        self, connection: int, faults: Faults, clock: Clock, out: Callable[[Frame], None]
    ) -> None:
        self.lost_count = 0
        self._connection = connection
        self._faults = faults
        self._clock = clock
        self._out = out
        self._held: list[_Held] = []

    def send(self, frame: Frame) -> None:
        """Pass a frame on, or let its fault befall it."""
        if self._faults.is_idle and not self._held:
            self._out(frame)
            return
        fault = self._faults.fate_of(self._connection, frame)
        if isinstance(fault, Swap):
            self._held.append(_Held(frame, fault.distance))
        else:
            self._befall(frame, fault)
            self._let_go()
        self._faults.after_sending(self._connection, frame)

    def release(self) -> None:
        """Send what was held back, oldest first."""
        held, self._held = self._held, []
        for waiting in held:
            self._out(waiting.frame)

    def _befall(self, frame: Frame, fault: FrameFault | None) -> None:
        match fault:
            case Lose():
                self.lost_count += 1
            case Delay(delay_s=delay_s):
                due_ns = self._clock.now_ns + round(delay_s * NS_PER_S)
                self._clock.call_at(due_ns, lambda: self._out(frame))
            case Duplicate(copies=copies):
                for _ in range(1 + copies):
                    self._out(frame)
            case AddFields(fields=fields):
                message = msgspec.json.decode(frame.data)
                if isinstance(message.get("msg"), dict):
                    message["msg"] |= fields
                data = msgspec.json.encode(message | fields)
                self._out(msgspec.structs.replace(frame, data=data))
            case Garble():
                data = frame.data[: len(frame.data) // 2]
                self._out(msgspec.structs.replace(frame, data=data))
            case _:
                self._out(frame)

    def _let_go(self) -> None:
        if not self._held:
            return
        for waiting in self._held:
            waiting.left -= 1
        due = [waiting.frame for waiting in self._held if waiting.left <= 0]
        self._held = [waiting for waiting in self._held if waiting.left > 0]
        for frame in due:
            self._out(frame)
