"""What emulated orders need of the order desk; `OrderDesk` is it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from framework.model.orders import Bucket, OrderIntent
from framework.model.records import CoverNoted, ExitsReplaced, HoldRole
from framework.model.reports import EndKind
from framework.orders.application import DeskInput
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.ledger import Ledger

Alert = Callable[[str, str, str, OrderState], None]
"""Raises an alert: name, level (`warning`, `critical`), message, the order it is about."""


class HeldDesk(Protocol):
    """Orders that the core keeps: taken in, changed, sent and ended within the step."""

    @property
    def registry(self) -> OrderRegistry: ...
    @property
    def ledger(self) -> Ledger: ...
    def hold(
        self,
        intent: OrderIntent,
        *,
        role: HoldRole,
        parent: str,
        quantity: Decimal | None = None,
    ) -> OrderState: ...
    def release(self, order: OrderState, intent: OrderIntent, *, cause: str = "") -> str | None: ...
    def change_held(
        self,
        order: OrderState,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> None: ...
    def trail(self, order: OrderState, extreme: Decimal, stop_price: Decimal) -> None: ...
    def replace_exits(self, order: OrderState, replaced: ExitsReplaced) -> None: ...
    def note_cover(self, order: OrderState, noted: CoverNoted) -> None: ...
    def tell_anomaly(self, order: OrderState, what: str) -> None: ...
    def end_held(self, order: OrderState, kind: EndKind, reason: str) -> None: ...
    def apply(self, fact: DeskInput) -> None: ...
    def cancel(self, order_id: str) -> str | None: ...
    def modify(
        self,
        order_id: str,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> str | None: ...
    def close(self, run: str, instrument: str, bucket: Bucket = ...) -> OrderState | None: ...
