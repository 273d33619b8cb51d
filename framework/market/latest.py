"""Which of the newest market values an instrument is priced at.

The values themselves lie where they arrive: the bus keeps the newest event of every route, the
core its books (`framework/engine/market_state.py` reads both). This is the rule between them.
"""

from framework.market.fast_book import FastOrderBook
from framework.model.market_data import Candle, Quote, Trade


def newest_price(
    quote: Quote | None, book: FastOrderBook | None, trade: Trade | None, candle: Candle | None
) -> float | None:
    """Return the newest of mid quote, book mid, last trade, candle close, by event time.

    At equal times the first of that list counts. One-sided quotes, and books that are not
    synced or one-sided, do not count. None where nothing does.
    """
    best_ns, price = -1, None
    if quote is not None and is_two_sided(quote):
        best_ns, price = quote.time_ns, (quote.bid + quote.ask) / 2
    if book is not None and book.is_synced and book.time_ns > best_ns:
        mid = book.mid
        if mid is not None:
            best_ns, price = book.time_ns, mid
    if trade is not None and trade.time_ns > best_ns:
        best_ns, price = trade.time_ns, trade.price
    if candle is not None and candle.time_ns > best_ns:
        price = candle.close
    return price


def is_two_sided(quote: Quote) -> bool:
    """Whether both sides are quoted: one size of zero beside another means that nobody does.

    Sources without sizes leave both at zero.
    """
    return (
        quote.bid > 0.0 and quote.ask > 0.0 and (quote.bid_size == 0.0) == (quote.ask_size == 0.0)
    )
