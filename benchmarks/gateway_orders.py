"""Workload `gateway_orders`: market orders of 50 clients over the gateway's door, on the mock.

The server has one core, the clients the other. First as many as go with `durability: async`,
beside a bare aiohttp handler that decodes and answers a constant (`ratio` is of their processor
time, which other work on the machine hardly changes); then 500 a second with
`durability: full`, whenever they are due, whatever became of those before.
"""

import asyncio
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import msgspec
import uvloop

from benchmarks.gateway_server import Connection, Started, connected, gateway, settings, started

CLIENTS = 50
ORDERS = 10_000
WARM_UP = 1_000
PACE = 500  # orders a second
PACED_ORDERS = 5_000
PATH = "/v1/orders"
_numbers = count()


def body() -> bytes:
    """Return the next order: they buy and sell in turn, so that nothing piles up."""
    number = next(_numbers)
    return msgspec.json.encode(
        {
            "symbol": "AAPL",
            "side": "sell" if number % 2 else "buy",
            "quantity": "1",
            "order_type": "market",
            "client_order_id": f"bench-{number:08d}",
        }
    )


async def as_fast_as_it_goes(server: Started, orders: int) -> dict[str, Any]:
    """Have every client send one order after another; return rate and times."""
    connections = await connected(server.address, CLIENTS)
    await flood(connections, WARM_UP)
    began_s, used_s = perf_counter(), server.cpu_s
    times = await flood(connections, orders)
    seconds, used_s = perf_counter() - began_s, server.cpu_s - used_s
    return {
        "orders_per_second": round(len(times) / seconds),
        "cpu_us_per_order": round(used_s / len(times) * 1e6),
        **percentiles(times),
        "refused": sum(connection.refused for connection in connections),
    }


async def flood(connections: list[Connection], orders: int) -> list[float]:
    """Send so many orders, each client its share; return how long each took."""
    times: list[float] = []

    async def client(connection: Connection) -> None:
        for _ in range(orders // len(connections)):
            times.append(await connection.post(PATH, body()))  # noqa: PERF401 - as they come

    await asyncio.gather(*map(client, connections))
    return times


async def as_they_are_due(server: Started, orders: int) -> dict[str, Any]:
    """Send an order each 1/500 s; return how long answers took."""
    connections = await connected(server.address, CLIENTS)
    await flood(connections, WARM_UP)
    loop = asyncio.get_running_loop()
    first_s, answers = loop.time(), []
    for number in range(orders):
        wait_s = first_s + number / PACE - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        answers.append(connections[number % CLIENTS].post(PATH, body()))
    times = await asyncio.gather(*answers)
    return {
        "orders_per_second": PACE,
        **percentiles(times),
        "refused": sum(connection.refused for connection in connections),
    }


def percentiles(times: list[float]) -> dict[str, float]:
    """Return the middle and the slow end, in milliseconds."""
    cuts = quantiles(times, n=100)
    return {"p50_ms": round(cuts[49] * 1e3, 3), "p99_ms": round(cuts[98] * 1e3, 3)}


def measure() -> list[dict[str, object]]:
    """Return a row for the bound and one for each way to run the gateway."""
    with started("-m", "benchmarks.gateway_server") as server:
        bound = uvloop.run(as_fast_as_it_goes(server, ORDERS))
    rows: list[dict[str, object]] = [{"row": "bare aiohttp handler", **bound}]
    for row, durability, has_journal in (
        ("async, journal and inputs", "async", True),
        ("async, in memory", "async", False),
    ):
        with TemporaryDirectory() as name:
            chosen = settings(Path(name), durability=durability, has_journal=has_journal)
            with gateway(Path(name), chosen) as server:
                figures = uvloop.run(as_fast_as_it_goes(server, ORDERS))
        ratio = bound["cpu_us_per_order"] / figures["cpu_us_per_order"]
        rows.append({"row": row, **figures, "ratio": round(ratio, 2)})
    with TemporaryDirectory() as name:
        chosen = settings(Path(name), durability="full")
        with gateway(Path(name), chosen) as server:
            rows.append({"row": "full", **uvloop.run(as_they_are_due(server, PACED_ORDERS))})
    return rows
