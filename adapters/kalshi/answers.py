"""Matches what the venue answers to what was asked, by id and never by order of arrival.

A sid is taken from wherever the venue puts it: `msg.sid` of a `subscribed`, or the top level of
the `ok` with which some servers merge a subscription into an older one (B8).
"""

from adapters.kalshi.actions import Done, Emit, Fault, Refused, Told
from adapters.kalshi.book_keeping import BookKeeping
from adapters.kalshi.changes import Changes
from adapters.kalshi.codec import Frame
from adapters.kalshi.commands import (
    AskingSnapshots,
    Changing,
    Commands,
    Listing,
    Purpose,
    Subscribing,
    Unsubscribing,
)
from adapters.kalshi.messages import Okay, Refusal, Subscribed, Unsubscribed
from adapters.kalshi.roll import Roll
from adapters.kalshi.subscription import Subscription
from framework.errors import SubscriptionRefused

UNKNOWN_COMMANDS = frozenset({5, 13})  # this server has no `get_snapshot`
UNKNOWN_SID = 7
TERMINAL = frozenset({10, 25})  # nothing will ever come on that sid again

SERVER_ENDED = Refusal(0, "the venue unsubscribed it")


class Answers:
    """What follows from a control frame, or from the lack of one."""

    def __init__(
        self, emit: Emit, *, commands: Commands, roll: Roll, changes: Changes, books: BookKeeping
    ) -> None:
        self.stray_count = 0  # answers to nothing: repeats, too late
        self._emit = emit
        self._commands = commands
        self._roll = roll
        self._changes = changes
        self._books = books

    def on_subscribed(self, frame: Frame, message: Subscribed, now_ns: int) -> bool:
        """One channel of a subscribe was accepted; False: nobody waits for it."""
        number = frame.id
        if number is None:  # a server that does not echo ids
            number = self._commands.find_subscribing(message.channel)
        purpose = self._commands.purpose(number)
        if not isinstance(purpose, Subscribing) or message.channel not in purpose.waiting:
            self.stray_count += 1
            if message.sid not in self._roll.streams and message.sid not in self._roll.ended_sids:
                self._roll.release(message.sid, None, now_ns)  # too late: it was given up
            return False
        self._acknowledge(number, purpose, message.channel, message.sid, now_ns)
        return True

    def on_okay(self, frame: Frame, message: Okay, now_ns: int) -> None:
        """A change was accepted, a list came, or a subscribe was merged into an older sid."""
        match self._commands.purpose(frame.id):
            case Subscribing() as purpose:
                self._merge(frame, purpose, now_ns)
                return
            case Changing() as change:
                self._commands.settle(frame.id)
                self._changes.is_done(change, now_ns)
                if not change.requests:
                    self._changes.on_acknowledged(change.subscription, now_ns)
            case Listing(request=request):
                self._commands.settle(frame.id)
                if request is None:
                    self._roll.release_orphans(message.subscriptions, now_ns)
                else:
                    self._emit(Done(request, message.subscriptions))
            case _:
                self.stray_count += 1

    def on_unsubscribed(self, frame: Frame, now_ns: int) -> None:
        """A sid is gone: as we asked, or because the venue says so."""
        purpose = self._commands.purpose(frame.id)
        if isinstance(purpose, Unsubscribing):
            self._commands.settle(frame.id)
            if purpose.request is not None:
                self._emit(Done(purpose.request))
            return
        stream = self._roll.streams.get(frame.sid)
        if stream is None:
            self.stray_count += 1
        else:
            self._roll.interrupt(stream, SERVER_ENDED, now_ns)

    def on_refusal(self, frame: Frame, refusal: Refusal, now_ns: int) -> None:
        """A command failed, or a subscription did."""
        stream = self._roll.streams.get(frame.sid)
        member = stream.members[0] if stream is not None and stream.members else None
        told = Told(
            Fault.SERVER_ERROR,
            refusal.text,
            code=refusal.code,
            id=frame.id,
            sid=frame.sid,
            subscription=member,
        )
        self._emit(told)
        purpose = self._commands.purpose(frame.id)
        if isinstance(purpose, Subscribing):
            purpose.refusals.append(refusal)
            self._settle_subscribing(frame.id, purpose, now_ns)
        elif purpose is not None:
            self._commands.settle(frame.id)
            self._fail(purpose, refusal, now_ns)
        if stream is not None and not stream.is_over and refusal.code in TERMINAL:
            self._roll.interrupt(stream, refusal, now_ns)

    def on_snapshot(self, number: int, market: str) -> None:
        """A snapshot answers `get_snapshot` for its market."""
        purpose = self._commands.purpose(number)
        if isinstance(purpose, AskingSnapshots):
            purpose.markets.discard(market)
            if not purpose.markets:
                self._commands.settle(number)

    def on_time(self, now_ns: int, deadline_s: float) -> None:
        """Give up what was not answered in time."""
        silence = Refusal(0, f"no answer within {deadline_s:g} s")
        for purpose in self._commands.overdue(now_ns):
            self._emit(Told(Fault.NO_ANSWER, f"{_name(purpose)}: {silence.text}"))
            if isinstance(purpose, Subscribing):
                self._commands.send("list_subscriptions", None, Listing(None), now_ns)
            self._fail(purpose, silence, now_ns)

    def lose_all(self, unanswered: list[Purpose], reason: str, now_ns: int) -> None:
        """The connection is gone, and the answers with it; subscriptions are asked for anew."""
        lost = Refusal(0, reason)
        for purpose in unanswered:
            if isinstance(purpose, Unsubscribing | Listing):
                self._fail(purpose, lost, now_ns)

    def _fail(self, purpose: Purpose, refusal: Refusal, now_ns: int) -> None:
        match purpose:
            case Subscribing():
                for subscription in purpose.waiting.values():
                    self._roll.refuse(subscription, refusal, now_ns)
            case Changing():
                self._changes.is_refused(purpose, refusal, now_ns)
            case AskingSnapshots():
                is_unknown = refusal.code in UNKNOWN_COMMANDS
                self._books.ask_again(purpose, now_ns, is_unknown=is_unknown)
                if refusal.code == UNKNOWN_SID:
                    self._interrupt(purpose.subscriptions, refusal, now_ns)
            case Unsubscribing(request=request):
                if request is not None:
                    self._emit(Done(request))  # unknown sid or silence: it is over either way
            case Listing(request=request):
                if request is not None:
                    error = SubscriptionRefused("list", refusal.code, refusal.text)
                    self._emit(Refused(request, error))

    def _interrupt(self, subscriptions: list[Subscription], refusal: Refusal, now_ns: int) -> None:
        for subscription in subscriptions:
            stream = self._roll.streams.get(subscription.sid)
            if stream is not None:
                self._roll.interrupt(stream, refusal, now_ns)

    def _merge(self, frame: Frame, purpose: Subscribing, now_ns: int) -> None:
        """An `ok` to a subscribe: its channel is that of the sid, which exists already."""
        stream = self._roll.streams.get(frame.sid)
        channel = stream.channel if stream is not None else next(iter(purpose.waiting), "")
        sid = frame.sid if frame.sid is not None else self._sid_of(channel)
        if channel in purpose.waiting and sid is not None:
            self._acknowledge(frame.id, purpose, channel, sid, now_ns)
        else:
            self.stray_count += 1

    def _sid_of(self, channel: str) -> int | None:
        streams = self._roll.streams.values()
        return next((stream.sid for stream in streams if stream.channel == channel), None)

    def _acknowledge(
        self, number: int | None, purpose: Subscribing, channel: str, sid: int, now_ns: int
    ) -> None:
        subscription = purpose.waiting.pop(channel)
        self._roll.acknowledge(subscription, sid, now_ns)
        self._changes.on_acknowledged(subscription, now_ns)
        self._settle_subscribing(number, purpose, now_ns)

    def _settle_subscribing(self, number: int | None, purpose: Subscribing, now_ns: int) -> None:
        """Once each channel has its answer, those without a sid were refused, in whatever order."""
        if len(purpose.refusals) < len(purpose.waiting):
            return
        self._commands.settle(number)
        for subscription, refusal in zip(purpose.waiting.values(), purpose.refusals, strict=False):
            self._roll.refuse(subscription, refusal, now_ns)


def is_control(message: object) -> bool:
    """Say whether a message is about subscriptions rather than data."""
    return isinstance(message, Subscribed | Unsubscribed | Okay | Refusal)


def _name(purpose: Purpose) -> str:
    match purpose:
        case Subscribing():
            return f"subscribe {', '.join(purpose.waiting)}"
        case Changing():
            return f"{purpose.action} {', '.join(purpose.markets)}"
        case AskingSnapshots():
            return f"get_snapshot {', '.join(sorted(purpose.markets))}"
        case Unsubscribing():
            return "unsubscribe"
        case Listing():
            return "list_subscriptions"
