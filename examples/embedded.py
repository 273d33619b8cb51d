"""Headrace inside a program of your own: start it, follow its fills, stop it. Needs no data.

    python examples/embedded.py

The runtime lives on the loop that is running and sets nothing for the whole process: signal
handlers, logging and the loop itself stay yours. Several runtimes may share one loop.
"""

import asyncio

from framework import Fill
from framework.runtime.runner import Runtime
from framework.settings.loading import load

CONFIG = "config/paper.yaml"  # paper trading on a made-up market, twenty prices a second
FILLS = 2


async def follow_fills(runtime: Runtime) -> None:
    """Print fills until there were enough of them: this is where your own code would be."""
    async with runtime.engine.bus.subscribe(Fill) as fills:
        count = 0
        async for fill in fills:
            print(f"{fill.run}: {fill.side.value} {fill.quantity} at {fill.price}")
            count += 1
            if count == FILLS:
                return


async def main() -> None:
    """Run a configured system beside the program's other work."""
    async with Runtime(load(CONFIG)) as runtime:
        await asyncio.wait_for(follow_fills(runtime), timeout=120)
        print("stopping in order")  # strategies hear on_stop, and their stop policies act
    for run in runtime.system.runs:
        print(
            f"{run.settings.id}: {len(runtime.engine.registry.open_orders(run.settings.id))} open"
        )


if __name__ == "__main__":
    asyncio.run(main())
