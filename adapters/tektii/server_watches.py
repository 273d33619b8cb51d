"""Market data that clients' subscriptions ask for: requested of the venues while anybody wants it.

The server's own list is wanted always, a client's while it is connected. Each is requested once;
`*` stands for every instrument that is known, those that become known later included.
"""

import asyncio
from collections.abc import Callable
from itertools import islice

import anyio.lowlevel
import structlog

from adapters.tektii.server_settings import Place
from adapters.tektii.server_subscriptions import ALL, Want
from framework.errors import FrameworkError
from framework.interfaces import Subscription

MOST_WATCHES = 10_000
TURN = 16  # requests between two turns of the loop

log = structlog.get_logger("gateway")

Watch = tuple[str, str, str]
"""Instrument, channel, interval."""


class Watches:
    """What is requested of the venues, kept up with what is wanted by `run`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._venues = {place.platform(venue): venue for venue in place.venues}
        self._wanted: dict[str, frozenset[Want]] = {}  # by who wants it
        self._sees: dict[str, Callable[[str], bool]] = {}  # what of it each may see; absent: all
        self._open: dict[Watch, Subscription] = {}
        self._refused: set[Watch] = set()  # told once
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many requests are open."""
        return len(self._open)

    @property
    def instruments(self) -> frozenset[str]:
        """The instruments that anything is requested of."""
        return frozenset(instrument for instrument, _, _ in self._open)

    def want(
        self, who: str, wants: frozenset[Want], sees: Callable[[str], bool] | None = None
    ) -> None:
        """Note what somebody wants, in place of what it wanted before.

        Nothing is requested of instruments that it does not see by `sees`: nobody would be told.
        """
        if sees is not None:
            self._sees[who] = sees
        if self._wanted.get(who, frozenset()) != wants:
            self._wanted[who] = wants
            self._changed.set()

    def leave(self, who: str) -> None:
        """Note that somebody wants nothing any more."""
        self._sees.pop(who, None)
        if self._wanted.pop(who, None):
            self._changed.set()

    def instruments_changed(self) -> None:
        """Note that an instrument became known."""
        if any(want.symbol == ALL for wants in self._wanted.values() for want in wants):
            self._changed.set()

    async def run(self) -> None:
        """Request and give back until cancelled; then give back everything."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self.settle()
        finally:
            for watch in self._open.values():
                watch.close()
            self._open.clear()

    async def settle(self) -> None:
        """Request what is wanted and was not, give back what was and is not."""
        wanted = dict.fromkeys(
            watch
            for who, wants in self._wanted.items()
            for want in sorted(wants, key=_by_name)
            for watch in self._watches_of(want)
            if self._is_seen(who, watch[0])
        )
        for watch in [one for one in self._open if one not in wanted]:
            self._open.pop(watch).close()
        self._refused &= wanted.keys()
        room = MOST_WATCHES - len(self._open)
        new = [one for one in wanted if one not in self._open and one not in self._refused]
        if len(new) > room:
            log.warning("too_many_watches", most=MOST_WATCHES, left_out=len(new) - room)
        for count, watch in enumerate(islice(new, room), start=1):
            await self._request(watch)
            if not count % TURN:  # one that wants everything must not hold up the others
                await anyio.lowlevel.checkpoint()

    async def _request(self, watch: Watch) -> None:
        instrument, channel, interval = watch
        desk = self._place.desk
        try:
            await desk.instrument(self._place.owner, instrument)
            self._open[watch] = desk.watch(instrument, channel, interval)
        except FrameworkError as error:  # one that cannot be had must not keep the others away
            self._refused.add(watch)
            log.warning(
                "watch_refused", instrument=instrument, channel=channel, interval=interval,
                reason=str(error),
            )  # fmt: skip

    def _is_seen(self, who: str, instrument: str) -> bool:
        sees = self._sees.get(who)
        return sees is None or sees(instrument)

    def _watches_of(self, want: Want) -> list[Watch]:
        venue = self._venues.get(want.platform)
        if venue is None:
            return []
        if want.symbol == ALL:
            known = sorted(one.id for one in self._place.desk.instruments(venue))
            return [(name, want.channel, want.interval) for name in known]
        symbol = want.symbol
        if not symbol.startswith(f"{venue}:"):
            symbol = f"{venue}:{symbol}"
        return [(symbol, want.channel, want.interval)]


def _by_name(want: Want) -> tuple[str, str, str, str]:
    return want.platform, want.symbol, want.channel, want.interval
