"""The day of the daily loss."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from framework.risk.day import DayState, TradingDay

D = Decimal
USD = ("main", "", "USD")


def ns(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("timezone", "now_ns", "ends_ns"),
    [
        ("UTC", ns(2026, 3, 1, 12), ns(2026, 3, 2)),
        ("UTC", ns(2026, 3, 1), ns(2026, 3, 2)),
        ("Asia/Kolkata", ns(2026, 3, 1, 12), ns(2026, 3, 1, 18, 30)),
        ("America/New_York", ns(2026, 3, 8, 6), ns(2026, 3, 9, 4)),  # a day of 23 hours
        ("America/New_York", ns(2026, 11, 1, 5), ns(2026, 11, 2, 5)),  # and one of 25
    ],
)
def test_a_day_ends_at_midnight_of_its_zone(timezone: str, now_ns: int, ends_ns: int) -> None:
    """R-58."""
    day = TradingDay(timezone)
    assert day.is_over(now_ns)

    day.begin(now_ns, {})

    assert day.ends_ns == ends_ns
    assert not day.is_over(ends_ns - 1)
    assert day.is_over(ends_ns)


def test_only_what_was_made_since_the_day_began_counts() -> None:
    day = TradingDay("UTC")
    day.begin(0, {USD: D(50)})

    assert day.since(USD, D(20)) == -30
    assert day.since(("main", "new", "USD"), D(20)) == 20


def test_a_day_goes_on_after_a_restart_and_not_the_day_after() -> None:
    day = TradingDay("UTC")
    day.begin(0, {USD: D(50)})
    kept = msgspec.json.decode(msgspec.json.encode(day.state()), type=DayState)

    same, next_day = TradingDay("UTC"), TradingDay("UTC")
    same.restore(kept, kept.ends_ns - 1)
    next_day.restore(kept, kept.ends_ns)

    assert same.ends_ns == day.ends_ns
    assert same.since(USD, D(20)) == -30
    assert next_day.is_over(kept.ends_ns)
