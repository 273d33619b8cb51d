"""Where connections come from: the real network, or the in-memory one of a simulated loop.

aiohttp is imported on the first use: a backtest that connects to nothing does not pay for it.
"""

import asyncio
from typing import TYPE_CHECKING

from framework.errors import InvariantBroken
from framework.simulation.loop import SimulatedLoop

if TYPE_CHECKING:
    import aiohttp


def open_connector() -> "aiohttp.BaseConnector":
    """Return a connector for one `aiohttp.ClientSession` of the running loop."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, SimulatedLoop):
        from framework.simulation.connector import memory_connector

        return memory_connector(loop)
    import aiohttp

    return aiohttp.TCPConnector()


def no_connector() -> "aiohttp.BaseConnector":
    """Stand where nothing may connect: a check, a replay. Raises InvariantBroken."""
    raise InvariantBroken("nothing connects here")
