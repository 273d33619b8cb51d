"""What waits to be delivered to one target: bounded, and it gives way from the least urgent on."""

from framework.alerts.alert import rank
from framework.model.records import AlertRaised

CAPACITY = 100


class Outbox:
    """Alerts in the order they came; a full one drops the oldest of the least urgent level.

    The alert that is put in counts too: it is dropped when all others are more urgent.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.dropped_count = 0
        self._capacity = capacity
        self._alerts: list[AlertRaised] = []

    def __len__(self) -> int:
        return len(self._alerts)

    def put(self, alert: AlertRaised) -> AlertRaised | None:
        """Add `alert`; return the one that was dropped for want of room."""
        self._alerts.append(alert)
        if len(self._alerts) <= self._capacity:
            return None
        self.dropped_count += 1
        least_urgent = min(range(len(self._alerts)), key=lambda at: rank(self._alerts[at].level))
        return self._alerts.pop(least_urgent)

    def take(self) -> AlertRaised:
        """Return the oldest one; there must be one."""
        return self._alerts.pop(0)
