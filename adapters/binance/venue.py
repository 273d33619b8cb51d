"""A simulated Binance for tests and demonstrations: `headrace venue binance`."""

import argparse
import asyncio
from collections.abc import Callable, Mapping
from random import Random

from adapters.binance.simulated.keys import hmac_verifier
from adapters.binance.simulated.rig import BinanceRig
from adapters.binance.simulated.whole import BinanceVenue, VenueOptions
from framework.clock.clock import LiveClock
from framework.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `headrace venue binance` may be told."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8090, help="port; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="decides what the background does")
    parser.add_argument("--api-key", default="demo", help="name of the one key")
    parser.add_argument(
        "--secret", default="demo-secret", help="its secret, for demonstration only"
    )


async def serve(
    options: argparse.Namespace, announce: Callable[[Mapping[str, object]], None]
) -> None:
    """Serve until cancelled; announce where.

    Raises:
        ConfigError: the address is taken, or not ours.
    """
    clock = LiveClock()
    venue = BinanceVenue(
        VenueOptions(
            balances={"demo": {"USDT": "100000", "BTC": "1", "ETH": "10"}},
            keys={options.api_key: ("demo", hmac_verifier(options.secret))},
        ),
        random=Random(options.seed),
        now_ns=lambda: clock.now_ns,
    )
    try:
        port = await venue.start(options.host, options.port)
    except OSError as error:
        raise ConfigError(f"{options.host}:{options.port}: {error.strerror}") from error
    place = f"{options.host}:{port}"
    announce(
        {
            "rest_url": f"http://{place}",
            "stream_url": f"ws://{place}",
            "api_url": f"ws://{place}/ws-api/v3",
            "api_key": options.api_key,
        }
    )
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await venue.aclose()


def rig(seed: int) -> BinanceRig:
    """Return the venue for the adapter kit, on the running simulated loop."""
    return BinanceRig(seed)


__all__ = ["BinanceVenue", "VenueOptions", "add_arguments", "rig", "serve"]
