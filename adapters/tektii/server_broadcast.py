"""Who hears what: one body in, numbered frames out to every connection that may see it.

Audiences are remembered by what they are asked for, so that an event costs one look-up, one
encoding, and per stream one number.
"""

from collections.abc import Hashable, Sequence

from adapters.tektii.server_pacing import Acks
from adapters.tektii.server_resume import FrameStream, Streams
from adapters.tektii.server_settings import Place
from adapters.tektii.server_subscriptions import Kind

KEPT_AUDIENCES = 100_000

Audience = tuple[FrameStream, ...]


class Broadcast:
    """Sends frames; `acks` keeps account of them where market time waits for that."""

    def __init__(self, place: Place, streams: Streams, acks: Acks | None) -> None:
        self.streams = streams
        self.acks = acks
        self._place = place
        self._audiences: dict[Hashable, Audience] = {}
        self._event_count = 0
        streams.on_change = self._audiences.clear

    # -- audiences -----------------------------------------------------------------------------

    def of_market(self, instrument: str, kind: Kind, timeframe: str = "") -> Audience:
        """Return who hears of market data of an instrument."""
        name = (instrument, kind, timeframe)
        found = self._audiences.get(name)
        if found is None:
            platform, symbol = self._named(instrument)
            found = self._keep(
                name,
                [
                    stream
                    for stream in self.streams.all
                    if stream.scope.sees_market(instrument)
                    and stream.subscriptions.passes(platform, symbol, kind, timeframe)
                ],
            )
        return found

    def of_order(self, account: str, run: str, instrument: str, kind: Kind) -> Audience:
        """Return who hears of orders, executions and positions of a run."""
        name = (account, run, instrument, kind)
        found = self._audiences.get(name)
        if found is None:
            platform, symbol = self._named(instrument)
            found = self._keep(
                name,
                [
                    stream
                    for stream in self.streams.all
                    if stream.scope.sees_order(account, run, instrument)
                    and stream.subscriptions.passes(platform, symbol, kind)
                ],
            )
        return found

    def of_account(self, account: str) -> Audience:
        """Return who hears of an account's money."""
        name = (account,)
        found = self._audiences.get(name)
        if found is None:
            places = self._place.owner.places
            platforms = {
                self._place.platform(one.venue) for one in places if one.account == account
            }
            found = self._keep(
                name,
                [
                    stream
                    for stream in self.streams.all
                    if stream.scope.sees_account(account)
                    and any(stream.subscriptions.passes(one, "", Kind.ACCOUNT) for one in platforms)
                ],
            )
        return found

    def of_venue(self, venue: str) -> Audience:
        """Return who hears of a venue's links."""
        name = ("", venue)
        found = self._audiences.get(name)
        if found is None:
            streams = [one for one in self.streams.all if one.scope.sees_venue(venue)]
            found = self._keep(name, streams)
        return found

    def of_prices(self, instrument: str) -> Audience:
        """Return who hears whether the prices of an instrument can be trusted."""
        return self.of_market(instrument, Kind.SYSTEM)

    # -- sending -------------------------------------------------------------------------------

    def send(self, audience: Sequence[FrameStream], body: bytes) -> None:
        """Send to an audience what it is to acknowledge, where anything is."""
        acks = self.acks
        if acks is None:
            self.send_unpaced(audience, body)
            return
        self._event_count += 1
        event_id = f"evt-{self._event_count}"
        acks.registered(event_id, [name for stream in audience for name in stream.links])
        for stream in audience:
            frame = stream.number(body, event_id)
            for name, link in stream.links.items():
                link.send(frame)
                acks.sent(event_id, name)

    def send_unpaced(self, audience: Sequence[FrameStream], body: bytes) -> None:
        """Send to an audience what nobody waits for."""
        for stream in audience:
            frame = stream.number(body)
            for link in stream.links.values():
                link.send(frame)

    def _named(self, instrument: str) -> tuple[str, str]:
        place = self._place
        return place.platform_of(instrument), place.symbol_of(instrument)

    def _keep(self, name: Hashable, streams: list[FrameStream]) -> Audience:
        if len(self._audiences) >= KEPT_AUDIENCES:
            self._audiences.clear()
        found = self._audiences[name] = tuple(streams)
        return found
