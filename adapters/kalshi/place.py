"""Where the venue is: out there, or in this process, begun when somebody first asks."""

import asyncio
from typing import TYPE_CHECKING

from adapters.kalshi.settings import Environment, KalshiSettings, Urls
from framework.interfaces import AdapterContext

if TYPE_CHECKING:
    from adapters.kalshi.venue import KalshiVenue

HOST = "127.0.0.1"


class Place:
    """The URLs of one venue; an embedded one (`environment: simulated`) is started for them.

    It listens on loopback alone, trusts whoever comes, and trades for the account of the
    configuration. It is the same venue that `headrace venue kalshi` serves.
    """

    def __init__(self, settings: KalshiSettings, context: AdapterContext) -> None:
        self._settings = settings
        self._context = context
        self._opening = asyncio.Lock()
        self._urls: Urls | None = None
        self._venue: KalshiVenue | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether the venue is one in this process."""
        settings = self._settings
        return settings.environment is Environment.SIMULATED and settings.rest_url is None

    async def rest_url(self) -> str:
        """Return the base URL of REST."""
        return (await self._open()).rest

    async def stream_url(self) -> str:
        """Return the URL of the streams."""
        return (await self._open()).stream

    async def aclose(self) -> None:
        """End the embedded venue, if there is one."""
        if self._venue is not None:
            await self._venue.aclose()

    async def _open(self) -> Urls:
        async with self._opening:
            if self._urls is None:
                self._urls = await self._embed() if self.is_embedded else self._settings.urls()
        return self._urls

    async def _embed(self) -> Urls:
        """Start the simulated venue; its modules are imported only here."""
        from adapters.kalshi.embedded import embedded_venue

        self._venue = venue = embedded_venue(self._settings, self._context)
        await venue.start(HOST)
        return Urls(venue.rest_url, venue.ws_url)
