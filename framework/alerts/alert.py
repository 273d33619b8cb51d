"""An alert's level, and what it looks like to a person and to a program."""

from datetime import UTC, datetime
from typing import Any

from framework.model.records import AlertRaised
from framework.settings.structs import LogLevel

_RANKS = {level.value: rank for rank, level in enumerate(LogLevel)}


def rank(level: str) -> int:
    """Return where a level stands, the least urgent at 0; an unknown one is the most urgent."""
    return _RANKS.get(level, len(_RANKS) - 1)


def at_least(alert: AlertRaised, level: LogLevel) -> bool:
    """Whether `alert` is as urgent as `level`."""
    return rank(alert.level) >= rank(level.value)


def headline(alert: AlertRaised) -> str:
    """Return one line: `[ERROR] feed_lost: no data from kite (3 times)`."""
    times = f" ({alert.count} times)" if alert.count > 1 else ""
    return f"[{alert.level.upper()}] {alert.name}: {alert.message}{times}"


def iso_time(time_ns: int) -> str:
    """Return a time in UTC to the millisecond, as ISO 8601."""
    time = datetime.fromtimestamp(time_ns // 1_000_000 / 1_000, tz=UTC)
    return time.isoformat(timespec="milliseconds")


def document(alert: AlertRaised, source: str) -> dict[str, Any]:
    """Return the JSON object that webhooks and commands get; `text` is what chat services show."""
    return {
        "text": f"{source}: {headline(alert)}",
        "source": source,
        "name": alert.name,
        "level": alert.level,
        "message": alert.message,
        "time": iso_time(alert.time_ns),
        "time_ns": alert.time_ns,
        "key": alert.key,
        "count": alert.count,
        "fields": dict(alert.fields),
    }
