"""Market data that clients' subscriptions ask for: requested of the venues while anybody wants it.

The server's own list is wanted always, a client's while it is connected. Each is requested once;
`*` stands for every instrument that is known, those that become known later included.

All connections of one token may have a quarter of what there is; whoever was first has its wishes
met first, what is requested stays, and a connection whose wishes find no room is told so once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import anyio.lowlevel
import msgspec
import structlog

from adapters.tektii.server_settings import Place
from adapters.tektii.server_subscriptions import ALL, Want
from framework.errors import FrameworkError
from framework.interfaces import Subscription
from framework.model.desk import Principal

MOST_WATCHES = 10_000
MOST_OF_ONE = 2_500  # for one principal; the server's own list has no such bound
TURN = 16  # requests, or wishes, between two turns of the loop

log = structlog.get_logger("gateway")

Watch = tuple[str, str, str]
"""Instrument, channel, interval."""


class Wish(msgspec.Struct):
    """What a connection wants.

    `owner` is whose it is, None: the server's own. `sees` tells which instruments it may see, None:
    all. `tell` is called once with the reason where there is no room.
    """

    wants: frozenset[Want]
    owner: Principal | None = None
    sees: Callable[[str], bool] | None = None
    tell: Callable[[str], None] | None = None
    was_told: bool = False


class Watches:
    """What is requested of the venues, kept up with what is wanted by `run`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._venues = {place.platform(venue): venue for venue in place.venues}
        self._wishes: dict[str, Wish] = {}  # by who has it, the first one first
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
        self,
        who: str,
        wants: frozenset[Want],
        sees: Callable[[str], bool] | None = None,
        *,
        owner: Principal | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Note what somebody wants, in place of what it wanted before; see `Wish`.

        Nothing is requested of instruments that it does not see: nobody would be told.
        """
        wish = self._wishes.get(who)
        if wish is None:
            wish = Wish(frozenset())
        if wish.wants != wants:
            self._wishes[who] = Wish(wants, owner, sees or wish.sees, tell)
            self._changed.set()

    def leave(self, who: str) -> None:
        """Note that somebody wants nothing any more."""
        if self._wishes.pop(who, None):
            self._changed.set()

    def instruments_changed(self) -> None:
        """Note that an instrument became known."""
        if any(want.symbol == ALL for wish in self._wishes.values() for want in wish.wants):
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
        wanted, beyond_share = await self._wanted()
        for watch in [one for one in self._open if one not in wanted]:
            self._open.pop(watch).close()
        self._refused &= wanted.keys()
        room = MOST_WATCHES - len(self._open)
        new = [one for one in wanted if one not in self._open and one not in self._refused]
        beyond_all = Counter(who for watch in new[room:] for who in wanted[watch])
        self._tell(beyond_share, beyond_all)
        for count, watch in enumerate(new[:room], start=1):
            await self._request(watch, wanted[watch])
            if not count % TURN:  # one that wants everything must not hold up the others
                await anyio.lowlevel.checkpoint()

    async def _wanted(self) -> tuple[dict[Watch, list[str]], Counter[str]]:
        """Return who wants what, and how many wishes of whom are beyond its principal's share."""
        wanted: dict[Watch, list[str]] = {}
        shares: dict[str, set[Watch]] = {}
        beyond: Counter[str] = Counter()
        for count, (who, wish) in enumerate(list(self._wishes.items()), start=1):
            share = shares.setdefault(wish.owner.name if wish.owner else "", set())
            most = MOST_OF_ONE if wish.owner else MOST_WATCHES
            for watch in self._watches_by(wish):
                if watch not in share and len(share) >= most:
                    beyond[who] += 1
                    continue
                share.add(watch)
                wanted.setdefault(watch, []).append(who)
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
        return wanted, beyond

    def _tell(self, beyond_share: Counter[str], beyond_all: Counter[str]) -> None:
        """Tell everybody once whose wishes find no room; again only after they did."""
        for who, wish in self._wishes.items():
            left_out = beyond_share[who] + beyond_all[who]
            if left_out and not wish.was_told:
                is_share = bool(wish.owner and beyond_share[who])
                most, whose = (MOST_OF_ONE, "one token") if is_share else (MOST_WATCHES, "all")
                name = wish.owner.name if wish.owner else ""
                log.warning("too_many_watches", principal=name, most=most, left_out=left_out)
                if wish.tell is not None:
                    wish.tell(f"{left_out} subscriptions are not served: {most} can be for {whose}")
            wish.was_told = left_out > 0

    async def _request(self, watch: Watch, by: list[str]) -> None:
        instrument, channel, interval = watch
        desk = self._place.desk
        # Whoever names an instrument that nobody knew has it counted to its own allowance.
        wish = self._wishes.get(by[0])
        owner = wish.owner if wish is not None and wish.owner else self._place.owner
        try:
            await desk.instrument(owner, instrument)
            self._open[watch] = desk.watch(instrument, channel, interval)
        except FrameworkError as error:  # one that cannot be had must not keep the others away
            self._refused.add(watch)
            log.warning(
                "watch_refused", instrument=instrument, channel=channel, interval=interval,
                reason=str(error),
            )  # fmt: skip

    def _watches_by(self, wish: Wish) -> list[Watch]:
        sees = wish.sees
        return [
            watch
            for want in sorted(wish.wants, key=_by_name)
            for watch in self._watches_of(want)
            if sees is None or sees(watch[0])
        ]

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
