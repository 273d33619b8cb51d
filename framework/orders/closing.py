"""The way out: open orders taken back, and what a run holds closed, once however often asked."""

from collections.abc import Callable
from typing import Protocol

from framework.interfaces import Clock
from framework.model.decimals import ZERO, absolute
from framework.model.orders import NO_BUCKET, Bucket, OrderIntent, RequestState, Side
from framework.orders.keys import CLOSE
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger

BUY = Side.BUY
SELL = Side.SELL


class Submit(Protocol):
    """Asks for an order, as `OrderDesk.submit` does."""

    def __call__(self, intent: OrderIntent, *, is_closing: bool = False) -> OrderState: ...


class Closing:
    """Takes back a run's orders and closes its positions through the desk that owns it."""

    def __init__(
        self,
        *,
        registry: OrderRegistry,
        ledger: Ledger,
        clock: Clock,
        submit: Submit,
        cancel: Callable[[str], str | None],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._clock = clock
        self._submit = submit
        self._cancel = cancel
        self._closing: dict[tuple[str, str, Bucket], OrderState] = {}
        self._closing_count = 0

    def cancel_all(self, run: str, instrument: str | None = None) -> list[OrderState]:
        """Take back a run's open orders, all or those of one instrument; return them."""
        orders = self._registry.open_orders(run, instrument)
        for order in orders:
            self._cancel(order.order_id)
        return orders

    def cancel_entries(self, run: str, instrument: str | None = None) -> list[OrderState]:
        """Take back a run's open orders that are not reduce-only; return them."""
        orders = self._registry.open_orders(run, instrument)
        entries = [order for order in orders if not order.reduce_only]
        for order in entries:
            self._cancel(order.order_id)
        return entries

    def close(self, run: str, instrument: str, bucket: Bucket = NO_BUCKET) -> OrderState | None:
        """Cancel the run's working entries and send one reducing order for what it holds.

        While that order works, it is the answer to every further call. None where nothing (or
        less than a lot) is held. Exits stay.
        """
        known = self._closing.get((run, instrument, bucket))
        if known is not None and not known.is_closed:
            return known
        for order in self._registry.open_orders(run, instrument):
            if _is_closing(order) and order.intent.bucket == bucket:
                self._closing[run, instrument, bucket] = order  # it was sent before a restart
                return order
        for order in self._registry.open_orders(run, instrument):
            if not order.reduce_only and order.intent.bucket == bucket:
                self._cancel(order.order_id)
        holding = self._held(run, instrument, bucket)
        if holding is None:
            return None
        quantity = holding.instrument.round_quantity(absolute(holding.quantity))
        if not quantity:
            return None
        self._closing_count += 1
        order = self._submit(
            OrderIntent(
                run,
                f"{CLOSE}{self._clock.now_ns}.{self._closing_count}",  # unique over restarts too
                instrument,
                SELL if holding.quantity > ZERO else BUY,
                quantity,
                reduce_only=True,
                bucket=bucket,
            ),
            is_closing=True,
        )
        self._closing[run, instrument, bucket] = order
        return order

    def flatten(self, run: str) -> list[OrderState]:
        """Cancel everything of a run, exits too, and close all it holds; return the closings."""
        for order in self._registry.open_orders(run):
            if not _is_closing(order):
                self._cancel(order.order_id)
        orders = [
            self.close(run, holding.instrument.id, holding.bucket)
            for holding in list(self._ledger.holdings(run=run))
            if holding.quantity
        ]
        return [order for order in orders if order is not None]

    def _held(self, run: str, instrument: str, bucket: Bucket) -> Holding | None:
        for holding in self._ledger.of_run(run, instrument):
            if holding.bucket == bucket and holding.quantity:
                return holding
        return None


def _is_closing(order: OrderState) -> bool:
    """Tell whether an order was sent by `close`, in this process or before, and is to stay."""
    return order.intent.key.startswith(CLOSE) and order.facts.cancel_request is RequestState.NONE
