"""Serves an aiohttp application on a TCP address: real, or of the in-memory network."""

import asyncio

from aiohttp import web

from framework.simulation.connector import serve
from framework.simulation.loop import SimulatedLoop

SHUTDOWN_S = 1.0  # what open requests get to finish
FIRST_FREE_PORT = 20_000  # on the in-memory network
MOST_LISTENERS = 1_000


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
    """Serve `app`; port 0 takes a free one.

    Raises:
        OSError: the address is taken, or not ours.
    """
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        return await _listen_in_memory(app, host, port)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Listener(runner, host, runner.addresses[0][1])


async def _listen_in_memory(app: web.Application, host: str, port: int) -> Listener:
    for chosen in (port,) if port else range(FIRST_FREE_PORT, FIRST_FREE_PORT + MOST_LISTENERS):
        try:
            runner = await serve(app, host, chosen, shutdown_timeout=SHUTDOWN_S)
        except OSError:
            if port:
                raise
        else:
            return Listener(runner, host, chosen)
    raise OSError(f"no free port on {host}")
