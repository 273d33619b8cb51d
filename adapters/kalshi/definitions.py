"""What the markets of a feed are: as configured, until the venue has told."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from adapters.kalshi.complaints import Complaints
from adapters.kalshi.market_events import STATUSES
from adapters.kalshi.market_reads import MarketReads, instrument_of
from adapters.kalshi.rest_values import Market
from framework.errors import VenueError
from framework.interfaces import AdapterContext, TimerHandle
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.market_data import MarketPhase, MarketStatus

RETRY_NS = 60_000_000_000  # until the venue is asked again that gave no answer


class Definitions:
    """Instruments by ticker; tells the core where the venue's own grid or phase is another.

    Phases are told of the markets for which `tells_phase`, each once.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        context: AdapterContext,
        reads: MarketReads,
        *,
        complaints: Complaints,
        tells_phase: Callable[[str], bool],
    ) -> None:
        self._instruments = {symbol_of(known.id): known for known in instruments}
        self._context = context
        self._reads = reads
        self._complaints = complaints
        self._tells_phase = tells_phase
        self._phases: dict[str, MarketPhase] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retries: dict[tuple[str, ...], TimerHandle] = {}  # by what will be asked again

    def __contains__(self, market: str) -> bool:
        return market in self._instruments

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Every market of the feed."""
        return tuple(self._instruments.values())

    def find(self, instrument: str) -> Instrument | None:
        """Return what is known of an instrument by its id, or None."""
        found = self._instruments.get(symbol_of(instrument))
        return found if found is not None and found.id == instrument else None

    def learn(self, markets: Sequence[str] = ()) -> None:
        """Ask the venue about some markets, or about all, without waiting."""
        asked = tuple(markets) or tuple(self._instruments)
        task = asyncio.get_running_loop().create_task(self._learn(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note_phase(self, status: MarketStatus) -> None:
        """Tell that a market's phase is another than before."""
        market = symbol_of(status.instrument)
        if self._tells_phase(market) and self._phases.get(market) is not status.phase:
            self._phases[market] = status.phase
            self._context.publish(status)

    def forget_phase(self, market: str) -> None:
        """Nobody is told of it any more: who asks next is told where it stands."""
        self._phases.pop(market, None)

    async def aclose(self) -> None:
        """Ask nothing more."""
        for retry in self._retries.values():
            retry.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _learn(self, asked: tuple[str, ...]) -> None:
        try:
            found = await self._reads.markets(asked)
        except VenueError as error:
            self._complaints.tell("market definitions", str(error))
            due_ns = self._context.clock.now_ns + RETRY_NS
            retry = self._context.clock.call_at(due_ns, lambda: self.learn(asked))
            self._retries[asked] = retry
            return
        for market in found:
            if market.ticker in self._instruments:
                self._take(market)
        for missing in sorted(set(asked) - {market.ticker for market in found}):
            self._complaints.tell("market definitions", f"the venue has no market {missing!r}")

    def _take(self, market: Market) -> None:
        venue, now_ns = self._context.venue, self._context.clock.now_ns
        instrument = instrument_of(market, venue)
        if self._instruments[market.ticker] != instrument:
            self._instruments[market.ticker] = instrument
            self._context.publish(InstrumentChanged(instrument.id, now_ns, now_ns, instrument))
        phase = STATUSES.get(market.status)
        if phase is not None:
            name = instrument_id(venue, market.ticker)
            self.note_phase(MarketStatus(name, now_ns, now_ns, phase, market.status))
