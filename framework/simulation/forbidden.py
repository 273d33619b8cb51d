"""The ways out of a simulated world: threads, processes and real sockets, all of them closed.

Anything outside runs on real time, so its answer would arrive at a moment that no seed decides.
Plain connections are let through, to the in-memory network.
"""

import asyncio
import threading
from asyncio import Handle
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, NoReturn, TypeVarTuple

import anyio._backends._asyncio as anyio_backend

from framework.errors import ForbiddenInSimulation

if TYPE_CHECKING:
    from framework.simulation.network import MemoryNetwork, MemoryServer

Ts = TypeVarTuple("Ts")

_AnyioWorkerThread = anyio_backend.WorkerThread


def _forbidden(what: str) -> Any:
    """Return a method that refuses every call; untyped, since it stands for many signatures."""

    def refuse(self: object, *args: object, **options: object) -> NoReturn:
        raise ForbiddenInSimulation(f"{what} do not exist in a simulated world")

    return refuse


class EnclosedLoop(asyncio.BaseEventLoop):
    """An event loop whose every way out of the process raises `ForbiddenInSimulation`."""

    _thread_id: int | None

    run_in_executor = _forbidden("threads (run_in_executor, asyncio.to_thread)")
    set_default_executor = _forbidden("threads (set_default_executor)")

    subprocess_exec = _forbidden("processes (subprocess_exec)")
    subprocess_shell = _forbidden("processes (subprocess_shell)")
    connect_read_pipe = _forbidden("pipes (connect_read_pipe)")
    connect_write_pipe = _forbidden("pipes (connect_write_pipe)")

    getaddrinfo = _forbidden("name look-ups (getaddrinfo)")
    getnameinfo = _forbidden("name look-ups (getnameinfo)")

    start_tls = _forbidden("TLS connections (start_tls)")
    sendfile = _forbidden("real sockets (sendfile)")
    create_datagram_endpoint = _forbidden("real sockets (create_datagram_endpoint)")
    create_unix_connection = _forbidden("real sockets (create_unix_connection)")
    create_unix_server = _forbidden("real sockets (create_unix_server)")
    connect_accepted_socket = _forbidden("real sockets (connect_accepted_socket)")
    add_reader = _forbidden("real sockets (add_reader)")
    remove_reader = _forbidden("real sockets (remove_reader)")
    add_writer = _forbidden("real sockets (add_writer)")
    remove_writer = _forbidden("real sockets (remove_writer)")
    sock_accept = _forbidden("real sockets (sock_accept)")
    sock_connect = _forbidden("real sockets (sock_connect)")
    sock_recv = _forbidden("real sockets (sock_recv)")
    sock_recv_into = _forbidden("real sockets (sock_recv_into)")
    sock_recvfrom = _forbidden("real sockets (sock_recvfrom)")
    sock_recvfrom_into = _forbidden("real sockets (sock_recvfrom_into)")
    sock_sendall = _forbidden("real sockets (sock_sendall)")
    sock_sendfile = _forbidden("real sockets (sock_sendfile)")
    sock_sendto = _forbidden("real sockets (sock_sendto)")

    @property
    def network(self) -> "MemoryNetwork":
        """The network that connections of this loop lead to."""
        raise NotImplementedError

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: object = None,
        sock: object = None,
        **options: object,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over the in-memory network; other options have no meaning there."""
        if ssl or sock is not None:
            raise ForbiddenInSimulation("TLS and real sockets do not exist in a simulated world")
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int = 0,
        *,
        ssl: object = None,
        sock: object = None,
        **options: object,
    ) -> "MemoryServer":
        """Listen on the in-memory network; other options have no meaning there."""
        if ssl or sock is not None:
            raise ForbiddenInSimulation("TLS and real sockets do not exist in a simulated world")
        return self.network.listen(host, port, protocol_factory)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Handle:
        """As `call_soon`; refuses any thread but the loop's own, whose timing no seed decides."""
        if self._thread_id not in (None, threading.get_ident()):
            raise ForbiddenInSimulation("threads do not exist in a simulated world")
        return self.call_soon(callback, *args, context=context)


def forbid_anyio_threads() -> None:
    """Make `anyio.to_thread.run_sync` refuse to start a worker for an `EnclosedLoop`.

    anyio starts its threads without asking the loop, so the class it calls is replaced. Other
    loops of the process still get their worker; calling this again changes nothing.
    """
    anyio_backend.WorkerThread = _worker_thread  # type: ignore[assignment, misc]


def _worker_thread(root_task: Any, workers: Any, idle_workers: Any) -> Any:
    if isinstance(asyncio.get_running_loop(), EnclosedLoop):
        raise ForbiddenInSimulation("threads (anyio.to_thread) do not exist in a simulated world")
    return _AnyioWorkerThread(root_task, workers, idle_workers)


# anyio reads this constant from the same name when it prunes the idle workers of a real loop.
_worker_thread.MAX_IDLE_TIME = _AnyioWorkerThread.MAX_IDLE_TIME  # type: ignore[attr-defined]
