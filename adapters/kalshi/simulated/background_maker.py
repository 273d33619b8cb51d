"""Keeps one market two-sided and moving: a ladder of quotes around a price that wanders."""

from random import Random

from adapters.kalshi.simulated.domain import CONTRACT, Amendment, NewOrder, Order
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.price_grid import PriceGrid

_LEVELS = 5  # on each side
_SMALLEST, _LARGEST = 10, 200  # contracts of a quote
_DRIFT = 0.1  # share of the steps that move the price first


class BackgroundMaker:
    """One market's quotes. `step` changes one of them, `trade` takes a little."""

    def __init__(
        self,
        exchange: Exchange,
        random: Random,
        ticker: str,
        *,
        makers: tuple[str, ...],
        taker: str,
    ) -> None:
        self._exchange = exchange
        self._random = random
        self._ticker = ticker
        self._makers = makers  # they share the levels, so that queues have several owners
        self._taker = taker
        self._quotes: dict[tuple[bool, int], str] = {}  # (is a bid, depth) -> order id
        self._ranges = exchange.data.market(ticker).price_ranges
        self._prices = PriceGrid(self._ranges).prices()
        self._centre = self._random.randint(*self._bounds())

    @property
    def can_trade(self) -> bool:
        """Whether the market takes orders now."""
        exchange = self._exchange
        is_running = exchange.is_exchange_active and exchange.is_trading_active
        return (
            is_running
            and exchange.data.has_market(self._ticker)
            and exchange.data.market(self._ticker).status == "active"
        )

    def fill_book(self) -> None:
        """Quote every level that has no quote."""
        for depth in range(_LEVELS):
            for is_bid in (True, False):
                if self._quote(is_bid, depth) is None:
                    self._place(is_bid, depth)

    def step(self) -> None:
        """Change one quote: its size, or its price where the centre has moved."""
        self._follow_grid()
        if self._random.random() < _DRIFT:
            self._drift()
        is_bid, depth = self._random.random() < 0.5, self._random.randrange(_LEVELS)
        quote = self._quote(is_bid, depth)
        if quote and quote.yes_price == self._price(is_bid, depth):
            self._resize(quote)
        else:
            self._place(is_bid, depth)

    def trade(self) -> None:
        """Take a few contracts at the best price of a random side."""
        is_buy = self._random.random() < 0.5
        request = NewOrder(
            ticker=self._ticker,
            side="yes",
            action="buy" if is_buy else "sell",
            price=self._prices[-1 if is_buy else 0],
            count=self._random.randint(1, 8) * CONTRACT,
            time_in_force="immediate_or_cancel",
        )
        self._exchange.orders.submit(self._taker, request)

    def _bounds(self) -> tuple[int, int]:
        """Between which places of the grid the centre may lie: every level has a price."""
        return _LEVELS, len(self._prices) - 1 - _LEVELS

    def _follow_grid(self) -> None:
        ranges = self._exchange.data.market(self._ticker).price_ranges
        if ranges == self._ranges:
            return
        centre = self._prices[self._centre]
        self._ranges, self._prices = ranges, PriceGrid(ranges).prices()
        nearest = min(range(len(self._prices)), key=lambda place: abs(self._prices[place] - centre))
        lowest, highest = self._bounds()
        self._centre = min(max(nearest, lowest), highest)

    def _drift(self) -> None:
        """Move the centre by one price, and the two best quotes with it."""
        lowest, highest = self._bounds()
        moved = self._centre + self._random.choice((-1, 1))
        is_up = moved > self._centre
        self._centre = min(max(moved, lowest), highest)
        for is_bid in (not is_up, is_up):  # what is in the way goes first
            self._place(is_bid, 0)

    def _price(self, is_bid: bool, depth: int) -> int:
        return self._prices[self._centre + (-1 - depth if is_bid else 1 + depth)]

    def _owner(self, depth: int) -> str:
        return self._makers[depth % len(self._makers)]

    def _quote(self, is_bid: bool, depth: int) -> Order | None:
        """The order that rests for a level, if it still does."""
        order_id = self._quotes.get((is_bid, depth), "")
        resting = self._exchange.accounts[self._owner(depth)].resting.get(self._ticker, {})
        return resting.get(order_id)

    def _size(self) -> int:
        return self._random.randint(_SMALLEST, _LARGEST) * CONTRACT

    def _place(self, is_bid: bool, depth: int) -> None:
        """Quote a level at its price, in the place of its former quote.

        Post-only: where a level that has not moved yet is in the way, it stays empty this time.
        """
        orders, owner = self._exchange.orders, self._owner(depth)
        if quote := self._quote(is_bid, depth):
            orders.cancel(owner, quote.order_id)
        request = NewOrder(
            ticker=self._ticker,
            side="yes" if is_bid else "no",
            action="buy",
            price=self._price(is_bid, depth),
            count=self._size(),
            post_only=True,
        )
        self._quotes[is_bid, depth] = orders.submit(owner, request).order_id

    def _resize(self, quote: Order) -> None:
        """Less in its place, or more behind the others."""
        left = self._size()
        if left < quote.remaining_count:
            self._exchange.orders.decrease(quote.account, quote.order_id, to=left)
        else:
            amendment = Amendment(price=quote.yes_price, count=quote.fill_count + left)
            self._exchange.orders.amend(quote.account, quote.order_id, amendment)
