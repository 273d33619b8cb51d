"""Keeps doors running: one that fails is answered for and started again, alone (T-07)."""

import asyncio

import structlog

from framework.server.routing import Mounted

log = structlog.get_logger("server")

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
STABLE_S = 300.0  # after which earlier failures are forgotten
MOST_RESTARTS = 5


async def keep_running(mounted: Mounted, stopped: asyncio.Event) -> None:
    """Run a door until it ends by itself, or has failed too often in a row.

    While `mounted.failure` is set its requests are refused, but for those that look or reduce risk;
    nothing else notices.
    """
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began_s = loop.time()
        try:
            await mounted.door.run()
            return
        except Exception as error:  # whatever it is, orders go on
            mounted.failure = type(error).__name__
            log.error("door_failed", door=mounted.door.name, key=mounted.key, exc_info=error)
        failures = 1 if loop.time() - began_s >= STABLE_S else failures + 1
        if failures > MOST_RESTARTS:
            log.critical("door_left_dead", door=mounted.door.name, key=mounted.key)
            return
        wait_s = min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_WAIT_S)
        try:
            async with asyncio.timeout(wait_s):
                await stopped.wait()
        except TimeoutError:
            log.warning("door_restarts", door=mounted.door.name, key=mounted.key)
            mounted.failure = ""
        else:
            return
