"""The venue's numbers and times as integers, exactly and without binary floating point (K65).

Prices are in 1/10_000 dollar, counts in 1/100 contract, money in 1/1_000_000 dollar, times in
nanoseconds since 1970 UTC. Texts are cached by value: a market has few prices, a book few sizes,
and a cached one costs a third of a parsed one. The caches are bounded, and so is what gets in.

Everything here raises MalformedMessage for what the venue cannot mean: `nan`, `1e9`, a sign on
a price, more digits than fit. A text of "" means that there is no value, and reads as None.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from framework.errors import MalformedMessage

DOLLAR = 10_000
"""One dollar as a price, which is also the most that a contract pays."""

MONEY_PER_PRICE = 100
"""Units of money in one unit of price."""

CONTRACT = 100
"""One contract as a count."""

MOST_DIGITS = 12  # before the point: a million millions of dollars or contracts
LONGEST_TEXT = MOST_DIGITS + len("-.") + 6
LAST_SECOND = (1 << 63) // 10**9 - 1  # in 2262, the last whose nanoseconds fit 64 bits
CACHED_TEXTS = 1 << 15

NANOSECONDS_PER_SECOND = 1_000_000_000
NANOSECONDS_PER_MILLISECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00"  # how the venue writes a time that is not set


@lru_cache(CACHED_TEXTS)
def price(text: str) -> int | None:
    """Return dollars as a price, from 0 to 1 dollar; "" is None."""
    if not text:
        return None
    value = _scaled(text, digits=4)
    if not 0 <= value <= DOLLAR or text[0] == "-":
        raise MalformedMessage(f"price {text!r} is not between 0 and 1 dollar")
    return value


def grid_price(text: str) -> int:
    """Return dollars as a price that must be there."""
    value = price(text)
    if value is None:
        raise MalformedMessage("a price is missing")
    return value


@lru_cache(CACHED_TEXTS)
def count(text: str) -> int | None:
    """Return contracts as a count that is not negative; "" is None."""
    if text[:1] == "-":
        raise MalformedMessage(f"count {text!r} is negative")
    return _scaled(text, digits=2) if text else None


@lru_cache(CACHED_TEXTS)
def signed_count(text: str) -> int | None:
    """Return contracts as a count with a sign: a change, a position; "" is None."""
    return _scaled(text, digits=2) if text else None


@lru_cache(CACHED_TEXTS)
def money(text: str) -> int | None:
    """Return dollars as money, with a sign; "" is None."""
    return _scaled(text, digits=6) if text else None


def price_of_cents(cents: int) -> int:
    """Return a legacy price, 0 to 100 cents."""
    if not 0 <= cents <= 100:
        raise MalformedMessage(f"price of {_shown(cents)} cents is not between 0 and 1 dollar")
    return cents * 100


def count_of_contracts(contracts: int) -> int:
    """Return a legacy count of whole contracts."""
    return signed_count_of_contracts(_not_negative(contracts))


def signed_count_of_contracts(contracts: int) -> int:
    """Return a legacy change or position in whole contracts."""
    return _bounded(contracts) * CONTRACT


def money_of_cents(cents: int) -> int:
    """Return whole cents as money."""
    return _bounded(cents) * 10_000


def money_of_dollars(dollars: int) -> int:
    """Return whole dollars as money."""
    return _bounded(dollars) * 1_000_000


def money_of_legacy(ten_thousandths: int) -> int:
    """Return legacy money in 1/10_000 dollar."""
    return _bounded(ten_thousandths) * MONEY_PER_PRICE


def dollars_of_price(value: int) -> str:
    """Write a price as the wire does: `"0.4200"`."""
    return f"{value // DOLLAR}.{value % DOLLAR:04d}"


def text_of_count(value: int) -> str:
    """Write a count as the wire does: `"15.00"`, `"-0.50"`."""
    sign, size = ("-", -value) if value < 0 else ("", value)
    return f"{sign}{size // CONTRACT}.{size % CONTRACT:02d}"


def seconds(value: int) -> int:
    """Return Unix seconds as nanoseconds."""
    if not 0 <= value <= LAST_SECOND:
        raise MalformedMessage(f"{_shown(value)} is no time in seconds")
    return value * NANOSECONDS_PER_SECOND


def milliseconds(value: int) -> int:
    """Return Unix milliseconds as nanoseconds."""
    if not 0 <= value <= LAST_SECOND * 1000:
        raise MalformedMessage(f"{_shown(value)} is no time in milliseconds")
    return value * NANOSECONDS_PER_MILLISECOND


def rfc3339(text: str) -> int | None:
    """Return an RFC 3339 time, to the microsecond, as nanoseconds; "" and the year 1 are None."""
    if not text or text.startswith(NEVER):
        return None
    try:
        since_epoch = datetime.fromisoformat(text) - EPOCH
    except (ValueError, TypeError):  # a TypeError: it names no zone
        raise MalformedMessage(f"{text[:40]!r} is no time in UTC") from None
    whole_seconds = since_epoch.days * 86_400 + since_epoch.seconds
    if not 0 <= whole_seconds <= LAST_SECOND:
        raise MalformedMessage(f"{text[:40]!r} is out of range")
    return (whole_seconds * 1_000_000 + since_epoch.microseconds) * 1_000


def time_of_text(value: str | int) -> int | None:
    """Return a time that comes as RFC 3339 or as Unix seconds, whichever it is."""
    return seconds(value) if isinstance(value, int) else rfc3339(value)


def finite(value: Decimal) -> Decimal:
    """Return a plain number, such as a strike or a multiplier, that is not huge."""
    if not value.is_finite() or abs(value.adjusted()) > MOST_DIGITS:
        raise MalformedMessage("a number is out of range")
    return value


def _scaled(text: str, *, digits: int) -> int:
    """Return a plain decimal number times 10**digits; finer than that is an error."""
    whole, point, fraction = text.partition(".")
    figures = whole[1:] if whole[:1] == "-" else whole
    is_plain = (
        len(text) <= LONGEST_TEXT
        and text.isascii()
        and figures.isdigit()
        and len(figures) <= MOST_DIGITS
        and (fraction.isdigit() if point else True)
        and len(fraction) <= 6
    )
    if not is_plain:
        raise MalformedMessage(f"{text[:40]!r} is no plain decimal number")
    if fraction[digits:].strip("0"):
        raise MalformedMessage(f"{text!r} is finer than {digits} decimals")
    return int(whole + fraction[:digits].ljust(digits, "0"))


def _bounded(value: int) -> int:
    if abs(value) >= 10**MOST_DIGITS:
        raise MalformedMessage(f"{_shown(value)} is out of range")
    return value


def _not_negative(value: int) -> int:
    if value < 0:
        raise MalformedMessage(f"count {_shown(value)} is negative")
    return value


def _shown(value: int) -> str:
    """Write a number for an error; Python refuses to write one of thousands of digits."""
    return str(value) if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
