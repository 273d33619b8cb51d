"""Who is asked for a missing snapshot, how often, and what follows when none comes.

No I/O and no clock. While an instrument waits for a snapshot:

    at once (or when `permit` allows)   RequestSnapshot, again every `request_ns`
    after `resubscribe_ns`              Resubscribe
    after `reconnect_ns`                Reconnect, again after twice as long each time (at most 32)
    after `alert_ns`                    Alert, again every `alert_ns`

Where the venue answers no requests, the wait before `Resubscribe` is `request_ns`. A new
connection starts the steps again, except that of the alert: it counts from the first loss. While
the link is down nobody can be asked, and it comes back by itself: only the alert counts on.
"""

from collections.abc import Callable

import msgspec

from framework.model.book_recovery import Deadlines

MOST_DOUBLINGS = 5  # of the time between two reconnects that did not help


class RequestSnapshot(msgspec.Struct, frozen=True, gc=False, tag="request_snapshot"):
    """Ask the venue for a whole book of this instrument; `attempt` counts from 1."""

    instrument: str
    stream: str
    attempt: int


class Resubscribe(msgspec.Struct, frozen=True, gc=False, tag="resubscribe"):
    """Subscribe this stream again; call `BookRecovery.reset` when its numbers start anew."""

    stream: str
    age_ns: int


class Reconnect(msgspec.Struct, frozen=True, gc=False, tag="reconnect"):
    """Close the connection of this stream and open a new one, then `BookRecovery.reset`."""

    stream: str
    age_ns: int


class Alert(msgspec.Struct, frozen=True, gc=False, tag="alert"):
    """Tell a person: these instruments have had no true book for `age_ns`."""

    stream: str
    instruments: tuple[str, ...]
    age_ns: int


Request = RequestSnapshot | Resubscribe | Reconnect | Alert


def always(_now_ns: int) -> bool:
    """Permit every request."""
    return True


class Escalation:
    """The open snapshots of one subscription.

    `permit(now_ns)` is asked before each `RequestSnapshot`; what it refuses is tried again
    later. Several subscriptions share one token bucket here, so that 500 gaps at once make
    no storm.
    """

    def __init__(
        self,
        stream: str,
        *,
        can_request_snapshot: bool,
        deadlines: Deadlines,
        permit: Callable[[int], bool] = always,
    ) -> None:
        self._stream = stream
        self._can_request = can_request_snapshot
        self._deadlines = deadlines
        self._permit = permit
        self._due_ns: dict[str, int] = {}  # waiting instrument -> when to ask (again)
        self._attempts: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}  # outlives the wait: spaces the next one
        self._waiting_since_ns: int | None = None
        self._link_since_ns = 0
        self._alerted_ns = 0
        self._is_resubscribed = False
        self._reconnects = 0  # since all was in order
        self._is_link_up = True

    @property
    def next_due_ns(self) -> int | None:
        """When `due` has something to say next; None while nothing is open."""
        if self._waiting_since_ns is None or not self._due_ns:
            return None
        alert_ns = self._alerted_ns + self._deadlines.alert_ns
        if not self._is_link_up:
            return alert_ns
        steps = [self._resubscribe_ns, self._reconnect_ns]
        steps = steps[1:] if self._is_resubscribed else steps
        asks = self._due_ns.values() if self._can_request else ()
        return min(*steps, alert_ns, *asks)

    def open(self, instrument: str, now_ns: int, *, ask_at_ns: int) -> None:
        """Wait for a snapshot of `instrument`, asking from `ask_at_ns` on; no news if it waits."""
        if self._waiting_since_ns is None:
            self._waiting_since_ns = self._link_since_ns = self._alerted_ns = now_ns
            self._is_resubscribed = False
            self._reconnects = 0
        if instrument not in self._due_ns:
            self._attempts[instrument] = 0
            self._due_ns[instrument] = self._spaced(instrument, ask_at_ns)

    def ask_again(self, instrument: str, now_ns: int) -> None:
        """What came (or was lost) is of no use: ask as soon as the spacing allows."""
        due_ns = self._due_ns.get(instrument)
        if due_ns is not None:
            self._due_ns[instrument] = min(due_ns, self._spaced(instrument, now_ns))

    def close(self, instrument: str) -> None:
        """Stop waiting: the instrument is in order."""
        self._due_ns.pop(instrument, None)
        if not self._due_ns:
            self._waiting_since_ns = None

    def forget(self, instrument: str) -> None:
        """The instrument is no longer subscribed."""
        self.close(instrument)
        self._attempts.pop(instrument, None)
        self._asked_ns.pop(instrument, None)

    def restart_link(self, now_ns: int, *, ask_at_ns: int) -> None:
        """A new connection: what was asked on the old one is void; the alert counts on."""
        self._link_since_ns = now_ns
        self._is_resubscribed = False
        for instrument in self._due_ns:
            self._due_ns[instrument] = self._spaced(instrument, ask_at_ns)

    def lose_link(self) -> None:
        """The link is down: no steps until `regain_link`."""
        self._is_link_up = False

    def regain_link(self, now_ns: int, *, ask_at_ns: int) -> None:
        """The link is up: the steps begin anew."""
        self._is_link_up = True
        self.restart_link(now_ns, ask_at_ns=ask_at_ns)

    def due(self, now_ns: int) -> list[Request]:
        """Return what is to be done by now, each thing once per turn."""
        since_ns = self._waiting_since_ns
        if since_ns is None:
            return []
        age_ns = now_ns - since_ns
        requests: list[Request] = []
        if self._is_link_up:
            requests += self._snapshot_requests(now_ns)
            if not self._is_resubscribed and now_ns >= self._resubscribe_ns:
                self._is_resubscribed = True
                requests.append(Resubscribe(self._stream, age_ns))
            if now_ns >= self._reconnect_ns:
                self._link_since_ns = now_ns
                self._reconnects += 1
                requests.append(Reconnect(self._stream, age_ns))
        if now_ns >= self._alerted_ns + self._deadlines.alert_ns:
            self._alerted_ns = now_ns
            requests.append(Alert(self._stream, tuple(self._due_ns), age_ns))
        return requests

    @property
    def _resubscribe_ns(self) -> int:
        wait_ns = (
            self._deadlines.resubscribe_ns if self._can_request else self._deadlines.request_ns
        )
        return self._link_since_ns + wait_ns

    @property
    def _reconnect_ns(self) -> int:
        doublings = min(self._reconnects, MOST_DOUBLINGS)
        return self._link_since_ns + (self._deadlines.reconnect_ns << doublings)

    def _spaced(self, instrument: str, time_ns: int) -> int:
        asked_ns = self._asked_ns.get(instrument)
        return time_ns if asked_ns is None else max(time_ns, asked_ns + self._deadlines.spacing_ns)

    def _snapshot_requests(self, now_ns: int) -> list[RequestSnapshot]:
        requests: list[RequestSnapshot] = []
        if not self._can_request:
            return requests
        for instrument, due_ns in self._due_ns.items():
            if due_ns > now_ns:
                continue
            if not self._permit(now_ns):
                self._due_ns[instrument] = now_ns + self._deadlines.spacing_ns
                continue
            self._attempts[instrument] += 1
            self._asked_ns[instrument] = now_ns
            self._due_ns[instrument] = now_ns + self._deadlines.request_ns
            requests.append(RequestSnapshot(instrument, self._stream, self._attempts[instrument]))
        return requests
