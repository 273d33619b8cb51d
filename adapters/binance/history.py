"""Past candles by REST, page by page from the newest back."""

from adapters.binance.client import KLINES_WEIGHT
from adapters.binance.codec import NS_PER_MS, to_candles
from framework.interfaces import Clock
from framework.model.identity import symbol_of
from framework.model.market_data import Candle
from framework.net.rest import Request, RestClient

MOST_ROWS = 1_000


async def past_candles(
    client: RestClient, clock: Clock, instrument: str, interval: str, *, end_ns: int, limit: int
) -> list[Candle]:
    """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

    Raises:
        VenueError: an answer is missing or cannot be read.
    """
    found: list[Candle] = []
    last_open_ms = end_ns // NS_PER_MS - 1  # the venue compares openings
    while len(found) < limit:
        wanted = min(limit - len(found) + 1, MOST_ROWS)  # the newest may not have closed yet
        query = (
            ("symbol", symbol_of(instrument)),
            ("interval", interval),
            ("endTime", str(last_open_ms)),
            ("limit", str(wanted)),
        )
        request = Request(method="GET", path="/api/v3/klines", query=query, cost=KLINES_WEIGHT)
        body = (await client.send(request)).body
        page = to_candles(body, instrument, interval, received_ns=clock.now_ns)
        page = [c for c in page if c.close_ns <= end_ns and c.open_ns // NS_PER_MS <= last_open_ms]
        if not page:
            break
        found = page + found
        last_open_ms = page[0].open_ns // NS_PER_MS - 1
    return found[-limit:] if limit > 0 else []
