"""ISO 8601 times of the configuration, to nanoseconds UTC."""

from datetime import UTC, datetime

from framework.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def parse_utc(text: str, key: str) -> int:
    """Return the time of `text`, UTC where it names no offset.

    Raises:
        ConfigError: at `key`: it cannot be read, or lies outside 1970 to 2200.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time such as 2024-01-31T09:30", key=key) from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ConfigError(f"{text!r} is outside the years 1970 to 2200", key=key)
    gone = moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000_000 + gone.microseconds * 1_000
