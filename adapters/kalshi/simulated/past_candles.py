"""Candles of trades from before the exchange began, so that there is something to look back on."""

from collections.abc import Iterator
from random import Random

from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR, CandlePrices, MarketCandle

CENT = DOLLAR // 100
LOWEST, HIGHEST = 10 * CENT, 90 * CENT  # every candle's high and low are prices too
MINUTE_S = 60
QUIET = 0.1  # share of the minutes in which nobody trades


def past_candles(random: Random, now_s: int, minutes: int) -> Iterator[MarketCandle]:
    """Yield the candles of the last whole minutes, oldest first; quiet ones have none."""
    price = random.randrange(LOWEST, HIGHEST, CENT)
    end_s = now_s // MINUTE_S * MINUTE_S
    for minute_s in range(end_s - (minutes - 1) * MINUTE_S, end_s + 1, MINUTE_S):
        if random.random() < QUIET:
            continue
        previous = price
        price = min(max(price + random.choice((-CENT, 0, CENT)), LOWEST), HIGHEST)
        yield _candle(minute_s, previous, price, volume=random.randint(1, 50) * CONTRACT)


def _candle(end_s: int, previous: int, price: int, *, volume: int) -> MarketCandle:
    bid, ask = price - CENT, price + CENT
    return MarketCandle(
        end_s=end_s,
        yes_bid=CandlePrices(bid, bid, bid, bid),
        yes_ask=CandlePrices(ask, ask, ask, ask),
        price=CandlePrices(previous, max(previous, price), min(previous, price), price),
        mean=price,
        previous=previous,
        volume=volume,
        open_interest=0,
    )
