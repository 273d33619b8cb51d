"""Every order in memory, by id and by (run, key); repeated keys answered, never sent again.

Beside the orders it keeps, per (run, instrument), the sums of what working and in-doubt orders may
still do: open quantities and reserved notional, changed by differences and zero when nothing is
open (R-77). Closed orders leave memory once the log can answer for them.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from framework.errors import InvariantBroken, KeyConflict
from framework.model.decimals import ZERO, add, multiply, subtract
from framework.model.instrument import Instrument
from framework.model.orders import Order, OrderIntent, RequestState, Side
from framework.model.records import Record
from framework.model.reports import OrderFact
from framework.orders.keys import is_own
from framework.orders.lifecycle import OrderFacts
from framework.orders.order_state import OrderState, WorkingOrders, at_stake

BUY = Side.BUY
NONE = RequestState.NONE
KEPT_EXTERNAL_FACTS = 10_000


class OrderArchive(Protocol):
    """What the log knows of orders that left memory."""

    def lookup_closed(self, run: str, key: str) -> Order | None:
        """Return the last state of the order a run asked for under this key."""

    def read(self, registry: "OrderRegistry", order_id: str) -> OrderState | None:
        """Return an order with everything the log has of it; None if it never left our gate."""

    def recall(self, registry: "OrderRegistry", order_id: str) -> OrderState | None:
        """Return an order to be shown, a DENIED one too; None: nothing is known of it."""

    def rebuild(self, registry: "OrderRegistry", entries: Sequence[Record]) -> OrderState | None:
        """Return the order that these are all entries of, oldest first; a DENIED one too."""


class OrderRegistry:
    """Owns the orders in memory.

    Attributes:
        orders: the orders in memory by id, oldest first; to be read only.
        archive: answers for orders that left memory: for a repeated key (R-29), and when a late
            fact comes (R-23, R-24). While it is None nothing leaves.
        fresh_keys: per run, how the keys begin that its session makes itself, each only once:
            the archive need not be asked about these.
    """

    def __init__(self) -> None:
        self.archive: OrderArchive | None = None
        self.fresh_keys: dict[str, str] = {}
        self.external_facts: dict[str, list[OrderFact]] = {}
        self.external_dropped_count = 0
        self._external_count = 0
        self.orders: dict[str, OrderState] = {}
        self._by_key: dict[tuple[str, str], OrderState] = {}
        self._by_venue_id: dict[tuple[str, str], OrderState] = {}
        self._working: dict[tuple[str, str], WorkingOrders] = {}
        self._reserved_cash: dict[str, dict[str, Decimal]] = {}

    def __len__(self) -> int:
        """Return how many orders are in memory."""
        return len(self.orders)

    def __iter__(self) -> Iterator[OrderState]:
        """Yield the orders in memory, oldest first."""
        return iter(self.orders.values())

    def get(self, order_id: str) -> OrderState | None:
        """Return an order in memory."""
        return self.orders.get(order_id)

    def by_key(self, run: str, key: str) -> OrderState | None:
        """Return the order in memory that a run asked for under this key."""
        return self._by_key.get((run, key))

    def by_venue_id(self, account: str, venue_order_id: str) -> OrderState | None:
        """Return the order in memory that the venue calls so."""
        return self._by_venue_id.get((account, venue_order_id))

    def name(self, order: OrderState, venue_order_id: str) -> None:
        """Keep what the venue calls an order; the first to have an id keeps it."""
        self._by_venue_id.setdefault((order.account, venue_order_id), order)

    def answer(self, intent: OrderIntent) -> OrderState | None:
        """Return the order that this intent has been given already, if any (R-29).

        An order that left memory is compared by what its last state still shows: everything but
        the quantity and prices, which a modification may have changed.

        Raises:
            KeyConflict: the key belongs to an order of other content.
        """
        known = self._by_key.get((intent.run, intent.key))
        if known is not None:
            if known.intent != intent and not is_same_wish(known.intent, intent):
                raise KeyConflict(intent.run, intent.key, known.order_id)
            return known
        if self.archive is None:
            return None
        prefix = self.fresh_keys.get(intent.run)
        if prefix is not None and intent.key.startswith(prefix) and is_own(intent.key):
            return None
        closed = self.archive.lookup_closed(intent.run, intent.key)
        return None if closed is None else self._recall(self.archive, closed, intent)

    def add(self, order: OrderState, notional: Decimal | None = None) -> None:
        """Take a new order in; from now on it counts in the sums of its run and instrument.

        `notional` is its quantity × valuation × multiplier where the caller knows it already.

        Raises:
            InvariantBroken: the id is taken (two keys with one hash, or a bug).
        """
        intent, order_id, working = order.intent, order.order_id, order.working
        if order_id in self.orders:
            raise InvariantBroken(f"order id {order_id} is taken")
        self.orders[order_id] = order
        self._by_key[intent.run, intent.key] = order
        if notional is None or working.orders:
            if not order.facts.is_closed:
                self.track(order)
            return
        # The usual case, without the arithmetic of `track`: the only open order.
        working.orders[order_id] = order
        quantity = order.open_quantity = order.facts.quantity
        order.reserved = working.reserved = notional
        if order.is_buy:
            working.open_buy = quantity
            if order.is_paid_in_full:
                _reserve_cash(order, notional, ZERO)
        else:
            working.open_sell = quantity

    def working(self, run: str, instrument: str) -> WorkingOrders:
        """Return the open orders of a run in an instrument: live, changed with every step."""
        working = self._working.get((run, instrument))
        if working is None:
            working = self._working[run, instrument] = WorkingOrders(run, instrument)
        return working

    def lines(self) -> Iterator[WorkingOrders]:
        """Yield the open orders of every run and instrument there was an order for."""
        return iter(self._working.values())

    def open_orders(self, run: str, instrument: str | None = None) -> list[OrderState]:
        """Return a run's open orders, of one instrument or all, in the order they were made."""
        if instrument is not None:
            return list(self.working(run, instrument).orders.values())
        return [
            order
            for (owner, _), working in self._working.items()
            if owner == run
            for order in working.orders.values()
        ]

    def reserved_cash(self, account: str) -> dict[str, Decimal]:
        """Return what open spot, option and binary buys reserve, per currency: live, to be read."""
        reserved = self._reserved_cash.get(account)
        if reserved is None:
            reserved = self._reserved_cash[account] = {}
        return reserved

    def track(self, order: OrderState) -> bool:
        """Bring the sums up to date with an order; tell whether they changed."""
        working, order_id = order.working, order.order_id
        orders = working.orders
        before, was_reserved = order.open_quantity, order.reserved
        if order.facts.is_closed:
            if order_id not in orders:
                return False
            del orders[order_id]
            opened = reserved = ZERO
        else:
            opened, reserved = at_stake(order)
            if order_id not in orders:
                orders[order_id] = order
            elif opened == before and reserved == was_reserved:
                return False
        order.open_quantity, order.reserved = opened, reserved
        is_buy = order.is_buy
        if not orders:  # exactly zero, whatever was rounded on the way
            working.reserved = working.open_buy = working.open_sell = ZERO
        else:
            working.reserved = subtract(add(working.reserved, reserved), was_reserved)
            if is_buy:
                working.open_buy = subtract(add(working.open_buy, opened), before)
            else:
                working.open_sell = subtract(add(working.open_sell, opened), before)
        if is_buy and order.is_paid_in_full:
            _reserve_cash(order, reserved, was_reserved)
        return True

    def reassign(self, order: OrderState, intent: OrderIntent) -> None:
        """Give an order to another run: what is still open of it counts there from now on.

        `intent` is the order's own but for its run. What has been filled stays where it is.
        """
        working, order_id = order.working, order.order_id
        if order_id in working.orders:
            del working.orders[order_id]
            working.reserved = subtract(working.reserved, order.reserved)
            if order.is_buy:
                working.open_buy = subtract(working.open_buy, order.open_quantity)
                if order.is_paid_in_full:
                    _reserve_cash(order, ZERO, order.reserved)
            else:
                working.open_sell = subtract(working.open_sell, order.open_quantity)
        del self._by_key[order.intent.run, order.intent.key]
        order.intent, order.holding = intent, None
        order.working = self.working(intent.run, intent.instrument)
        order.open_quantity = order.reserved = ZERO
        self._by_key[intent.run, intent.key] = order
        self.track(order)

    def find(self, order_id: str) -> OrderState | None:
        """Return an order for a fact: from memory, or brought back from the log's history."""
        order = self.orders.get(order_id)
        if order is not None or self.archive is None:
            return order
        order = self.archive.read(self, order_id)
        if order is not None:
            self.add(order)
            for venue_order_id in order.facts.venue_order_ids:
                self.name(order, venue_order_id)
        return order

    def keep_external(self, fact: OrderFact) -> None:
        """Keep a fact about an order nobody here knows until somebody adopts it (R-26)."""
        if self._external_count >= KEPT_EXTERNAL_FACTS:
            self.external_dropped_count += 1  # it is in the log all the same
            return
        facts = self.external_facts.setdefault(fact.order_id, [])
        if fact not in facts:
            facts.append(fact)
            self._external_count += 1

    def take_external(self, order_id: str) -> list[OrderFact]:
        """Return and forget the facts kept about an unknown order."""
        facts = self.external_facts.pop(order_id, [])
        self._external_count -= len(facts)
        return facts

    def closed_order(self, run: str, key: str) -> Order | None:
        """Return the last state of an order that left memory."""
        return None if self.archive is None else self.archive.lookup_closed(run, key)

    def release(self, order_id: str) -> bool:
        """Let a closed order leave memory; tell whether it did.

        To be called once the order's last fact is in the log. It stays while it is open, or
        while there is no archive to answer for it.
        """
        order = self.orders.get(order_id)
        if order is None or not order.facts.is_closed or self.archive is None:
            return False
        del self.orders[order_id]
        del self._by_key[order.intent.run, order.intent.key]
        for venue_order_id in order.facts.venue_order_ids:
            self._by_venue_id.pop((order.account, venue_order_id), None)
        return True

    def _recall(self, archive: OrderArchive, closed: Order, intent: OrderIntent) -> OrderState:
        order = archive.read(self, closed.order_id)
        if order is not None:
            if not is_same_wish(order.intent, intent):
                raise KeyConflict(intent.run, intent.key, closed.order_id)
            return order
        if not _fits(closed, intent):
            raise KeyConflict(intent.run, intent.key, closed.order_id)
        return self._from_event(closed, intent)

    def _from_event(self, closed: Order, intent: OrderIntent) -> OrderState:
        """Return a read-only stand-in for a closed order: its state, without its executions."""
        facts = OrderFacts(
            closed.quantity,
            closed.price,
            closed.stop_price,
            closed.time_ns,
            origin=closed.status,
            status=closed.status,
            is_closed=True,
            is_plain=False,
            filled=closed.filled,
            refusal=closed.reason,
            submit_request=NONE,
            submit_state=NONE,
            venue_order_ids=closed.venue_order_ids,
        )
        if closed.average_price is not None:
            facts.average_price = closed.average_price
            facts.notional = multiply(closed.average_price, closed.filled)
        return OrderState(
            closed.order_id,
            intent,
            closed.account,
            Instrument(closed.instrument),
            facts,
            self.working(closed.run, closed.instrument),
            closed.created_ns,
            closed.side is BUY,
            self.reserved_cash(closed.account),
            False,
            closed.reduce_only,
        )


def _reserve_cash(order: OrderState, reserved: Decimal, before: Decimal) -> None:
    account, currency = order.reserved_cash, order.instrument.currency
    total = account.get(currency, ZERO)
    if before is not ZERO:
        total = subtract(total, before)
    if reserved is not ZERO:
        total = add(total, reserved) if total else reserved
    if total:
        account[currency] = total
    else:
        account.pop(currency, None)


def is_same_wish(one: OrderIntent, other: OrderIntent) -> bool:
    """Compare two intents by content: what caused them, and until when to send, is not part."""
    return _content(one) == _content(other)


def _content(intent: OrderIntent) -> OrderIntent:
    return msgspec.structs.replace(intent, send_by_ns=None, cause_sequence=0, cause_ns=0)


def _fits(closed: Order, intent: OrderIntent) -> bool:
    return (
        closed.instrument == intent.instrument
        and closed.side is intent.side
        and closed.type is intent.type
        and closed.time_in_force is intent.time_in_force
        and closed.post_only == intent.post_only
        and closed.bucket == intent.bucket
        and closed.tags == intent.tags
    )
