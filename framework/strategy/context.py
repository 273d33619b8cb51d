"""What a strategy may ask for: about twenty calls, plain values in and out, no live objects.

A strategy knows nothing else of the framework, so that it may later run in a process of its own.
"""

from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from random import Random
from typing import Any, Protocol, TypeVar

from framework.interfaces import BookView
from framework.model.account import Account
from framework.model.instrument import Instrument, Number
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import Order, OrderType, Side, TimeInForce
from framework.strategy.wishes import Leg, Wishes

T = TypeVar("T")


class PositionLike(Protocol):
    """A run's own view of one instrument; flat means no position and no working order either."""

    @property
    def instrument(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def average_price(self) -> Decimal | None: ...
    @property
    def is_flat(self) -> bool: ...
    @property
    def is_long(self) -> bool: ...
    @property
    def is_short(self) -> bool: ...


class StrategyContext(Protocol):
    """Implemented by the engine, once per run."""

    @property
    def run(self) -> str: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def is_warming_up(self) -> bool: ...
    @property
    def random(self) -> Random: ...
    def submit(
        self,
        instrument: str,
        side: Side,
        quantity: Number | None,
        *,
        type: OrderType,
        price: Number | None,
        stop_price: Number | None,
        time_in_force: TimeInForce,
        expire_ns: int | None,
        post_only: bool,
        reduce_only: bool,
        key: str | None,
        tags: Sequence[str],
        wishes: Wishes,
    ) -> str:
        """Run gate and registry at once and return the order's id; it is sent afterwards."""

    def submit_basket(
        self, legs: Sequence[Leg], *, key: str | None, all_or_none: bool
    ) -> list[str]:
        """The same for several legs under one key; an id per leg."""

    def cancel(self, order_id: str) -> str | None:
        """Return why it cannot be cancelled, or None: the request is on its way."""

    def modify(
        self,
        order_id: str,
        *,
        quantity: Number | None,
        price: Number | None,
        stop_price: Number | None,
    ) -> str | None:
        """Return why it cannot be changed, or None: the request is on its way."""

    def cancel_all(self, instrument: str | None) -> None: ...
    def close(self, instrument: str) -> str | None: ...
    def flatten(self) -> None: ...
    def order(self, order_id: str) -> Order | None: ...
    def orders(self, instrument: str | None) -> list[Order]: ...
    async def order_when(
        self, order_id: str, condition: Callable[[Order], bool], timeout_s: float | None
    ) -> Order: ...
    def position(self, instrument: str) -> PositionLike: ...
    def account(self) -> Account: ...
    def instrument(self, name: str) -> Instrument: ...
    def quote(self, instrument: str) -> Quote | None: ...
    def trade(self, instrument: str) -> Trade | None: ...
    def candle(self, instrument: str) -> Candle | None: ...
    def book(self, instrument: str) -> BookView | None: ...
    def watch(self, channel: str, instrument: str, *, interval: str, warmup: int) -> None: ...
    async def history(self, instrument: str, interval: str, limit: int) -> list[Candle]: ...
    def set_timer(self, name: str, *, first_ns: int, every_ns: int | None) -> None: ...
    def cancel_timer(self, name: str) -> None: ...
    async def sleep(self, seconds: float) -> None: ...
    async def external(self, coroutine: Coroutine[Any, Any, T]) -> T: ...
    async def blocking(self, function: Callable[[], T]) -> T: ...
    def publish(self, event: Any) -> None: ...
