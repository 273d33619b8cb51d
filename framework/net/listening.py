"""Serves an aiohttp application on a TCP address: real, or of the in-memory network."""

import asyncio

from aiohttp import web

from framework.simulation.connector import serve
from framework.simulation.loop import SimulatedLoop

SHUTDOWN_S = 1.0  # what open requests get to finish


class Listener:
    """An application that accepts connections until `aclose`."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._runner = runner

    async def aclose(self) -> None:
        """Refuse new connections and close the others."""
        await self._runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listener:
    """Serve `app`; port 0 takes a free one on the real network.

    Raises:
        OSError: the address is taken, or not ours.
    """
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        return Listener(await serve(app, host, port, shutdown_timeout=SHUTDOWN_S), host, port)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Listener(runner, host, runner.addresses[0][1])
