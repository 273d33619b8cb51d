"""The day of the daily loss: when it began, and what had been made by then."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from framework.clock.local_time import next_local_ns
from framework.model.calendars import zone_of
from framework.model.decimals import ZERO, subtract

MIDNIGHT = 0  # minute of the local day
Owner = tuple[str, str, str]
"""(account, run, currency); run "" is the whole account."""


class DayState(msgspec.Struct, frozen=True):
    """A day to be kept over a restart: it ends at `ends_ns`, and began with these profits."""

    ends_ns: int
    profits: tuple[tuple[Owner, Decimal], ...]


class TradingDay:
    """Profits since midnight in a time zone, from profits since ever."""

    def __init__(self, timezone: str) -> None:
        self.ends_ns = 0
        self._zone = zone_of(timezone)
        self._began_with: dict[Owner, Decimal] = {}

    def is_over(self, now_ns: int) -> bool:
        """Tell whether a new day has to begin; true before the first."""
        return now_ns >= self.ends_ns

    def begin(self, now_ns: int, profits: Mapping[Owner, Decimal]) -> None:
        """Count from these profits on, until the next midnight after `now_ns`."""
        self.ends_ns = next_local_ns(now_ns, MIDNIGHT, self._zone)
        self._began_with = dict(profits)

    def since(self, owner: Owner, profit: Decimal) -> Decimal:
        """Return what was made today; whom the day did not begin with began at zero."""
        return subtract(profit, self._began_with.get(owner, ZERO))

    def state(self) -> DayState:
        """Return the day as a value."""
        return DayState(self.ends_ns, tuple(self._began_with.items()))

    def restore(self, state: DayState, now_ns: int) -> None:
        """Go on with a day of before a restart, unless it is over."""
        if now_ns < state.ends_ns:
            self.ends_ns = state.ends_ns
            self._began_with = dict(state.profits)
