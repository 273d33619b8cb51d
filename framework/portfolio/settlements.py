"""What instruments were settled at, for fills from before that are heard of only afterwards."""

from collections.abc import Iterable
from decimal import Decimal

from framework.model.account import Settled

REMEMBERED = 10_000  # the oldest are forgotten: their fills would have come long ago


class Settlements:
    """The last settlement of each instrument of each account.

    Attributes:
        are_none: whether there never was one, as mostly.
    """

    def __init__(self) -> None:
        self.are_none = True
        self._settled: dict[tuple[str, str], Settled] = {}

    def note(self, settled: Settled) -> None:
        """Remember a settlement."""
        self.are_none = False
        key = settled.account, settled.instrument
        self._settled.pop(key, None)
        self._settled[key] = settled
        if len(self._settled) > REMEMBERED:
            del self._settled[next(iter(self._settled))]

    def price_after(self, account: str, instrument: str, time_ns: int) -> Decimal | None:
        """Return the final price of what was traded at `time_ns`; None: it was not settled since.

        An instrument may trade on after a settlement: what comes then is not late.
        """
        settled = self._settled.get((account, instrument))
        return settled.price if settled is not None and time_ns < settled.time_ns else None

    def state(self) -> tuple[Settled, ...]:
        """Return all of them, the oldest first."""
        return tuple(self._settled.values())

    def load_state(self, state: Iterable[Settled]) -> None:
        """Take over what `state` returned."""
        for settled in state:
            self.note(settled)
