"""The bodies of write requests as the venue takes them, and what they mean to the exchange.

The first generation names an outcome and an action and prices either leg; the second has one
book of the yes leg, where a bid buys yes and an ask sells it. Unknown fields are ignored.
Source: sections 10.4 to 10.6 of the protocol notes.
"""

from typing import Annotated, Literal

import msgspec

from adapters.kalshi.simulated.amounts import read_contracts, read_dollars
from adapters.kalshi.simulated.domain import (
    CENT_OF_MONEY,
    CONTRACT,
    DOLLAR,
    Action,
    Amendment,
    NewOrder,
    Refusal,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

Id = Annotated[str, msgspec.Meta(max_length=200)]
Whole = Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**11)]
Subaccount = Annotated[int, msgspec.Meta(ge=0, le=63)]
BookSide = Literal["bid", "ask"]

SECOND_NS = 1_000_000_000
CENT = DOLLAR // 100


class _Prices(msgspec.Struct, frozen=True, kw_only=True):
    """The four ways to name a price in the first generation; exactly one is used."""

    yes_price: Whole | None = None
    no_price: Whole | None = None
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None

    def of_yes_leg(self) -> int:
        """Return the price of the yes leg.

        Raises:
            Refusal: there is none, more than one, or it is not a number.
        """
        yes = _one_or_none(self.yes_price, self.yes_price_dollars)
        no = _one_or_none(self.no_price, self.no_price_dollars)
        if (yes is None) == (no is None):
            raise Refusal(400, "invalid_price", "exactly one price is needed")
        return yes if yes is not None else DOLLAR - (no or 0)


class FirstOrder(_Prices, frozen=True, kw_only=True):
    """`POST /portfolio/orders`."""

    ticker: Id
    side: Side
    action: Action
    count: Whole | None = None
    count_fp: str | None = None
    type: Literal["limit", "market"] | None = None
    client_order_id: Id | None = None
    time_in_force: TimeInForce | None = None
    expiration_ts: Seconds | None = None
    post_only: bool | None = None
    reduce_only: bool | None = None
    cancel_order_on_pause: bool | None = None
    buy_max_cost: Whole | None = None  # cents
    self_trade_prevention_type: SelfTradePrevention | Literal[""] | None = None
    order_group_id: Id | None = None
    subaccount: Subaccount | None = None

    def meaning(self) -> NewOrder:
        """Return what it asks for. Raises Refusal."""
        max_cost = None if self.buy_max_cost is None else self.buy_max_cost * CENT_OF_MONEY
        return NewOrder(
            ticker=self.ticker,
            side=self.side,
            action=self.action,
            price=self.of_yes_leg(),
            count=read_count(self.count, self.count_fp),
            client_order_id=self.client_order_id or "",
            time_in_force=self.time_in_force or "good_till_canceled",
            expiration_ns=None if self.expiration_ts is None else self.expiration_ts * SECOND_NS,
            post_only=bool(self.post_only),
            reduce_only=bool(self.reduce_only),
            cancel_order_on_pause=bool(self.cancel_order_on_pause),
            buy_max_cost=max_cost,
            self_trade_prevention_type=self.self_trade_prevention_type or "taker_at_cross",
            order_group_id=self.order_group_id or "",
            subaccount=self.subaccount or 0,
            order_type=self.type or "limit",
        )


class FirstAmendment(_Prices, frozen=True, kw_only=True):
    """`POST /portfolio/orders/{order_id}/amend`; `count` is the new total."""

    ticker: Id
    side: Side
    action: Action
    count: Whole | None = None
    count_fp: str | None = None
    client_order_id: Id | None = None
    updated_client_order_id: Id | None = None

    def meaning(self) -> Amendment:
        """Return what it asks for. Raises Refusal."""
        return Amendment(
            price=self.of_yes_leg(),
            count=read_count(self.count, self.count_fp),
            ticker=self.ticker,
            side=self.side,
            action=self.action,
            client_order_id=self.client_order_id or "",
            updated_client_order_id=self.updated_client_order_id or "",
        )


class FirstDecrease(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /portfolio/orders/{order_id}/decrease`; exactly one of by and to."""

    reduce_by: Whole | None = None
    reduce_by_fp: str | None = None
    reduce_to: Whole | None = None
    reduce_to_fp: str | None = None

    def meaning(self) -> tuple[int | None, int | None]:
        """Return (by, to), one of them None. Raises Refusal."""
        by = _count_or_none(self.reduce_by, self.reduce_by_fp)
        return _one_of(by, _count_or_none(self.reduce_to, self.reduce_to_fp))


class SecondOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /portfolio/events/orders`.

    Documented to need a `client_order_id`; clients in use leave it out, so the venue makes one.
    """

    ticker: Id
    side: BookSide
    count: str
    price: str
    time_in_force: TimeInForce
    self_trade_prevention_type: SelfTradePrevention
    client_order_id: Id | None = None
    expiration_time: Seconds | None = None
    post_only: bool | None = None
    reduce_only: bool | None = None
    cancel_order_on_pause: bool | None = None
    subaccount: Subaccount | None = None
    order_group_id: Id | None = None
    exchange_index: Whole | None = None

    def meaning(self) -> NewOrder:
        """Return what it asks for. Raises Refusal."""
        expiry = self.expiration_time
        return NewOrder(
            ticker=self.ticker,
            side="yes",
            action=action_of(self.side),
            price=read_dollars(self.price),
            count=read_contracts(self.count),
            client_order_id=self.client_order_id or "",
            time_in_force=self.time_in_force,
            expiration_ns=None if expiry is None else expiry * SECOND_NS,
            post_only=bool(self.post_only),
            reduce_only=bool(self.reduce_only),
            cancel_order_on_pause=bool(self.cancel_order_on_pause),
            self_trade_prevention_type=self.self_trade_prevention_type,
            order_group_id=self.order_group_id or "",
            subaccount=self.subaccount or 0,
        )


class SecondAmendment(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /portfolio/events/orders/{order_id}/amend`; `count` is the new total."""

    ticker: Id
    side: BookSide
    price: str
    count: str
    client_order_id: Id | None = None
    updated_client_order_id: Id | None = None

    def meaning(self) -> Amendment:
        """Return what it asks for. Raises Refusal."""
        return Amendment(
            price=read_dollars(self.price),
            count=read_contracts(self.count),
            ticker=self.ticker,
            client_order_id=self.client_order_id or "",
            updated_client_order_id=self.updated_client_order_id or "",
        )


class SecondDecrease(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /portfolio/events/orders/{order_id}/decrease`; exactly one of by and to."""

    reduce_by: str | None = None
    reduce_to: str | None = None

    def meaning(self) -> tuple[int | None, int | None]:
        """Return (by, to), one of them None. Raises Refusal."""
        by = None if self.reduce_by is None else read_contracts(self.reduce_by)
        return _one_of(by, None if self.reduce_to is None else read_contracts(self.reduce_to))


class FirstBatch(msgspec.Struct, frozen=True):
    """`POST /portfolio/orders/batched`."""

    orders: list[FirstOrder]


class SecondBatch(msgspec.Struct, frozen=True):
    """`POST /portfolio/events/orders/batched`."""

    orders: list[SecondOrder]


class Cancellation(msgspec.Struct, frozen=True):
    """One item of a batch cancel."""

    order_id: Id
    subaccount: Subaccount | None = None


class CancelBatch(msgspec.Struct, frozen=True):
    """Several orders to cancel; `ids` is the older form."""

    orders: list[Cancellation] | None = None
    ids: list[Id] | None = None

    def order_ids(self) -> list[str]:
        """Return whose orders they are."""
        return [item.order_id for item in self.orders or ()] + list(self.ids or ())


class GroupLimit(msgspec.Struct, frozen=True):
    """`POST /portfolio/order_groups/create` and `PUT .../limit`."""

    contracts_limit: Whole | None = None
    contracts_limit_fp: str | None = None
    subaccount: Subaccount | None = None


class Nothing(msgspec.Struct, frozen=True):
    """An empty object."""


def action_of(side: BookSide) -> Action:
    """Return what an order on this side of the yes leg does."""
    return "buy" if side == "bid" else "sell"


def read_count(number: int | None, text: str | None) -> int:
    """Return a count given as whole contracts, as text, or as both.

    Raises:
        Refusal: it is missing, not a number, or the two differ.
    """
    count = _count_or_none(number, text)
    if count is None:
        raise Refusal(400, "missing_parameters", "a count is needed")
    return count


def _count_or_none(number: int | None, text: str | None) -> int | None:
    if text is None:
        return None if number is None else number * CONTRACT
    count = read_contracts(text)
    if number is not None and number * CONTRACT != count:
        raise Refusal(400, "invalid_parameters", "the two counts differ")
    return count


def _one_or_none(in_cents: int | None, in_dollars: str | None) -> int | None:
    if in_cents is not None and in_dollars is not None:
        raise Refusal(400, "invalid_price", "exactly one price is needed")
    if in_dollars is not None:
        return read_dollars(in_dollars)
    return None if in_cents is None else in_cents * CENT


def _one_of(by: int | None, to: int | None) -> tuple[int | None, int | None]:
    if (by is None) == (to is None):
        raise Refusal(400, "invalid_parameters", "exactly one of reduce_by, reduce_to is needed")
    return by, to
