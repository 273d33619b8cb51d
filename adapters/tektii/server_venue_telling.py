"""What clients are told of venues: links lost and found, prices stale and fresh, pauses asked for.

Source: sections 11.1, 11.2 and 13 of the gateway's description.
"""

from collections.abc import Callable
from functools import partial

from adapters.tektii import wire
from adapters.tektii.server_broadcast import Broadcast
from adapters.tektii.server_frames import Frames
from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.server_resume import FrameStream, Scope
from adapters.tektii.server_settings import Place
from adapters.tektii.server_venue_links import FEED, Change, Freshness, VenueLinks
from adapters.tektii.server_watches import Watches
from adapters.tektii.wire import ConnectionEventType
from framework.interfaces import TimerHandle
from framework.model.events import (
    AccountReconciled,
    ConnectionChanged,
    ConnectionState,
    DataStale,
    GapDetected,
    RateLimited,
    Resynced,
)

RECONCILE_NS = 30_000_000_000  # for so long an outage's end waits until it is known what it changed


class Recovery:
    """A venue that is back, until it is known how the accounts there stand."""

    def __init__(self, accounts: set[str], timer: TimerHandle) -> None:
        self.accounts = accounts
        self.timer = timer


class VenueTelling:
    """Keeps account of the venues' links and prices, and broadcasts what changes.

    `tell_again(venue)` announces once more what is still missing at a venue that is back.
    """

    def __init__(
        self,
        place: Place,
        broadcast: Broadcast,
        frames: Frames,
        metrics: GatewayMetrics,
        watches: Watches,
        *,
        tell_again: Callable[[str], None],
    ) -> None:
        self._place = place
        self._broadcast = broadcast
        self._frames = frames
        self._metrics = metrics
        self._watches = watches
        self._tell_again = tell_again
        self._links = {venue: VenueLinks() for venue in place.venues}
        self._freshness = Freshness()
        self._recoveries: dict[str, Recovery] = {}

    def recall(self) -> None:
        """Take the links as they stand for told; only what becomes of them is news."""
        for venue in self._place.desk.health():
            links = self._links.get(venue.venue)
            if links is not None:
                for link, state in venue.links:
                    links.know(link, ConnectionState(state))

    def stale_frames(self, scope: Scope) -> list[bytes]:
        """Return one frame per venue with stale instruments that a scope sees."""
        by_venue: dict[str, list[str]] = {}
        for instrument in sorted(self._freshness.stale):
            if scope.sees_market(instrument):
                by_venue.setdefault(instrument.partition(":")[0], []).append(instrument)
        return [
            self._frames.stale(
                instruments,
                min(self._freshness.stale[one] for one in instruments),
                self._place.platform(venue),
            )
            for venue, instruments in by_venue.items()
        ]

    # -- prices --------------------------------------------------------------------------------

    def on_tick(self, instrument: str) -> None:
        """Note a price: the first one after a silence is told."""
        since_ns = self._freshness.tick(instrument, self._place.now_ns)
        if since_ns is None:
            return
        audience = self._broadcast.of_prices(instrument)
        if audience:
            platform = self._place.platform_of(instrument)
            self._broadcast.send(audience, self._frames.fresh(instrument, since_ns, platform))

    def on_stale(self, event: DataStale) -> None:
        """Tell that an instrument has been silent for too long."""
        self._lose(event.instrument, event.time_ns - event.age_ns)

    def on_gap(self, event: GapDetected) -> None:
        """Tell that an instrument's data has a hole."""
        self._lose(event.instrument, event.time_ns)

    def on_resynced(self, event: Resynced) -> None:
        """Tell that an instrument's data is whole again."""
        self.on_tick(event.instrument)

    def _lose(self, instrument: str, since_ns: int) -> None:
        if instrument.partition(":")[0] in self._links and self._freshness.lose(
            instrument, since_ns
        ):
            self._tell_stale([instrument], since_ns)

    def _tell_stale(self, instruments: list[str], since_ns: int) -> None:
        """Tell of instruments of one venue; each audience hears of those that it sees."""
        platform = self._place.platform_of(instruments[0])
        groups: dict[tuple[str, ...], list[FrameStream]] = {}
        for stream in self._broadcast.streams.all:
            seen = tuple(one for one in instruments if stream.scope.sees_market(one))
            if seen:
                groups.setdefault(seen, []).append(stream)
        for seen, streams in groups.items():
            self._broadcast.send(streams, self._frames.stale(seen, since_ns, platform))

    # -- links ---------------------------------------------------------------------------------

    def on_connection(self, event: ConnectionChanged) -> None:
        """Tell what becomes of a venue's links."""
        links = self._links.get(event.venue)
        if links is None:
            return
        change = links.hear(event)
        if change is Change.LOST:
            self._metrics.broker_disconnected(self._place.platform(event.venue))
            self._tell(event.venue, ConnectionEventType.BROKER_DISCONNECTED, event.reason)
        elif change is Change.TRYING:
            self._stop_waiting(event.venue)
            self._metrics.broker_reconnecting(self._place.platform(event.venue))
            reason = links.outage.reason if links.outage is not None else event.reason
            self._tell(event.venue, ConnectionEventType.RECONNECTING, reason)
        if links.has_lost_prices(event.link):
            self._lose_prices(event)
        if change is Change.RETURNED:
            self._await_accounts(event.venue)
        elif change is Change.FAILED and not self._place.context.is_stopping():
            self._metrics.broker_failed(self._place.platform(event.venue))
            self._tell(event.venue, ConnectionEventType.BROKER_CONNECTION_FAILED, event.reason)

    def on_reconciled(self, event: AccountReconciled) -> None:
        """Note that it is known how an account stands."""
        for venue, recovery in list(self._recoveries.items()):
            recovery.accounts.discard(event.account)
            if not recovery.accounts:
                self._recovered(venue)

    def on_rate_limit(self, event: RateLimited) -> None:
        """Tell that a venue asks for a pause."""
        if event.venue not in self._links:
            return
        kind = wire.RateLimitEventType.RATE_LIMIT_HIT
        self._metrics.rate_limit_event(self._place.platform(event.venue), kind)
        audience = self._broadcast.of_venue(event.venue)
        if audience:
            frame = self._frames.rate_limit(event.time_ns + event.retry_after_ns)
            self._broadcast.send(audience, frame)

    def _lose_prices(self, event: ConnectionChanged) -> None:
        instruments = self._freshness.lose_all(
            event.venue, event.time_ns, self._watches.instruments
        )
        if instruments:
            self._tell_stale(instruments, event.time_ns)

    def _await_accounts(self, venue: str) -> None:
        """Tell that a venue is back as soon as it is known what happened there meanwhile."""
        outage = self._links[venue].outage
        accounts = {one.account for one in self._place.owner.places if one.venue == venue}
        has_traded = outage is not None and outage.links - {FEED}
        if not has_traded or self._place.is_simulated(venue):
            self._recovered(venue)
            return
        clock = self._place.desk.clock
        timer = clock.call_at(clock.now_ns + RECONCILE_NS, partial(self._recovered, venue))
        self._recoveries[venue] = Recovery(accounts, timer)

    def _recovered(self, venue: str) -> None:
        self._stop_waiting(venue)
        outage = self._links[venue].recovered()
        if outage is None:
            return
        self._tell_again(venue)
        self._metrics.broker_reconnected(self._place.platform(venue))
        self._tell(venue, ConnectionEventType.CONNECTED)
        gap_ns = max(0, self._place.now_ns - outage.since_ns)
        self._tell(venue, ConnectionEventType.BROKER_RECONNECTED, gap_ns=gap_ns)

    def _stop_waiting(self, venue: str) -> None:
        recovery = self._recoveries.pop(venue, None)
        if recovery is not None:
            recovery.timer.cancel()

    def _tell(
        self,
        venue: str,
        event: ConnectionEventType,
        error: str = "",
        *,
        gap_ns: int | None = None,
    ) -> None:
        audience = self._broadcast.of_venue(venue)
        if audience:
            platform = self._place.platform(venue)
            frame = self._frames.connection(event, platform, error=error, gap_ns=gap_ns)
            self._broadcast.send(audience, frame)
