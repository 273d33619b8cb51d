"""aiohttp over the in-memory network: the real client and server, no sockets, virtual time.

What aiohttp still takes from the world outside decides nothing here: WebSocket keys and masks are
random bytes of fixed length, the `Date` header has a fixed length too. Known exceptions: cookies
with a lifetime age on the real clock; a byte damaged inside a `Sec-WebSocket-Key` may or may not
be noticed. aiohttp hands compressed messages above 16 KiB, static files and `.netrc` to threads,
which raises `ForbiddenInSimulation`.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Awaitable
from typing import TypeVar, cast

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.helpers import ceil_timeout
from aiohttp.tracing import Trace

from framework.simulation.loop import SimulatedLoop

T = TypeVar("T")


class InsertionOrdered(dict[T, None]):
    """As much of a set as aiohttp's connector needs; iterates in order of insertion."""

    def add(self, item: T) -> None:
        """Put `item` at the end, unless it is here."""
        self[item] = None

    def discard(self, item: T) -> None:
        """Take `item` out if it is here."""
        self.pop(item, None)

    def remove(self, item: T) -> None:
        """Take `item` out.

        Raises:
            KeyError: it is not here.
        """
        del self[item]


class MemoryConnector(aiohttp.BaseConnector):
    """Opens connections on the loop's in-memory network, as the client called `client`.

    `https` and `wss` are carried in the clear: there is no TLS in a simulated world. aiohttp ages
    idle connections on the real clock and wakes waiters by unseeded chance; here virtual time and
    the loop's seed decide.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        *,
        client: str = "client",
        keepalive_timeout: float | None = 15.0,
        limit: int = 100,
        limit_per_host: int = 0,
        force_close: bool = False,
    ) -> None:
        super().__init__(
            keepalive_timeout=None,  # never by the real clock
            force_close=force_close,
            limit=limit,
            limit_per_host=limit_per_host,
            loop=loop,
        )
        self._simulated_loop = loop
        self._client = client
        self._idle_timeout = keepalive_timeout
        self._expiries: dict[ResponseHandler, TimerHandle] = {}  # of idle connections
        self._shuffle = loop.random_for(f"connector/{client}").shuffle
        # A set would be closed in the order of addresses.
        self._acquired = cast(set[ResponseHandler], InsertionOrdered[ResponseHandler]())

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- the signature is aiohttp's
    ) -> ResponseHandler:
        host, port = req.url.host or "", req.url.port or 0
        network = self._simulated_loop.network
        try:
            async with ceil_timeout(timeout.sock_connect, ceil_threshold=timeout.ceil_threshold):
                _, protocol = await network.connect(self._factory, host, port, client=self._client)
        except TimeoutError as error:
            if error.errno is None:  # ours, not the network's
                raise
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        super()._release(key, protocol, should_close=should_close)
        idle = self._conns.get(key)
        if self._idle_timeout is not None and idle and idle[-1][0] is protocol:
            self._expiries[protocol] = self._simulated_loop.call_later(
                self._idle_timeout, self._expire, key, protocol
            )

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        connection = await super()._get(key, traces)
        if connection is not None and connection.protocol in self._expiries:
            self._expiries.pop(connection.protocol).cancel()
        return connection

    def _expire(self, key: ConnectionKey, protocol: ResponseHandler) -> None:
        del self._expiries[protocol]
        idle = self._conns[key]
        for entry in [entry for entry in idle if entry[0] is protocol]:
            idle.remove(entry)
            protocol.close()
        if not idle:
            del self._conns[key]

    def _close(self, *, abort_ssl: bool = False) -> list[Awaitable[object]]:
        for timer in self._expiries.values():
            timer.cancel()
        self._expiries.clear()
        return super()._close(abort_ssl=abort_ssl)

    def _release_waiter(self) -> None:
        """Wake one waiter of a host that has room; which host is drawn from the seed."""
        keys = list(self._waiters)
        self._shuffle(keys)
        for key in keys:
            if self._available_connections(key) < 1:
                continue
            waiters = self._waiters[key]
            while waiters:
                waiter, _ = waiters.popitem(last=False)
                if not waiter.done():
                    waiter.set_result(None)
                    return


def memory_connector(loop: SimulatedLoop, *, client: str = "client") -> aiohttp.BaseConnector:
    """Return a connector for `aiohttp.ClientSession` on `loop`."""
    return MemoryConnector(loop, client=client)


class MemorySite(web.BaseSite):
    """Serves a runner's application at an address of the in-memory network."""

    __slots__ = ("_address",)

    def __init__(self, runner: web.BaseRunner, host: str, port: int) -> None:
        super().__init__(runner)
        self._address = (host, port)

    @property
    def name(self) -> str:
        """The address as a URL."""
        return "http://{}:{}".format(*self._address)

    async def start(self) -> None:
        """Accept connections from now on."""
        await super().start()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        assert self._runner.server is not None
        self._server = loop.network.listen(*self._address, self._runner.server)


async def serve(
    app: web.Application, host: str, port: int, *, shutdown_timeout: float = 60.0
) -> web.AppRunner:
    """Serve `app` at the address until `cleanup` of what is returned; it may get more sites."""
    # The access log would print the real time of day.
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=shutdown_timeout
    )
    await runner.setup()
    await MemorySite(runner, host, port).start()
    return runner
