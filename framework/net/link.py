"""A WebSocket link: one loop that connects, watches, delivers, and begins again until told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from framework.errors import (
    AccessRefused,
    FrameworkError,
    InvariantBroken,
    NotSent,
    RateLimited,
    VenueError,
    VenueUnavailable,
)
from framework.interfaces import AdapterContext
from framework.model import events
from framework.model.events import ConnectionChanged, ConnectionState, ErrorRaised
from framework.net.backoff import BackOff
from framework.net.heartbeat import Beat, Heartbeat
from framework.net.link_options import LinkOptions
from framework.net.transports import open_transport
from framework.net.web_socket import (
    Endpoint,
    Intake,
    LinkHandler,
    Socket,
    Transport,
    unreachable,
)

__all__ = ["Endpoint", "Link", "LinkHandler", "LinkOptions"]

log = structlog.get_logger("link")
T = TypeVar("T")
TRACED_ERRORS = 3  # of each handler; later ones are logged without their trace

DISCONNECTED, CONNECTING = ConnectionState.DISCONNECTED, ConnectionState.CONNECTING
CONNECTED, STREAMING = ConnectionState.CONNECTED, ConnectionState.STREAMING
RECONNECTING, CLOSED = ConnectionState.RECONNECTING, ConnectionState.CLOSED


class Link:
    """Keeps one connection up; says so to its handler, and in `ConnectionChanged` events.

    Moves (K51): DISCONNECTED -> CONNECTING -> CONNECTED -> STREAMING, any of the last three ->
    RECONNECTING -> CONNECTING, any -> CLOSED, and nothing from there: a link runs once.
    `ConnectionChanged` is published before the handler hears of the move. What a handler raises
    is counted, published as `ErrorRaised`, and ends nothing (K55).
    """

    def __init__(
        self,
        name: str,
        context: AdapterContext,
        *,
        endpoint: Callable[[], Awaitable[Endpoint]],
        handler: LinkHandler,
        options: LinkOptions = LinkOptions(),  # noqa: B008 -- frozen
    ) -> None:
        self.name = name
        self.state = DISCONNECTED
        self._context = context
        self._endpoint = endpoint
        self._handler = handler
        self._options = options
        self._intake = Intake(handler, self._handler_failed)
        self._back_off = BackOff(
            options.floor_s, options.base_s, options.cap_s, context.random_for(f"link {name}")
        )
        self._socket: Socket | None = None
        self._is_closing = False
        self._end_reason = ""  # why we end the present connection, if we do
        self._patience: asyncio.Timeout | None = None  # of a wait that `aclose` cuts short
        self._look_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._fruitless = 0  # connects in a row that came to nothing
        self._counts: Counter[str] = Counter()
        self._handler_errors: Counter[str] = Counter()

    @property
    def is_open(self) -> bool:
        """Whether something sent now has a chance to arrive."""
        return self._socket is not None and not self._is_closing and not self._end_reason

    def send(self, text: str | bytes) -> bool:
        """Hand a text frame to the socket now; false: there is no open one, and nothing has left.

        Raises:
            NotSent: too much waits to be taken by the kernel; nothing has left.
        """
        socket = self._socket
        if socket is None or not self.is_open:
            return False
        data = text.encode() if isinstance(text, str) else text
        if socket.queued_bytes + len(data) > self._options.most_queued_bytes:
            self._counts["not_sent"] += 1
            raise NotSent(f"link {self.name}: {socket.queued_bytes} bytes wait to be sent")
        if not socket.send(data):
            return False
        self._counts["sent"] += 1
        self._counts["sent_bytes"] += len(data)
        return True

    def mark_streaming(self) -> None:
        """Say that what was asked for comes: CONNECTED -> STREAMING; nothing in other states."""
        if self.state is CONNECTED:
            self._move(STREAMING, "")

    def reconnect(self, reason: str) -> None:
        """Drop an open connection and begin again; nothing more of it is delivered."""
        if self._socket is not None and self.is_open:
            self._socket.close()
            self._drop(reason)

    async def aclose(self) -> None:
        """Close for good, with code 1000, and return when `run` has ended; not from within it.

        Nothing more is delivered. The venue's answer is waited for at most `close_s`.
        """
        self._is_closing = True
        if self.state is DISCONNECTED:
            self._move(CLOSED, "closed")
        if self.state is CLOSED:
            return
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())
        self._close_socket("closed")
        await self._over.wait()

    def statistics(self) -> dict[str, int]:
        """Return counters over all connections, and what waits to be sent now."""
        intake, counts = self._intake, self._counts
        return {
            "attempts": counts["attempts"],
            "opened": counts["opened"],
            "lost": counts["lost"],
            "texts": intake.texts,
            "binaries": intake.binaries,
            "pings": intake.pings,
            "pongs": intake.pongs,
            "oversized": intake.oversized,
            "handler_errors": self._handler_errors.total(),
            "sent": counts["sent"],
            "sent_bytes": counts["sent_bytes"],
            "not_sent": counts["not_sent"],
            "queued_bytes": self._socket.queued_bytes if self._socket is not None else 0,
        }

    # -- the loop --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link up until cancelled or closed; once in the life of a link.

        Raises:
            AccessRefused, VenueUnavailable: the first connect failed and is not to be retried, or
                `most_attempts` came to nothing.
            ConfigError: the transport or the URL makes no sense.
            InvariantBroken: it has run before.
        """
        if self._is_closing:
            return
        if self.state is not DISCONNECTED:
            raise InvariantBroken(f"link {self.name} runs once")
        reason = ""
        try:
            await self._keep_up(self._open_transport())
            reason = "closed"
        except BaseException as error:
            reason = str(error) if isinstance(error, FrameworkError) else type(error).__name__
            raise
        finally:
            self._move(CLOSED, reason)
            self._over.set()

    def _open_transport(self) -> Transport:
        transport = open_transport(self._options, self._context)
        venue = self._context.venue
        log.info("link_starts", venue=venue, link=self.name, transport=transport.name)
        return transport

    async def _keep_up(self, transport: Transport) -> None:
        while not self._is_closing:
            self._move(CONNECTING, "")
            failure = await self._try(transport)
            if self._is_closing:
                return
            if self._is_final:
                if isinstance(failure, AccessRefused | VenueUnavailable):
                    raise failure
                raise VenueUnavailable(str(failure)) from failure
            self._move(RECONNECTING, str(failure))
            await self._pause(failure)

    async def _try(self, transport: Transport) -> VenueError:
        """Have one connection, from the attempt to its end; return why it is over."""
        self._counts["attempts"] += 1
        try:
            socket = await self._connect(transport)
        except VenueError as error:
            self._fruitless += 1
            return error
        return VenueUnavailable(await self._live(socket))

    async def _connect(self, transport: Transport) -> Socket:
        connect_s = self._options.connect_s
        try:
            endpoint = await self._within(None, self._endpoint())
            return await self._within(connect_s, transport.connect(endpoint, self._intake))
        except TimeoutError:
            raise VenueUnavailable(f"no connection within {connect_s} s") from None
        except OSError as error:  # of the endpoint's making: the transport's are errors of ours
            raise unreachable(error) from None

    async def _live(self, socket: Socket) -> str:
        """Deliver until the connection is over; return why it is."""
        loop = asyncio.get_running_loop()
        opened_s = loop.time()
        self._socket, self._end_reason = socket, ""
        self._counts["opened"] += 1
        reason = "stopped"
        try:
            self._begin()
            reason = await self._hear(socket)
        finally:
            self._end_timers()
            self._socket = None
            self._counts["lost"] += 1
            await socket.release()
            reason = self._end_reason or reason
            self._tell("on_lost", reason)
        is_stable = loop.time() - opened_s >= self._options.stable_s
        if is_stable:
            self._back_off.reset()
        self._fruitless = 0 if is_stable or self.state is STREAMING else self._fruitless + 1
        return reason

    def _begin(self) -> None:
        self._move(CONNECTED, "")
        options, loop = self._options, asyncio.get_running_loop()
        self._look_later(
            Heartbeat(
                loop.time(),
                self._intake.heard,
                ping_s=options.ping_s,
                pong_s=options.pong_s,
                silence_s=options.silence_s,
                data_silence_s=options.data_silence_s,
            )
        )
        self._tell("on_open")
        if self._is_closing:  # while the connection was being made
            self._close_socket("closed")

    async def _hear(self, socket: Socket) -> str:
        try:
            return await socket.receive()
        except asyncio.CancelledError:
            self._close_socket("cancelled")
            await socket.receive()
            raise

    async def _pause(self, failure: VenueError) -> None:
        pause_s = self._back_off.next_s()
        if isinstance(failure, RateLimited):
            pause_s = max(pause_s, failure.retry_after_s)
            context, pause_ns = self._context, round(failure.retry_after_s * 1e9)
            context.publish(events.RateLimited(context.venue, pause_ns, context.clock.now_ns))
        nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            await self._within(pause_s, nothing)

    async def _within(self, limit_s: float | None, awaited: Awaitable[T]) -> T:
        """Wait for `awaited`. Raises TimeoutError: it took too long, or the link is closing."""
        try:
            async with asyncio.timeout(limit_s) as self._patience:
                return await awaited
        finally:
            self._patience = None

    @property
    def _is_final(self) -> bool:
        counts, options = self._counts, self._options
        is_first_connect = counts["attempts"] == 1 and not counts["opened"]
        if is_first_connect and not options.retries_first_connect:
            return True
        return options.most_attempts is not None and self._fruitless >= options.most_attempts

    # -- the present connection ------------------------------------------------------------------

    def _look(self, heartbeat: Heartbeat) -> None:
        socket = self._socket
        assert socket is not None
        verdict = heartbeat.look(asyncio.get_running_loop().time(), self._intake.heard)
        if isinstance(verdict, str):
            self._drop(verdict)
            return
        if verdict is Beat.PING:
            socket.ping()
        self._look_later(heartbeat)

    def _look_later(self, heartbeat: Heartbeat) -> None:
        if heartbeat.tick_s is not None:
            loop = asyncio.get_running_loop()
            self._look_timer = loop.call_later(heartbeat.tick_s, self._look, heartbeat)

    def _drop(self, reason: str) -> None:
        assert self._socket is not None
        self._end_reason = self._end_reason or reason
        self._socket.abort()

    def _close_socket(self, reason: str) -> None:
        """Begin an orderly end, which takes at most `close_s`, unless one has begun."""
        if self._socket is not None and not self._end_reason:
            self._end_reason = reason
            self._socket.close()
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(self._options.close_s, self._socket.abort)

    def _end_timers(self) -> None:
        for timer in (self._look_timer, self._close_timer):
            if timer is not None:
                timer.cancel()
        self._look_timer = self._close_timer = None

    # -- telling ---------------------------------------------------------------------------------

    def _move(self, state: ConnectionState, reason: str) -> None:
        old, self.state = self.state, state
        context = self._context
        if state is RECONNECTING:
            log.warning("link_lost", venue=context.venue, link=self.name, reason=reason)
        now_ns = context.clock.now_ns
        context.publish(ConnectionChanged(context.venue, self.name, state, now_ns, reason))
        self._tell("on_state", old, state, reason)

    def _tell(self, name: str, *args: object) -> None:
        try:
            getattr(self._handler, name)(*args)
        except Exception as error:
            self._handler_failed(name, error)

    def _handler_failed(self, name: str, error: Exception) -> None:
        context = self._context
        self._handler_errors[name] += 1
        count = self._handler_errors[name]
        log.error(
            "handler_raised",
            link=self.name,
            handler=name,
            count=count,
            error=repr(error),
            exc_info=error if count <= TRACED_ERRORS else None,
        )
        now_ns = context.clock.now_ns
        context.publish(ErrorRaised(self.name, name, repr(error), now_ns, count))
