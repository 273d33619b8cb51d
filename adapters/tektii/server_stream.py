"""The event stream: connections come, hear what they may, acknowledge, and are seen off.

    GET /v1/ws                          live at once
    ?subscriptions=[...]                what this client wants, in place of the server's list
    ?snapshot=true                      how things stand, first: frames with `is_snapshot`
    ?epoch=E&after=N                    everything after frame N of stream E, first; a snapshot if
                                        that is not all there any more

The query is an extension: whoever does not use it sees the protocol as it is.

Source: sections 11.1, 11.3 and 18.4 of the gateway's description.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import anyio
import msgspec
from msgspec import Meta

from adapters.tektii import wire
from adapters.tektii.server_broadcast import Broadcast
from adapters.tektii.server_frames import Frames
from adapters.tektii.server_heard import Ack, Strange, Wish, understood
from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.server_pacing import Acks, StreamPacer
from adapters.tektii.server_resume import (
    KEPT_BYTES,
    KEPT_FRAMES,
    FrameStream,
    Kept,
    Scope,
    Streams,
)
from adapters.tektii.server_settings import Place
from adapters.tektii.server_snapshot import snapshot_of
from adapters.tektii.server_subscriptions import (
    EVERYTHING,
    Subscriptions,
    Want,
    default_wants,
    subscriptions_from,
)
from adapters.tektii.server_telling import Telling
from adapters.tektii.server_watches import Watches
from framework.errors import ConfigError
from framework.model.desk import Principal, Verb
from framework.model.events import Overflowed
from framework.server.attendance import pause
from framework.server.door import Call, RefusalKind, Refused, Route
from framework.server.links import GOING_AWAY, SLOW, Link, Links
from framework.server.web_sockets import serve

FAREWELL = "Gateway shutting down"
FAREWELL_S = 0.5  # between the announcement and the end
CLOSING_S = 2.0  # for connections to go
COMPLAINT_S = 5.0  # between two `error` frames about what a client sends
MOST_ENTRIES = 200  # of a client's own list
MOCK = "mock"
SERVER = "the server's list"


class StreamQuery(msgspec.Struct, frozen=True):
    """The query of a handshake; without it the connection is what the protocol describes."""

    epoch: Annotated[str, Meta(max_length=64)] = ""
    after: Annotated[int, Meta(ge=0)] | None = None
    snapshot: bool = False
    subscriptions: Annotated[str, Meta(max_length=16_384)] = ""


class Arrival(msgspec.Struct):
    """A connection on its way: what it is given first."""

    principal: Principal
    stream: FrameStream
    own: Subscriptions
    resume_after: int | None = None
    snapshot: Sequence[bytes] = ()


class Client(msgspec.Struct):
    """One open connection; `own` is its own list of subscriptions, `EVERYTHING`: it has none."""

    name: str
    principal: Principal
    scope: Scope
    stream: FrameStream
    own: Subscriptions
    complaint_s: float | None = None


class EventStream:
    """The stream of one gateway.

    Attributes:
        pacer: holds market time back in a backtest, else None.
        links: the open connections.
        telling: hears of events; `on_alert` may be called by whoever has alerts.
    """

    def __init__(self, place: Place) -> None:
        context, settings = place.context, place.settings
        self._place = place
        self._key = f"{context.key}.settings.subscriptions"
        self._platforms = frozenset(place.platform(venue) for venue in place.venues)
        self._subscriptions = subscriptions_from(
            settings.subscriptions, self._platforms, key=self._key
        )
        self._metrics = GatewayMetrics.shared(context.metrics, sorted(self._platforms))
        self._frames = Frames(place)
        limits = context.limits
        self.links = Links(limits, name=context.key)
        self._streams = Streams(
            f"{context.session} {context.key}",
            context.now_s,
            # What is sent again must fit in beside what comes meanwhile.
            kept_frames=min(KEPT_FRAMES, limits.outbox // 2),
            kept_bytes=min(KEPT_BYTES, limits.outbox_bytes // 2),
        )
        self._acks: Acks | None = None
        self.pacer: StreamPacer | None = None
        if place.desk.is_paced:
            self._acks, self.pacer = self._paced()
        self._broadcast = Broadcast(place, self._streams, self._acks)
        self._watches = Watches(place)
        self._watches.want(SERVER, self._server_wants())
        self.telling = Telling(place, self._broadcast, self._frames, self._metrics, self._watches)
        self._is_leaving = False

    def routes(self) -> list[Route]:
        """Return the stream's one operation."""
        return [
            Route(
                "GET",
                "/v1/ws",
                self.connect,
                Verb.READ,
                {101: None},
                "Connect to the event stream",
                query=StreamQuery,
                has_own_reader=True,
            )
        ]

    async def run(self) -> None:
        """Hear events and ask venues for market data, until cancelled."""
        subscription = self.telling.listen(self._missed)
        try:
            await self.telling.recall()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watches.run)
                tasks.start_soon(self.telling.run)
        finally:
            subscription.close()

    def _missed(self, event: Overflowed) -> None:
        """Cut every connection: the clients come back and read how things stand."""
        for link in list(self.links):
            link.cut(SLOW, f"events were lost ({event.channel})")

    async def leave(self) -> None:
        """Announce the end, then close every connection."""
        if self._is_leaving:
            return
        self._is_leaving = True
        if self.links.active:
            frame = self._frames.connection(wire.ConnectionEventType.DISCONNECTING)
            self._broadcast.send_unpaced(self._streams.all, frame)
            await pause(FAREWELL_S)
        await self.links.close_all(GOING_AWAY, FAREWELL, CLOSING_S)

    # -- a connection ----------------------------------------------------------------------------

    async def connect(self, call: Call) -> Any:  # aiohttp's response, which only the toolkit names
        """Open a connection and serve it to its end.

        Raises:
            Refused: its query makes no sense, it is no valid handshake, or there is no room.
        """
        if self._is_leaving:
            raise Refused(RefusalKind.STOPPING, FAREWELL)
        query: StreamQuery = call.query or StreamQuery()
        own = self._own_list(query.subscriptions)
        stream = self._streams.get(Scope.of(call.principal), own or self._subscriptions)
        stream.arriving += 1
        try:
            arrival = await self._arrival(call.principal, stream, own, query)
            return await serve(
                call,
                self.links,
                on_open=lambda link: self._open(link, arrival),
                on_text=self._hear,
                on_close=self._close,
                on_strange=self._complain,
            )
        finally:
            stream.arriving -= 1
            self._streams.forget_unused(stream)

    def _own_list(self, text: str) -> Subscriptions:
        try:
            own = subscriptions_from(text, self._platforms, key="subscriptions")
        except ConfigError as error:
            raise Refused(
                RefusalKind.INVALID, str(error), field="subscriptions", provided=text[:100]
            ) from error
        if len(own.entries) > MOST_ENTRIES:
            message = f"{len(own.entries)} subscriptions; at most {MOST_ENTRIES} are taken"
            raise Refused(RefusalKind.INVALID, message, field="subscriptions")
        return own

    async def _arrival(
        self, principal: Principal, stream: FrameStream, own: Subscriptions, query: StreamQuery
    ) -> Arrival:
        arrival = Arrival(principal, stream, own)
        is_here = query.epoch == stream.epoch
        if is_here and query.after is not None and stream.after(query.after) is not None:
            arrival.resume_after = query.after
            return arrival
        if query.epoch or query.snapshot:
            arrival.resume_after = stream.seq
            arrival.snapshot = await snapshot_of(
                self._place, self._frames, principal, stream, room=self.links.limits.outbox // 2
            )
            await self._place.desk.written()
        return arrival

    def _open(self, link: Link, arrival: Arrival) -> None:
        stream, name = arrival.stream, str(link.id)
        link.data = client = Client(name, arrival.principal, stream.scope, stream, arrival.own)
        self._metrics.connections(1)
        untold = [] if self._acks is None else self._acks.opened(name)
        for frame in arrival.snapshot:
            link.send(frame)
        missed: list[Kept] | None = stream.of_events(untold)
        if arrival.resume_after is not None:
            missed = stream.after(arrival.resume_after)
        if missed is None:  # too much has happened since the handshake
            link.cut(SLOW, "what was missed is not there any more")
            missed = []
        for kept in missed:
            link.send(kept.frame)
        self._note_told(name, untold, missed)
        for body in self.telling.venues.stale_frames(stream.scope):
            link.send(body)
        self._streams.join(stream, name, link)
        if arrival.own.entries:
            self._want(link, client)

    def _note_told(self, name: str, untold: list[str], missed: list[Kept]) -> None:
        if self._acks is not None:
            told = {kept.event_id for kept in missed}
            for event_id in untold:
                if event_id in told:
                    self._acks.sent(event_id, name)
                else:
                    self._acks.filtered(event_id, name)

    def _close(self, link: Link) -> None:
        client: Client = link.data
        self._streams.leave(client.stream, client.name)
        self._watches.leave(client.name)
        self._metrics.connections(-1)
        if link.close_code == SLOW:
            self._metrics.slow_consumer()
        if self._acks is not None:
            self._acks.closed(client.name)

    def _hear(self, link: Link, text: str) -> None:
        client: Client = link.data
        heard = understood(text, self._platforms)
        if isinstance(heard, Ack):
            if self._acks is not None:
                self._acks.acked(client.name, heard.event_ids)
        elif isinstance(heard, Wish):
            self._change(link, client, heard)
        elif isinstance(heard, Strange):
            self._complain(link, heard.reason)

    def _change(self, link: Link, client: Client, wish: Wish) -> None:
        """Give a client the stream of its new list; its numbers go on under another epoch."""
        old = client.own
        own = old.without(wish.entries) if wish.is_taken_back else old.with_entries(wish.entries)
        if len(own.entries) > MOST_ENTRIES:
            self._complain(link, f"more than {MOST_ENTRIES} subscriptions")
            return
        stream = self._streams.get(client.scope, own or self._subscriptions)
        self._streams.leave(client.stream, client.name)
        self._streams.join(stream, client.name, link)
        client.stream, client.own = stream, own
        self._want(link, client)

    def _want(self, link: Link, client: Client) -> None:
        """Have what a client lists requested; where there is no room for it, it is told."""

        def tell(reason: str) -> None:
            link.send(self._frames.error(wire.StreamErrorCode.INVALID_MESSAGE, reason))

        self._watches.want(
            client.name,
            client.own.wants(),
            client.scope.sees_market,
            owner=client.principal,
            tell=tell,
        )

    def _complain(self, link: Link, reason: str) -> None:
        """Tell a client that it is not understood, now and then."""
        client: Client = link.data
        now_s = self._place.context.now_s()
        if client.complaint_s is None or now_s - client.complaint_s >= COMPLAINT_S:
            client.complaint_s = now_s
            link.send(self._frames.error(wire.StreamErrorCode.INVALID_MESSAGE, reason))

    # -- set-up ----------------------------------------------------------------------------------

    def _server_wants(self) -> frozenset[Want]:
        if self._subscriptions.entries:
            return self._subscriptions.wants()
        if MOCK in self._platforms and not self._place.desk.is_paced:
            return default_wants(MOCK)
        return EVERYTHING.wants()

    def _paced(self) -> tuple[Acks, StreamPacer]:
        settings = self._place.settings
        acks = Acks(
            needs_clients=settings.wait_for_clients > 0,
            is_draining=settings.ack_mode == "drain",
            first_limit=settings.first_ack_timeouts,
            later_limit=settings.ack_timeouts,
        )
        return acks, StreamPacer(
            acks,
            wait_for_clients=settings.wait_for_clients,
            ack_timeout_s=settings.ack_timeout_s,
            tell_completed=self._tell_completed,
            is_flushed=lambda: all(link.outgoing.is_empty for link in self.links),
        )

    def _tell_completed(self) -> None:
        for platform in sorted(self._platforms):
            self._metrics.backtest_completed(platform)
            self._broadcast.send_unpaced(self._streams.all, self._frames.complete(platform))
