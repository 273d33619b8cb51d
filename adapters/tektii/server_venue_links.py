"""How venues' links and prices stand, and what of that is told; sans-IO.

    a link that was up is lost            BROKER_DISCONNECTED; if prices came over it: STALE
    each further attempt                  RECONNECTING, with why the last one failed
    every link is up again                `RETURNED`; once orders and positions are known again:
                                          CONNECTED, BROKER_RECONNECTED with the length of the gap
    a link was given up                   BROKER_CONNECTION_FAILED
    first tick of a stale instrument      FRESH

Source: section 13 of the gateway's description.
"""

from enum import Enum

import msgspec

from framework.model.events import ConnectionChanged, ConnectionState

FEED = "feed"  # the link of market data
UP = (ConnectionState.CONNECTED, ConnectionState.STREAMING)
KEPT_INSTRUMENTS = 100_000
RECENT_NS = 60_000_000_000  # a price within this time: somebody watches


class Change(Enum):
    """What a change of a link means for a venue."""

    LOST = "lost"
    TRYING = "trying"
    RETURNED = "returned"
    FAILED = "failed"


class Outage(msgspec.Struct):
    """A time without a venue; `reason` is why the last attempt failed."""

    since_ns: int
    reason: str = ""
    links: set[str] = set()  # that were lost in it
    is_over: bool = False  # the links are back, and it is not yet told


class VenueLinks:
    """The links of one venue.

    Attributes:
        outage: the present one, None while all is well.
    """

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self._states: dict[str, ConnectionState] = {}
        self._has_been_up: set[str] = set()

    def know(self, link: str, state: ConnectionState) -> None:
        """Take a link as it stands for told: it was so before anybody listened."""
        self._states[link] = state
        if state in UP:
            self._has_been_up.add(link)

    def hear(self, event: ConnectionChanged) -> Change | None:
        """Return what a change of a link means, None where it means nothing."""
        link, state = event.link, event.state
        self._states[link] = state
        outage = self.outage
        if state in UP:
            self._has_been_up.add(link)
            is_whole = all(self._states[one] in UP for one in self._has_been_up)
            if outage is None or outage.is_over or not is_whole:
                return None
            outage.is_over = True
            return Change.RETURNED
        if state is ConnectionState.CLOSED:
            return Change.FAILED
        if link not in self._has_been_up:
            return None  # it is connecting for the first time
        if outage is None or outage.is_over:
            since_ns = event.time_ns if outage is None else outage.since_ns
            self.outage = Outage(since_ns, event.reason, {link})
            return Change.LOST if outage is None else Change.TRYING
        outage.links.add(link)
        outage.reason = event.reason or outage.reason
        return Change.TRYING if state is ConnectionState.CONNECTING else None

    def has_lost_prices(self, link: str) -> bool:
        """Tell whether a link is down that was up, and that prices come over."""
        is_down = link in self._has_been_up and self._states[link] not in UP
        return is_down and (link == FEED or FEED not in self._states)

    def recovered(self) -> Outage | None:
        """Return the outage that is over, which ends it; None where it is not."""
        outage = self.outage
        if outage is None or not outage.is_over:
            return None
        self.outage = None
        return outage


class Freshness:
    """Which instruments have no price that can be trusted, and since when."""

    def __init__(self) -> None:
        self._seen_ns: dict[str, int] = {}  # when each had its last price
        self.stale: dict[str, int] = {}  # instrument -> since when

    def tick(self, instrument: str, now_ns: int) -> int | None:
        """Note a price; return since when the instrument was stale if it was."""
        if instrument in self._seen_ns or len(self._seen_ns) < KEPT_INSTRUMENTS:
            self._seen_ns[instrument] = now_ns
        if not self.stale:
            return None
        return self.stale.pop(instrument, None)

    def lose(self, instrument: str, since_ns: int) -> bool:
        """Note that an instrument is stale; False if it was already."""
        if instrument in self.stale or len(self.stale) >= KEPT_INSTRUMENTS:
            return False
        self.stale[instrument] = since_ns
        return True

    def lose_all(self, venue: str, since_ns: int, watched: frozenset[str]) -> list[str]:
        """Note that nothing comes from a venue; return the instruments that went stale by that.

        Those that are watched, and those that had prices until now: what nobody wants any more
        would never be fresh again.
        """
        prefix = f"{venue}:"
        recent = (one for one, time_ns in self._seen_ns.items() if time_ns > since_ns - RECENT_NS)
        names = {one for one in (*recent, *watched) if one.startswith(prefix)}
        return [name for name in sorted(names) if self.lose(name, since_ns)]
