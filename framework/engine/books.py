"""The order books of the core: every book message of the bus goes through recovery into its book.

A book is true while it says `is_synced`; on a gap it is stale at once and `GapDetected` follows.
"""

from collections.abc import Callable, Iterable, Mapping

import structlog

from framework.bus.bus import Bus
from framework.interfaces import BookView
from framework.market.escalation import Request
from framework.market.fast_book import FastOrderBook
from framework.market.recovery import BookRecovery, Output, RecoveryOptions
from framework.model.events import GapDetected, Resynced
from framework.model.instrument import Instrument
from framework.model.market_data import BookChanged, BookDelta, BookSnapshot

log = structlog.get_logger("books")

AWAIT_SNAPSHOTS = RecoveryOptions(can_request_snapshot=False)


class Books:
    """One book and one recovery per instrument, made when its first message comes."""

    def __init__(
        self,
        bus: Bus,
        instruments: Mapping[str, Instrument],
        *,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        self.views: dict[str, BookView] = {}
        self.on_request = on_request or _log_request
        self._bus = bus
        self._instruments = instruments
        self._books: dict[str, FastOrderBook] = {}
        self._recoveries: dict[str, BookRecovery] = {}

    def on_snapshot(self, snapshot: BookSnapshot) -> None:
        """Step one snapshot."""
        recovery = self._recovery(snapshot.instrument)
        self._act(recovery.on_snapshot(snapshot), snapshot)

    def on_delta(self, delta: BookDelta) -> None:
        """Step one delta."""
        recovery = self._recovery(delta.instrument)
        self._act(recovery.on_delta(delta), delta)

    def _recovery(self, instrument: str) -> BookRecovery:
        recovery = self._recoveries.get(instrument)
        if recovery is None:
            recovery = BookRecovery(f"{instrument} book", [instrument], AWAIT_SNAPSHOTS)
            definition = self._instruments.get(instrument)
            ranges = definition.ranges if definition is not None else ()
            tick = ranges[0].tick if len(ranges) == 1 else None
            book = FastOrderBook(instrument, tick=tick)
            self._recoveries[instrument] = recovery
            self._books[instrument] = self.views[instrument] = book
        return recovery

    def _act(self, outputs: Iterable[Output], cause: BookSnapshot | BookDelta) -> None:
        book = self._books[cause.instrument]
        has_changed = False
        for output in outputs:
            if isinstance(output, BookDelta):
                book.apply_delta(output)
                has_changed = True
            elif isinstance(output, BookSnapshot):
                book.apply_snapshot(output)
                has_changed = True
            elif isinstance(output, GapDetected):
                book.mark_stale()
                has_changed = True
                self._bus.publish(output)
            elif isinstance(output, Resynced):
                self._bus.publish(output)
            else:
                self.on_request(output)
        if has_changed and self._is_wanted(cause.instrument):
            self._bus.publish(
                BookChanged(
                    cause.instrument,
                    cause.time_ns,
                    cause.received_ns,
                    book.sequence,
                    book.is_synced,
                )
            )

    def _is_wanted(self, instrument: str) -> bool:
        return self._bus.wants(BookChanged, instrument) or self._bus.has_step(
            BookChanged, instrument
        )


def _log_request(request: Request) -> None:
    log.warning("book_needs", request=type(request).__name__, detail=repr(request))
