"""What the gateway says of itself: capabilities, links, breakers, probes (spec 14, 15, 18)."""

from collections.abc import Iterable

from adapters.tektii import wire
from adapters.tektii.server_capabilities import capabilities_of
from adapters.tektii.server_errors import GatewayRefusal
from adapters.tektii.server_settings import Place as Gateway
from adapters.tektii.words import time_text
from framework.model.desk import Breaker, Place, VenueHealth, Verb
from framework.server.door import Answer, Call, Route

COOLDOWN_S = 60.0
ADAPTER_BREAKER = "adapter"
HEARTBEATS_OF = 1_000  # instruments that are looked at for the newest price


class SystemRoutes:
    """Everything under `/v1` that is about the gateway, and its probes.

    Probes are at the root; a gateway with a prefix has its own below that.
    """

    def __init__(self, place: Gateway) -> None:
        self._place = place
        self._reset_s: dict[tuple[Place, ...], float] = {}  # by what a token is for

    def routes(self) -> list[Route]:
        """Return the operations."""
        breakers = {200: wire.CircuitBreakerStatus}
        ready = {200: wire.Ready, 503: wire.Ready}
        at_root = not self._place.context.settings.prefix  # else two of one address collide there
        return [
            Route("GET", "/v1/capabilities", self.capabilities, Verb.READ,
                  {200: wire.Capabilities}, "What can be traded, and how"),
            Route("GET", "/v1/status", self.status, Verb.READ,
                  {200: wire.ConnectionStatus}, "How the links to the venue stand"),
            Route("GET", "/v1/circuit-breakers", self.breakers, Verb.READ,
                  breakers, "Which breakers are open"),
            Route("POST", "/v1/circuit-breakers/reset", self.reset, Verb.ADMIN,
                  breakers, "Close both breakers; once a minute"),
            Route("GET", "/livez", self.live, None, {200: wire.Live},
                  "Whether the process runs", is_root=at_root),
            Route("GET", "/readyz", self.ready, None, ready,
                  "Whether requests are taken", is_root=at_root),
            Route("GET", "/health", self.health, None, {200: wire.DetailedHealth},
                  "Whether prices and links can be relied on", is_root=at_root),
        ]  # fmt: skip

    # -- /v1 ---------------------------------------------------------------------------------

    async def capabilities(self, call: Call) -> Answer:
        """Return what the venues of this gateway can do."""
        return Answer(capabilities_of(self._place))

    async def status(self, call: Call) -> Answer:
        """Return how the links stand, and when anything was last heard."""
        venues = self._venues()
        latency_ms, heard_ns = self._newest_price(venues)
        connected = all(venue.is_connected for venue in venues)
        heard_ns = heard_ns or max(venue.time_ns for venue in venues)
        if connected and not heard_ns:  # recorded data has no link that could be heard
            heard_ns = self._place.now_ns
        return Answer(wire.ConnectionStatus(connected, latency_ms, time_text(heard_ns)))

    async def breakers(self, call: Call) -> Answer:
        """Return both breakers as they stand."""
        return Answer(breakers_body(await self._place.desk.breakers(call.principal)))

    async def reset(self, call: Call) -> Answer:
        """Close both breakers, unless that was done less than a minute ago."""
        desk, whose = self._place.desk, call.principal.places
        now_s = self._place.context.now_s()
        before_s = self._reset_s.get(whose)
        if before_s is not None and now_s - before_s < COOLDOWN_S:
            left_s = COOLDOWN_S - (now_s - before_s)
            message = f"The circuit breakers can be reset again in {left_s:.0f} s"
            raise GatewayRefusal(409, "RESET_COOLDOWN", message, retry_after_s=left_s)
        self._reset_s[whose] = now_s  # before waiting: two may ask at once
        try:
            await desk.reset_breakers(call.principal)
        except BaseException:
            self._restore(whose, before_s)
            raise
        self._place.metrics.breakers_reset()
        return Answer(breakers_body(await desk.breakers(call.principal)))

    # -- probes ------------------------------------------------------------------------------

    async def live(self, call: Call) -> Answer:
        """Answer, which is all there is to say."""
        return Answer(wire.Live("ok"))

    async def ready(self, call: Call) -> Answer:
        """Tell whether requests are taken: 503 once the gateway is stopping."""
        if self._place.context.is_stopping():
            return Answer(wire.Ready(False, [], 0, "The gateway is shutting down"), 503)
        platforms = [self._place.platform(venue) for venue in self._place.venues]
        return Answer(wire.Ready(True, platforms, len(platforms)))

    async def health(self, call: Call) -> Answer:
        """Tell of every venue; degraded where one was never reached, is lost, or is stale."""
        place, venues = self._place, self._venues()
        is_well = all(venue.is_connected and not venue.stale for venue in venues)
        return Answer(
            wire.DetailedHealth(
                "connected" if is_well else "degraded",
                place.context.version,
                place.settings.git_sha,
                [
                    wire.ProviderHealth(
                        place.platform(venue.venue),
                        venue.is_connected,
                        [place.symbol_of(name) for name in venue.stale] or None,
                    )
                    for venue in venues
                ],
            )
        )

    # -- inside ------------------------------------------------------------------------------

    def _venues(self) -> list[VenueHealth]:
        """Return how the venues of this gateway stand; one nobody knows of is not connected."""
        found = {one.venue: one for one in self._place.desk.health()}
        return [found.get(name) or VenueHealth(name, False, False) for name in self._place.venues]

    def _newest_price(self, venues: Iterable[VenueHealth]) -> tuple[int, int]:
        """Return how long the newest quote was on its way, in ms, and when it came; 0, 0: none."""
        desk = self._place.desk
        newest = None
        for venue in venues:
            for instrument in desk.instruments(venue.venue)[:HEARTBEATS_OF]:
                quote = desk.market.quote(instrument.id)
                if quote and (newest is None or quote.received_ns > newest.received_ns):
                    newest = quote
        if newest is None:
            return 0, 0
        return max(0, newest.received_ns - newest.time_ns) // 1_000_000, newest.received_ns

    def _restore(self, whose: tuple[Place, ...], before_s: float | None) -> None:
        if before_s is None:
            self._reset_s.pop(whose, None)
        else:
            self._reset_s[whose] = before_s


def breakers_body(breakers: Iterable[Breaker]) -> wire.CircuitBreakerStatus:
    """Return the two breakers of the protocol: calls to the venue, and everything about exits.

    Source: section 14; a venue whose calls nothing guards reports the first one closed.
    """
    guards: dict[bool, list[Breaker]] = {True: [], False: []}
    for breaker in breakers:
        guards[breaker.name == ADAPTER_BREAKER].append(breaker)
    return wire.CircuitBreakerStatus(snapshot(guards[True]), snapshot(guards[False]))


def snapshot(breakers: list[Breaker]) -> wire.BreakerSnapshot:
    """Return breakers as one: open where any of them is."""
    is_open = any(breaker.is_open for breaker in breakers)
    failures = sum(breaker.failures for breaker in breakers)
    return wire.BreakerSnapshot("open" if is_open else "closed", failures)
