"""Runs the broker simulator as a process: `python -m tests.broker --seed 7`.

Prints its port as the first line, then serves until it is told to stop or its stdin is closed, so
that it cannot outlive the test that started it.
"""

import argparse
import asyncio
import os
import sys
import time
from decimal import Decimal
from random import Random

from tests.broker.server import Server
from tests.broker.truth import Books


def opened_books(cash: Decimal, *, symbols: tuple[str, ...] = ("BTC", "ETH")) -> Books:
    """Return books with one account, `main`, and prices for `symbols`."""
    books = Books(cash={"main": cash})
    for symbol in symbols:
        books.set_price(symbol, Decimal(100), Decimal(101))
    return books


async def serve(seed: int, tick_ms: float, cash: Decimal) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = Server(opened_books(cash), random=Random(seed), now_ns=time.time_ns, tick_ms=tick_ms)
    port = await server.start("127.0.0.1", 0)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended, stdin = asyncio.Event(), sys.stdin.fileno()
    loop.add_reader(stdin, lambda: None if os.read(stdin, 1) else ended.set())
    await ended.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tick-ms", type=float, default=5)
    parser.add_argument("--cash", type=Decimal, default=Decimal(1_000_000))
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.seed, arguments.tick_ms, arguments.cash))


if __name__ == "__main__":
    main()
