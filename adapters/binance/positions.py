"""What a spot account holds, split into positions and cash.

Spot knows balances only. A base asset that belongs to one configured instrument alone, and is
never a quote asset, is that instrument's position; everything else is cash.
"""

from collections import Counter
from collections.abc import Sequence

from framework.model.identity import symbol_of
from framework.model.instrument import Instrument
from framework.model.venue_state import BalanceReport, PositionReport


class Holdings:
    """Knows which instrument each asset is a position of; `symbols` are the configured ones."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.symbols = tuple(symbol_of(instrument.id) for instrument in instruments)
        bases = Counter(instrument.base for instrument in instruments)
        quotes = {instrument.currency for instrument in instruments}
        self._owners = {
            instrument.base: instrument.id
            for instrument in instruments
            if instrument.base and bases[instrument.base] == 1 and instrument.base not in quotes
        }

    def positions(self, balances: Sequence[BalanceReport]) -> list[PositionReport]:
        """Return the positions among balances."""
        return [
            PositionReport(one.account, self._owners[one.currency], one.total, one.time_ns)
            for one in balances
            if one.currency in self._owners
        ]

    def balances(self, balances: Sequence[BalanceReport]) -> list[BalanceReport]:
        """Return the balances that are no position."""
        return [one for one in balances if one.currency not in self._owners]
