"""Runaways: runs that submit in a loop, or send again after each rejection, are paused (R-62).

    submit loop     more than `max_orders_per_second` orders
    refusals        more than `max_refusals_per_second` denied by the gate or rejected by a venue
    resends         `max_resends` times in a row: an order within a second of the rejection of one
                    in the same instrument and on the same side

A run that trips is paused at the gate, told of once by `on_trip`, and counted again after `reset`.
"""

from collections.abc import Callable

import msgspec

from framework.model.orders import Side
from framework.risk.breakers import Breaker
from framework.settings.risk_limits import RunawaySettings

SECOND_NS = 1_000_000_000


class Resends(msgspec.Struct, gc=False):
    """The rejections of one line (run, instrument, side) in a row; None: the last one was not."""

    rejected_ns: int | None = None
    count: int = 0


class RunBreakers(msgspec.Struct):
    """What is counted of one run; None where the rule is off."""

    orders: Breaker | None
    refusals: Breaker | None
    resends: dict[tuple[str, Side], Resends]
    reason: str = ""


class Runaways:
    """Counts what every run sends and is refused; pure, in market time."""

    def __init__(
        self,
        settings: RunawaySettings,
        *,
        pause: Callable[[str, str], None],
        on_trip: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._pause = pause
        self._on_trip = on_trip
        self._runs: dict[str, RunBreakers] = {}

    def reason(self, run: str) -> str:
        """Return why a run was paused, "" where it was not."""
        breakers = self._runs.get(run)
        return "" if breakers is None else breakers.reason

    def reset(self, run: str) -> None:
        """Count a run from the start; resuming it at the gate is the caller's."""
        self._runs.pop(run, None)

    def sent(self, run: str, instrument: str, side: Side, now_ns: int) -> None:
        """Count an order that passed the gate."""
        breakers = self._of(run)
        limit = self._settings.max_orders_per_second
        if breakers.orders is not None and breakers.orders.count(now_ns):
            self._trip(run, breakers, f"more than {limit} orders within a second")
        line = breakers.resends.get((instrument, side)) if breakers.resends else None
        if line is None:
            return
        if line.rejected_ns is None or now_ns - line.rejected_ns > SECOND_NS:
            del breakers.resends[instrument, side]
            return
        line.rejected_ns = None
        line.count += 1
        if line.count == self._settings.max_resends:
            what = f"{line.count} times in a row an order followed a rejection in {instrument}"
            self._trip(run, breakers, what)

    def denied(self, run: str, now_ns: int) -> None:
        """Count an order that the gate refused."""
        breakers = self._of(run)
        limit = self._settings.max_refusals_per_second
        if breakers.refusals is not None and breakers.refusals.count(now_ns):
            self._trip(run, breakers, f"more than {limit} refusals within a second")

    def rejected(self, run: str, instrument: str, side: Side, now_ns: int) -> None:
        """Count an order that its venue refused."""
        self.denied(run, now_ns)
        if self._settings.max_resends is not None:
            lines = self._of(run).resends
            line = lines.get((instrument, side))
            if line is None:
                line = lines[instrument, side] = Resends()
            line.rejected_ns = now_ns

    def accepted(self, run: str, instrument: str, side: Side) -> None:
        """Note that a venue took an order: what was rejected before is no row any more."""
        breakers = self._runs.get(run)
        if breakers is not None and breakers.resends:
            breakers.resends.pop((instrument, side), None)

    def _of(self, run: str) -> RunBreakers:
        breakers = self._runs.get(run)
        if breakers is None:
            settings = self._settings
            breakers = self._runs[run] = RunBreakers(
                _per_second(settings.max_orders_per_second),
                _per_second(settings.max_refusals_per_second),
                {},
            )
        return breakers

    def _trip(self, run: str, breakers: RunBreakers, what: str) -> None:
        if not breakers.reason:
            breakers.reason = f"runaway: {what}"
            self._pause(run, breakers.reason)
            self._on_trip(run, breakers.reason)


def _per_second(limit: int | None) -> Breaker | None:
    return None if limit is None else Breaker(limit + 1, SECOND_NS)
