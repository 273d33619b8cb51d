"""Who in the core looks at an instrument's market events: simulated venue, triggers, protection."""

from collections.abc import Callable
from typing import Any

from framework.bus.publishing import Publisher
from framework.bus.routes import Step
from framework.model.market_data import BookChanged, Candle, MarkPrice, Quote, Trade

PRICES = (Quote, Trade, Candle, BookChanged, MarkPrice)


class MarketWatch:
    """Gives each (event type, instrument) the steps that were asked for, in the order of asking.

    `on_first` hears of an instrument that is watched for the first time: a live feed is asked for
    its prices then.
    """

    def __init__(self, bus: Publisher) -> None:
        self.on_first: Callable[[str], None] = _nothing
        self._bus = bus
        self._watches: dict[str, dict[str, tuple[Step, tuple[type, ...]]]] = {}  # by name
        self._known: set[str] = set()

    def set(
        self,
        instrument: str,
        name: str,
        step: Step | None,
        event_types: tuple[type, ...] = PRICES,
    ) -> None:
        """Have `step` see the instrument's events under `name`; None ends that.

        A name has the same types each time.
        """
        if step is not None and instrument not in self._known:
            self._known.add(instrument)
            self.on_first(instrument)
        watches = self._watches.get(instrument)
        if watches is None:
            watches = self._watches[instrument] = {}
        if step is None:
            watches.pop(name, None)
        else:
            watches[name] = step, event_types
        if len(watches) == (step is not None):  # nobody else: simulated venues come here often
            self._bus.set_instrument_step(event_types, instrument, step)
            return
        for event_type in event_types:
            steps = [one for one, types in watches.values() if event_type in types]
            self._bus.set_instrument_step((event_type,), instrument, _in_turn(steps))


def _in_turn(steps: list[Step]) -> Step | None:
    if not steps:
        return None
    each = tuple(steps)
    if len(each) == 1:
        return each[0]

    def step(event: Any) -> None:
        for one in each:
            one(event)

    return step


def _nothing(instrument: str) -> None:
    """Ask nobody."""
