"""Serves an aiohttp application or server at an address: real, or of the in-memory network."""

import asyncio
import contextlib
import os
import socket
import ssl
import stat

from aiohttp import web

from framework.simulation.connector import MemorySite
from framework.simulation.loop import SimulatedLoop

SHUTDOWN_S = 1.0  # what open requests get to finish
HANDSHAKE_S = 5.0  # what a client gets to agree on a TLS session
FIRST_FREE_PORT = 20_000  # on the in-memory network
MOST_LISTENERS = 1_000
OWNER_ONLY = 0o600
WAITING_CONNECTIONS = 256  # accepted by the system and not yet by us

Served = web.Application | web.Server


class Listener:
    """What accepts connections until `aclose`; a unix socket has its path as `host`."""

    def __init__(self, runner: web.BaseRunner, host: str, port: int, inode: int = 0) -> None:
        self.host = host
        self.port = port
        self._runner = runner
        self._inode = inode

    async def aclose(self) -> None:
        """Refuse new connections and close the others."""
        await self._runner.cleanup()
        if self._inode:
            remove_socket(self.host, self._inode)
            self._inode = 0


class SocketSite(web.BaseSite):
    """A TCP address, with TLS or without."""

    __slots__ = ("_address", "_handshake_s")

    def __init__(
        self,
        runner: web.BaseRunner,
        address: tuple[str, int] | socket.socket,
        tls: ssl.SSLContext | None = None,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=WAITING_CONNECTIONS)
        self._address = address
        self._handshake_s = handshake_s

    @property
    def name(self) -> str:
        """The address, for messages."""
        return str(self._address)

    async def start(self) -> None:
        """Accept connections from now on."""
        await super().start()
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None
        handshake_s = None if self._ssl_context is None else self._handshake_s
        if isinstance(self._address, socket.socket):
            self._server = await loop.create_unix_server(
                server, sock=self._address, backlog=self._backlog
            )
        else:
            self._server = await loop.create_server(
                server,
                *self._address,
                ssl=self._ssl_context,
                ssl_handshake_timeout=handshake_s,
                backlog=self._backlog,
            )


async def listen(
    served: Served,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    handshake_s: float = HANDSHAKE_S,
    shutdown_s: float = SHUTDOWN_S,
) -> Listener:
    """Serve at a TCP address; port 0 takes a free one. There is no TLS in a simulated world.

    Raises:
        OSError: the address is taken, or not ours.
    """
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        return await _listen_in_memory(served, host, port, shutdown_s)
    runner = await _runner_of(served, shutdown_s)
    try:
        await SocketSite(runner, (host, port), tls, handshake_s).start()
    except BaseException:
        await runner.cleanup()
        raise
    return Listener(runner, host, runner.addresses[0][1])


async def listen_on_path(served: Served, path: str, *, shutdown_s: float = SHUTDOWN_S) -> Listener:
    """Serve at a unix socket that only this user can connect to.

    What a killed process left at the path is replaced.

    Raises:
        OSError: somebody listens there, or something else is there.
    """
    bound = bind_path(path)
    runner = await _runner_of(served, shutdown_s)
    try:
        await SocketSite(runner, bound).start()
    except BaseException:
        await runner.cleanup()
        bound.close()
        raise
    return Listener(runner, path, 0, os.stat(path).st_ino)


def bind_path(path: str) -> socket.socket:
    """Return a unix socket bound to the path; nobody can connect before it listens.

    Raises:
        OSError: the path is too long, is in use, or holds something else.
    """
    if os.path.lexists(path):
        remove_stale_socket(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        os.chmod(path, OWNER_ONLY)  # before it listens: until then every connect is refused
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def remove_stale_socket(path: str) -> None:
    """Remove a unix socket that nobody listens on.

    Raises:
        OSError: somebody does, or it is no socket.
    """
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(f"{path} is there and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a listener that is alive takes it, or has no room at once
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise FileExistsError(f"another process listens on {path}")


def remove_socket(path: str, inode: int) -> None:
    """Remove our socket's file, unless another one has taken its place."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """Return what serves TLS 1.2 and later with a certificate and its key, from PEM files.

    Raises:
        OSError: a file cannot be read, or is no certificate or no key of it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password=_no_password)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    raise OSError("the key is encrypted")  # else the terminal would be asked


async def _runner_of(served: Served, shutdown_s: float) -> web.BaseRunner:
    # The access log would print the real time of day.
    runner: web.BaseRunner
    if isinstance(served, web.Application):
        runner = web.AppRunner(
            served, handle_signals=False, access_log=None, shutdown_timeout=shutdown_s
        )
    else:
        runner = web.ServerRunner(served, handle_signals=False, shutdown_timeout=shutdown_s)
    await runner.setup()
    return runner


async def _listen_in_memory(served: Served, host: str, port: int, shutdown_s: float) -> Listener:
    runner = await _runner_of(served, shutdown_s)
    for chosen in (port,) if port else range(FIRST_FREE_PORT, FIRST_FREE_PORT + MOST_LISTENERS):
        site = MemorySite(runner, host, chosen)
        try:
            await site.start()
        except OSError:
            await site.stop()
            if port:
                await runner.cleanup()
                raise
        else:
            return Listener(runner, host, chosen)
    await runner.cleanup()
    raise OSError(f"no free port on {host}")
