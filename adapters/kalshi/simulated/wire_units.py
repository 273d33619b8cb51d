"""How the venue writes numbers and times: integers in, JSON values out.

Units as in `domain.py`. Independent of the client's codec on purpose: a mistake in one is then
seen by the other.
"""

from datetime import UTC, datetime

from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR, DOLLAR_OF_MONEY

NS_PER_S = 1_000_000_000


def dollars(price: int) -> str:
    """Return a price with four decimals: 3700 is `"0.3700"`."""
    if price < 0:
        return "-" + dollars(-price)
    return f"{price // DOLLAR}.{price % DOLLAR:04d}"


def fixed_point(count: int) -> str:
    """Return a count with two decimals, with its sign: -1500 is `"-15.00"`."""
    if count < 0:
        return "-" + fixed_point(-count)
    return f"{count // CONTRACT}.{count % CONTRACT:02d}"


def money(amount: int) -> str:
    """Return money in dollars with six decimals: 200000 is `"0.200000"`."""
    if amount < 0:
        return "-" + money(-amount)
    return f"{amount // DOLLAR_OF_MONEY}.{amount % DOLLAR_OF_MONEY:06d}"


def short_money(amount: int) -> str:
    """Return money in dollars with four decimals where they are exact, else with six."""
    text = money(amount)
    return text.removesuffix("00")


def cents(price: int) -> int:
    """Return a price in whole cents, rounded: the legacy fields cannot say less."""
    return (price + 50) // 100


def contracts(count: int) -> int:
    """Return a count in whole contracts, towards zero."""
    return count // CONTRACT if count >= 0 else -(-count // CONTRACT)


def ten_thousandths(amount: int) -> int:
    """Return money in 1/10 000 dollar, as the legacy fields count it; towards zero."""
    return amount // 100 if amount >= 0 else -(-amount // 100)


def seconds(time_ns: int) -> int:
    """Return Unix seconds."""
    return time_ns // NS_PER_S


def milliseconds(time_ns: int) -> int:
    """Return Unix milliseconds."""
    return time_ns // 1_000_000


def rfc3339(time_ns: int) -> str:
    """Return a UTC timestamp, with microseconds only where they are not zero."""
    second, rest_ns = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    microsecond = rest_ns // 1000
    return f"{text}.{microsecond:06d}Z" if microsecond else f"{text}Z"
