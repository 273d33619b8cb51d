"""Bars of the twelve timeframes, by range, from venues that have some of them only.

A venue's candles come as "the last so many that closed by then". From that a range is read forwards
in windows, and a timeframe that the venue lacks is joined from the longest shorter one it has.
Joined bars are aligned to 1970 UTC, weeks begin on Monday. Where nothing traded there is no bar.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import groupby
from math import fsum

from adapters.tektii.words import TIMEFRAMES
from framework.errors import ConfigError, InvalidRequest, SubscriptionRefused, VenueError
from framework.interfaces import TradingDesk
from framework.model.desk import Principal
from framework.model.market_data import Candle

MINUTE_NS = 60_000_000_000
DAY_NS = 1_440 * MINUTE_NS
WEEK = "1w"
MONDAY_NS = 4 * DAY_NS  # the first one after 1970 began
LENGTHS_NS = dict(
    zip(
        TIMEFRAMES,
        (MINUTE_NS * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1_440, 10_080)),
        strict=True,
    )
)
DEFAULT_LIMIT = 100
MOST_BARS = 10_000  # in one answer
MOST_READ = 200_000  # candles of the venue in one answer; one bar of a day may be 1,440 of them
MOST_REQUESTS = 200  # for one answer; what is found by then is the answer
PAGE = 10_081  # candles per request: a week of minutes, and the one before
REMEMBERED = 4_096  # timeframes of instruments; beyond it all are found out anew

Read = Callable[[int, int], Awaitable[list[Candle]]]
"""(end_ns, limit) -> the last `limit` closed candles with `close_ns <= end_ns`, oldest first."""


class Bars:
    """Bars of a desk's instruments; remembers from which interval a timeframe is made."""

    def __init__(self, desk: TradingDesk) -> None:
        self._desk = desk
        self._sources: dict[tuple[str, str], str] = {}  # by instrument and timeframe

    async def read(
        self,
        principal: Principal,
        instrument: str,
        timeframe: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int | None = None,
    ) -> list[Candle]:
        """Return closed bars that open in `[start_ns, end_ns]`, both inclusive, oldest first.

        With `start_ns` the first `limit` from there, else the latest. Without a limit all from
        `start_ns`, or the latest 100; 10,000 at most, and fewer where they are joined of many.

        Raises:
            VenueError: the venue gave no answer, or has no candles that would do.
        """
        most = DEFAULT_LIMIT if start_ns is None else MOST_BARS
        most = most if limit is None else min(limit, MOST_BARS)
        last_ns = self._desk.clock.now_ns
        if end_ns is not None:
            last_ns = min(last_ns, end_ns + LENGTHS_NS[timeframe])
        if most <= 0 or last_ns <= 0:
            return []
        if start_ns is not None:
            start_ns = max(0, start_ns)  # venues know no time before 1970
        refusals: list[Exception] = []
        known = self._sources.get((instrument, timeframe))
        intervals = sources_of(timeframe) if known is None else [known]
        for interval in intervals:
            candles = self._reader(principal, instrument, timeframe, interval)
            count = min(most, MOST_READ // ratio_of(timeframe, interval))
            try:
                found = await bars_in(candles, timeframe, start_ns, last_ns, limit=count)
            except (VenueError, ConfigError) as error:
                if not is_about_the_interval(error):
                    raise
                refusals.append(error)
                continue
            found = [bar for bar in found if end_ns is None or bar.open_ns <= end_ns]
            if found:
                self._remember(instrument, timeframe, interval)
                return found
        if len(refusals) == len(intervals):
            raise VenueError(str(refusals[0])) from refusals[0]
        return []

    def _reader(self, principal: Principal, instrument: str, timeframe: str, interval: str) -> Read:
        request_count = 0

        async def read(end_ns: int, limit: int) -> list[Candle]:
            nonlocal request_count
            request_count += 1
            if request_count > MOST_REQUESTS:
                raise EnoughRead
            return await self._desk.candles(
                principal, instrument, interval, end_ns=end_ns, limit=limit
            )

        return read if interval == timeframe else partial(newest_joined, read, timeframe, interval)

    def _remember(self, instrument: str, timeframe: str, interval: str) -> None:
        if len(self._sources) >= REMEMBERED:
            self._sources.clear()
        self._sources[instrument, timeframe] = interval


class EnoughRead(Exception):
    """One answer has asked the venue as often as it may."""


def sources_of(timeframe: str) -> list[str]:
    """Return the intervals that a timeframe can be made of, itself first, then the longest.

    A week is joined always: venues begin theirs on different days.
    """
    length_ns = LENGTHS_NS[timeframe]
    parts = [
        one
        for one, part_ns in LENGTHS_NS.items()
        if part_ns <= length_ns and length_ns % part_ns == 0 and one != WEEK
    ]
    return parts[::-1]


def ratio_of(timeframe: str, interval: str) -> int:
    """Return how many candles of `interval` one bar is made of."""
    return LENGTHS_NS[timeframe] // LENGTHS_NS[interval]


def is_about_the_interval(error: Exception) -> bool:
    """Tell whether a venue that answered like this has no candles of that interval.

    Feeds say so by a plain `VenueError`; what tells of a link, a limit or a key is none.
    """
    kinds = ConfigError, InvalidRequest, SubscriptionRefused
    return type(error) is VenueError or isinstance(error, kinds)


async def bars_in(
    read: Read, timeframe: str, start_ns: int | None, last_ns: int, *, limit: int
) -> list[Candle]:
    """Return the first `limit` bars that open from `start_ns` on and close by `last_ns`.

    Without `start_ns` the last ones. Bars need not be aligned, but none overlaps another.
    """
    if start_ns is None:
        return await read(last_ns, limit)
    length_ns = LENGTHS_NS[timeframe]
    found: list[Candle] = []
    from_ns: int | None = start_ns  # every bar that opens before has been seen
    try:
        while from_ns is not None and from_ns < last_ns and len(found) < limit:
            wanted = max(2, min(limit - len(found), PAGE))
            until_ns = min(last_ns, from_ns + wanted * length_ns)
            page = [bar for bar in await read(until_ns, wanted) if bar.open_ns >= from_ns]
            found += page
            if until_ns == last_ns:
                break
            seen_ns = until_ns - length_ns + 1  # what opened before has closed by `until_ns`
            if page:
                from_ns = max(page[-1].close_ns, seen_ns)
            else:
                from_ns = await first_after(read, length_ns, seen_ns, last_ns)
    except EnoughRead:
        pass
    return found[:limit]


async def first_after(read: Read, length_ns: int, from_ns: int, last_ns: int) -> int | None:
    """Return where to go on after a hole: before it and from `from_ns` on no bar opens.

    None where none follows. Looks ahead in doubling strides, then halves the last one: a weekend
    costs some requests, half a century before the first bar some twenty more.
    """

    async def is_over(time_ns: int) -> bool:
        newest = await read(time_ns, 1)
        return bool(newest) and newest[-1].open_ns >= from_ns

    empty_ns, stride_ns = from_ns, 2 * length_ns
    until_ns = min(from_ns + stride_ns, last_ns)
    while not await is_over(until_ns):
        if until_ns >= last_ns:
            return None
        stride_ns *= 2
        empty_ns, until_ns = until_ns, min(until_ns + stride_ns, last_ns)
    while until_ns - empty_ns > length_ns:
        middle_ns = (empty_ns + until_ns) // 2
        if await is_over(middle_ns):
            until_ns = middle_ns
        else:
            empty_ns = middle_ns
    return max(from_ns, empty_ns - length_ns + 1)


async def newest_joined(
    read: Read, timeframe: str, interval: str, end_ns: int, limit: int
) -> list[Candle]:
    """Return the last `limit` bars that closed by `end_ns`, joined from candles of `interval`."""
    ratio = ratio_of(timeframe, interval)
    until_ns = opening_of(end_ns, timeframe)
    found: list[Candle] = []
    while len(found) < limit:
        wanted = min((limit - len(found)) * ratio + 1, PAGE)
        page = await read(until_ns, wanted)
        bars = joined(page, timeframe)
        if len(page) < wanted or len(bars) < 2:  # nothing comes before
            return [*bars, *found][-limit:]
        found = bars[1:] + found  # the first may have begun before this page
        until_ns = bars[1].open_ns
    return found[-limit:]


def joined(candles: Iterable[Candle], timeframe: str) -> list[Candle]:
    """Return the bars that candles make, oldest first; each belongs where it opens."""
    windows = groupby(candles, lambda candle: opening_of(candle.open_ns, timeframe))
    return [joined_bar(list(inside), timeframe, open_ns) for open_ns, inside in windows]


def joined_bar(candles: list[Candle], timeframe: str, open_ns: int) -> Candle:
    """Return the one bar that the candles of a window make."""
    close_ns = open_ns + LENGTHS_NS[timeframe]
    return Candle(
        candles[0].instrument,
        close_ns,
        candles[-1].received_ns,
        timeframe,
        open_ns,
        close_ns,
        candles[0].open,
        max(candle.high for candle in candles),
        min(candle.low for candle in candles),
        candles[-1].close,
        fsum(candle.volume for candle in candles),
    )


def opening_of(time_ns: int, timeframe: str) -> int:
    """Return when the bar around an instant opens."""
    shift_ns = MONDAY_NS if timeframe == WEEK else 0
    return time_ns - (time_ns - shift_ns) % LENGTHS_NS[timeframe]
