"""Order entry of the second generation: one book of the yes leg, and thin acknowledgements."""

from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.domain import Order, Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.http_orders import (
    attempt,
    batch_cost,
    cancel_batch_cost,
    check_size,
    write,
)
from adapters.kalshi.simulated.market_bodies import Body
from adapters.kalshi.simulated.portfolio_bodies import acknowledgement, averages
from adapters.kalshi.simulated.requests import (
    CancelBatch,
    SecondAmendment,
    SecondBatch,
    SecondDecrease,
    SecondOrder,
)
from adapters.kalshi.simulated.throttle import CHEAP_COST

PATH = "/portfolio/events/orders"


class SecondGeneration:
    """Carries out bids and asks."""

    def __init__(self, exchange: Exchange, largest_batch: int) -> None:
        self._orders = exchange.orders
        self._portfolio = exchange.portfolio
        self._largest_batch = largest_batch

    def routes(self) -> list[Route]:
        """Return the routes; the batch comes before what `{order_id}` would swallow."""
        order, batch = PATH + "/{order_id}", PATH + "/batched"
        return [
            write("POST", PATH, self.create),
            write("POST", batch, self.create_batch, batch_cost(SecondBatch)),
            write("DELETE", batch, self.cancel_batch, cancel_batch_cost),
            Route(method="DELETE", path=order, handle=self.cancel, cost=CHEAP_COST),
            write("POST", f"{order}/amend", self.amend),
            write("POST", f"{order}/decrease", self.decrease),
        ]

    def create(self, call: Call) -> Answer:
        """Submit an order."""
        return Answer(self._create(call.account, call.read(SecondOrder)), 201)

    def create_batch(self, call: Call) -> Answer:
        """Submit several orders; each succeeds or fails by itself."""

        def create(request: SecondOrder) -> Body:
            return self._create(call.account, request)

        requests = call.read(SecondBatch).orders
        check_size(len(requests), self._largest_batch)
        bodies = [
            {"client_order_id": request.client_order_id} | attempt(create, request)
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
        bodies = [{"order_id": order_id} | attempt(cancel, order_id) for order_id in order_ids]
        return Answer({"orders": bodies})

    def amend(self, call: Call) -> Answer:
        """Change price and total."""
        request, order_id = call.read(SecondAmendment), call.parts["order_id"]
        amendment = request.meaning()
        if self._portfolio.order(call.account, order_id).is_bid != (request.side == "bid"):
            raise Refusal(400, "invalid_parameters", "the order is on the other side")
        _, order = self._orders.amend(call.account, order_id, amendment)
        counts = {"remaining_count": order.remaining_count, "fill_count": order.fill_count}
        return Answer(acknowledgement(order, **counts) | self._averages(order))

    def decrease(self, call: Call) -> Answer:
        """Take some of what rests away; the order keeps its place."""
        by, to = call.read(SecondDecrease).meaning()
        order = self._orders.decrease(call.account, call.parts["order_id"], by=by, to=to)
        return Answer(acknowledgement(order, remaining_count=order.remaining_count))

    def _create(self, account: str, request: SecondOrder) -> Body:
        order = self._orders.submit(account, request.meaning())
        counts = {"fill_count": order.fill_count, "remaining_count": order.remaining_count}
        return acknowledgement(order, **counts) | self._averages(order)

    def _cancel(self, account: str, order_id: str) -> Body:
        reduction = self._orders.cancel(account, order_id)
        return acknowledgement(reduction.order, reduced_by=reduction.reduced_by)

    def _averages(self, order: Order) -> Body:
        if not order.fill_count:
            return {}
        fills = self._portfolio.fills(order.account)
        return averages([fill for fill in fills if fill.order_id == order.order_id])
