"""Local times as instants: what 15:20 in Kolkata is in nanoseconds UTC, over clock changes too.

Where the clocks go forward, a time that does not exist is the instant of the change; where they go
back, a time that comes twice is the first of the two. So each local time is one instant per day,
and later times are never earlier instants.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NS_PER_S = 1_000_000_000
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ns(day: date, minute: int, zone: ZoneInfo) -> int:
    """Return the instant of a minute of a local day; from 1440 on it is the next day's."""
    local = datetime.combine(day, time()) + minute * MINUTE
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        instant = _change_before(instant, zone)
    return (instant - EPOCH) // timedelta(microseconds=1) * 1_000


def local_date(time_ns: int, zone: ZoneInfo) -> date:
    """Return the date that calendars in that zone show at an instant."""
    return (EPOCH + timedelta(seconds=time_ns // NS_PER_S)).astimezone(zone).date()


def next_local_ns(time_ns: int, minute: int, zone: ZoneInfo) -> int:
    """Return the first instant after `time_ns` at which it is that minute of the local day."""
    day = local_date(time_ns, zone) - timedelta(days=1)
    while True:
        due_ns = instant_ns(day, minute, zone)
        if due_ns > time_ns:
            return due_ns
        day += timedelta(days=1)


def _change_before(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return when the zone's offset last changed before `instant`, which lies in a gap."""
    start = int((instant - EPOCH).total_seconds()) - 26 * 3_600  # no gap is longer than a day
    end = start + 26 * 3_600
    after = instant.astimezone(zone).utcoffset()
    while end - start > 1:
        middle = (start + end) // 2
        if (EPOCH + timedelta(seconds=middle)).astimezone(zone).utcoffset() == after:
            end = middle
        else:
            start = middle
    return EPOCH + timedelta(seconds=end)
