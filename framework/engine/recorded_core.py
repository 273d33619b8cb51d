"""What comes to the core, or leaves it, by other ways than the bus, and is recorded nevertheless.

Commands to venues, as they are made and as they leave. Calls of the order desk from outside every
item: a stop policy, whoever embeds the runtime. The kill switch, which another thread may trip,
and closed orders that leave memory once they are durable. Who else listens to the bus.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, get_args

from framework.bus.bus import Interest
from framework.bus.subscriber import Subscriber
from framework.engine.engine import Engine
from framework.engine.recorded_desk import COMMANDS, outcome_of
from framework.engine.recorded_run import RecordingClock
from framework.model.commands import VenueCommand
from framework.model.inputs import (
    CommandAnswered,
    CommandIssued,
    GateMoved,
    OnlookerCame,
    OnlookerLeft,
    OrderForgotten,
    VenueCommandMade,
    VenueCommandSent,
)
from framework.risk.kill_switch import GateState

if TYPE_CHECKING:
    from framework.engine.recorder import Recorder

CORE = -1  # where a run's index is asked for
KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in get_args(VenueCommand)}
DESK_CALLS = (*sorted(COMMANDS), "cancel_entries")  # by a policy of the core, not a strategy


class RecordedCore:
    """Stands in front of the engine's outputs, order desk, kill switch and registry.

    Attributes:
        from_threads: what other threads did to the kill switch and is not written down yet.
        desk_calls: the order desk's own calls, for those who have written them down already.
    """

    def __init__(self, recorder: "Recorder", clock: RecordingClock) -> None:
        self.from_threads: deque[GateMoved] = deque()
        self.desk_calls: dict[str, Callable[..., Any]] = {}
        self._recorder = recorder
        self._clock = clock
        self._thread = get_ident()
        self._runs: frozenset[str] = frozenset()
        self._onlookers: dict[Subscriber, int] = {}
        self._onlooker_count = 0

    def attach(self, engine: Engine, runs: Iterable[str]) -> None:
        """Put everything in place; whoever subscribes and is none of `runs` looks on."""
        self._runs = frozenset(runs)
        bus: Any = engine.bus
        bus.watch = partial(self._watched, bus.watch)
        bus._unroute = partial(self._left, bus._unroute)
        self._thread = get_ident()
        outputs, switch, registry = engine.outputs, engine.gate.kill_switch, engine.registry
        outputs.add = partial(self._made, outputs.add)  # type: ignore[method-assign] # put between
        outputs.mark_sent = partial(self._sent, outputs.mark_sent)
        for name in DESK_CALLS:
            call = self.desk_calls[name] = getattr(engine.desk, name)
            setattr(engine.desk, name, partial(self._called, name, call))
        moves: Any = switch
        moves.trip = partial(self._moved, GateState.HALTED, switch.trip)
        moves.hold = partial(self._moved, GateState.REDUCING, switch.hold)
        moves.release = partial(self._moved, GateState.ACTIVE, switch.release)
        release: Any = partial(self._forgotten, registry.release)
        registry.release = release  # type: ignore[method-assign] # put between

    def is_onlooker(self, subscriber: str) -> bool:
        """Whether a subscriber of this name is no run: what it does follows from no record."""
        return subscriber not in self._runs

    def command(
        self, owner: int, name: str, call: Callable[..., Any], args: Any, named: dict[str, Any]
    ) -> Any:
        """Write a call of the order desk down, carry it out, and write down what it came to."""
        recorder, time_ns = self._recorder, self._clock.now_ns
        arguments: Any = (args, named)  # encoded in one go
        recorder.write(CommandIssued(owner, name, arguments, time_ns))
        outcome = ""
        try:
            result = recorder.as_core(time_ns, call, *args, **named)
            outcome = outcome_of(result)
        except Exception as error:
            outcome = repr(error)
            raise
        finally:
            recorder.write(CommandAnswered(owner, outcome))
        return result

    def _called(self, name: str, call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        if self._recorder.is_deriving:
            return call(*args, **named)
        return self.command(CORE, name, call, args, named)

    def _made(self, add: Callable[[VenueCommand], None], command: Any) -> None:
        if self._recorder.is_deriving:
            self._recorder.write(VenueCommandMade(command))  # encoded in one go
        add(command)

    def _sent(self, mark_sent: Callable[[VenueCommand], None], command: VenueCommand) -> None:
        recorder, time_ns = self._recorder, self._clock.now_ns
        recorder.write(VenueCommandSent(KINDS[command.__class__], command.order_id, time_ns))
        recorder.as_core(time_ns, mark_sent, command)

    def _moved(
        self,
        state: GateState,
        move: Callable[..., None],
        by: str,
        reason: str = "",
        time_ns: int = 0,
    ) -> None:
        moved = GateMoved(state.value, by, reason, time_ns)
        if get_ident() != self._thread:
            self.from_threads.append(moved)
        elif not self._recorder.is_deriving:
            self._recorder.write(moved)
        if state is GateState.ACTIVE:
            move(by)
        else:
            move(by, reason, time_ns)

    def _watched(
        self, watch: Callable[..., None], subscriber: Subscriber, interest: Interest
    ) -> None:
        watch(subscriber, interest)
        if not self.is_onlooker(subscriber.name):
            return
        number = self._onlookers.get(subscriber)
        if number is None:
            number = self._onlookers[subscriber] = self._onlooker_count
            self._onlooker_count += 1
        only = tuple((field, tuple(sorted(interest.only[field]))) for field in interest.only)
        type_number = self._recorder.number_of(interest.event_type)
        self._recorder.write(OnlookerCame(number, type_number, only))

    def _left(self, unroute: Callable[[Subscriber], None], subscriber: Subscriber) -> None:
        unroute(subscriber)
        number = self._onlookers.pop(subscriber, None)
        if number is not None:
            self._recorder.write(OnlookerLeft(number))

    def _forgotten(self, release: Callable[[str], bool], order_id: str) -> bool:
        is_gone = release(order_id)
        if is_gone and not self._recorder.is_deriving:
            self._recorder.write(OrderForgotten(order_id))
        return is_gone


def kind_of(command: VenueCommand) -> str:
    """Return the tag of a venue command."""
    return KINDS[type(command)]
