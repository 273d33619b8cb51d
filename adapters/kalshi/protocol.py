"""The streaming session: everything about the venue's socket but the socket.

No I/O and no clock. Frames, the time and the wishes of an owner go in; what to do comes out of
`emit`, in order (`actions.py`). One reader feeds it all frames, whatever else is on its way (B7);
frames are routed by sid, never by type (B9).
"""

from random import Random

import msgspec

from adapters.kalshi.actions import Deliver, Emit, Fault, GapFound, Reread, Told
from adapters.kalshi.answers import TERMINAL, Answers, is_control
from adapters.kalshi.book_keeping import BookKeeping
from adapters.kalshi.changes import Changes
from adapters.kalshi.codec import Frame
from adapters.kalshi.commands import Changing, Commands, Listing, Wake
from adapters.kalshi.messages import Book, Level, Okay, Refusal, Subscribed, Unsubscribed
from adapters.kalshi.policy import Policy
from adapters.kalshi.roll import Roll
from adapters.kalshi.sid_stream import Old, SidStream
from adapters.kalshi.subscription import (
    ORDER_GROUPS,
    Parameters,
    Subscription,
)
from adapters.kalshi.waiting_frames import WaitingFrames
from framework.market.sequence import Verdict
from framework.model.book_recovery import SECOND_NS

SPENT = Okay()  # stands for a control frame that was acted on, and still uses up its number
EMPTY_PARAMETERS = Parameters()


class SessionStatistics(msgspec.Struct):
    """Counts over all connections."""

    connections: int = 0
    malformed: int = 0  # no JSON object, no envelope, not text
    unrouted: int = 0  # of sids that nobody has (K57)
    late: int = 0  # of sids that are over
    early_lost: int = 0  # came before an acknowledgement, and were too many


class Session:
    """Durable subscriptions over whatever happens to sids and connections.

    The caller calls `on_time` at `wake_ns` or soon after. Requests carry numbers of its choice.
    `emit` must not call back; what it wants of the session waits until the call has returned.
    """

    def __init__(self, emit: Emit, *, random: Random, policy: Policy | None = None) -> None:
        self.policy = policy = policy or Policy()
        self.statistics = SessionStatistics()
        self._emit = emit
        self._wake = wake = Wake()
        self._commands = Commands(emit, wake, deadline_ns=policy.command_ns)
        self._books = BookKeeping(emit, policy, self._commands, wake)
        self._roll = Roll(
            emit, policy, commands=self._commands, books=self._books, wake=wake, random=random
        )
        self._changes = Changes(emit, policy, roll=self._roll, books=self._books, wake=wake)
        self._answers = Answers(
            emit,
            commands=self._commands,
            roll=self._roll,
            changes=self._changes,
            books=self._books,
        )
        self._streams = self._roll.streams
        self._early = WaitingFrames(per_sid=policy.waiting_per_sid, sids=policy.waiting_sids)

    @property
    def wake_ns(self) -> int | None:
        """When `on_time` has something to do; None: nothing is open."""
        return self._wake.at_ns

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What has not ended, oldest first."""
        return tuple(self._roll.subscriptions.values())

    def gauges(self) -> dict[str, int]:
        """Return counts of the session and how things stand now."""
        counts: dict[str, int] = msgspec.structs.asdict(self.statistics)
        return {
            **counts,
            "subscriptions": len(self._roll.subscriptions),
            "sids": len(self._streams),
            "commands": self._commands.sent_count,
            "unanswered": self._commands.unanswered_count,
            "stray_answers": self._answers.stray_count,
        }

    # -- wishes ----------------------------------------------------------------------------------

    def subscribe(
        self, *channels: str, parameters: Parameters = EMPTY_PARAMETERS, now_ns: int
    ) -> tuple[Subscription, ...]:
        """Subscribe channels in one command; `Acknowledged` or `Ended` follows for each.

        Without a connection they wait for one (K48).
        """
        enlisted = tuple(self._roll.enlist(channel, parameters) for channel in channels)
        self._roll.ask(enlisted, now_ns)
        return enlisted

    def unsubscribe(self, subscription: Subscription, request: int, now_ns: int) -> bool:
        """End a subscription at once; True: `Done` follows when the venue has answered."""
        if subscription.id not in self._roll.subscriptions:
            return False
        return self._roll.unsubscribe(subscription, request, now_ns)

    def add_markets(
        self, subscription: Subscription, markets: tuple[str, ...], request: int, now_ns: int
    ) -> None:
        """Cover more markets; `Done` or `Refused` follows.

        Raises:
            ValueError: the subscription has no filter by ticker: it covers them, or cannot.
        """
        self._changes.add(subscription, markets, request, now_ns)

    def delete_markets(
        self, subscription: Subscription, markets: tuple[str, ...], request: int, now_ns: int
    ) -> None:
        """Cover fewer markets; `Done` or `Refused` follows.

        Raises:
            ValueError: none would be left, which would mean all: unsubscribe instead.
        """
        self._changes.delete(subscription, markets, request, now_ns)

    def list_subscriptions(self, request: int, now_ns: int) -> bool:
        """Ask what the venue thinks is subscribed; False: there is no connection."""
        if self._commands.is_open:
            self._commands.send("list_subscriptions", None, Listing(request), now_ns)
        return self._commands.is_open

    def request_snapshots(
        self, subscription: Subscription, markets: tuple[str, ...], now_ns: int
    ) -> bool:
        """Ask for whole books, without a doubt about those we have; False: it cannot be asked."""
        return self._books.request(subscription, markets, now_ns)

    def resubscribe(self, subscription: Subscription, reason: str, now_ns: int) -> None:
        """Take its sid back and ask for a new one; its books wait for their snapshots."""
        stream = self._streams.get(subscription.sid)
        if stream is not None:
            self._roll.replace(stream, reason, now_ns)

    # -- the connection --------------------------------------------------------------------------

    def on_open(self, now_ns: int) -> None:
        """A new connection is up."""
        self.statistics.connections += 1
        self._commands.is_open = True
        self._books.can_ask = True
        self._roll.renew_all(now_ns)

    def on_lost(self, reason: str, now_ns: int) -> None:
        """The connection is gone: no sid, number or command of it counts any more."""
        self._commands.is_open = False
        unanswered = self._commands.clear()
        self._roll.lose_all(reason, now_ns)
        self._changes.lose_all([asked for asked in unanswered if isinstance(asked, Changing)])
        self._answers.lose_all(unanswered, reason, now_ns)
        self._early.clear()

    def on_malformed(self, text: str) -> None:
        """Something came that is no frame at all; the connection stays (K56)."""
        self.statistics.malformed += 1
        self._emit(Told(Fault.UNDECODABLE, text))

    def on_time(self, now_ns: int) -> None:
        """Do what is due."""
        self._wake.at_ns = None
        for stream in list(self._streams.values()):
            if stream.is_holding:
                self._check_held(stream, now_ns)
        self._answers.on_time(now_ns, self.policy.command_ns / SECOND_NS)
        self._changes.on_time(now_ns)
        self._roll.on_time(now_ns)
        self._forget_early()
        for subscription in self._books.on_time(self._roll.subscriptions.values(), now_ns):
            self.resubscribe(subscription, "no snapshot came", now_ns)

    # -- frames ----------------------------------------------------------------------------------

    def on_frame(self, frame: Frame, now_ns: int) -> None:
        """Take one frame."""
        stream = self._streams.get(frame.sid)
        if stream is None:
            self._take_unrouted(frame, now_ns)
            return
        number = frame.seq
        if number is None or stream.advance(number, frame):
            self._take(stream, frame, now_ns)
        else:
            self._take_out_of_turn(stream, number, frame, now_ns)
        if self._wake.at_ns is not None and self._wake.at_ns <= now_ns:
            self.on_time(now_ns)  # a book was lost: ask for it in the same breath

    def _take(self, stream: SidStream, frame: Frame, now_ns: int) -> None:
        """Use a frame whose turn it is."""
        message = frame.message
        members = stream.members
        for member in members:
            statistics = member.statistics
            statistics.frames += 1
            statistics.last_frame_ns = now_ns
        if type(message) is Level:
            self._books.on_level(members, frame, message, now_ns)
        elif type(message) is Book:
            if frame.id is not None:
                self._answers.on_snapshot(frame.id, message.market_ticker)
            self._books.on_book(members, frame, message, now_ns)
        elif is_control(message):
            self._take_control(frame, now_ns)
        elif message is None:
            self._take_unreadable(stream, frame, now_ns)
        else:
            market = getattr(message, "market_ticker", "") if len(members) > 1 else ""
            for member in members:
                if member.covers(market):
                    self._emit(Deliver(member, frame))

    def _take_unreadable(self, stream: SidStream, frame: Frame, now_ns: int) -> None:
        """Deliver an unknown type or an unreadable body as it came (B19, B21)."""
        fault = Fault.UNDECODABLE if frame.error else Fault.UNKNOWN_TYPE
        text = f"{frame.type}: {frame.error}" if frame.error else frame.type
        for member in stream.members:
            member.statistics.undecodable += bool(frame.error)
            member.statistics.unknown_types += not frame.error
            self._emit(Told(fault, text, sid=frame.sid, subscription=member))
            self._emit(Deliver(member, frame))
            if frame.error and member.has_books:  # its content is missing, as after a gap
                self._books.distrust(member, f"unreadable {text}", now_ns)

    def _take_control(self, frame: Frame, now_ns: int) -> None:
        """Act on an answer, or on what the venue says of a sid."""
        match frame.message:
            case Subscribed() as message:
                self._take_subscribed(frame, message, now_ns)
            case Okay() as message:
                if message is not SPENT:
                    self._answers.on_okay(frame, message, now_ns)
            case Unsubscribed():
                self._answers.on_unsubscribed(frame, now_ns)
            case Refusal() as message:
                self._answers.on_refusal(frame, message, now_ns)
        self._forget_early()

    def _take_subscribed(self, frame: Frame, message: Subscribed, now_ns: int) -> None:
        self._answers.on_subscribed(frame, message, now_ns)
        for early in self._early.take(message.sid):
            self.on_frame(early, now_ns)

    def _forget_early(self) -> None:
        """Once nobody waits for an acknowledgement, what came early was nobody's."""
        if not self._early.is_empty and not self._commands.is_subscribing:
            self.statistics.unrouted += self._early.clear()

    def _take_unrouted(self, frame: Frame, now_ns: int) -> None:
        """A frame without a sid, or of a sid that nobody has, or has yet."""
        if is_control(frame.message):
            self._take_control(frame, now_ns)
        elif frame.sid is None:
            fault = Fault.UNDECODABLE if frame.error else Fault.UNKNOWN_TYPE
            self._emit(Told(fault, f"{frame.type} without a sid {frame.error}".rstrip()))
        elif frame.sid in self._roll.ended_sids:
            self.statistics.late += 1
        elif not self._commands.is_subscribing:
            self.statistics.unrouted += 1
        elif self._early.keep(frame.sid, frame):
            text = f"more than {self.policy.waiting_per_sid} frames before an acknowledgement"
            self._emit(Told(Fault.EARLY_FRAMES_LOST, text, sid=frame.sid))

    # -- numbers ---------------------------------------------------------------------------------

    def _take_out_of_turn(self, stream: SidStream, number: int, frame: Frame, now_ns: int) -> None:
        """Judge a frame that is not simply the next one."""
        if stream.is_old(number) and not self._begins_anew(stream, number, frame, now_ns):
            return
        if self._is_urgent(frame):
            self._take_control(frame, now_ns)  # an answer does not wait for its turn
            if stream.is_over:
                return
            frame = msgspec.structs.replace(frame, message=SPENT, id=None)
        verdict, released = stream.tracker.receive(number, number, frame)
        if verdict is Verdict.GAP:
            self._take_gap(stream, released, now_ns)
        elif verdict is Verdict.DUPLICATE:
            self._count_duplicate(stream)
        elif verdict is Verdict.HELD:
            self._hold(stream, now_ns)
        else:
            self._release(stream, released, now_ns)

    def _is_urgent(self, frame: Frame) -> bool:
        """Say whether it is an answer, or the end of its sid."""
        message = frame.message
        if not is_control(message):
            return False
        return frame.id is not None or (isinstance(message, Refusal) and message.code in TERMINAL)

    def _begins_anew(self, stream: SidStream, number: int, frame: Frame, now_ns: int) -> bool:
        """Deal with an old number; True: the counter of the sid began again with it (B27)."""
        old = stream.judge_old(number, frame) if self.policy.detects_restarts else Old.REPEAT
        if old is Old.REPEAT or old is Old.LATE:
            self._count_duplicate(stream)
            return False
        expected = (stream.tracker.position or 0) + 1
        self._lose(stream, expected, number, now_ns)
        if old is Old.SUSPECT:
            return False  # not to be used: it may be of long ago
        stream.begin_anew()
        for member in stream.members:
            member.statistics.restarts += 1
        return True

    def _count_duplicate(self, stream: SidStream) -> None:
        for member in stream.members:
            member.statistics.duplicates += 1

    def _hold(self, stream: SidStream, now_ns: int) -> None:
        if not stream.is_holding:
            stream.is_holding = True
            stream.held_since_ns = now_ns
        self._wake.by(stream.held_since_ns + self.policy.reorder_ns)

    def _release(self, stream: SidStream, released: list[Frame], now_ns: int) -> None:
        """Use frames that are in order now."""
        stream.is_holding = stream.tracker.held_count > 0
        for member in stream.members:
            member.statistics.reorders += len(released) - 1
        for frame in released:
            if not stream.is_over:
                stream.remember(frame)
                self._take(stream, frame, now_ns)

    def _check_held(self, stream: SidStream, now_ns: int) -> None:
        give_up_ns = stream.held_since_ns + self.policy.reorder_ns
        if give_up_ns <= now_ns:
            self._take_gap(stream, stream.tracker.give_up(), now_ns)
        else:
            self._wake.by(give_up_ns)

    def _take_gap(self, stream: SidStream, frames: list[Frame], now_ns: int) -> None:
        """Numbers before `frames` are missing: what is built on the sid is lost, but for them."""
        first, *rest = frames
        number = first.seq or 0
        expected = (stream.tracker.position or 0) + 1
        for member in stream.members:
            member.statistics.gaps += 1
        self._lose(stream, expected, number, now_ns)
        if self.policy.drops_gap_frame:
            stream.begin_anew()
        else:
            stream.go_on_at(number)
            stream.remember(first)
            self._take(stream, first, now_ns)
        for frame in rest:
            if not stream.is_over and frame.seq is not None:
                self._take_in_turn(stream, frame.seq, frame, now_ns)

    def _take_in_turn(self, stream: SidStream, number: int, frame: Frame, now_ns: int) -> None:
        if stream.advance(number, frame):
            self._take(stream, frame, now_ns)
        else:
            self._take_out_of_turn(stream, number, frame, now_ns)

    def _lose(self, stream: SidStream, expected: int, received: int, now_ns: int) -> None:
        """Tell every member of a hole; their books are invalid at once (B2, K27)."""
        for member in stream.members:
            self._emit(GapFound(member, expected, received))
            if member.has_books:
                reason = f"expected number {expected}, received {received}"
                self._books.distrust(member, reason, now_ns)
            elif member.channel == ORDER_GROUPS:
                self._emit(Reread(member, f"numbers before {received} are missing"))
