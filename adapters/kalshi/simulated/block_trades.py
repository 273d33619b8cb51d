"""Trades on an accepted quote: both parties get an order that is filled outside the book."""

from adapters.kalshi.simulated.admission import Admission
from adapters.kalshi.simulated.domain import (
    CONTRACT,
    DOLLAR,
    NewOrder,
    Order,
    Rfq,
    RfqQuote,
    Side,
)
from adapters.kalshi.simulated.executions import Executions
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.order_records import new_order


class BlockTrades:
    """Turns quotes into trades."""

    def __init__(self, floor: Floor, admission: Admission, executions: Executions) -> None:
        self._floor = floor
        self._admission = admission
        self._executions = executions

    def contracts(self, rfq: Rfq, bid: int) -> int:
        """How many contracts an RFQ means at a bid; 0 where there is no bid.

        A target cost is what the asker pays for the other outcome.
        """
        if not bid or bid == DOLLAR:
            return 0
        if rfq.contracts is not None:
            return rfq.contracts
        count = (rfq.target_cost or 0) // (DOLLAR - bid)
        is_fractional = self._floor.market(rfq.market_ticker).market.fractional_trading_enabled
        return count if is_fractional else count // CONTRACT * CONTRACT

    def trade(self, quote: RfqQuote) -> tuple[Order, Order]:
        """Trade; return the quoter's order and the asker's, who is the taker.

        Raises:
            Refusal: 400 if either cannot pay, 409 if there is no trading.
        """
        market = self._floor.market(quote.market_ticker)
        self._admission.check_open(market)
        is_yes = quote.accepted_side == "yes"
        price = quote.yes_bid if is_yes else DOLLAR - quote.no_bid
        sides: tuple[Side, Side] = ("yes", "no") if is_yes else ("no", "yes")
        quoter = self._order(quote, quote.account, sides[0], price)
        asker = self._order(quote, quote.rfq_account, sides[1], price)
        for order in (quoter, asker):
            account = self._floor.accounts[order.account]
            self._admission.check_funds(account, market, order, is_block=True)
        filled = self._executions.trade_block(market, quoter, asker)
        self._executions.finish()
        return filled

    def _order(self, quote: RfqQuote, account: str, side: Side, price: int) -> Order:
        request = NewOrder(
            ticker=quote.market_ticker,
            side=side,
            action="buy",
            price=price,
            count=quote.contracts_accepted or 0,
        )
        return new_order(self._floor, self._floor.accounts[account], request)
