"""One market with its book, its tape, its ticker and its candles."""

from collections import deque

from adapters.kalshi.simulated.candle_history import CandleHistory
from adapters.kalshi.simulated.domain import (
    DOLLAR,
    DOLLAR_OF_MONEY,
    Book,
    Market,
    Side,
    TickerState,
    Trade,
)
from adapters.kalshi.simulated.fees import FeeSchedule
from adapters.kalshi.simulated.price_grid import PriceGrid
from framework.simulation.central_book import CentralBook


class TradedMarket:
    """What the exchange holds of one market.

    `book` is the matching core's, on the yes leg. `ladders` are what the public has been told
    so far, each on its own leg: within a request that matches much they follow the book step by
    step, so that they always equal a snapshot plus the level changes since (S8).
    """

    __slots__ = (
        "announced",
        "book",
        "candles",
        "fees",
        "grid",
        "ladders",
        "market",
        "reduce_only",
        "ticker",
        "trades",
        "turnover",
    )

    def __init__(self, market: Market, *, fees: FeeSchedule, trades_kept: int) -> None:
        self.market = market
        self.fees = fees
        self.grid = PriceGrid(market.price_ranges)
        self.book = CentralBook()
        self.ladders: dict[Side, dict[int, int]] = {"yes": {}, "no": {}}
        self.trades: deque[Trade] = deque(maxlen=trades_kept)
        self.ticker = TickerState(market_ticker=market.ticker, market_id=market.market_id)
        self.announced = self.ticker  # what the last `TickerChanged` said
        self.candles = CandleHistory(bid=0, ask=DOLLAR)
        self.turnover = 0  # money that changed hands, at the yes price
        self.reduce_only: dict[str, str] = {}  # resting order id -> account

    def change_level(self, side: Side, price: int, change: int) -> int:
        """Note a change of a ladder and return what rests at the price now."""
        ladder = self.ladders[side]
        size = ladder.get(price, 0) + change
        if size:
            ladder[price] = size
        else:
            del ladder[price]
        return size

    def snapshot(self, depth: int = 0) -> Book:
        """Return both ladders, ascending; `depth` best levels of each, 0 for all."""
        yes, no = (tuple(sorted(self.ladders[side].items())[-depth:]) for side in ("yes", "no"))
        return Book(self.market.ticker, self.market.market_id, yes, no)

    def add_trade(self, trade: Trade, open_interest_change: int) -> None:
        """Note a trade, on the tape and in the ticker's sums; `refresh` completes the ticker."""
        self.trades.append(trade)
        self.turnover += trade.yes_price * trade.count
        self.candles.add_trade(trade.time_ns, price=trade.yes_price, count=trade.count)
        self._set_ticker(
            trade.time_ns,
            price=trade.yes_price,
            last_trade_size=trade.count,
            volume=self.ticker.volume + trade.count,
            open_interest=self.ticker.open_interest + open_interest_change,
        )

    def clear_open_interest(self, time_ns: int) -> None:
        """Note that no contract is held any more."""
        ticker = self.ticker
        self._set_ticker(
            time_ns,
            price=ticker.price,
            last_trade_size=ticker.last_trade_size,
            volume=ticker.volume,
            open_interest=0,
        )

    def refresh(self, time_ns: int) -> None:
        """Bring the ticker's best prices up to date with the book."""
        ticker, book = self.ticker, self.book
        bid, ask = book.best_bid(), book.best_ask()
        quote = (
            0 if bid is None else bid,
            DOLLAR if ask is None else ask,
            0 if bid is None else book.quantity_at(True, bid),
            0 if ask is None else book.quantity_at(False, ask),
        )
        if quote != (ticker.yes_bid, ticker.yes_ask, ticker.yes_bid_size, ticker.yes_ask_size):
            self._set_ticker(
                time_ns,
                price=ticker.price,
                last_trade_size=ticker.last_trade_size,
                volume=ticker.volume,
                open_interest=ticker.open_interest,
                quote=quote,
            )

    def _set_ticker(
        self,
        time_ns: int,
        *,
        price: int,
        last_trade_size: int,
        volume: int,
        open_interest: int,
        quote: tuple[int, int, int, int] | None = None,
    ) -> None:
        old = self.ticker
        bid, ask, bid_size, ask_size = quote or (
            old.yes_bid,
            old.yes_ask,
            old.yes_bid_size,
            old.yes_ask_size,
        )
        self.ticker = TickerState(
            market_ticker=old.market_ticker,
            market_id=old.market_id,
            price=price,
            yes_bid=bid,
            yes_ask=ask,
            yes_bid_size=bid_size,
            yes_ask_size=ask_size,
            last_trade_size=last_trade_size,
            volume=volume,
            open_interest=open_interest,
            dollar_volume=self.turnover // DOLLAR_OF_MONEY,
            dollar_open_interest=open_interest * price // DOLLAR_OF_MONEY,
            time_ns=time_ns,
        )
        self.candles.add_quote(time_ns, bid=bid, ask=ask, open_interest=open_interest)
