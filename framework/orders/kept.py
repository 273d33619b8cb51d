"""Closed orders that still decide about others, read off the orders alone.

While a process runs, `Emulation.keeps` knows them. When the log is read back, before there is
anybody to ask, the same follows from the states of the orders: the entry and the exits of a bracket
that has an open entry or exit, or has something left to protect though no exit of it is sent any
more, and the members of an OCO group that has an open one.
"""

from typing import TypeVar

from framework.model.decimals import ZERO
from framework.orders.cover import Bracket
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.ledger import Ledger

Group = tuple[str, str]  # run, name
Name = TypeVar("Name", str, Group)


class KeptOrders:
    """Tells which closed orders have to stay in memory; to be told of each that comes and goes."""

    def __init__(self, registry: OrderRegistry, ledger: Ledger) -> None:
        self._registry = registry
        self._ledger = ledger
        self._exits: dict[str, dict[str, OrderState]] = {}  # by entry, then by id
        self._groups: dict[Group, dict[str, OrderState]] = {}
        for order in registry:
            self.take_in(order)

    def take_in(self, order: OrderState) -> None:
        """Note an order that others may hang on; harmless when repeated."""
        if order.parent:
            self._exits.setdefault(order.parent, {})[order.order_id] = order
        elif order.intent.oco_group:
            self._groups.setdefault(_group_of(order), {})[order.order_id] = order

    def forget(self, order: OrderState) -> None:
        """Drop an order that has left memory."""
        _drop(self._exits, order.parent, order)
        _drop(self._groups, _group_of(order), order)

    def keeps(self, order: OrderState) -> bool:
        """Tell whether a closed order still decides about others."""
        entry = self._registry.get(order.parent) if order.parent else order
        if entry is not None and self._is_guarded(entry):
            return True
        members = self._groups.get(_group_of(order), {})
        return any(not member.facts.is_closed for member in members.values())

    def _is_guarded(self, entry: OrderState) -> bool:
        """Tell whether an entry has an open exit, or is left without one."""
        exits = self._exits.get(entry.order_id)
        if exits is None:
            return False
        if not entry.facts.is_closed:
            return True  # what its exits have filled counts against what it may still fill
        if any(not leg.facts.is_closed for leg in exits.values()):
            return True
        if entry.exits is None or not self._is_held(entry):
            return False
        bracket = Bracket(entry)
        for leg in exits.values():
            bracket.take_in(leg)
        bracket.recall()
        return bracket.cover > ZERO

    def _is_held(self, entry: OrderState) -> bool:
        """Tell whether anything is held on the side of an entry."""
        intent = entry.intent
        return any(
            holding.bucket == intent.bucket
            and (holding.quantity > ZERO if entry.is_buy else holding.quantity < ZERO)
            for holding in self._ledger.of_run(intent.run, intent.instrument)
        )


def _group_of(order: OrderState) -> Group:
    return order.run, order.intent.oco_group


def _drop(index: dict[Name, dict[str, OrderState]], name: Name, order: OrderState) -> None:
    members = index.get(name)
    if members is not None and members.pop(order.order_id, None) is not None and not members:
        del index[name]
