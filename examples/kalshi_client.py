"""Kalshi without a runtime: books, trades and fills of a venue simulated in this process.

    python examples/kalshi_client.py

Offline and without a key: the venue listens on loopback and trusts whoever comes. Against the
venue's test system leave the URLs out, and give a key:

    KalshiClient(environment=Environment.DEMO, key_id="...", private_key="file:kalshi.pem")
"""

import asyncio
from itertools import islice

from adapters.kalshi.client import KalshiClient
from adapters.kalshi.messages import Trade
from adapters.kalshi.order_books import MarketBook
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.venue import KalshiVenue, VenueSettings
from framework.net.standalone import StandaloneContext

BOOKS = 5


async def watch(kalshi: KalshiClient) -> None:
    """Print trades as they come, and the first books of one market."""

    @kalshi.on("trade")
    async def print_trade(trade: Trade) -> None:
        price, count = trade.yes_price / 10_000, trade.count / 100
        print(f"trade  {trade.market_ticker}  {count:g} at {price:.4f}")

    trades = await kalshi.subscribe_trade()
    markets = [market.ticker async for market in kalshi.rest.markets(status="open")]
    async with await kalshi.orderbook(markets[0]) as books:
        count = 0
        async for book in books:
            if isinstance(book, MarketBook) and book.best_bid and book.best_ask:
                bid, ask = book.best_bid[0] / 10_000, book.best_ask[0] / 10_000
                print(f"book   {book.market_ticker}  {bid:.4f} / {ask:.4f}")
            count += 1
            if count == BOOKS:
                break
    counts = trades.statistics()
    print(f"trades heard: {counts['frames']}, gaps: {counts['gaps']}")
    print(", ".join(islice(markets, 3)), "and so on:", len(markets), "markets")


async def main() -> None:
    """Serve the venue beside the client that watches it."""
    context = StandaloneContext("kalshi")
    settings = VenueSettings(auth=AuthMode.OFF, markets=6)
    venue = KalshiVenue(settings, context.clock, context.random_for("venue"))
    await venue.start()
    try:
        async with KalshiClient(rest_url=venue.rest_url, stream_url=venue.ws_url) as kalshi:
            await watch(kalshi)
    finally:
        await venue.aclose()
        context.close()


if __name__ == "__main__":
    asyncio.run(main())
