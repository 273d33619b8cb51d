"""What a broker remembers of the orders that it sent: their symbols, the venue's ids, their fills.

Bounded: what is forgotten is told as a report instead of a fact, which the core takes as well.
"""

from collections.abc import Iterable, Sequence

import anyio

from framework.model.reports import OrderAccepted, OrderFact, OrderFilled

REMEMBERED = 100_000


class SentOrders:
    """Orders by our id."""

    def __init__(self) -> None:
        self._symbols: dict[str, str] = {}
        self._by_venue_id: dict[str, str] = {}
        self._told: dict[str, str] = {}  # execution ids, and whose
        self._answers: dict[str, anyio.Event] = {}  # of orders whose answer is awaited

    def begin(self, order_id: str, symbol: str) -> bool:
        """Remember an order that is about to leave; False: it left before and must not again."""
        if order_id in self._symbols:
            return False
        _keep(self._symbols, order_id, symbol)
        self._answers[order_id] = anyio.Event()
        return True

    def end(self, order_id: str) -> None:
        """Its answer came, or none will."""
        self._answers.pop(order_id).set()

    async def answered(self, order_id: str) -> None:
        """Wait until an order's answer came, so that a cancel does not overtake it."""
        answer = self._answers.get(order_id)
        if answer is not None:
            await answer.wait()

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._symbols

    def symbols(self, order_id: str, every: Iterable[str]) -> Sequence[str]:
        """Return where an order may be: its symbol, or every one if it is not remembered."""
        known = self._symbols.get(order_id)
        return tuple(every) if known is None else (known,)

    def order_id(self, venue_order_id: str) -> str:
        """Return our id of an order of the venue's, "" if it is not remembered."""
        return self._by_venue_id.get(venue_order_id, "")

    def news(self, facts: Iterable[OrderFact]) -> list[OrderFact]:
        """Return the facts without executions that were told before."""
        found = []
        for fact in facts:
            if isinstance(fact, OrderAccepted):
                _keep(self._by_venue_id, fact.venue_order_id, fact.order_id)
            if isinstance(fact, OrderFilled):
                if fact.execution_id in self._told:
                    continue
                _keep(self._told, fact.execution_id, fact.order_id)
            found.append(fact)
        return found


def _keep(memory: dict[str, str], key: str, value: str) -> None:
    """Remember a pair; the oldest goes when there is no room."""
    memory[key] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
