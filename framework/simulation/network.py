"""The in-memory network: who listens where, who connects, and what happens on the way."""

import asyncio
import errno
import itertools
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import TypeVar

from framework.simulation.link import Address, Link, LinkFaults
from framework.simulation.loop import SimulatedLoop, seeded_random
from framework.simulation.pipe import Pipe
from framework.simulation.transport import MemoryTransport

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)

ANYWHERE = "0.0.0.0"  # a listener here is found under every host
FIRST_EPHEMERAL_PORT = 49_152

_SAME_HOST = {"": ANYWHERE, "::": ANYWHERE, "localhost": "127.0.0.1", "::1": "127.0.0.1"}


class BoundAddress:
    """Stands where asyncio's servers show their listening sockets."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        """Return the host and port that the server listens on."""
        return self._address


class MemoryServer(asyncio.AbstractServer):
    """A listener; closing it refuses new connections and leaves the others alone."""

    def __init__(
        self,
        network: "MemoryNetwork",
        address: Address,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self.address = address
        self.protocol_factory = protocol_factory
        self.context = copy_context()  # protocols run in a copy: a client's context stays its own
        self._network = network
        self._closed: asyncio.Future[None] = network.loop.create_future()

    @property
    def sockets(self) -> tuple[BoundAddress, ...]:
        """The bound address in the shape of a socket; nothing once closed."""
        return (BoundAddress(self.address),) if self.is_serving() else ()

    def get_loop(self) -> SimulatedLoop:
        """Return the loop it listens on."""
        return self._network.loop

    def is_serving(self) -> bool:
        """Return whether new connections are accepted."""
        return not self._closed.done()

    def close(self) -> None:
        """Refuse new connections from now on."""
        if self.is_serving():
            self._closed.set_result(None)
            self._network.stop_listening(self)

    async def start_serving(self) -> None:
        """Do nothing: it has served since `listen`."""

    async def serve_forever(self) -> None:
        """Return once closed; close when cancelled."""
        try:
            await asyncio.shield(self._closed)
        finally:
            self.close()

    async def wait_closed(self) -> None:
        """Return once closed."""
        await asyncio.shield(self._closed)


class MemoryNetwork:
    """Connects protocols of one loop, over links whose faults come from a seed.

    A link joins a client name and a server's address. What is set for an address holds for its
    links of now and later: of every client, or of the one named. Times are virtual.
    `attempt_count` is how many connects were tried so far, whatever came of them.
    """

    def __init__(self, loop: SimulatedLoop, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.attempt_count = 0
        self._servers: dict[Address, MemoryServer] = {}
        self._links: dict[tuple[str, Address], Link] = {}
        self._faults: Rules[LinkFaults] = {}
        self._partitioned: Rules[bool] = {}
        self._ports = itertools.count(FIRST_EPHEMERAL_PORT)
        self._connection_numbers = itertools.count(1)

    # -- listening and connecting ----------------------------------------------------------------

    def listen(
        self,
        host: str | None,
        port: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> MemoryServer:
        """Accept connections to the address from now on; port 0 takes the next free one.

        Raises:
            OSError: somebody listens there already.
        """
        address = _address(host, port or next(self._ports))
        if address in self._servers:
            raise OSError(errno.EADDRINUSE, f"address {address} is in use")
        server = self._servers[address] = MemoryServer(self, address, protocol_factory)
        return server

    def stop_listening(self, server: MemoryServer) -> None:
        """Forget `server`, which has closed."""
        self._servers.pop(server.address, None)

    async def connect(
        self, protocol_factory: Callable[[], P], host: str, port: int, *, client: str = "client"
    ) -> tuple[MemoryTransport, P]:
        """Connect to the address, which takes one round trip; `client` names this side.

        Raises:
            ConnectionRefusedError: nobody listens there, or the link refuses.
            TimeoutError: no answer within the link's `connect_timeout_ms`.
            ConnectionResetError: the connection broke before it was made.
        """
        address = _address(host, port)
        link = self._link(client, address)
        self.attempt_count += 1
        await self._reach(link, address)
        await self.loop.sleep_until(self.loop.now_ns + link.latency_ns())
        server = self._servers.get(address) or self._servers.get((ANYWHERE, address[1]))
        if server is None or link.faults.refuse:
            await self.loop.sleep_until(self.loop.now_ns + link.latency_ns())
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection to {address} refused")
        protocol = protocol_factory()
        near = self._join(link, protocol, (client, next(self._ports)), server, address)
        try:
            await self.loop.sleep_until(self.loop.now_ns + link.latency_ns())
        except BaseException:
            near.abort()
            raise
        if near.is_closing():
            raise ConnectionResetError(errno.ECONNRESET, f"connection to {address} was reset")
        near.start()
        return near, protocol

    async def _reach(self, link: Link, address: Address) -> None:
        """Return once the link answers connects."""
        deadline_ns = self.loop.now_ns + round(link.faults.connect_timeout_ms * 1e6)
        while not link.answers_connects:
            if self.loop.now_ns >= deadline_ns:
                raise TimeoutError(errno.ETIMEDOUT, f"no answer from {address}")
            changed = link.changed(self.loop)
            timer = self.loop.call_at_ns(deadline_ns, link.tell_waiters)
            try:
                await changed
            finally:
                timer.cancel()
                changed.cancel()

    def _join(
        self,
        link: Link,
        protocol: asyncio.BaseProtocol,
        client: Address,
        server: MemoryServer,
        address: Address,
    ) -> MemoryTransport:
        """Join `protocol` and one of the server, which hears of it now; return the near end."""
        loop = self.loop
        near_context, far_context = copy_context(), server.context.copy()
        there, back = Pipe(loop, link, far_context), Pipe(loop, link, near_context)
        number = next(self._connection_numbers)
        near = MemoryTransport(
            loop, protocol, (there, back), (client, address), near_context, link, number
        )
        far = MemoryTransport(
            loop, asyncio.Protocol(), (back, there), (address, client), far_context, link, number
        )
        link.clients[number] = near
        try:
            far.set_protocol(far_context.run(server.protocol_factory))
            far_context.run(far.start)
        except Exception as error:  # the server's fault: the client must not be its witness
            message = f"the server at {address} failed to accept a connection"
            loop.call_exception_handler({"message": message, "exception": error})
            far.abort()
        return near

    # -- faults ----------------------------------------------------------------------------------

    def set_faults(
        self, address: Address, faults: LinkFaults, *, client: str | None = None
    ) -> None:
        """Let `faults` hold on links to `address`; of what is on the wire nothing changes."""
        _remember(self._faults, client, _address(*address), faults)
        for link in self._links_to(address, client):
            link.set_faults(faults)

    def cut(self, address: Address, *, client: str | None = None) -> None:
        """Reset every connection to `address` now; what is in flight is lost."""
        for link in self._links_to(address, client):
            for near in list(link.clients.values()):
                for end in (near, near.outgoing.receiver):
                    end.break_off(ConnectionResetError(errno.ECONNRESET, "connection was cut"))

    def partition(self, address: Address, *, client: str | None = None) -> None:
        """Hold back everything to and from `address`, connects included, until `heal`."""
        self._set_partitioned(address, client, True)

    def heal(self, address: Address, *, client: str | None = None) -> None:
        """End a partition: what was held back arrives now, in order."""
        self._set_partitioned(address, client, False)

    def connection_count(self, address: Address, *, client: str | None = None) -> int:
        """Return how many connections to `address` are not over on both sides."""
        return sum(len(link.clients) for link in self._links_to(address, client))

    def _set_partitioned(self, address: Address, client: str | None, value: bool) -> None:
        _remember(self._partitioned, client, _address(*address), value)
        for link in self._links_to(address, client):
            link.set_partitioned(value)

    def _links_to(self, address: Address, client: str | None) -> Iterator[Link]:
        wanted = _address(*address)
        for (name, target), link in self._links.items():
            if target == wanted and client in (None, name):
                yield link

    def _link(self, client: str, address: Address) -> Link:
        link = self._links.get((client, address))
        if link is None:
            name = f"network/{client}/{address[0]}:{address[1]}"
            link = self._links[client, address] = Link(
                fate=seeded_random(self.seed, f"{name}/fate"),
                pace=seeded_random(self.seed, f"{name}/pace"),
            )
            link.set_faults(_recall(self._faults, client, address) or LinkFaults())
            link.set_partitioned(_recall(self._partitioned, client, address) or False)
        return link


def _address(host: str | None, port: int) -> Address:
    name = (host or "").lower()
    return _SAME_HOST.get(name, name), port


Rules = dict[tuple[str | None, Address], T]  # by client and address; None stands for every client


def _remember(rules: Rules[T], client: str | None, address: Address, value: T) -> None:
    if client is None:  # what was said of one client before no longer holds
        for key in [key for key in rules if key[1] == address]:
            del rules[key]
    rules[client, address] = value


def _recall(rules: Rules[T], client: str, address: Address) -> T | None:
    return rules.get((client, address), rules.get((None, address)))
