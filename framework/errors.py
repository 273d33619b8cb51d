"""Every error this package raises.

FrameworkError
├── ConfigError              a setting is missing or makes no sense
├── DataError                a data file cannot be read, or says something impossible
├── VenueError               the other side refused, or broke its own rules
│   ├── VenueUnavailable     retry later; whether it acted is a question, not an answer
│   │   └── NotSent          retry later; certainly not a byte has left
│   ├── RateLimited          retry after `retry_after_s`
│   ├── RequestRefusedByVenue    it answered with a refusal: status, code and text
│   │   ├── AccessRefused    the key, its signature or its rights (401, 403)
│   │   ├── NotFound         there is no such thing (404)
│   │   ├── Conflict         it contradicts what is there already (409)
│   │   └── InvalidRequest   any other 4xx
│   ├── SubscriptionRefused  a stream was refused, or ended by the venue
│   └── MalformedMessage     what came cannot be read, or says something impossible
├── StreamError              numbered data can no longer be trusted
│   ├── SequenceGap          a delta is missing; take a new snapshot
│   └── ChannelOverflow      the reader fell behind a channel that must not drop
├── OrderError               the caller asked for something impossible
│   ├── OffGrid              a price or quantity is not on the instrument's grid
│   ├── UnknownInstrument    no venue of this configuration has that instrument
│   ├── UnknownOrder         the caller has no such order
│   └── KeyConflict          the key was used for an order of other content
├── Forbidden                whoever asks may not do that
├── JournalError             the journal cannot be opened, read or written
│   ├── JournalLocked        another process has it (R-09)
│   └── JournalDamaged       an entry does not bear out its checksum (R-05)
├── StrategyError            strategy code went wrong
│   └── HandlerTimeout       a handler blocked the loop for longer than its limit
├── InvariantBroken          a bug of ours: the engine halts rather than guess
└── SimulationError          a simulated world was used against its rules
    ├── SimulationDeadlock   nothing is ready and nothing is scheduled
    ├── SimulationStalled    callbacks run for ever at one instant
    ├── SimulationTimeLimit  virtual time passed its cap
    └── ForbiddenInSimulation  a thread, process or real socket
"""


class FrameworkError(Exception):
    """Base of every error raised on purpose."""

    is_retryable: bool = False


class ConfigError(FrameworkError):
    """A setting is missing or makes no sense; `str()` is one line with place and reason."""

    def __init__(
        self, reason: str, *, file: str | None = None, line: int | None = None, key: str = ""
    ) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(": ".join(part for part in (place, key, reason) if part))
        self.reason = reason
        self.file = file
        self.line = line
        self.key = key


class DataError(FrameworkError):
    """A data file cannot be read, or says something impossible; names file, line and reason."""

    def __init__(self, reason: str, *, file: str | None = None, line: int | None = None) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.file = file
        self.line = line


class VenueError(FrameworkError):
    """The other side refused, or broke its own rules."""


class VenueUnavailable(VenueError):
    """The other side cannot be reached; whether it acted is unknown."""

    is_retryable = True


class NotSent(VenueUnavailable):
    """The request did not leave: there was no connection, no room, or no time."""


class RateLimited(VenueError):
    """The venue asks for a pause of `retry_after_s` seconds."""

    is_retryable = True

    def __init__(self, venue: str, retry_after_s: float) -> None:
        super().__init__(f"{venue} asks for a pause of {retry_after_s:.1f} s")
        self.venue = venue
        self.retry_after_s = retry_after_s


class RequestRefusedByVenue(VenueError):
    """The venue answered a request with a refusal; `code` is its own word, "" if it gave none."""

    def __init__(self, venue: str, status: int, code: str = "", text: str = "") -> None:
        said = " ".join(part for part in (code, text) if part)
        super().__init__(f"{venue} answered {status}: {said}" if said else f"{venue}: {status}")
        self.venue = venue
        self.status = status
        self.code = code
        self.text = text


class AccessRefused(RequestRefusedByVenue):
    """The key, its signature or its rights (401, 403); trying again cannot help."""


class NotFound(RequestRefusedByVenue):
    """There is no such thing, or not yet (404)."""


class Conflict(RequestRefusedByVenue):
    """It contradicts what is there already (409), such as an order id that was used."""


class InvalidRequest(RequestRefusedByVenue):
    """The venue does not take a request like this (400 and other 4xx)."""


class SubscriptionRefused(VenueError):
    """A stream was refused or ended by the venue; `code` is the venue's number, 0 if none."""

    def __init__(self, stream: str, code: int, text: str) -> None:
        super().__init__(f"{stream}: {text} (code {code})" if code else f"{stream}: {text}")
        self.stream = stream
        self.code = code
        self.text = text


class MalformedMessage(VenueError):
    """What came cannot be read, or says something impossible; it is counted and skipped."""


class StreamError(FrameworkError):
    """Numbered data can no longer be trusted."""


class SequenceGap(StreamError):
    """A numbered message is missing."""

    def __init__(self, stream: str, expected: int, received: int) -> None:
        super().__init__(f"{stream}: expected number {expected}, received {received}")
        self.stream = stream
        self.expected = expected
        self.received = received


class ChannelOverflow(StreamError):
    """The reader fell behind a channel that must not drop; its subscription has ended.

    `resume_after` is the engine's sequence number of the last event that the reader could
    still take: `subscribe(after=resume_after)` continues from the log without a hole.
    """

    def __init__(
        self, channel: str, capacity: int, *, counts: dict[str, int], resume_after: int
    ) -> None:
        super().__init__(f"channel {channel!r} is full at {capacity} events")
        self.channel = channel
        self.capacity = capacity
        self.counts = counts
        self.resume_after = resume_after


class OrderError(FrameworkError):
    """The caller asked for something impossible; `reason` is a short code or sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OffGrid(OrderError):
    """A price or quantity is not on the instrument's grid."""


class UnknownInstrument(OrderError):
    """No venue of this configuration has that instrument."""

    def __init__(self, instrument: str) -> None:
        super().__init__(f"unknown instrument {instrument!r}")
        self.instrument = instrument


class UnknownOrder(OrderError):
    """The caller has no such order."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"there is no order {order_id!r}")
        self.order_id = order_id


class KeyConflict(OrderError):
    """The run has used this key for an order of other content."""

    def __init__(self, run: str, key: str, order_id: str) -> None:
        super().__init__(f"run {run!r} used key {key!r} for another order, {order_id}")
        self.run = run
        self.key = key
        self.order_id = order_id


class Forbidden(FrameworkError):
    """Whoever asks may not do that, or not with this instrument."""


class JournalError(FrameworkError):
    """The journal cannot be opened, read or written; names the place and the reason."""


class JournalLocked(JournalError):
    """Another process has the journal, or an account that it trades on."""


class JournalDamaged(JournalError):
    """An entry does not bear out its checksum; what comes before it can be trusted."""


class StrategyError(FrameworkError):
    """Strategy code went wrong."""


class HandlerTimeout(StrategyError):
    """A plain handler blocked the loop for longer than its limit."""


class InvariantBroken(FrameworkError):
    """A bug of ours: the engine halts rather than guess."""


class SimulationError(FrameworkError):
    """A simulated world was used against its rules."""


class SimulationDeadlock(SimulationError):
    """Nothing is ready and nothing is scheduled: the waiting tasks can never go on."""


class SimulationStalled(SimulationError):
    """Callbacks run for ever at one instant of virtual time."""


class SimulationTimeLimit(SimulationError):
    """Virtual time passed its cap."""


class ForbiddenInSimulation(SimulationError):
    """Threads, processes and real sockets do not exist in a simulated world."""
