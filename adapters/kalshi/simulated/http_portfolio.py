"""Reads of an account: money, positions, orders, fills, settlements, queue positions, limits."""

from collections.abc import Callable, Iterable

from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Fill, Order, Position, Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.lag import LaggingReads
from adapters.kalshi.simulated.market_bodies import Body
from adapters.kalshi.simulated.paging import newest_first, take_page
from adapters.kalshi.simulated.portfolio_bodies import (
    balance_body,
    event_position_body,
    fill_body,
    order_body,
    position_body,
    settlement_body,
)
from adapters.kalshi.simulated.throttle import CHEAP_COST, DEFAULT_COST, OLD_ORDER_COST, Throttle
from adapters.kalshi.simulated.wire_units import contracts, fixed_point, rfc3339, short_money

MOST_EVENTS = 10  # in one filter
ORDER_STATUSES = ("resting", "canceled", "executed")


class PortfolioCalls:
    """What an account may read about itself."""

    def __init__(
        self, exchange: Exchange, reads: LaggingReads, throttle: Throttle, profile: Profile
    ) -> None:
        self._exchange = exchange
        self._reads = reads
        self._throttle = throttle
        self._profile = profile

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            _get("/exchange/user_data_timestamp", self.user_data_timestamp, is_private=False),
            _get("/portfolio/balance", self.balance),
            _get("/portfolio/positions", self.positions),
            _get("/portfolio/fills", self.fills),
            _get("/portfolio/settlements", self.settlements),
            _get("/portfolio/orders", self.orders),
            _get("/portfolio/orders/queue_positions", self.queue_positions),
            _get("/portfolio/orders/{order_id}", self.order, cost=CHEAP_COST),
            _get("/portfolio/orders/{order_id}/queue_position", self.queue_position),
            _get("/portfolio/summary/total_resting_order_value", self.resting_value),
            _get("/historical/cutoff", self.cutoff, is_private=False),
            _get("/historical/orders", self.historical_orders),
            _get("/historical/fills", self.historical_fills),
            _get("/account/limits", self.limits),
            _get("/account/endpoint_costs", self.endpoint_costs),
        ]

    def user_data_timestamp(self, call: Call) -> Answer:
        """Say how fresh the reads below are."""
        return Answer({"as_of_time": rfc3339(self._reads.as_of_ns)})

    def balance(self, call: Call) -> Answer:
        """Return the account's money."""
        return Answer(balance_body(self._reads.now().balance(call.account)))

    def positions(self, call: Call) -> Answer:
        """Return a page of positions by market, and of the events they are in."""
        reads, resting = self._reads.now(), self._resting_counts(call.account)
        wanted = (
            (number, position)
            for number, position in enumerate(reads.positions(call.account))
            if self._is_wanted(position, call)
        )
        page = take_page(wanted, call.query)
        by_event: dict[str, list[Position]] = {}
        for position in page.items:
            by_event.setdefault(self._event_of(position.ticker), []).append(position)
        return Answer(
            {
                "market_positions": [
                    position_body(
                        position, self._profile, resting_orders=resting.get(position.ticker, 0)
                    )
                    for position in page.items
                ],
                "event_positions": [
                    event_position_body(event, positions, self._profile)
                    for event, positions in by_event.items()
                ],
                "cursor": page.cursor,
            }
        )

    def fills(self, call: Call) -> Answer:
        """Return a page of executions, newest first."""
        return self._fills(call, self._reads.now().fills(call.account))

    def historical_fills(self, call: Call) -> Answer:
        """Return a page of the executions before the cutoff, newest first."""
        return self._fills(call, self._reads.now().fills(call.account, is_historical=True))

    def orders(self, call: Call) -> Answer:
        """Return a page of orders, newest first."""
        return self._orders(call, self._reads.now().orders(call.account))

    def historical_orders(self, call: Call) -> Answer:
        """Return a page of the orders that ended before the cutoff, newest first."""
        return self._orders(call, self._reads.now().orders(call.account, is_historical=True))

    def order(self, call: Call) -> Answer:
        """Return one order."""
        order = self._reads.now().order(call.account, call.parts["order_id"])
        return Answer({"order": order_body(order, self._profile)})

    def settlements(self, call: Call) -> Answer:
        """Return a page of what settled markets paid, newest first."""
        found = self._reads.now().settlements(call.account)
        page = take_page(newest_first(found, len(found)), call.query)
        bodies = [settlement_body(one, self._profile) for one in page.items]
        return Answer({"settlements": bodies, "cursor": page.cursor})

    def queue_positions(self, call: Call) -> Answer:
        """Return how many contracts are ahead of each resting order."""
        found = self._exchange.portfolio.queue_positions(
            call.account, tuple(call.words("market_tickers"))
        )
        bodies = [self._queue_body(order, ahead) for order, ahead in found]
        return Answer({"queue_positions": bodies})

    def queue_position(self, call: Call) -> Answer:
        """Return how many contracts are ahead of one resting order."""
        for order, ahead in self._exchange.portfolio.queue_positions(call.account):
            if order.order_id == call.parts["order_id"]:
                return Answer(self._queue_body(order, ahead))
        raise Refusal(404, "not_found", "no such resting order")

    def resting_value(self, call: Call) -> Answer:
        """Return what the resting orders reserve, in cents."""
        balance = self._reads.now().balance(call.account)
        reserved = balance.cash - balance.available
        body = {"total_resting_order_value": reserved // 10_000}
        return Answer(body | {"total_resting_order_value_dollars": short_money(reserved)})

    def cutoff(self, call: Call) -> Answer:
        """Return where the past begins that only `/historical` has."""
        cutoff = rfc3339(self._exchange.portfolio.historical_cutoff_ns)
        names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts")
        return Answer(dict.fromkeys(names, cutoff))

    def limits(self, call: Call) -> Answer:
        """Describe the account's tier: flat as documented, or nested as newer venues do."""
        tier, name = self._throttle.tier, self._throttle.tier_name
        if self._profile is Profile.LEGACY:
            flat = {"read_limit": tier.read_per_s, "write_limit": tier.write_per_s}
            return Answer({"usage_tier": name, **flat})
        nested = {
            "read": {
                "bucket_capacity": tier.capacity("read"),
                "refill_rate": tier.refill_per_s("read"),
            },
            "write": {
                "bucket_capacity": tier.capacity("write"),
                "refill_rate": tier.refill_per_s("write"),
            },
        }
        return Answer({"usage_tier": name, **nested})

    def endpoint_costs(self, call: Call) -> Answer:
        """Return the costs that differ from the default; those of batches are per item."""
        first, second = "/trade-api/v2/portfolio/orders", "/trade-api/v2/portfolio/events/orders"
        costs = [
            ("POST", first, OLD_ORDER_COST),
            ("POST", f"{first}/{{order_id}}/decrease", OLD_ORDER_COST),
            ("GET", f"{first}/{{order_id}}", CHEAP_COST),
            *(
                ("DELETE", f"{path}{end}", CHEAP_COST)
                for path in (first, second)
                for end in ("/{order_id}", "/batched")
            ),
        ]
        bodies = [{"method": method, "path": path, "cost": cost} for method, path, cost in costs]
        return Answer({"default_cost": DEFAULT_COST, "endpoint_costs": bodies})

    def _orders(self, call: Call, orders: Iterable[Order]) -> Answer:
        status, ticker, events = (
            call.text("status"),
            call.text("ticker"),
            call.words("event_ticker"),
        )
        if status and status not in ORDER_STATUSES:
            raise Refusal(400, "invalid_parameters", f"there is no status {status!r}")
        if len(events) > MOST_EVENTS:
            raise Refusal(400, "invalid_parameters", f"at most {MOST_EVENTS} events")

        def is_wanted(order: Order) -> bool:
            return (
                status in ("", order.status)
                and ticker in ("", order.ticker)
                and (not events or self._event_of(order.ticker) in events)
                and _is_of_subaccount(order.subaccount, call)
                and call.is_within(order.created_ns, "ts")
            )

        found = list(orders)
        numbered = newest_first(found, len(found))
        page = take_page(((n, order) for n, order in numbered if is_wanted(order)), call.query)
        bodies = [order_body(order, self._profile) for order in page.items]
        return Answer({"orders": bodies, "cursor": page.cursor})

    def _fills(self, call: Call, fills: Iterable[Fill]) -> Answer:
        ticker, order_id = call.text("ticker"), call.text("order_id")

        def is_wanted(fill: Fill) -> bool:
            return (
                ticker in ("", fill.ticker)
                and order_id in ("", fill.order_id)
                and _is_of_subaccount(fill.subaccount, call)
                and call.is_within(fill.time_ns, "ts")
            )

        found = list(fills)
        numbered = newest_first(found, len(found))
        page = take_page(((n, fill) for n, fill in numbered if is_wanted(fill)), call.query)
        bodies = [fill_body(fill, self._profile) for fill in page.items]
        return Answer({"fills": bodies, "cursor": page.cursor})

    def _is_wanted(self, position: Position, call: Call) -> bool:
        filters, event = call.words("count_filter"), call.text("event_ticker")
        return (
            call.text("ticker") in ("", position.ticker)
            and (not event or self._event_of(position.ticker) in event.split(","))
            and ("position" not in filters or position.position != 0)
            and ("total_traded" not in filters or position.total_traded != 0)
        )

    def _event_of(self, ticker: str) -> str:
        return self._exchange.data.market(ticker).event_ticker

    def _resting_counts(self, account: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for order in self._reads.now().orders(account):
            if order.status == "resting":
                counts[order.ticker] = counts.get(order.ticker, 0) + 1
        return counts

    def _queue_body(self, order: Order, ahead: int) -> Body:
        body: Body = {
            "order_id": order.order_id,
            "market_ticker": order.ticker,
            "queue_position_fp": fixed_point(ahead),
        }
        if self._profile is Profile.LEGACY:
            body["queue_position"] = contracts(ahead)
        return body


def _is_of_subaccount(subaccount: int, call: Call) -> bool:
    wanted = call.number("subaccount")
    return wanted is None or wanted == subaccount


def _get(
    path: str,
    handle: Callable[[Call], Answer],
    *,
    is_private: bool = True,
    cost: float = DEFAULT_COST,
) -> Route:
    return Route(method="GET", path=path, handle=handle, is_private=is_private, cost=cost)
