"""Order entry of the first generation, which answers with whole orders."""

from collections.abc import Callable
from typing import Literal, TypeVar

from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Order, Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.market_bodies import Body
from adapters.kalshi.simulated.portfolio_bodies import order_body
from adapters.kalshi.simulated.requests import (
    CancelBatch,
    FirstAmendment,
    FirstBatch,
    FirstDecrease,
    FirstOrder,
    SecondBatch,
)
from adapters.kalshi.simulated.throttle import CHEAP_COST, DEFAULT_COST, OLD_ORDER_COST
from adapters.kalshi.simulated.wire_units import contracts, fixed_point

T = TypeVar("T")

PATH = "/portfolio/orders"


class FirstGeneration:
    """Carries out orders by outcome and action."""

    def __init__(self, exchange: Exchange, profile: Profile, largest_batch: int) -> None:
        self._orders = exchange.orders
        self._profile = profile
        self._largest_batch = largest_batch

    def routes(self) -> list[Route]:
        """Return the routes; the batch comes before what `{order_id}` would swallow."""
        order, batch = PATH + "/{order_id}", PATH + "/batched"
        return [
            write("POST", PATH, self.create, OLD_ORDER_COST),
            write("POST", batch, self.create_batch, batch_cost(FirstBatch)),
            write("DELETE", batch, self.cancel_batch, cancel_batch_cost),
            Route(method="DELETE", path=order, handle=self.cancel, cost=CHEAP_COST),
            write("POST", f"{order}/amend", self.amend),
            write("POST", f"{order}/decrease", self.decrease, OLD_ORDER_COST),
        ]

    def create(self, call: Call) -> Answer:
        """Submit an order."""
        order = self._orders.submit(call.account, call.read(FirstOrder).meaning())
        return Answer({"order": self._body(order)}, 201)

    def create_batch(self, call: Call) -> Answer:
        """Submit several orders; each succeeds or fails by itself."""

        def submit(request: FirstOrder) -> Body:
            return {"order": self._body(self._orders.submit(call.account, request.meaning()))}

        requests = call.read(FirstBatch).orders
        check_size(len(requests), self._largest_batch)
        bodies = [
            {"client_order_id": request.client_order_id, "order": None, "error": None}
            | attempt(submit, request)
            for request in requests
        ]
        return Answer({"orders": bodies}, 201)

    def cancel(self, call: Call) -> Answer:
        """Reduce an order to nothing."""
        return Answer(self._cancel(call.account, call.parts["order_id"]))

    def cancel_batch(self, call: Call) -> Answer:
        """Cancel several orders; each succeeds or fails by itself."""

        def cancel(order_id: str) -> Body:
            return self._cancel(call.account, order_id)

        order_ids = call.read(CancelBatch).order_ids()
        check_size(len(order_ids), self._largest_batch)
        nothing = {"order": None, "reduced_by_fp": fixed_point(0), "error": None}
        bodies = [
            {"order_id": order_id, **nothing} | attempt(cancel, order_id) for order_id in order_ids
        ]
        return Answer({"orders": bodies})

    def amend(self, call: Call) -> Answer:
        """Change price and total."""
        request = call.read(FirstAmendment).meaning()
        old, new = self._orders.amend(call.account, call.parts["order_id"], request)
        return Answer({"old_order": self._body(old), "order": self._body(new)})

    def decrease(self, call: Call) -> Answer:
        """Take some of what rests away; the order keeps its place."""
        by, to = call.read(FirstDecrease).meaning()
        order = self._orders.decrease(call.account, call.parts["order_id"], by=by, to=to)
        return Answer({"order": self._body(order)})

    def _cancel(self, account: str, order_id: str) -> Body:
        reduction = self._orders.cancel(account, order_id)
        body: Body = {
            "order": self._body(reduction.order),
            "reduced_by_fp": fixed_point(reduction.reduced_by),
        }
        if self._profile is Profile.LEGACY:
            body["reduced_by"] = contracts(reduction.reduced_by)
        return body

    def _body(self, order: Order) -> Body:
        return order_body(order, self._profile)


def attempt(work: Callable[[T], Body], item: T) -> Body:
    """Do the work for one item of a batch; a refusal becomes the item's error."""
    try:
        return work(item)
    except Refusal as refusal:
        return {"error": {"code": refusal.code, "message": refusal.message}}


def check_size(count: int, largest: int) -> None:
    """Refuse a batch that is empty or too long."""
    if not 1 <= count <= largest:
        raise Refusal(400, "invalid_parameters", f"a batch has from 1 to {largest} orders")


def batch_cost(kind: type[FirstBatch] | type[SecondBatch]) -> Callable[[Call], float]:
    """Return what a batch of new orders costs: each of them in full."""
    return lambda call: DEFAULT_COST * len(call.read(kind).orders)


def cancel_batch_cost(call: Call) -> float:
    """Return what a batch of cancels costs."""
    return CHEAP_COST * len(call.read(CancelBatch).order_ids())


def write(
    method: Literal["POST", "PUT", "DELETE"],
    path: str,
    handle: Callable[[Call], Answer],
    cost: float | Callable[[Call], float] = DEFAULT_COST,
) -> Route:
    """Return a route that takes a body."""
    return Route(method=method, path=path, handle=handle, has_body=True, cost=cost)
