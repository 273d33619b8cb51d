"""Which transport a link uses."""

import asyncio
from importlib.util import find_spec

from framework.errors import ConfigError
from framework.interfaces import AdapterContext
from framework.net.link_options import LinkOptions
from framework.net.web_socket import Transport
from framework.simulation.loop import SimulatedLoop


def open_transport(options: LinkOptions, context: AdapterContext) -> Transport:
    """Return the transport that is wanted; `auto` is picows where that can be, else aiohttp.

    Raises:
        ConfigError: picows is wanted and is not installed, or has no sockets: the loop is
            simulated.
    """
    is_simulated = isinstance(asyncio.get_running_loop(), SimulatedLoop)
    name = options.transport
    if name == "auto":
        name = "aiohttp" if is_simulated or find_spec("picows") is None else "picows"
    if name == "aiohttp":
        from framework.net.aiohttp_socket import AiohttpTransport

        return AiohttpTransport(context, options)
    if is_simulated:
        raise ConfigError("the transport picows needs real sockets: use auto or aiohttp")
    if find_spec("picows") is None:
        raise ConfigError("the transport picows is not installed: pip install headrace[fast]")
    from framework.net.picows_socket import PicowsTransport

    return PicowsTransport(context, options)
