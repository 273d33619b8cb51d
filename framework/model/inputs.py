"""Records of the input log: what the engine took and what each strategy did with it, in one order.

A record says what came from outside and could not be derived again; what follows from it is
derived by the replay. Runs are named by their index in `SessionStarted.runs`, event types by the
number of their `TypeNamed`: both are per session. Times are market time, nanoseconds UTC, fixed
for everything that the record caused.
"""

import msgspec


class RunCode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One strategy of a session: its run, the run's session, its class, the hash of its code."""

    run: str
    session: int
    strategy: str
    code_hash: str


class SessionStarted(msgspec.Struct, frozen=True, tag="session", array_like=True, gc=False):
    """A process start, and what a replay needs to be equal.

    `order_position` is where the order log stood. `config` is the text of the configuration file
    (secrets in it are references), empty where there was no file. `hash_seed` is PYTHONHASHSEED,
    `random` where it was not set. `is_pumped`: a driver of recorded data delivered the events.
    """

    journal_id: str
    epoch: int
    time_ns: int
    runs: tuple[RunCode, ...]
    order_position: int = 0
    seed: int = 0
    config: str = ""
    config_hash: str = ""
    version: str = ""
    python: str = ""
    hash_seed: str = ""
    is_pumped: bool = False


class TypeNamed(msgspec.Struct, frozen=True, tag="type", array_like=True, gc=False):
    """Events of the type `module:qualified name` carry this number from here on."""

    number: int
    path: str


class InputTaken(msgspec.Struct, frozen=True, tag="in", array_like=True, gc=False):
    """One event from outside; `sequence` is the engine's before it. `event` is MessagePack.

    A simulated venue answers a market event inside its step: `behind` is how many other events
    had followed by then, -1 for an input of its own.
    """

    sequence: int
    time_ns: int
    type_number: int
    event: msgspec.Raw
    behind: int = -1


class TimerFired(msgspec.Struct, frozen=True, tag="timer", array_like=True, gc=False):
    """The `number`-th timer of a run (-1: of the core) fired."""

    run: int
    number: int
    time_ns: int


class EventDelivered(msgspec.Struct, frozen=True, tag="deliver", array_like=True, gc=False):
    """A run took its next event, number `sequence`, while the engine stood at `engine_sequence`."""

    run: int
    sequence: int
    engine_sequence: int
    time_ns: int


class ChannelEnded(msgspec.Struct, frozen=True, tag="ended", array_like=True, gc=False):
    """A run heard that one of its channels had overflowed."""

    run: int
    engine_sequence: int
    time_ns: int


class HandlerResumed(msgspec.Struct, frozen=True, tag="resume", array_like=True, gc=False):
    """What a handler awaited of the framework came, and it goes on.

    `call` is what it awaited. `has_waited` is false where the answer was there at once. `answer`
    is a value, or (`is_error`) an exception, as `framework/engine/values.py` packs them.
    """

    run: int
    call: str
    has_waited: bool
    engine_sequence: int
    time_ns: int
    answer: bytes
    is_error: bool = False


class HandlerEnded(msgspec.Struct, frozen=True, tag="end", array_like=True, gc=False):
    """A handler that had waited came to its end."""

    run: int
    engine_sequence: int
    time_ns: int


class CommandIssued(msgspec.Struct, frozen=True, tag="command", array_like=True, gc=False):
    """A strategy (-1: the core) called the order desk: arguments, then named ones, in MessagePack.

    Only what follows from no other record: what the core does within an item is derived.
    """

    run: int
    name: str
    arguments: msgspec.Raw
    time_ns: int


class CommandAnswered(msgspec.Struct, frozen=True, tag="answer", array_like=True, gc=False):
    """What that call came to: order ids with their status and reason, or why it was refused."""

    run: int
    outcome: str


class VenueCommandMade(msgspec.Struct, frozen=True, tag="made", array_like=True, gc=False):
    """The core made a venue command, for a strategy or by itself; it waits for the log."""

    command: msgspec.Raw


class VenueCommandSent(msgspec.Struct, frozen=True, tag="sent", array_like=True, gc=False):
    """A venue command left; `kind` is its tag."""

    kind: str
    order_id: str
    time_ns: int


class EventsHanded(msgspec.Struct, frozen=True, tag="handed", array_like=True, gc=False):
    """Events were put in front of a run's queues from outside: (type number, MessagePack)."""

    run: int
    time_ns: int
    events: tuple[tuple[int, msgspec.Raw], ...]


class WarmUpAnswered(msgspec.Struct, frozen=True, tag="warm_up", array_like=True, gc=False):
    """The history that a run's warm-up had asked for came."""

    run: int
    time_ns: int
    answer: bytes
    is_error: bool = False


class OrdersBlocked(msgspec.Struct, frozen=True, tag="blocked", array_like=True, gc=False):
    """Orders of a run are denied with this reason from now on; an empty one ends that."""

    run: int
    time_ns: int
    reason: str


class GateMoved(msgspec.Struct, frozen=True, tag="gate", array_like=True, gc=False):
    """The kill switch was tripped, held or released from outside every item, or by a thread."""

    state: str
    by: str
    reason: str
    time_ns: int


class OrderForgotten(msgspec.Struct, frozen=True, tag="forgotten", array_like=True, gc=False):
    """A closed order left memory: the log answers for it from here on."""

    order_id: str


class OnlookerCame(msgspec.Struct, frozen=True, tag="onlooker", array_like=True, gc=False):
    """A subscriber that is no run wants events: some are only made, and numbered, for who asks.

    `only` are the fields that it limits, each with its values.
    """

    onlooker: int
    type_number: int
    only: tuple[tuple[str, tuple[str, ...]], ...]


class OnlookerLeft(msgspec.Struct, frozen=True, tag="onlooker_left", array_like=True, gc=False):
    """That subscriber hears nothing more."""

    onlooker: int


class RunUnverifiable(msgspec.Struct, frozen=True, tag="unverifiable", array_like=True, gc=False):
    """From here on a run (-1: every run) depends on what no record holds."""

    run: int
    reason: str
    time_ns: int


InputRecord = (
    SessionStarted
    | TypeNamed
    | InputTaken
    | TimerFired
    | EventDelivered
    | ChannelEnded
    | HandlerResumed
    | HandlerEnded
    | CommandIssued
    | CommandAnswered
    | VenueCommandMade
    | VenueCommandSent
    | EventsHanded
    | WarmUpAnswered
    | OrdersBlocked
    | GateMoved
    | OrderForgotten
    | OnlookerCame
    | OnlookerLeft
    | RunUnverifiable
)
"""One entry of the input log."""
