"""An hour of a WebSocket session on virtual time: a venue that ticks, a client that reconnects.

Prints one line of JSON. `log_sha256` covers every message that the client received and every
drop, with their virtual times: one seed gives one hash, on any machine and in any process.
"""

import argparse
import asyncio
import hashlib
import json
import time

import aiohttp
from aiohttp import WSMsgType, web

from framework.simulation.connector import memory_connector, serve
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop, run_simulated

VENUE = ("venue", 80)
MESSAGES_PER_SECOND = 5
FAULTS = LinkFaults(latency_ms_low=5, latency_ms_high=60, drop_rate=0.002, split_max_bytes=200)
MINUTE_NS = 60_000_000_000


async def ticks(request: web.Request) -> web.WebSocketResponse:
    """Send numbered ticks until the client is gone."""
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    number = 0
    while not socket.closed:
        await asyncio.sleep(1 / MESSAGES_PER_SECOND)
        try:
            await socket.send_str(f'{{"tick":{number},"price":"{100 + number % 7}.25"}}')
        except ConnectionResetError:
            break
        number += 1
    return socket


class Listener:
    """Stays connected to the venue and logs what it hears."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.message_count = 0
        self.drop_count = 0
        self.log = hashlib.sha256()
        self._loop = loop
        self._chance = loop.random_for("back-off")

    async def run(self) -> None:
        """Connect, listen, and on each drop back off and connect again; until cancelled."""
        attempt = 0
        async with aiohttp.ClientSession(connector=memory_connector(self._loop)) as session:
            while True:
                try:
                    async with session.ws_connect("ws://venue/ticks", heartbeat=20) as socket:
                        async for message in socket:
                            if message.type is not WSMsgType.TEXT:
                                break
                            attempt = 0
                            self.message_count += 1
                            self._write(message.data)
                except aiohttp.ClientError as error:
                    self._write(type(error).__name__)
                self.drop_count += 1
                self._write("dropped")
                await asyncio.sleep(self._chance.uniform(0.1, min(0.5 * 2**attempt, 30)))
                attempt += 1

    def _write(self, line: str) -> None:
        self.log.update(f"{self._loop.now_ns} {line}\n".encode())


def play(seed: int, minutes: int) -> Listener:
    """Play `minutes` of virtual time with `seed`."""

    async def main() -> Listener:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        app = web.Application()
        app.router.add_get("/ticks", ticks)
        runner = await serve(app, *VENUE, shutdown_timeout=1)
        loop.network.set_faults(VENUE, FAULTS)
        listener = Listener(loop)
        listening = loop.create_task(listener.run())
        await loop.sleep_until(loop.now_ns + minutes * MINUTE_NS)
        listening.cancel()
        await asyncio.wait([listening])
        await runner.cleanup()
        return listener

    return run_simulated(main, seed=seed)


def main() -> None:
    """Play once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=60)
    arguments = parser.parse_args()
    started = time.perf_counter()
    listener = play(arguments.seed, arguments.minutes)
    seconds = time.perf_counter() - started
    figures = {
        "workload": "websocket_hour",
        "seed": arguments.seed,
        "messages": listener.message_count,
        "drops": listener.drop_count,
        "log_sha256": listener.log.hexdigest(),
        "simulated_hours_per_second": round(arguments.minutes / 60 / seconds, 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
