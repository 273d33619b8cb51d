"""A burst of market activity on demand, for clients in other processes.

POST /control/burst?count=    change so many levels as fast as readers take them; {"changes"}
"""

import asyncio

from aiohttp import web

from adapters.kalshi.simulated.activity import Activity
from adapters.kalshi.simulated.control import Control

SLICE = 500  # level changes in one turn of the loop
MOST = 10_000_000
MOST_QUEUED = 2_000  # frames for one connection: beyond it the burst waits for the reader


def burst_routes(activity: Activity | None, control: Control) -> list[web.RouteDef]:
    """Return the route under `/control/`; without activity there is nobody to trade."""

    async def burst(request: web.Request) -> web.Response:
        try:
            count = int(request.query.get("count", "1000"))
        except ValueError:
            count = 0
        if activity is None or not 0 < count <= MOST:
            raise web.HTTPBadRequest(text=f"count must be 1 to {MOST}, and there must be activity")
        changes = made = 0
        while changes < count:
            await asyncio.sleep(0)
            if any(report.queued > MOST_QUEUED for report in control.connections()):
                continue  # slower than we are: wait, else it would be cut off
            made = activity.burst(min(SLICE, count - changes))
            changes += made
            if not made:
                break
        return web.json_response({"changes": changes})

    return [web.post("/control/burst", burst)]
