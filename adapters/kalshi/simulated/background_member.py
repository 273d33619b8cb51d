"""Acts for a user's account, so that its private channels have something to tell."""

from contextlib import suppress
from itertools import count
from random import Random

from adapters.kalshi.simulated.domain import CONTRACT, Action, Market, NewOrder, Order, Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.price_grid import PriceGrid


class BackgroundMember:
    """Lets an order rest, takes a contract and changes a group's limit, once per `beat`."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        self._exchange = exchange
        self._account = account
        self._beats = count()
        self._group_id = ""
        self._resting_id = ""

    def beat(self) -> None:
        """Take the next steps; what the account cannot pay for, or a pause forbids, is left out."""
        beat = next(self._beats)
        self._change_group(beat)
        markets = [
            market
            for market in self._exchange.data.markets()
            if market.status == "active" and self._exchange.data.ticker(market.ticker).yes_bid
        ]
        if markets:
            with suppress(Refusal):
                market = markets[beat // 2 % len(markets)]
                self._rest(market, beat)
                self._take(market, "buy" if beat % 2 == 0 else "sell")

    def _change_group(self, beat: int) -> None:
        groups = self._exchange.groups
        limit = (1_000 + beat % 2) * CONTRACT
        if self._group_id:
            with suppress(Refusal):  # the user may have deleted it
                groups.set_limit(self._account, self._group_id, limit)
                return
        self._group_id = groups.create(self._account, limit).group_id

    def _rest(self, market: Market, beat: int) -> None:
        """Bid the lowest price there is, where nobody sells, in the place of the last such bid."""
        with suppress(Refusal):
            self._exchange.orders.cancel(self._account, self._resting_id)
        lowest = PriceGrid(market.price_ranges).prices()[0]
        request = NewOrder(
            ticker=market.ticker,
            side="yes",
            action="buy",
            price=lowest,
            count=CONTRACT,
            client_order_id=f"background-{self._account}-{beat}",
            post_only=True,
        )
        self._resting_id = self._exchange.orders.submit(self._account, request).order_id

    def _take(self, market: Market, action: Action) -> None:
        prices = PriceGrid(market.price_ranges).prices()
        request = NewOrder(
            ticker=market.ticker,
            side="yes",
            action=action,
            price=prices[-1 if action == "buy" else 0],
            count=CONTRACT,
            time_in_force="immediate_or_cancel",
            self_trade_prevention_type="maker",
        )
        self._exchange.orders.submit(self._account, request)


def hit_a_resting_order(exchange: Exchange, random: Random, taker: str) -> None:
    """Trade a part of a random user's resting order, through all that is before it."""
    orders = [
        order
        for account in exchange.accounts
        if not account.is_background
        for resting in account.resting.values()
        for order in resting.values()
    ]
    if orders:
        order = orders[random.randrange(len(orders))]
        with suppress(Refusal):  # paused meanwhile
            exchange.orders.submit(taker, _against(exchange, random, order))


def _against(exchange: Exchange, random: Random, order: Order) -> NewOrder:
    """An order that reaches a resting one and takes a part of it."""
    book = exchange.data.book(order.ticker)
    ladder = book.yes if order.is_bid else book.no
    leg_price = order.yes_price if order.is_bid else 10_000 - order.yes_price
    before = sum(size for price, size in ladder if price > leg_price)
    queue = exchange.portfolio.queue_positions(order.account, (order.ticker,))
    before += next(ahead for queued, ahead in queue if queued.order_id == order.order_id)
    part = max(1, random.randint(1, max(1, order.remaining_count // CONTRACT))) * CONTRACT
    return NewOrder(
        ticker=order.ticker,
        side="no" if order.is_bid else "yes",
        action="buy",
        price=order.yes_price,
        count=-(-before // CONTRACT) * CONTRACT + part,
        time_in_force="immediate_or_cancel",
    )
