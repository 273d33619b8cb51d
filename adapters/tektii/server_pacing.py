"""Acknowledgements: market time stands still until clients have handled what they were shown.

    registered    a paced frame was produced, for the connections that were open when its step began
    sent          it was handed to a connection
    released      that connection has named its id, or was closed; dropped by a filter: at once
    settled       every frame of the step is released for every connection, or its time is up

An acknowledgement releases exactly the ids that it names, on its own connection; unknown, repeated
or none have no effect, and one that overtakes the "sent" mark counts with it. With `is_draining`
any of them releases all that was sent (for clients that never echo ids).

What nobody could be told, as the only client was just connecting anew, waits for one until the
time of the step is up. What was not acknowledged by then is given up: the next step waits for its
own frames alone. After too many such steps in a row the run is over.

Source: sections 12.1 to 12.4 of the gateway's description.
"""

import asyncio
from collections.abc import Callable, Iterable

import anyio
import anyio.lowlevel

from framework.errors import StrategyError
from framework.server.attendance import pause

ACK_TIMEOUT_S = 5.0
FIRST_LIMIT = 24  # steps in a row without an acknowledgement, before the first one ever
LATER_LIMIT = 5
MOST_WAITED = 100_000  # frames of one step, per connection; those beyond are not waited for
FAREWELL_S = 1.0
FLUSH_LOOK_S = 0.005


class Acks:
    """Who has yet to acknowledge what of the present step; sans-IO.

    `needs_clients`: with nobody there a frame waits for somebody. `on_change` is called whenever
    anything was released, or a connection came or went.

    Attributes:
        timeouts: how many steps in a row have timed out.
        has_acked: somebody has acknowledged something, ever.
        given_up_count: how many frames were not acknowledged in time, per connection and frame.
    """

    def __init__(
        self,
        *,
        needs_clients: bool = True,
        is_draining: bool = False,
        first_limit: int = FIRST_LIMIT,
        later_limit: int = LATER_LIMIT,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.timeouts = 0
        self.has_acked = False
        self.given_up_count = 0
        self.open: set[str] = set()
        self.on_change = on_change
        self._needs_clients = needs_clients
        self._is_draining = is_draining
        self._first_limit = first_limit
        self._later_limit = later_limit
        self._waited: dict[str, dict[str, _Mark]] = {}  # of the step, by connection and event
        self._untold: dict[str, None] = {}
        self._has_begun = False

    @property
    def is_settled(self) -> bool:
        """Nothing of this step waits any more."""
        return not self._untold and not any(self._waited.values())

    @property
    def waiting_for(self) -> list[tuple[str, str]]:
        """What is waited for, as (connection, event id); connection "" where nobody was there."""
        untold = [("", event_id) for event_id in self._untold]
        return untold + [(name, one) for name, marks in self._waited.items() for one in marks]

    @property
    def is_over(self) -> bool:
        """Too many steps in a row have timed out."""
        return self.timeouts >= (self._later_limit if self.has_acked else self._first_limit)

    def opened(self, connection: str) -> list[str]:
        """Note a connection; return the events that nobody was told yet and that it waits for.

        They are registered for it: each is to be `sent` or `filtered`.
        """
        self.open.add(connection)
        untold = list(self._untold)
        if untold:
            self._untold.clear()
            self._waited[connection] = {event_id: _Mark() for event_id in untold}
        self.on_change()
        return untold

    def closed(self, connection: str) -> None:
        """Note that a connection is gone, which acknowledges all that it was told."""
        self.open.discard(connection)
        self._waited.pop(connection, None)
        self.on_change()

    def registered(self, event_id: str, connections: Iterable[str]) -> None:
        """Note a new frame, and the connections whose filter lets it through.

        A step begins with its first frame: only those are waited for that are open then.
        """
        if not self._has_begun:
            self._has_begun = True
            self._waited = {name: {} for name in sorted(self.open)}
        if not self.open:
            if self._needs_clients and len(self._untold) < MOST_WAITED:
                self._untold[event_id] = None
            return
        for name in connections:
            marks = self._waited.get(name)
            if marks is not None and len(marks) < MOST_WAITED:
                marks.setdefault(event_id, _Mark())

    def sent(self, event_id: str, connection: str) -> None:
        """Note that a frame was handed to a connection."""
        mark = self._waited.get(connection, {}).get(event_id)
        if mark is not None:
            mark.is_sent = True
            if mark.is_acked:
                self._release(connection, [event_id])

    def filtered(self, event_id: str, connection: str) -> None:
        """Note that a connection does not get a frame after all."""
        if self._waited.get(connection, {}).pop(event_id, None) is not None:
            self.on_change()

    def acked(self, connection: str, event_ids: Iterable[object]) -> None:
        """Take an acknowledgement, whatever is in it."""
        marks = self._waited.get(connection)
        if not marks:
            return
        if self._is_draining:
            self._release(connection, [one for one, mark in marks.items() if mark.is_sent])
            return
        named = []
        for event_id in event_ids:
            mark = marks.get(event_id) if isinstance(event_id, str) else None
            if mark is not None and isinstance(event_id, str):
                mark.is_acked = True
                if mark.is_sent:
                    named.append(event_id)
        self._release(connection, named)

    def next_step(self) -> None:
        """Begin anew: all that was waited for is released."""
        self._waited.clear()
        self._has_begun = False

    def timed_out(self) -> None:
        """Give up what was not acknowledged, and begin anew."""
        self.timeouts += 1
        self.given_up_count += len(self.waiting_for)
        self._untold.clear()
        self.next_step()

    def _release(self, connection: str, event_ids: Iterable[str]) -> None:
        marks = self._waited[connection]
        released = [marks.pop(one, None) for one in dict.fromkeys(event_ids)]
        if released:
            self.timeouts = 0
            self.has_acked = True
            self.on_change()


class _Mark:
    """How far one frame has come with one connection."""

    __slots__ = ("is_acked", "is_sent")

    def __init__(self) -> None:
        self.is_sent = False
        self.is_acked = False


class StreamPacer:
    """Holds market time back for a stream's clients (`Pacer`); waits in transport time.

    `wait_for_clients` connections are waited for before the run begins; with 0 it begins at once
    and goes on with nobody there. `tell_completed` sends the farewell, `is_flushed` tells whether
    everybody was given it.
    """

    def __init__(
        self,
        acks: Acks,
        *,
        wait_for_clients: int,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        tell_completed: Callable[[], None],
        is_flushed: Callable[[], bool],
    ) -> None:
        self.acks = acks
        self._wait_for_clients = wait_for_clients
        self._ack_timeout_s = ack_timeout_s
        self._tell_completed = tell_completed
        self._is_flushed = is_flushed
        self._news: asyncio.Future[None] | None = None
        acks.on_change = self._wake

    @property
    def is_settled(self) -> bool:
        """Nothing that was told waits any more."""
        return self.acks.is_settled

    async def ready(self) -> None:
        """Return once so many clients are there."""
        while len(self.acks.open) < self._wait_for_clients:
            await self._change()

    async def settled(self) -> None:
        """Return once the step is acknowledged, or given up.

        Raises:
            StrategyError: that was one time too many: the run is over.
        """
        acks = self.acks
        if not acks.is_settled:
            with anyio.move_on_after(self._ack_timeout_s):
                while not acks.is_settled:
                    await self._change()
                    await anyio.lowlevel.checkpoint()  # what the acknowledged call caused
        if acks.is_settled:
            acks.next_step()
            return
        waiting = acks.waiting_for
        acks.timed_out()
        if acks.is_over:
            raise StrategyError(
                f"{acks.timeouts} steps in a row were not acknowledged within"
                f" {self._ack_timeout_s:g} s each; the last one waited for"
                f" {_described(waiting)}"
            )

    async def completed(self) -> None:
        """Send `backtest_complete` and give it a moment to leave."""
        self._tell_completed()
        with anyio.move_on_after(FAREWELL_S):
            while not self._is_flushed():
                await pause(FLUSH_LOOK_S)

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def _change(self) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)


def _described(waiting: list[tuple[str, str]]) -> str:
    connection, event_id = waiting[0]
    who = f"client {connection}" if connection else "a client, and none is connected"
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"{event_id} from {who}{more}"
