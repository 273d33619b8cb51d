"""Says what goes wrong in one part of the adapter, to the log and to whoever hears the bus."""

from collections import Counter

import structlog

from adapters.kalshi.actions import Fault, Told
from framework.interfaces import AdapterContext
from framework.model.events import ErrorRaised

log = structlog.get_logger("kalshi")

FIRST = 3  # faults of a kind that are told of; later ones are counted


class Complaints:
    """Of one `part`: `feed` or `broker`."""

    def __init__(self, part: str, context: AdapterContext) -> None:
        self._part = part
        self._context = context
        self._faults: Counter[Fault] = Counter()

    def tell(self, what: str, text: str, count: int = 1) -> None:
        """Publish one error."""
        context = self._context
        log.warning("adapter_error", venue=context.venue, part=self._part, what=what, reason=text)
        source = f"{context.venue} {self._part}"
        context.publish(ErrorRaised(source, what, text, context.clock.now_ns, count))

    def on_fault(self, told: Told) -> None:
        """Count what the session tells, and publish the first of each kind."""
        self._faults[told.fault] += 1
        count = self._faults[told.fault]
        if count <= FIRST:
            self.tell(told.fault.value, told.text, count)

    def statistics(self) -> dict[str, int]:
        """Return how often each fault came."""
        return {f"fault_{fault.value}": count for fault, count in self._faults.items()}
