"""Area *data*: what arrives is wanted, finite, in this venue's names, and history joins on."""

from itertools import pairwise
from math import isfinite
from typing import Any

import msgspec

from framework.adapter_kit.stage import CheckFailed, Stage
from framework.errors import FrameworkError
from framework.model.identity import venue_of
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade

MARKET = (Quote, Trade, Candle, BookSnapshot, BookDelta)
CHANNELS = {"quotes": (Quote,), "trades": (Trade,), "book": (BookSnapshot, BookDelta)}
MINUTE_NS = 60_000_000_000
PAGES = 2_500  # candles: more than any venue gives at once
QUIET_S = 5.0


def numbers_of(event: Any) -> list[float]:
    """Return every float of a market event."""
    values = msgspec.structs.astuple(event)
    numbers = [value for value in values if isinstance(value, float)]
    if isinstance(event, BookSnapshot | BookDelta):
        numbers += [number for level in (*event.bids, *event.asks) for number in level]
    return numbers


async def brings_what_is_asked_for(stage: Stage) -> None:
    """Each channel brings events of its kind for the instrument, and none of another's."""
    for channel in CHANNELS:
        stage.feed.subscribe(stage.name(), channel)
    for channel, kinds in CHANNELS.items():
        await stage.until(lambda kinds=kinds: stage.of(*kinds), channel, within_s=30.0)  # type: ignore[misc] # bound now
    events: list[Any] = stage.of(*MARKET)
    strangers = {event.instrument for event in events} - {stage.name()}
    if strangers:
        raise CheckFailed(f"events of {strangers}, which nobody asked for")


async def says_possible_things_only(stage: Stage) -> None:
    """T-21: finite numbers, a bid below the ask, venue names, times that are not in the future."""
    for channel in CHANNELS:
        stage.feed.subscribe(stage.name(), channel)
    await stage.pass_time(60.0)
    events: list[Any] = stage.of(*MARKET)
    if not events:
        raise CheckFailed("no market data in a minute")
    for event in events:
        if not all(isfinite(number) for number in numbers_of(event)):
            raise CheckFailed(f"a number is not finite: {event}")
        if venue_of(event.instrument) != stage.venue:
            raise CheckFailed(f"{event.instrument} is not named after the venue")
        if (
            isinstance(event, Quote)
            and event.bid >= event.ask
            and event.bid_size > 0.0 < event.ask_size
        ):
            raise CheckFailed(f"bid not below ask: {event}")
        if not 0 < event.time_ns <= event.received_ns:
            raise CheckFailed(f"happened after it was received: {event}")


async def counts_subscriptions(stage: Stage) -> None:
    """What two asked for goes on when one leaves, and ends with the second."""
    name = stage.name()
    for _ in range(2):
        stage.feed.subscribe(name, "trades")
    await stage.until(lambda: stage.of(Trade), "trades", within_s=60.0)
    stage.feed.unsubscribe(name, "trades")
    count = len(stage.of(Trade))
    await stage.until(lambda: len(stage.of(Trade)) > count, "trades go on", within_s=60.0)
    stage.feed.unsubscribe(name, "trades")
    await stage.pass_time(QUIET_S)
    count = len(stage.of(Trade))
    await stage.pass_time(60.0)
    if len(stage.of(Trade)) != count:
        raise CheckFailed("trades came after the last subscriber had left")


async def refuses_what_it_does_not_have(stage: Stage) -> None:
    """An unknown instrument or channel is refused when it is asked for, with a typed error."""
    for name, channel in ((f"{stage.venue}:NO-SUCH-THING", "quotes"), (stage.name(), "dreams")):
        try:
            stage.feed.subscribe(name, channel)
        except FrameworkError:
            continue
        raise CheckFailed(f"{channel} of {name} was not refused")


async def gives_history(stage: Stage) -> None:
    """Past candles: closed, in order, none twice, none beyond `end_ns`, as many as asked for."""
    await stage.pass_time(600.0)
    end_ns = stage.clock.now_ns // MINUTE_NS * MINUTE_NS
    candles = await stage.feed.history(stage.name(), "1m", end_ns=end_ns, limit=5)
    _require_series(stage, candles, end_ns, 5)
    if len(candles) != 5:
        raise CheckFailed(f"{len(candles)} candles instead of 5")


async def pages_through_history(stage: Stage) -> None:
    """More candles than one answer holds come in one series without a seam."""
    end_ns = stage.clock.now_ns // MINUTE_NS * MINUTE_NS
    candles = await stage.feed.history(stage.name(), "1m", end_ns=end_ns, limit=PAGES)
    _require_series(stage, candles, end_ns, PAGES)
    if not candles:
        raise CheckFailed("no candles at all")


def _require_series(stage: Stage, candles: list[Candle], end_ns: int, limit: int) -> None:
    if len(candles) > limit:
        raise CheckFailed(f"{len(candles)} candles, {limit} were asked for")
    for candle in candles:
        if candle.instrument != stage.name() or candle.interval != "1m" or not candle.is_closed:
            raise CheckFailed(f"not a closed 1m candle of {stage.name()}: {candle}")
        if candle.close_ns - candle.open_ns != MINUTE_NS or candle.open_ns % MINUTE_NS:
            raise CheckFailed(f"not a whole minute: {candle}")
        if candle.close_ns > end_ns:
            raise CheckFailed(f"closes after the end that was asked for: {candle}")
        if not candle.low <= min(candle.open, candle.close) <= candle.high:
            raise CheckFailed(f"open or close outside low and high: {candle}")
    for before, after in pairwise(candles):
        if before.open_ns >= after.open_ns:
            raise CheckFailed(f"{after.open_ns} after {before.open_ns}")


CHECKS = (
    brings_what_is_asked_for,
    says_possible_things_only,
    counts_subscriptions,
    refuses_what_it_does_not_have,
    gives_history,
    pages_through_history,
)
