"""A gateway of ours with a synthetic market behind it, for demonstrations and the kit."""

import argparse
import asyncio
from collections.abc import Callable, Mapping

from adapters.tektii.simulated.rig import KEY, TektiiRig, configuration
from framework.adapter_kit.hosted import Hosted, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `headrace venue tektii` may be told."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="decides how prices move")
    parser.add_argument("--api-key", default=KEY, help="the one key, for demonstration only")


async def serve(
    options: argparse.Namespace, announce: Callable[[Mapping[str, object]], None]
) -> None:
    """Serve until cancelled; announce where.

    Raises:
        ConfigError: the address is taken, or may not be used.
    """
    listen = f"{options.host}:{options.port}"
    told = configuration(options.seed, listen=listen, key=options.api_key)
    hosted = await Hosted(settings_of(told)).start()
    try:
        announce({"url": hosted.addresses[0], "api_key": options.api_key})
        await asyncio.get_running_loop().create_future()
    finally:
        await hosted.aclose()


def rig(seed: int) -> TektiiRig:
    """Return the venue for the adapter kit, on the running simulated loop."""
    return TektiiRig(seed)


__all__ = ["add_arguments", "rig", "serve"]
