"""An event loop on virtual time: nothing waits, and one seed is one exact run."""

import asyncio
import hashlib
import heapq
import itertools
import math
import random
from asyncio import Handle, TimerHandle
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple

from framework.errors import (
    SimulationDeadlock,
    SimulationError,
    SimulationStalled,
    SimulationTimeLimit,
)
from framework.simulation.creation_order import NumberedLoop, order_cancellation
from framework.simulation.forbidden import EnclosedLoop, forbid_anyio_threads
from framework.simulation.signals import SignalledLoop
from framework.simulation.waiting import describe_callback, describe_tasks

if TYPE_CHECKING:
    from framework.simulation.network import MemoryNetwork

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NEVER_NS = 1 << 100  # later than any instant: the time of timers set for infinity
FAREWELL_NS = 60_000_000_000  # virtual time that cancelled tasks get for their clean-up
MAX_ROUNDS = 1_000_000
_PURGE_FROM = 100  # cancelled timers kept in the heap before it is rebuilt


class Source(Protocol):
    """Market data that moves virtual time by itself whenever no callback is ready."""

    def advance(self, until_ns: int | None) -> bool:
        """Feed events strictly before `until_ns` (None: no bound); false once data has ended.

        Move time by `loop.advance_to` before each event, and return as soon as `loop.ready`
        is not empty or nothing is left before `until_ns`.
        """
        ...


class SimulatedLoop(EnclosedLoop, NumberedLoop, SignalledLoop):
    """Runs callbacks in order; time jumps when none is ready. Not for use by two threads.

    `now_ns` is the virtual time, read-only to others. `loop.time()` is seconds since `start_ns`,
    and a timer set for `when` never fires while `loop.time() < when`. At one instant timers run in
    creation order, and before market data. `limit_ns` is the last instant that may be reached;
    `max_rounds` bounds the callback rounds of one instant.
    """

    # What asyncio.BaseEventLoop keeps and typeshed does not mention.
    _debug: bool
    _stopping: bool
    _timer_cancelled_count: int
    _check_thread: Callable[[], None]
    _check_callback: Callable[[object, str], None]

    def __init__(
        self,
        *,
        seed: int = 0,
        start_ns: int = 0,
        limit_ns: int | None = None,
        max_rounds: int = MAX_ROUNDS,
    ) -> None:
        super().__init__()
        order_cancellation()
        forbid_anyio_threads()
        self.seed = seed
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.limit_ns = limit_ns
        self.max_rounds = max_rounds
        self._ready: deque[Handle] = deque()
        self.ready = self._ready  # the deque itself: a source tests it after every event
        self._scheduled: list[tuple[int, int, TimerHandle]] = []
        self._timer_numbers = itertools.count()
        self._rounds = 0
        self._round_ns = start_ns
        self._source: Source | None = None
        self._until_ns = start_ns  # advance_to stays below it; beyond now only while a source runs
        self._wake_before_ns = start_ns  # a timer set for earlier interrupts the running source
        self._randoms: dict[str, random.Random] = {}
        self._network: MemoryNetwork | None = None

    # -- time ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the virtual seconds since `start_ns`."""
        return (self.now_ns - self.start_ns) / 1e9

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Run `callback` at the first nanosecond at which `loop.time() >= when`."""
        return self._schedule(self._ns_of(when), when, callback, args, context)

    def call_at_ns(
        self,
        when_ns: int,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Run `callback` at exactly `when_ns`, or now if that has passed."""
        when = (when_ns - self.start_ns) / 1e9
        return self._schedule(when_ns, when, callback, args, context)

    async def sleep_until(self, when_ns: int) -> None:
        """Return at `when_ns` to the nanosecond, or at once if that has passed."""
        woken = self.create_future()
        timer = self.call_at_ns(when_ns, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def _ns_of(self, when: float) -> int:
        if when <= self.time():
            return self.now_ns
        if when == math.inf:
            return NEVER_NS
        elapsed_ns = round(when * 1e9)
        step = max(1, int(math.ulp(when * 1e9)))  # a float of many days is coarser than 1 ns
        while elapsed_ns / 1e9 < when:
            elapsed_ns += step
        return self.start_ns + elapsed_ns

    def _schedule(
        self,
        when_ns: int,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> TimerHandle:
        self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
        handle: Any = TimerHandle(when, callback, args, self, context)
        handle._scheduled = True
        if when_ns < self.now_ns:  # overdue timers share this instant's creation order
            when_ns = self.now_ns
        heapq.heappush(self._scheduled, (when_ns, next(self._timer_numbers), handle))
        if when_ns < self._wake_before_ns:
            self._interrupt_source()
        return handle  # type: ignore[no-any-return]

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Count a cancelled timer; rebuild the heap when most of it is cancelled."""
        if not handle._scheduled:
            return
        self._timer_cancelled_count += 1
        if _PURGE_FROM < self._timer_cancelled_count > len(self._scheduled) // 2:
            for _, _, timer in self._scheduled:
                timer._scheduled = not timer.cancelled()  # type: ignore[attr-defined]
            self._scheduled[:] = [entry for entry in self._scheduled if not entry[2].cancelled()]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0

    # -- market data -----------------------------------------------------------------------------

    def attach_source(self, source: Source) -> None:
        """Let `source` move time between timers, until it says that its data has ended."""
        if self._source is not None:
            raise SimulationError("a source is attached already: merge the data first")
        self._source = source

    def detach_source(self) -> None:
        """Go on with timers alone; does nothing without a source."""
        self._source = None

    def advance_to(self, time_ns: int) -> None:
        """Move time to `time_ns`; only for the source, while it feeds.

        Raises:
            SimulationTimeLimit: that instant lies beyond `limit_ns`.
            SimulationError: time would go back, or pass a timer.
        """
        if not self.now_ns <= time_ns < self._until_ns:
            self._refuse_to_advance(time_ns)
        self.now_ns = time_ns

    def _refuse_to_advance(self, time_ns: int) -> None:
        if time_ns < self.now_ns:
            raise SimulationError(f"time cannot go back from {self.now_ns} to {time_ns} ns")
        if self._until_ns <= self.now_ns:
            raise SimulationError("only a source may move time, and only while it feeds")
        self._check_limit(time_ns)
        raise SimulationError(f"{time_ns} ns is not before the timer at {self._until_ns} ns")

    def _feed(self, source: Source, due_ns: int) -> bool:
        self._until_ns = due_ns if self.limit_ns is None else min(due_ns, self.limit_ns + 1)
        self._wake_before_ns = due_ns
        try:
            has_more = source.advance(None if due_ns == NEVER_NS else due_ns)
        finally:
            self._until_ns = self._wake_before_ns = self.start_ns
        if not has_more and self._source is source:
            self._source = None
        return has_more

    def _interrupt_source(self) -> None:
        self._wake_before_ns = self.start_ns
        self.call_soon(_nothing)

    # -- running ---------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run one round: all callbacks ready now, or those of the next instant."""
        ready = self._ready
        if not ready and not self._stopping:
            self._let_time_pass()
        scheduled = self._scheduled
        while scheduled and scheduled[0][0] <= self.now_ns:
            timer: Any = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(timer)
        if self.now_ns == self._round_ns:
            self._rounds += 1
            if self._rounds > self.max_rounds:
                self._raise_stalled()
        else:
            self._round_ns = self.now_ns
            self._rounds = 1
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _let_time_pass(self) -> None:
        """Move time until a timer is due or a callback is ready.

        Raises:
            SimulationDeadlock: neither can ever be.
        """
        due_ns = self._next_timer_ns()
        while self._source is not None and due_ns > self.now_ns:
            before_ns = self.now_ns
            has_more = self._feed(self._source, due_ns)
            if self._ready:
                return
            fed_until_ns, due_ns = due_ns, self._next_timer_ns()
            if has_more and fed_until_ns == due_ns:  # nothing is left before the timer
                if due_ns == NEVER_NS and self.now_ns == before_ns:
                    raise SimulationStalled(f"the source has data but feeds none at {self._now()}")
                if due_ns < NEVER_NS:
                    break
        if due_ns == NEVER_NS:
            raise SimulationDeadlock(
                f"nothing is ready and nothing is scheduled at {self._now()}; "
                f"waiting: {describe_tasks(asyncio.all_tasks(self))}"
            )
        self._check_limit(due_ns)
        self.now_ns = due_ns

    def _next_timer_ns(self) -> int:
        scheduled = self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            timer: Any = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            self._timer_cancelled_count -= 1
        return scheduled[0][0] if scheduled else NEVER_NS

    def _check_limit(self, time_ns: int) -> None:
        if self.limit_ns is not None and time_ns > self.limit_ns:
            raise SimulationTimeLimit(
                f"virtual time would pass its cap of {self.limit_ns} ns: next is {time_ns} ns"
            )

    def _raise_stalled(self) -> None:
        self._rounds = 0  # the clean-up gets its own count
        raise SimulationStalled(
            f"{self.max_rounds} rounds of callbacks at {self._now()}, and time does not move; "
            f"next is {describe_callback(self._ready[0]) if self._ready else 'nothing'}"
        )

    def _now(self) -> str:
        return f"{self.now_ns} ns ({self.time():.9f} s)"

    def stop(self) -> None:
        """Stop after this round; a source that is feeding returns at its next look."""
        super().stop()
        self.call_soon(_nothing)

    def end_tasks(self) -> None:
        """Cancel what is left in creation order, and run it to its end within `FAREWELL_NS`.

        Market data ends here: the farewell lives on timers alone.
        """
        self.detach_source()
        self.limit_ns = self.now_ns + FAREWELL_NS
        tasks = sorted(asyncio.all_tasks(self), key=hash)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                message = "a task failed while it was cancelled at the end"
                self.call_exception_handler({"message": message, "exception": error, "task": task})

    # -- what hangs on the loop -------------------------------------------------------------------

    def random_for(self, name: str) -> random.Random:
        """Return the random stream called `name`, which the seed and the name alone decide.

        A name stands for one stream: asking again continues it.
        """
        stream = self._randoms.get(name)
        if stream is None:
            stream = self._randoms[name] = seeded_random(self.seed, name)
        return stream

    @property
    def network(self) -> "MemoryNetwork":
        """The in-memory network of this loop, made when first asked for."""
        if self._network is None:
            from framework.simulation.network import MemoryNetwork  # it imports this module

            self._network = MemoryNetwork(self, self.seed)
        return self._network


def run_simulated(
    main: Callable[[], Awaitable[T]],
    *,
    seed: int = 0,
    start_ns: int = 0,
    limit_ns: int | None = None,
) -> T:
    """Run `main()` on a fresh `SimulatedLoop` and return its result.

    Tasks still there at the end are cancelled in creation order. Ctrl-C cancels `main`, lets it
    clean up, and comes out as `KeyboardInterrupt`; a second one interrupts at once.
    """

    async def call() -> T:
        return await main()

    loop = SimulatedLoop(seed=seed, start_ns=start_ns, limit_ns=limit_ns)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(call())
        finally:
            loop.end_tasks()


def seeded_random(seed: int, name: str) -> random.Random:
    """Return a generator that is independent for each pair of seed and name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return random.Random(int.from_bytes(digest, "big"))


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


def _nothing() -> None:
    """Be ready, so that a source looks up."""
