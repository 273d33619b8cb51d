"""Puts doors on listening addresses, and takes them down in order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import structlog

from framework.interfaces import TradingDesk
from framework.model.desk import Principal, Verb, View
from framework.net.http_server import ConnectionLimits, HttpServer
from framework.net.listening import Listener, listen, listen_on_path, server_tls
from framework.server.access import check_exposure, check_open_doors, is_private
from framework.server.application import Application, Audit
from framework.server.door import Door, DoorContext, Pacer, RefusalKind
from framework.server.keeping import keep_running
from framework.server.links import Links
from framework.server.probes import AnyTokens, Probes
from framework.server.routing import Mounted
from framework.server.tokens import ALL_BUT_ADMIN, FEWEST_DISTINCT, Tokens, places_of
from framework.settings.places import config_error
from framework.settings.secrets import Secret
from framework.settings.server import UNIX, DoorSettings, ListenerSettings

if TYPE_CHECKING:
    import ssl

    from prometheus_client import CollectorRegistry

log = structlog.get_logger("server")

LEAVE_S = 5.0  # what a door gets to say good-bye to its streams
FINISH_S = 5.0  # what open requests get to be answered

BuildDoor = Callable[[DoorSettings, DoorContext], Door]


class Surroundings(msgspec.Struct, frozen=True):
    """What a server is given.

    `build_door` makes a door by its protocol's name; its errors name the whole key.
    `venue_of_account` names each account's venue. `now_ns` tells by when tokens expire. `audit`
    notes every call that may have changed something; it must not wait. Without `registry` there
    are no metrics to be read.
    """

    desk: TradingDesk
    venue_of_account: Mapping[str, str]
    build_door: BuildDoor
    registry: "CollectorRegistry"
    random_for: Callable[[str], Random]
    secret: Callable[[str], Secret]
    now_ns: Callable[[], int]
    audit: Audit
    version: str
    session: str
    title: str = "Headrace"


class Address:
    """One listening address: its doors, and the application that answers for them."""

    def __init__(
        self, settings: ListenerSettings, doors: Sequence[Mounted], application: Application
    ) -> None:
        self.settings = settings
        self.doors = doors
        self.application = application
        self.server: HttpServer | None = None
        self.listener: Listener | None = None

    @property
    def url(self) -> str:
        """Where it can be reached, once it listens: `http://127.0.0.1:8080`, `unix:/path`."""
        assert self.listener is not None
        if self.settings.is_unix:
            return f"{UNIX}{self.listener.host}"
        host = self.listener.host
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if self.settings.tls is None else "https"
        return f"{scheme}://{shown}:{self.listener.port}"


class Server:
    """All front doors of one system.

    Doors are built at once; `start` opens the addresses, `run` goes on beside requests until
    `stop`.

    Raises:
        ConfigError: an address, a door or a token makes no sense, or lets in too many.
    """

    def __init__(self, settings: Sequence[ListenerSettings], surroundings: Surroundings) -> None:
        self._given = surroundings
        self._is_stopping = False
        self._stopped = asyncio.Event()
        self._tokens: list[Tokens] = []
        self._now_s = transport_clock()
        self._addresses = [
            self._address(listener, f"server[{index}]") for index, listener in enumerate(settings)
        ]

    @property
    def doors(self) -> list[Door]:
        """The doors of every address."""
        return [mounted.door for mounted in self._mounted()]

    @property
    def pacers(self) -> list[Pacer]:
        """What holds back market time for the doors that wait for their clients."""
        return [door.pacer for door in self.doors if door.pacer is not None]

    @property
    def links(self) -> list[Links]:
        """The streams of the doors that have any."""
        return [links for door in self.doors for links in getattr(door, "links", ())]

    def refused_counts(self) -> Counter[RefusalKind]:
        """Return how many requests went no further, by kind, at all addresses."""
        counts = Counter[RefusalKind]()
        for address in self._addresses:
            counts.update(address.application.refused_counts)
        return counts

    def is_stopping(self) -> bool:
        """Whether nothing new is begun any more."""
        return self._is_stopping

    def revoke(self, name: str) -> None:
        """Refuse every token of a name from now on.

        Raises:
            LookupError: no door has one.
        """
        having = [tokens for tokens in self._tokens if name in tokens.names]
        if not having:
            raise LookupError(f"there is no token {name!r}")
        for tokens in having:
            tokens.revoke(name)

    async def start(self) -> list[str]:
        """Open every address and return where it can be reached; all of them or none.

        Raises:
            ConfigError: one cannot be opened.
        """
        try:
            for index, address in enumerate(self._addresses):
                await self._open(address, f"server[{index}]")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._close()
            raise
        urls = [address.url for address in self._addresses]
        for address, url in zip(self._addresses, urls, strict=True):
            log.info("listening", url=url, doors=[one.door.name for one in address.doors])
        return urls

    async def run(self) -> None:
        """Run the doors until `stop`; one that fails takes nothing else with it (T-07)."""
        async with anyio.create_task_group() as tasks:
            for mounted in self._mounted():
                tasks.start_soon(keep_running, mounted, self._stopped)
            await self._stopped.wait()
            tasks.cancel_scope.cancel()

    async def stop(self) -> None:
        """Refuse what is new, tell streams, finish what is open, close; harmless when repeated."""
        if self._is_stopping:
            return
        self._is_stopping = True
        log.info("server_stops")
        try:
            await self._leave()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()
            self._stopped.set()

    def statistics(self) -> list[dict[str, Any]]:
        """Return what went on at each address."""
        return [
            {
                "listen": address.settings.listen,
                "answered": address.application.answer_count,
                "running": address.application.limits.running,
                "refused": {
                    kind.value: count for kind, count in address.application.refused_counts.items()
                },
                "connections": 0 if address.server is None else len(address.server.connections),
                "turned_away": 0 if address.server is None else address.server.turned_away_count,
                "cut": 0 if address.server is None else address.server.cut_count,
                "failed_doors": [one.door.name for one in address.doors if one.failure],
            }
            for address in self._addresses
        ]

    # -- building --------------------------------------------------------------------------------

    def _mounted(self) -> list[Mounted]:
        return [mounted for address in self._addresses for mounted in address.doors]

    def _address(self, settings: ListenerSettings, key: str) -> Address:
        check_exposure(settings, key)
        doors = [
            self._mount(door, settings, f"{key}.doors[{number}]")
            for number, door in enumerate(settings.doors)
        ]
        is_real = self._given.desk.is_real
        check_open_doors(settings, open_keys(doors), key, is_real=is_real)
        for mounted in doors:
            if mounted.tokens.is_open:
                log.warning("door_is_open", door=mounted.door.name, listen=settings.listen)
        application = Application(
            settings,
            [*doors, self._probes(settings, doors, key)],
            random=self._given.random_for(f"server/{key}"),
            now_s=self._now_s,
            is_stopping=self.is_stopping,
            audit=self._given.audit,
            written=self._given.desk.written,
        )
        return Address(settings, doors, application)

    def _mount(self, settings: DoorSettings, listener: ListenerSettings, key: str) -> Mounted:
        given = self._given
        places = places_of(settings, settings.accounts, given.venue_of_account)
        context = DoorContext(
            desk=given.desk,
            settings=settings,
            key=key,
            limits=listener.limits,
            owner=Principal(f"door:{settings.door}", places, View.ACCOUNT, frozenset(Verb)),
            metrics=given.registry,
            random_for=given.random_for,
            secret=given.secret,
            now_s=self._now_s,
            is_stopping=self.is_stopping,
            version=given.version,
            session=given.session,
        )
        door = given.build_door(settings, context)
        tokens = Tokens(
            settings,
            key=key,
            venue_of=given.venue_of_account,
            secret=given.secret,
            now_ns=given.now_ns,
            default_verbs=getattr(door, "default_verbs", ALL_BUT_ADMIN),
            fewest_distinct=getattr(door, "fewest_distinct", FEWEST_DISTINCT),
            is_real=given.desk.is_real,
        )
        self._tokens.append(tokens)
        return Mounted(door, settings.prefix, key, tokens)

    def _probes(self, settings: ListenerSettings, doors: Sequence[Mounted], key: str) -> Mounted:
        def document() -> Any:
            from framework.server import openapi

            return openapi.document(
                [*((one.prefix, one.door) for one in doors), ("", probes)],
                title=self._given.title,
                version=self._given.version,
                server_url="/",  # where the document was read, which may be behind a proxy
            )

        probes = Probes(
            doors,
            self._given.desk,
            registry=self._given.registry,
            document=document,
            is_stopping=self.is_stopping,
            is_private=is_private(settings),
            version=self._given.version,
        )
        return Mounted(probes, "", key, AnyTokens(doors))

    # -- opening and closing ---------------------------------------------------------------------

    async def _open(self, address: Address, key: str) -> None:
        settings, limits = address.settings, address.settings.limits
        server = HttpServer(
            address.application.handle,
            ConnectionLimits(limits.connections, limits.headers, limits.head_s),
            address.application.malformed,
        )
        tls = tls_of(settings, key)
        try:
            if settings.is_unix:
                listener = await listen_on_path(server, settings.path, shutdown_s=FINISH_S)
            else:
                listener = await listen(
                    server,
                    *settings.address,
                    tls=tls,
                    handshake_s=limits.head_s,
                    shutdown_s=FINISH_S,
                )
        except OSError as error:
            reason = f"cannot serve at {settings.listen}: {error.strerror or error}"
            raise config_error(reason, key=f"{key}.listen") from error
        address.server, address.listener = server, listener

    async def _leave(self) -> None:
        with anyio.move_on_after(LEAVE_S) as scope:
            async with anyio.create_task_group() as tasks:
                for mounted in self._mounted():
                    tasks.start_soon(leave, mounted)
        if scope.cancelled_caught:
            log.warning("streams_left_behind", waited_s=LEAVE_S)

    async def _close(self) -> None:
        async with anyio.create_task_group() as tasks:
            for address in self._addresses:
                if address.listener is not None:
                    tasks.start_soon(address.listener.aclose)
                    address.listener = None


async def leave(mounted: Mounted) -> None:
    """Have a door end its streams; its failure is logged."""
    try:
        await mounted.door.leave()
    except Exception as error:  # the others still have to say good-bye
        log.error("door_did_not_leave", door=mounted.door.name, exc_info=error)


def transport_clock() -> Callable[[], float]:
    """Return what tells the time of the loop that it is first called in, in seconds.

    Asking which loop runs costs more than asking that loop for the time.
    """
    loop: asyncio.AbstractEventLoop | None = None

    def now_s() -> float:
        nonlocal loop
        if loop is None:
            loop = asyncio.get_running_loop()
        return loop.time()

    return now_s


def open_keys(doors: Sequence[Mounted]) -> list[str]:
    """Return where the doors without a token stand in the configuration."""
    return [mounted.key for mounted in doors if mounted.tokens.is_open]


def tls_of(settings: ListenerSettings, key: str) -> "ssl.SSLContext | None":
    """Return what an address speaks TLS with, if it does.

    Raises:
        ConfigError: its certificate or key cannot be used.
    """
    if settings.tls is None:
        return None
    try:
        return server_tls(settings.tls.certificate, settings.tls.key)
    except OSError as error:
        reason = f"cannot serve with this certificate: {error.strerror or error}"
        raise config_error(reason, key=f"{key}.tls") from error
