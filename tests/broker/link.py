"""The adapter's connection: one loop that connects, logs in, reads, and begins again."""

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from framework.interfaces import AdapterContext
from framework.model.events import ConnectionChanged, ConnectionState
from tests.broker import protocol as wire


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and how long to wait, in seconds of transport time."""

    host: str = "broker"
    port: int = 7000
    answer_s: float = 1.0
    silence_s: float = 5.0
    connect_s: float = 3.0
    back_off_floor_s: float = 0.05
    back_off_base_s: float = 0.1
    back_off_cap_s: float = 5.0


class Link:
    """Keeps one connection up until cancelled; says so in `ConnectionChanged` events.

    `on_message` hears every message but the login's answer, `on_lost` that a session ended.
    """

    def __init__(
        self,
        name: str,
        settings: LinkSettings,
        context: AdapterContext,
        *,
        login: Callable[[], wire.Login],
        on_message: Callable[[wire.Message], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.connect_count = 0
        self._name = name
        self._settings = settings
        self._context = context
        self._random: Random = context.random_for(f"{name} back-off")
        self._login = login
        self._on_message = on_message
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._is_logged_in = False
        self._attempt = 0

    @property
    def is_open(self) -> bool:
        """Whether something written now has a chance to arrive."""
        return self._is_logged_in and self._writer is not None and not self._writer.is_closing()

    def write(self, request: wire.Request) -> bool:
        """Hand a request to the socket now; False: there is no session, and nothing has left."""
        if not self.is_open or self._writer is None:
            return False
        self._writer.write(wire.encode(request))
        return True

    async def run(self) -> None:
        """Connect and read until cancelled."""
        try:
            while True:
                reason = await self._live()
                self._announce(ConnectionState.RECONNECTING, reason)
                await asyncio.sleep(self._pause_s())
        finally:
            self.close()
            self._announce(ConnectionState.CLOSED, "")

    def close(self) -> None:
        """Break the connection; nothing can be written from now on."""
        self._is_logged_in = False
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def hang_up(self, *, delivers: bool) -> None:
        """Be gone as a dead process is: the kernel delivers what was written, or loses it."""
        self._is_logged_in = False
        if self._writer is not None:
            if delivers:
                self._writer.transport.close()
            else:
                self._writer.transport.abort()

    async def _live(self) -> str:
        """Have one session from its beginning to its end; return why it ended."""
        self._announce(ConnectionState.CONNECTING, "")
        settings = self._settings
        try:
            async with asyncio.timeout(settings.connect_s):
                reader, self._writer = await asyncio.open_connection(settings.host, settings.port)
            self._writer.write(wire.encode(self._login()))
            await self._read(reader)
        except TimeoutError:
            reason = "silence"
        except (OSError, wire.BadLine) as error:
            reason = repr(error)
        else:
            reason = "closed by the broker"
        finally:
            self.close()
        self._on_lost(reason)
        return reason

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lines = wire.Lines()
        while True:
            async with asyncio.timeout(self._settings.silence_s):
                data = await reader.read(65_536)
            if not data:
                return
            for line in lines.feed(data):
                self._take(wire.decode_message(line))

    def _take(self, message: wire.Message) -> None:
        if isinstance(message, wire.LoggedIn):
            self._is_logged_in = True
            self.connect_count += 1
            self._attempt = 0
            self._announce(ConnectionState.STREAMING, "")
        elif not isinstance(message, wire.Heartbeat):
            self._on_message(message)

    def _pause_s(self) -> float:
        settings = self._settings
        floor_s = settings.back_off_floor_s
        most_s = min(
            settings.back_off_base_s * 2 ** min(self._attempt, 30), settings.back_off_cap_s
        )
        self._attempt += 1
        return self._random.uniform(floor_s, max(floor_s, most_s))

    def _announce(self, state: ConnectionState, reason: str) -> None:
        context = self._context
        now_ns = context.clock.now_ns
        context.publish(ConnectionChanged(context.venue, self._name, state, now_ns, reason))
