"""The simulated Kalshi venue: exchange, activity, streams, REST and control in one application.

    /trade-api/v2/...      REST
    /trade-api/ws/v2       streams
    /control/...           for tests: faults, the true book, what clients asked for

On a simulated loop it listens on the in-memory network, else on a TCP port. `add_arguments` and
`serve` are what `headrace venue kalshi` calls.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping
from random import Random

import msgspec
from aiohttp import web

from adapters.kalshi.simulated.activity import Activity
from adapters.kalshi.simulated.auth import Gatekeeper
from adapters.kalshi.simulated.command_line import add_arguments, settings_of
from adapters.kalshi.simulated.control import Control
from adapters.kalshi.simulated.control_burst import burst_routes
from adapters.kalshi.simulated.control_http import control_routes
from adapters.kalshi.simulated.control_rest import rest_control_routes
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.http import LARGEST_BODY, PREFIX, RestApi
from adapters.kalshi.simulated.rig import KalshiRig
from adapters.kalshi.simulated.streams import PATH, StreamServer
from adapters.kalshi.simulated.venue_settings import KeySettings, VenueSettings
from framework.clock.clock import LiveClock
from framework.errors import ConfigError
from framework.interfaces import Clock
from framework.net.listening import Listener, listen

__all__ = ["KalshiVenue", "KeySettings", "VenueSettings", "add_arguments", "rig", "serve"]

CONTROL_PATH = "/control"


async def serve(
    options: argparse.Namespace, announce: Callable[[Mapping[str, object]], None]
) -> None:
    """Serve the venue on real time until cancelled.

    Raises:
        ConfigError: a key cannot be used, or the address is taken.
    """
    settings = settings_of(options)
    clock = LiveClock()
    clock.start()
    venue = KalshiVenue(settings, clock, Random(options.seed))
    try:
        await venue.start(options.host, options.port)
        announce(venue.place() | {"seed": options.seed})
        await asyncio.get_running_loop().create_future()
    except OSError as error:
        place = f"{options.host}:{options.port}"
        raise ConfigError(f"cannot listen on {place}: {error.strerror or error}") from error
    finally:
        await venue.aclose()
        clock.stop()


def rig(seed: int) -> KalshiRig:
    """Return the venue for the adapter kit, on the running simulated loop."""
    return KalshiRig(seed)


class KalshiVenue:
    """The venue; `app` can be served by others, or `start` does it.

    The same settings, seed, clock and requests give the same answers and frames (S16). `clock`
    must fire its timers by itself: a started `LiveClock`, over the loop's time in a simulation.

    Raises:
        ConfigError: a key is not an RSA public key in PEM, or `cryptography` is missing.
    """

    def __init__(self, settings: VenueSettings, clock: Clock, random: Random) -> None:
        self.settings = settings
        self._gatekeeper = _gatekeeper(settings)
        self.exchange = Exchange(clock, _part(random), settings.exchange_at(clock.now_ns))
        activity, chance = settings.activity_settings(), _part(random)
        self.activity = Activity(self.exchange, chance, activity) if activity else None
        rest = msgspec.structs.replace(settings.rest, profile=settings.profile)
        streams = msgspec.structs.replace(settings.streams, profile=settings.profile)
        self.rest = RestApi(self.exchange, self._gatekeeper, clock, rest)
        self.streams = StreamServer(self.exchange, clock, _part(random), streams, self._gatekeeper)
        self.app = self._application()
        self._listener: Listener | None = None

    @property
    def control(self) -> Control:
        """What a test may do to the streams; `rest` has faults of its own."""
        return self.streams.control

    @property
    def rest_url(self) -> str:
        """The base URL of REST, without a trailing slash; only while it listens."""
        return f"http://{self._address}{PREFIX}"

    @property
    def ws_url(self) -> str:
        """The URL of the streams; only while it listens."""
        return f"ws://{self._address}{PATH}"

    @property
    def control_url(self) -> str:
        """The base URL of the control interface; only while it listens."""
        return f"http://{self._address}{CONTROL_PATH}"

    def place(self) -> dict[str, object]:
        """Say where it is, for a program to read; only while it listens."""
        return {
            "venue": "kalshi",
            "rest": self.rest_url,
            "ws": self.ws_url,
            "control": self.control_url,
            "key_ids": list(self.settings.accounts),
            "profile": self.settings.profile.value,
        }

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        """Open for connections, and let the activity begin.

        Raises:
            OSError: the address is taken, or not ours.
        """
        self._listener = await listen(self.app, host, port)
        if self.activity is not None:
            self.activity.start()
        return self._listener

    async def aclose(self) -> None:
        """End the activity and every connection; harmless if it never began."""
        if self.activity is not None:
            self.activity.stop()
        await self.streams.aclose()
        if self._listener is not None:
            await self._listener.aclose()
            self._listener = None

    @property
    def _address(self) -> str:
        if self._listener is None:
            raise RuntimeError("the venue does not listen")
        host, port = self._listener.host, self._listener.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_get(PATH, self.streams.handle)
        app.router.add_routes(control_routes(self.control))
        app.router.add_routes(rest_control_routes(self.rest))
        app.router.add_routes(burst_routes(self.activity, self.control))
        self.rest.add_to(app)
        return app


def _gatekeeper(settings: VenueSettings) -> Gatekeeper:
    accounts = settings.accounts
    keys = {key.key_id: (key.public_key.encode(), accounts[key.key_id]) for key in settings.keys}
    return Gatekeeper(keys, mode=settings.auth, skew_ms=settings.skew_ms)


def _part(random: Random) -> Random:
    """Return a source of chance of its own: one part's draws do not move another's."""
    return Random(random.getrandbits(64))
