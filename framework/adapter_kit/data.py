"""Area *data*: what arrives is wanted, finite, in this venue's names, and history joins on."""

from itertools import pairwise
from math import isfinite
from typing import Any

import msgspec

from framework.adapter_kit.connection import cut, until_streaming
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import CHANNELS, MARKET, CheckFailed, CheckSkipped, Stage, beside
from framework.errors import FrameworkError
from framework.model.identity import venue_of
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade

MINUTE_NS = 60_000_000_000
PAGES = 2_500  # candles: more than any venue gives at once
QUIET_S = 5.0
SOON_S = 60.0


def numbers_of(event: Any) -> list[float]:
    """Return every float of a market event."""
    values = msgspec.structs.astuple(event)
    numbers = [value for value in values if isinstance(value, float)]
    if isinstance(event, BookSnapshot | BookDelta):
        numbers += [number for level in (*event.bids, *event.asks) for number in level]
    return numbers


def sizes_of(event: Any) -> list[float]:
    """Return every size of a market event."""
    if isinstance(event, Quote):
        return [event.bid_size, event.ask_size]
    if isinstance(event, BookSnapshot | BookDelta):
        return [size for _, size in (*event.bids, *event.asks)]
    return [event.size if isinstance(event, Trade) else event.volume]


def subscribe_all(stage: Stage, index: int = 0) -> list[str]:
    """Ask for every channel that the feed has, and return them."""
    offered = []
    for channel in CHANNELS:
        try:
            stage.subscribe(channel, index)
        except CheckSkipped:
            continue
        offered.append(channel)
    if not offered:
        raise CheckFailed(f"the feed has none of the channels {', '.join(CHANNELS)}")
    return offered


async def _bring(stage: Stage, channels: list[str], index: int = 0) -> None:
    """Require new events of each channel."""
    name, began = stage.name(index), len(stage.events)
    for channel in channels:

        def came(kinds: tuple[type, ...] = CHANNELS[channel]) -> bool:
            new = stage.events[began:]
            return any(isinstance(e, kinds) and instrument_of(e) == name for e in new)

        await stage.until(came, f"{channel} of {name}", within_s=SOON_S)


def instrument_of(event: Any) -> str:
    """Return whose event it is."""
    return str(event.instrument)


def _require_only(stage: Stage, name: str, kinds: tuple[type, ...]) -> None:
    for event in stage.of(*MARKET):
        if instrument_of(event) != name or not isinstance(event, kinds):
            raise CheckFailed(f"nobody asked for {event}")


async def brings_what_is_asked_for(stage: Stage) -> None:
    """Each channel brings events of its kind for the instrument, and nothing else comes."""
    kinds: tuple[type, ...] = ()
    for channel, brought in CHANNELS.items():
        try:
            stage.subscribe(channel)
        except CheckSkipped:
            continue
        kinds += brought
        await _bring(stage, [channel])
        await stage.pass_time(QUIET_S)
        _require_only(stage, stage.name(), kinds)
    if not kinds:
        raise CheckFailed(f"the feed has none of the channels {', '.join(CHANNELS)}")


async def says_possible_things_only(stage: Stage) -> None:
    """T-21: finite numbers, a bid below the ask, venue names, times that are not in the future."""
    offered = subscribe_all(stage)
    await _bring(stage, offered)
    await stage.pass_time(60.0)
    newest_ns = 0
    events: list[Any] = stage.of(*MARKET)
    for event in events:
        _require_possible(stage, event)
        if not newest_ns <= event.received_ns <= stage.clock.now_ns:
            raise CheckFailed(f"received before the one before it, or not yet: {event}")
        newest_ns = event.received_ns


def _require_possible(stage: Stage, event: Any) -> None:
    if not all(isfinite(number) for number in numbers_of(event)):
        raise CheckFailed(f"a number is not finite: {event}")
    if any(size < 0.0 for size in sizes_of(event)) or (isinstance(event, Trade) and not event.size):
        raise CheckFailed(f"a size cannot be: {event}")
    if venue_of(event.instrument) != stage.venue:
        raise CheckFailed(f"{event.instrument} is not named after the venue")
    if isinstance(event, Quote):
        is_whole = event.bid_size > 0.0 < event.ask_size
        if is_whole and event.bid >= event.ask:
            raise CheckFailed(f"bid not below ask: {event}")
    if not 0 < event.time_ns <= event.received_ns:
        raise CheckFailed(f"happened after it was received: {event}")


async def counts_subscriptions(stage: Stage) -> None:
    """What two asked for goes on when one leaves, and ends with the second."""
    channel = stage.subscribe_any()
    stage.subscribe(channel)
    name = stage.name()
    await _bring(stage, [channel])
    stage.feed.unsubscribe(name, channel)
    await stage.pass_time(QUIET_S)
    await _bring(stage, [channel])
    stage.feed.unsubscribe(name, channel)
    await _require_silence(stage, "data came after the last subscriber had left")


async def _require_silence(stage: Stage, otherwise: str) -> None:
    await stage.pass_time(QUIET_S)
    count = len(stage.of(*MARKET))
    await stage.pass_time(30.0)
    if len(stage.of(*MARKET)) != count:
        raise CheckFailed(otherwise)


async def subscribes_whenever_asked(stage: Stage) -> None:
    """R-43: what is asked for before the start or in an outage comes, what is given up does not."""
    offered = subscribe_all(stage)  # before `run` had its first turn
    await _bring(stage, offered)
    stage.inflict(Fault.REFUSE, duration_s=10.0)
    await cut(stage)
    await stage.pass_time(1.0)
    for channel in offered:
        stage.feed.unsubscribe(stage.name(0), channel)
        stage.feed.subscribe(stage.name(1), channel)
    await stage.pass_time(10.0)
    await until_streaming(stage, within_s=SOON_S)
    before = len(stage.events)
    await _bring(stage, offered, 1)
    later = [event for event in stage.events[before:] if isinstance(event, MARKET)]
    if any(event.instrument == stage.name(0) for event in later):
        raise CheckFailed(f"{stage.name(0)} came, which was given up in the outage")


async def shares_nothing_with_another(stage: Stage) -> None:
    """Two adapters of a venue in one process do not get what the other one asked for."""
    async with beside(stage) as other:
        channel = stage.subscribe_any(0)
        other.subscribe(channel, 1)
        await _bring(stage, [channel], 0)
        await _bring(other, [channel], 1)
        await stage.pass_time(QUIET_S)
        _require_only(stage, stage.name(0), CHANNELS[channel])
        _require_only(other, other.name(1), CHANNELS[channel])


async def refuses_what_it_does_not_have(stage: Stage) -> None:
    """An unknown instrument or channel is refused when it is asked for, with a typed error."""
    for name, channel in (
        (f"{stage.venue}:NO-SUCH-THING", stage.subscribe_any()),
        (stage.name(), "dreams"),
    ):
        try:
            stage.feed.subscribe(name, channel)
        except FrameworkError:
            continue
        raise CheckFailed(f"{channel} of {name} was not refused")


async def gives_history(stage: Stage) -> None:
    """Past candles: closed, the newest ones, without a hole, as many as were asked for."""
    await stage.pass_time(70.0)
    end_ns = stage.clock.now_ns // MINUTE_NS * MINUTE_NS
    for until_ns in (end_ns, end_ns + MINUTE_NS // 2):  # within a minute: that one is not closed
        candles = await stage.feed.history(stage.name(), "1m", end_ns=until_ns, limit=5)
        _require_series(stage, candles, end_ns, 5)


async def pages_through_history(stage: Stage) -> None:
    """More candles than one answer holds come in one series without a seam."""
    end_ns = stage.clock.now_ns // MINUTE_NS * MINUTE_NS
    candles = await stage.feed.history(stage.name(), "1m", end_ns=end_ns, limit=PAGES)
    _require_series(stage, candles, end_ns, PAGES)


def _require_series(stage: Stage, candles: list[Candle], end_ns: int, count: int) -> None:
    """Require `count` whole minutes up to `end_ns`."""
    if len(candles) != count:
        raise CheckFailed(f"{len(candles)} candles instead of {count}")
    for candle in candles:
        if candle.instrument != stage.name() or candle.interval != "1m" or not candle.is_closed:
            raise CheckFailed(f"not a closed 1m candle of {stage.name()}: {candle}")
        if candle.close_ns - candle.open_ns != MINUTE_NS or candle.open_ns % MINUTE_NS:
            raise CheckFailed(f"not a whole minute: {candle}")
        if not all(isfinite(number) for number in numbers_of(candle)):
            raise CheckFailed(f"a number is not finite: {candle}")
        ends = sorted((candle.open, candle.close))
        if not candle.low <= ends[0] <= ends[1] <= candle.high:
            raise CheckFailed(f"open or close outside low and high: {candle}")
    for before, after in pairwise(candles):
        if before.close_ns != after.open_ns:
            raise CheckFailed(f"a hole or a step back: {after.open_ns} after {before.close_ns}")
    if candles[-1].close_ns != end_ns:
        raise CheckFailed(f"the newest closes at {candles[-1].close_ns}, asked up to {end_ns}")


CHECKS = (
    brings_what_is_asked_for,
    says_possible_things_only,
    counts_subscriptions,
    subscribes_whenever_asked,
    shares_nothing_with_another,
    refuses_what_it_does_not_have,
    gives_history,
    pages_through_history,
)
