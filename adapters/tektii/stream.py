"""One connection to a gateway's event stream: the shell around `StreamSession`.

Before each attempt the gateway is asked in the order of 20.1: `/readyz`, `/health` (platforms that
trade for real are refused unless allowed), `/v1/capabilities`; then the stream is opened. Every
frame is acknowledged after its owner has published it. A clean close is followed by another
attempt like any other; a refused key (401, 403) by none: it is told, and where nothing worked yet
`run` raises.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

import anyio
import structlog

from adapters.tektii import heard
from adapters.tektii.client import GatewayClient
from adapters.tektii.heard import Frame
from adapters.tektii.protocol import Gap, StreamSession
from adapters.tektii.settings import TektiiSettings
from adapters.tektii.upstream import Upstream
from framework.errors import (
    AccessRefused,
    ConfigError,
    MalformedMessage,
    NotFound,
    NotSent,
    VenueUnavailable,
)
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState
from framework.net.link import Endpoint, Link, LinkOptions

log = structlog.get_logger("tektii")

LIVE = "-live"
UNNAMED = "tektii"  # a platform that the gateway does not name
PING_S, PONG_S, SILENCE_S = 15.0, 15.0, 45.0
LOGGED_BAD_FRAMES = 3
_REFUSED = re.compile(r"answered (401|403)\b")


class Gateway:
    """What feed and broker share of one gateway: its client, what it can do, and how it is.

    `is_admitted`: it was asked who it is, and may be traded through.
    """

    def __init__(
        self, settings: TektiiSettings, context: AdapterContext, client: GatewayClient
    ) -> None:
        self.client = client
        self.upstream = Upstream(context)
        self.capabilities = heard.Capabilities()
        self.health = heard.Health()
        self.is_admitted = False
        self._settings = settings
        self._context = context

    @property
    def platform(self) -> str:
        """The name that subscriptions are made under: of the first platform."""
        names = self.platforms
        return names[0] if names else UNNAMED

    @property
    def platforms(self) -> list[str]:
        """The names of all platforms that the gateway tells of."""
        return [one.platform for one in self.health.providers or () if one.platform]

    async def check(self) -> None:
        """Ask whether it is ready, who it is and what it can do.

        Raises:
            VenueError: it is not ready, gives no answer, or refuses the key.
            ConfigError: it trades for real, and the settings do not allow that.
        """
        client = self.client
        try:
            ready = await client.ready()
        except NotFound:  # an older one
            ready = heard.Ready()
        if ready.ready is False:
            raise VenueUnavailable(
                f"the gateway is not ready: {ready.message or 'no reason given'}"
            )
        self.health = await client.health()
        self._admit()
        self.capabilities = await client.capabilities()
        client.limit(self.capabilities.rate_limits, asyncio.get_running_loop().time())

    def _admit(self) -> None:
        real = [name for name in self.platforms if name.lower().endswith(LIVE)]
        if real and not self._settings.allow_live:
            self.is_admitted = False
            raise ConfigError(
                f"the gateway trades for real ({', '.join(real)}): `allow_live: true` lets it",
                key=f"venues.{self._context.venue}.settings.allow_live",
            )
        self.is_admitted = True


class StreamOwner(Protocol):
    """Who hears of one stream."""

    def on_open(self) -> None:
        """The stream is up."""

    def on_frame(self, frame: Frame) -> None:
        """A frame that is news."""

    def on_gap(self, gap: Gap) -> None:
        """Frames are missing before the next one."""

    def on_lost(self, reason: str) -> None:
        """The stream is gone."""


class GatewayStream:
    """Keeps one stream up; `name` is that of its link, `subscriptions` what its handshake asks."""

    def __init__(
        self,
        name: str,
        settings: TektiiSettings,
        context: AdapterContext,
        gateway: Gateway,
        *,
        owner: StreamOwner,
        subscriptions: Callable[[], str],
        is_broker: bool,
    ) -> None:
        self._settings = settings
        self._context = context
        self._gateway = gateway
        self._owner = owner
        self._subscriptions = subscriptions
        self._is_broker = is_broker
        self._session = StreamSession(context.random_for(f"acks {name}"))
        self._refusal: AccessRefused | ConfigError | None = None
        self._is_refused = asyncio.Event()
        self._has_opened = False
        self._counts: Counter[str] = Counter()
        self.link = Link(
            name,
            context,
            endpoint=self._endpoint,
            handler=self,
            options=LinkOptions(
                transport=settings.transport, ping_s=PING_S, pong_s=PONG_S, silence_s=SILENCE_S
            ),
        )

    @property
    def is_open(self) -> bool:
        """Whether the stream is up."""
        return self.link.is_open

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self.link.statistics(), **self._counts}

    async def run(self) -> None:
        """Keep the stream up until cancelled.

        Raises:
            AccessRefused: the key is refused, and nothing has worked before.
            ConfigError: the platform may not be traded through.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_up)
            await self._is_refused.wait()
            await self.link.aclose()
        assert self._refusal is not None
        self._gateway.upstream.tell("ACCESS_REFUSED", f"no further attempts: {self._refusal}")
        if not self._has_opened:
            raise self._refusal
        await anyio.sleep_forever()

    async def _keep_up(self) -> None:
        try:
            await self.link.run()
        except ConfigError as error:
            self._refuse(error)

    async def _endpoint(self) -> Endpoint:
        gateway = self._gateway
        try:
            await gateway.check()
        except AccessRefused as refused:
            self._refuse(refused)
            raise
        base = self._settings.url.rstrip("/").replace("http", "ws", 1)
        query = {"subscriptions": self._subscriptions()}
        place = self._session.place if self._is_broker else None
        if place is not None:  # ours sends what was missed; others do not know the word
            query |= {"epoch": place[0], "after": str(place[1])}
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return Endpoint(f"{base}/v1/ws?{asked}", gateway.client.headers)

    def _refuse(self, refused: AccessRefused | ConfigError) -> None:
        self._refusal = refused
        self._is_refused.set()

    # -- the link --------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Begin; the stream is live at once (11.1)."""
        self._has_opened = True
        self._session.opened(resumes=self._is_broker)
        self.link.mark_streaming()
        gateway = self._gateway
        gateway.upstream.on_open(gateway.health, is_broker=self._is_broker)
        self._owner.on_open()

    def on_text(self, data: bytes | str) -> None:
        """Hand on what is news, and acknowledge whatever it was."""
        taken = self._session.take(data)
        try:
            if taken.gap is not None:
                self._counts["gaps"] += 1
                self._owner.on_gap(taken.gap)
            if taken.fault:
                self._note_bad(taken.fault)
            elif not taken.is_news:
                self._counts["repeated"] += 1
            else:
                self._gateway.upstream.on_frame(taken.frame, is_broker=self._is_broker)
                self._owner.on_frame(taken.frame)
        except MalformedMessage as error:
            self._note_bad(str(error))
        finally:
            self._acknowledge(taken.frame)

    def on_binary(self, data: bytes) -> None:
        """Count it: gateways speak text."""
        self._counts["unexpected"] += 1

    def on_ping(self, data: bytes) -> None:
        """Nothing: it has its pong."""

    def on_lost(self, reason: str) -> None:
        """Hand it on."""
        self._gateway.upstream.on_lost(reason, is_broker=self._is_broker)
        self._owner.on_lost(reason)

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Stop where the handshake itself was refused; the link publishes its moves."""
        found = _REFUSED.search(reason)
        if new is ConnectionState.RECONNECTING and found is not None:
            self._refuse(AccessRefused(self._context.venue, int(found[1]), "", reason))

    def _acknowledge(self, frame: Frame) -> None:
        try:
            if frame.kind is heard.FrameKind.PING:
                self.link.send(b'{"type":"pong"}')
            self.link.send(self._session.ack(frame, self._context.clock.now_ns))
        except NotSent as error:  # the gateway does not read: its pings will find that out
            self._counts["acks_not_sent"] += 1
            log.warning("ack_not_sent", venue=self._context.venue, error=str(error))

    def _note_bad(self, reason: str) -> None:
        self._counts["malformed"] += 1
        count = self._counts["malformed"]
        if count <= LOGGED_BAD_FRAMES:
            log.warning("malformed_frame", venue=self._context.venue, error=reason)
        if count == 1:
            self._gateway.upstream.tell("malformed frame", reason)
