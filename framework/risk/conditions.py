"""What is known to be wrong at the moment: accounts in doubt, feeds that lie, halted markets.

Whoever learns of it says so here (the reconciler, the feeds, the venue's status messages); checks
read it. Kept apart from `RiskInputs` as most orders are made while nothing is wrong: `is_clear`
answers them by one look.
"""

from typing import Any

from framework.model.events import DataStale, GapDetected, Resynced
from framework.model.market_data import MarketPhase, MarketStatus

NS_PER_S = 1_000_000_000
TRADING = (MarketPhase.OPEN, MarketPhase.AUCTION)


class Conditions:
    """Reasons by account or instrument; empty where all is well.

    Attributes:
        is_clear: nothing at all is wrong; to be read only.
        blocked: accounts whose state is not known, and why: nothing may be sent.
        doubted: accounts whose state was known and is being asked again: nothing may grow.
        distrusted: instruments whose feed has a gap, an unsynced book, or went silent; the reason
            by stream.
        halted: instruments whose market is halted, closed or settled, as their venue says.
    """

    def __init__(self) -> None:
        self.is_clear = True
        self.blocked: dict[str, str] = {}
        self.doubted: dict[str, str] = {}
        self.distrusted: dict[str, dict[str, str]] = {}
        self.halted: dict[str, str] = {}

    def block_account(self, account: str, reason: str) -> None:
        """Let nothing out: how the account stands is not known yet (R-35)."""
        self._set(self.blocked, account, reason)

    def doubt_account(self, account: str, reason: str) -> None:
        """Let only what shrinks out: what was known of the account may have changed."""
        self._set(self.doubted, account, reason)

    def confirm_account(self, account: str) -> None:
        """Trust what is known of an account again: it was reconciled."""
        self.blocked.pop(account, None)
        self._drop(self.doubted, account)

    def distrust(self, instrument: str, reason: str, stream: str = "") -> None:
        """Refuse orders that would be priced off this instrument's feed."""
        self.distrusted.setdefault(instrument, {})[stream] = reason
        self.is_clear = False

    def trust(self, instrument: str, stream: str = "") -> None:
        """Believe one stream of an instrument again; the instrument once all of them are whole."""
        streams = self.distrusted.get(instrument, {})
        streams.pop(stream, None)
        if not streams:
            self._drop(self.distrusted, instrument)

    def halt_market(self, instrument: str, reason: str) -> None:
        """Remember that a venue does not trade an instrument now, whatever its calendar says."""
        self._set(self.halted, instrument, reason)

    def open_market(self, instrument: str) -> None:
        """Leave it to the calendar again."""
        self._drop(self.halted, instrument)

    def hear(self, event: GapDetected | DataStale | Resynced | MarketStatus) -> None:
        """Take what feeds and venues say of themselves."""
        if isinstance(event, GapDetected):
            reason = f"{event.stream}: {event.received} came instead of {event.expected}"
            self.distrust(event.instrument, reason, event.stream)
        elif isinstance(event, DataStale):
            reason = f"{event.stream}: silent for {event.age_ns / NS_PER_S:g} s"
            self.distrust(event.instrument, reason, event.stream)
        elif isinstance(event, Resynced):
            self.trust(event.instrument, event.stream)
        elif event.phase in TRADING:
            self.open_market(event.instrument)
        else:
            told = f" ({event.reason})" if event.reason else ""
            self.halt_market(event.instrument, event.phase.value + told)

    def _set(self, reasons: dict[str, str], name: str, reason: str) -> None:
        reasons[name] = reason
        self.is_clear = False

    def _drop(self, reasons: dict[str, Any], name: str) -> None:
        reasons.pop(name, None)
        self.is_clear = not (self.blocked or self.doubted or self.distrusted or self.halted)
