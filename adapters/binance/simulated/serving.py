"""The simulated venue's three doors on one address."""

from aiohttp import web

from adapters.binance.simulated.http import PREFIX, RestServer
from adapters.binance.simulated.streams import MarketStreams
from adapters.binance.simulated.user_streams import UserStreams
from framework.net.listening import Listener, listen


async def serve_venue(
    rest: RestServer, streams: MarketStreams, user_streams: UserStreams, *, host: str, port: int
) -> Listener:
    """Serve REST, `/stream` and `/ws-api/v3`. Raises OSError: the address cannot be had."""
    app = web.Application()
    app.router.add_get("/stream", streams.handle)
    app.router.add_get("/ws-api/v3", user_streams.handle)
    app.router.add_route("*", PREFIX + "/{tail:.*}", rest.handle)
    return await listen(app, host, port)
