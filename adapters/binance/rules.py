"""The instruments of a venue: as configured first, with the venue's own rules once it has told."""

from collections.abc import Iterable, Sequence

import msgspec
import structlog

from adapters.binance.client import RULES_WEIGHT
from adapters.binance.codec import phase_of, rules_by_symbol, with_rules
from adapters.binance.wire import SymbolRules
from framework.errors import VenueError
from framework.interfaces import AdapterContext
from framework.model.identity import symbol_of
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.market_data import MarketPhase, MarketStatus
from framework.net.rest import Request, RestClient

log = structlog.get_logger("binance")


class Rules:
    """Knows every instrument by its id; publishes what the venue says differently."""

    def __init__(
        self, instruments: Iterable[Instrument], context: AdapterContext, client: RestClient
    ) -> None:
        self._known = {instrument.id: instrument for instrument in instruments}
        self._phases = dict.fromkeys(self._known, MarketPhase.OPEN)
        self._context = context
        self._client = client

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Every instrument as it is known now."""
        return tuple(self._known.values())

    def knows(self, instrument: str) -> bool:
        """Whether the configuration lists an instrument."""
        return instrument in self._known

    async def load(self) -> None:
        """Ask for the rules of every instrument; without an answer what is known stays."""
        named = msgspec.json.encode([symbol_of(name) for name in self._known]).decode()
        request = Request(
            method="GET",
            path="/api/v3/exchangeInfo",
            query=(("symbols", named),),
            cost=RULES_WEIGHT,
        )
        try:
            rules = rules_by_symbol((await self._client.send(request)).body)
            for name in tuple(self._known):
                if symbol_of(name) in rules:
                    self._take(name, rules[symbol_of(name)])
        except VenueError as error:
            log.warning("rules_not_loaded", venue=self._context.venue, error=str(error))

    def _take(self, name: str, rules: SymbolRules) -> None:
        now_ns = self._context.clock.now_ns
        definition = with_rules(self._known[name], rules)
        if definition != self._known[name]:
            self._known[name] = definition
            self._context.publish(InstrumentChanged(name, now_ns, now_ns, definition))
        phase = phase_of(rules)
        if phase is not self._phases[name]:
            self._phases[name] = phase
            self._context.publish(MarketStatus(name, now_ns, now_ns, phase, rules.status))
