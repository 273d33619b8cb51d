"""Decides which faults strike, and when: by count, by time, on demand, by chance.

It knows neither sessions nor sockets: actions are handed to `on_action`.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

import msgspec

from adapters.kalshi.simulated.faults import (
    Action,
    AnyFault,
    Condition,
    Delay,
    Duplicate,
    Fault,
    FaultPlan,
    FaultRates,
    FrameFault,
    Lose,
    RefuseCommands,
    SlowCommands,
    Swap,
)
from adapters.kalshi.simulated.frames import Frame
from adapters.kalshi.simulated.wire_units import NS_PER_S
from framework.interfaces import Clock, TimerHandle

C = TypeVar("C", bound=Condition)

OnAction = Callable[[Action, int | None], None]
"""Does an action: to what it concerns, or (given a connection's number) to that one alone."""


class ActiveFault(msgspec.Struct):
    """A fault that was added and not cleared, and what it has done so far."""

    number: int
    fault: AnyFault
    start_ns: int
    end_ns: int | None
    passed: int = 0  # what matched before it struck
    struck: int = 0
    timer: TimerHandle | None = None

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.fault.count is not None and self.struck >= self.fault.count

    def strikes(self, now_ns: int) -> bool:
        """Count one thing that matches, and say whether it is struck."""
        if self.is_spent or not self.holds(now_ns):
            return False
        if self.passed < self.fault.after:
            self.passed += 1
            return False
        self.struck += 1
        return True

    def strikes_after(self, now_ns: int) -> bool:
        """Count one frame that was sent, and say whether an action follows it."""
        if self.is_spent or not self.holds(now_ns):
            return False
        self.passed += 1
        if self.passed < self.fault.after:
            return False
        self.passed = 0
        self.struck += 1
        return True

    def holds(self, now_ns: int) -> bool:
        """Say whether `now_ns` lies within its time."""
        return self.start_ns <= now_ns and (self.end_ns is None or now_ns < self.end_ns)


class Faults:
    """The faults of a venue. Not for use by two threads."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.rates = FaultRates()
        self.on_action: OnAction = _nothing
        self.on_clear: list[Callable[[], None]] = []  # lets go what was held back
        self._clock = clock
        self._random = random
        self._count = 0
        self._active: dict[int, ActiveFault] = {}
        self._for_frames: list[ActiveFault] = []
        self._after_frames: list[ActiveFault] = []

    @property
    def is_idle(self) -> bool:
        """Whether frames may pass without a look."""
        return not self._for_frames and not self._after_frames and self.rates.is_calm

    def load(self, plan: FaultPlan) -> None:
        """Let the faults of a plan happen, counting time from now."""
        self.set_rates(plan.rates)
        for fault in plan.faults:
            self.add(fault)

    def set_rates(self, rates: FaultRates) -> None:
        """Let chance strike at these rates from now on."""
        self.rates = rates

    def add(self, fault: AnyFault) -> int:
        """Let a fault happen; the number returned is for `remove`. What is due is done at once."""
        self._forget_spent()
        self._count += 1
        start_ns = self._clock.now_ns + _ns(fault.after_s)
        end_ns = None if fault.for_s is None else start_ns + _ns(fault.for_s)
        active = ActiveFault(self._count, fault, start_ns, end_ns)
        self._active[active.number] = active
        if isinstance(fault, FrameFault):
            self._for_frames.append(active)
        elif isinstance(fault, Action):
            if fault.after:
                self._after_frames.append(active)
            elif fault.after_s:
                self._set_timer(active, start_ns)
            else:
                self._act(active)
        return active.number

    def remove(self, number: int) -> bool:
        """Clear one fault; says whether there was one."""
        active = self._active.pop(number, None)
        if active is None:
            return False
        if active.timer is not None:
            active.timer.cancel()
        self._for_frames = [other for other in self._for_frames if other is not active]
        self._after_frames = [other for other in self._after_frames if other is not active]
        return True

    def clear(self) -> None:
        """Heal: clear all faults and rates, and let go what was held back."""
        for number in list(self._active):
            self.remove(number)
        self.rates = FaultRates()
        for release in list(self.on_clear):
            release()

    def active(self) -> Sequence[ActiveFault]:
        """Return the faults that may still strike, oldest first."""
        now_ns = self._clock.now_ns
        return [
            active
            for active in self._active.values()
            if not active.is_spent and (active.end_ns is None or now_ns < active.end_ns)
        ]

    def fate_of(self, connection: int, frame: Frame) -> FrameFault | None:
        """Return what befalls a frame: the oldest fault that strikes, else what chance says."""
        fate: FrameFault | None = None
        now_ns = self._clock.now_ns
        for active in self._for_frames:
            fault = active.fault
            if (
                fate is None
                and isinstance(fault, FrameFault)
                and _concerns_frame(fault, fault.types, connection, frame)
                and active.strikes(now_ns)
            ):
                fate = fault
        if fate is None and frame.is_data and not self.rates.is_calm:
            fate = self._chance()
        return fate

    def after_sending(self, connection: int, frame: Frame) -> None:
        """Count a frame that has left, and do the actions that were due after it."""
        now_ns = self._clock.now_ns
        for active in list(self._after_frames):
            fault = active.fault
            if (
                isinstance(fault, Action)
                and _concerns_frame(fault, fault.types, connection, frame)
                and active.strikes_after(now_ns)
            ):
                self.on_action(fault, connection)

    def condition(
        self,
        kind: type[C],
        connection: int = 0,
        *,
        sid: int = 0,
        channel: str = "",
        ticker: str = "",
        cmd: str = "",
    ) -> C | None:
        """Return the oldest condition of this kind that strikes here and now, counting it."""
        now_ns = self._clock.now_ns
        for active in self._active.values():
            fault: Fault = active.fault
            if (
                isinstance(fault, kind)
                and fault.concerns(connection, sid, channel, ticker)
                and (not isinstance(fault, RefuseCommands | SlowCommands) or fault.cmd in ("", cmd))
                and active.strikes(now_ns)
            ):
                return fault
        return None

    def _forget_spent(self) -> None:
        living = {active.number for active in self.active()}
        for number in self._active.keys() - living:
            self.remove(number)

    def _chance(self) -> FrameFault | None:
        draw = self._random.random()
        rates = self.rates
        for rate, fault in (
            (rates.drop_rate, Lose()),
            (rates.duplicate_rate, Duplicate()),
            (rates.swap_rate, Swap()),
            (rates.delay_rate, Delay(delay_s=rates.delay_s)),
        ):
            if draw < rate:
                return fault
            draw -= rate
        return None

    def _set_timer(self, active: ActiveFault, due_ns: int) -> None:
        active.timer = self._clock.call_at(due_ns, lambda: self._act(active))

    def _act(self, active: ActiveFault) -> None:
        fault = active.fault
        assert isinstance(fault, Action)
        active.struck += 1
        now_ns = self._clock.now_ns
        next_ns = now_ns + _ns(fault.every_s)
        if not active.is_spent and (active.end_ns is None or next_ns < active.end_ns):
            self._set_timer(active, next_ns)
        self.on_action(fault, None)


def _concerns_frame(fault: Fault, types: tuple[str, ...], connection: int, frame: Frame) -> bool:
    is_of_type = frame.type in types if types else frame.is_data
    return is_of_type and fault.concerns(connection, frame.sid, frame.channel, frame.ticker)


def _nothing(action: Action, connection: int | None) -> None:
    """Nobody is there to do anything yet."""


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
