"""Everything that can be made to go wrong with the streams, as data (S14).

    Fault
    ├── FrameFault           befalls frames on their way out, numbered already
    │   ├── Lose                 never sent; without end it is a silent subscription
    │   ├── Duplicate            sent again at once
    │   ├── Swap                 sent after the frames that follow it
    │   ├── Delay                sent later, frames that follow do not wait
    │   ├── AddFields            carries fields that nobody knows
    │   └── Garble               cut off in its middle: no JSON any more
    ├── Action               done to connections or subscriptions
    │   ├── Abort                the TCP connection is cut
    │   ├── Close                a close frame, after what is queued
    │   ├── HalfOpen             nothing goes out any more, nothing is heard, TCP stays
    │   ├── SendError            terminal ones end the subscription
    │   ├── Inject               any frame: unknown, malformed, binary, oversized
    │   ├── PushSnapshot         a snapshot that nobody asked for
    │   ├── Flood                many true frames at once
    │   └── RestartSequence      the counter of a living sid starts anew
    └── Condition            changes what the venue does, while it holds
        ├── RefuseHandshakes     a status, no answer, or a TCP reset
        ├── RefuseCommands       an error instead of the deed
        ├── SlowCommands         carried out, and answered, later
        ├── WithholdSnapshots    no snapshot comes, no number is used
        └── DeferSnapshots       deltas first, then a snapshot that contains them

A lost acknowledgement is `Lose(types=("subscribed",))`; data before the acknowledgement is
`Swap(types=("subscribed",))`; a late one that still precedes its data is `SlowCommands`.
"""

from typing import Any, Literal

import msgspec


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """Where and when. What is left out matches everything; all that is given must match.

    A fault begins `after_s` seconds after it was added, lets `after` matching frames (commands,
    snapshots, handshakes) pass, then strikes `count` times, and ends `for_s` seconds after it
    began at the latest.

    Raises:
        ValueError: a number is negative.
    """

    connection: int | None = None
    sid: int | None = None
    channel: str = ""
    market_ticker: str = ""
    after: int = 0
    after_s: float = 0.0
    for_s: float | None = None  # None: without end
    count: int | None = 1  # None: without end

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if min(self.after, self.after_s, self.for_s or 0, self.count or 0) < 0:
            raise ValueError("after, after_s, for_s and count must not be negative")

    def concerns(self, connection: int, sid: int, channel: str, ticker: str) -> bool:
        """Say whether it is about this; 0 and "" are what has no sid, channel or market."""
        return (
            self.connection in (None, connection)
            and self.sid in (None, sid)
            and self.channel in ("", channel)
            and self.market_ticker in ("", ticker)
        )


class FrameFault(Fault, frozen=True, kw_only=True):
    """Befalls frames of the given `types`; none given: every frame of data."""

    types: tuple[str, ...] = ()


class Lose(FrameFault, frozen=True, kw_only=True, tag="lose"):
    """The frame is numbered and never sent."""


class Duplicate(FrameFault, frozen=True, kw_only=True, tag="duplicate"):
    """The frame is sent again at once."""

    copies: int = 1


class Swap(FrameFault, frozen=True, kw_only=True, tag="swap"):
    """The frame is sent after the next `distance` frames of its connection."""

    distance: int = 1


class Delay(FrameFault, frozen=True, kw_only=True, tag="delay"):
    """The frame is sent `delay_s` later; those that follow it overtake it."""

    delay_s: float = 1.0


class AddFields(FrameFault, frozen=True, kw_only=True, tag="add_fields"):
    """The frame and its `msg` carry more fields."""

    fields: dict[str, Any] = msgspec.field(default_factory=lambda: {"unheard_of": [1, None]})


class Garble(FrameFault, frozen=True, kw_only=True, tag="garble"):
    """Only the first half of the frame is sent."""


class Action(Fault, frozen=True, kw_only=True):
    """Done to every connection or subscription that matches, at `after_s`, `count` times.

    With `after` it is done to the connection whose matching frame was the `after`-th, and again
    after as many more. `every_s` is the pause between the others.
    """

    types: tuple[str, ...] = ()  # frames that `after` counts; none given: every frame of data
    every_s: float = 1.0


class Abort(Action, frozen=True, kw_only=True, tag="abort"):
    """The TCP connection is cut; what is queued is lost."""


class Close(Action, frozen=True, kw_only=True, tag="close"):
    """A close frame is sent after what is queued."""

    code: int = 1000
    reason: str = ""


class HalfOpen(Action, frozen=True, kw_only=True, tag="half_open"):
    """Nothing goes out any more, pings and pongs included, and nothing is heard; TCP stays.

    It lasts for `for_s`, or until everything is healed.
    """


class SendError(Action, frozen=True, kw_only=True, tag="send_error"):
    """An `error` frame: on the subscriptions that match, or with no sid where none is named.

    `is_terminal` None: codes 10 and 25 are.
    """

    code: int
    text: str = ""
    is_terminal: bool | None = None


class Inject(Action, frozen=True, kw_only=True, tag="inject"):
    """Any frame: `text`, or else `binary` (base64 in JSON), sent as it is.

    `{sid}` and `{seq}` in the text become the sid of each matching subscription and its next
    number, used up only if the text names it; with neither, the frame goes out once.
    """

    text: str = ""
    binary: bytes = b""


class PushSnapshot(Action, frozen=True, kw_only=True, tag="push_snapshot"):
    """A snapshot of each matching book, without being asked."""


class Flood(Action, frozen=True, kw_only=True, tag="flood"):
    """`frames` true frames at once: deltas that cancel each other out, or the same ticker."""

    frames: int = 1000


class RestartSequence(Action, frozen=True, kw_only=True, tag="restart_sequence"):
    """The next number of the sid is `first`."""

    first: int = 1


class Condition(Fault, frozen=True, kw_only=True):
    """Changes what the venue does, while it holds."""

    count: int | None = None


class RefuseHandshakes(Condition, frozen=True, kw_only=True, tag="refuse_handshakes"):
    """The upgrade is answered with a status, with a TCP reset, or not at all for `hang_s`."""

    answer: int | Literal["hang", "reset"] = 503
    hang_s: float = 60.0  # then the connection is reset


class RefuseCommands(Condition, frozen=True, kw_only=True, tag="refuse_commands"):
    """An `error` frame instead of the deed; of a `subscribe`, for each channel that matches."""

    cmd: str = ""
    code: int = 17
    text: str = ""
    count: int | None = 1


class SlowCommands(Condition, frozen=True, kw_only=True, tag="slow_commands"):
    """The command is carried out and answered `delay_s` later."""

    cmd: str = ""
    delay_s: float = 1.0


class WithholdSnapshots(Condition, frozen=True, kw_only=True, tag="withhold_snapshots"):
    """No snapshot is sent, whether first or asked for."""


class DeferSnapshots(Condition, frozen=True, kw_only=True, tag="defer_snapshots"):
    """`deltas` deltas of the market come first; the snapshot then contains them."""

    deltas: int = 1


AnyFault = (
    Lose
    | Duplicate
    | Swap
    | Delay
    | AddFields
    | Garble
    | Abort
    | Close
    | HalfOpen
    | SendError
    | Inject
    | PushSnapshot
    | Flood
    | RestartSequence
    | RefuseHandshakes
    | RefuseCommands
    | SlowCommands
    | WithholdSnapshots
    | DeferSnapshots
)


class FaultRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chances, drawn from the seed for every frame of data.

    Raises:
        ValueError: the rates are no chances, or sum up to more than 1.
    """

    drop_rate: float = 0.0
    duplicate_rate: float = 0.0
    swap_rate: float = 0.0
    delay_rate: float = 0.0
    delay_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what are no chances."""
        rates = (self.drop_rate, self.duplicate_rate, self.swap_rate, self.delay_rate)
        if min(rates) < 0 or sum(rates) > 1 or self.delay_s < 0:
            raise ValueError("rates must be chances that sum up to 1 at most")

    @property
    def is_calm(self) -> bool:
        """Whether nothing ever happens."""
        return not (self.drop_rate or self.duplicate_rate or self.swap_rate or self.delay_rate)


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The faults a venue starts with; times count from its start."""

    faults: tuple[AnyFault, ...] = ()
    rates: FaultRates = FaultRates()


def malformed() -> Inject:
    """Return a frame that is no JSON."""
    return Inject(text='{"type": "ticker", "sid": ')


def oversized(size: int) -> Inject:
    """Return a frame of `size` bytes that is correct JSON of an unknown type."""
    head, tail = '{"type":"padding","msg":"', '"}'
    return Inject(text=head + "x" * (size - len(head) - len(tail)) + tail)


def unknown_type(channel: str = "") -> Inject:
    """Return a frame of a type that nobody knows: numbered in the subscriptions to `channel`."""
    if not channel:
        return Inject(text='{"type":"unheard_of","msg":{"value":1}}')
    text = '{"type":"unheard_of","sid":{sid},"seq":{seq},"msg":{"value":1}}'
    return Inject(channel=channel, text=text)


def unknown_sid(sid: int = 9_999) -> Inject:
    """Return a delta of a subscription that the connection never had."""
    return Inject(
        text=f'{{"type":"orderbook_delta","sid":{sid},"seq":1,"msg":{{"market_ticker":"NOWHERE",'
        '"market_id":"00000000-0000-0000-0000-000000000000","price_dollars":"0.5000",'
        '"delta_fp":"1.00","side":"yes"}}'
    )
