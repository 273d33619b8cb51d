"""Reads the decimal numbers in requests; what is written goes through `wire_units.py`."""

import re

from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR, Refusal

_DOLLARS = re.compile(r"(\d{1,12})(?:\.(\d{0,6}))?|\.(\d{1,6})", re.ASCII)
_CONTRACTS = re.compile(r"(\d{1,12})(?:\.(\d{0,2}))?|\.(\d{1,2})", re.ASCII)


def read_dollars(text: str) -> int:
    """Return a price that is written with up to six decimals, the last two of them zero.

    Raises:
        Refusal: it is not a price, or finer than any grid.
    """
    return _read(_DOLLARS, text, DOLLAR, "invalid_price")


def read_contracts(text: str) -> int:
    """Return a count that is written with up to two decimals.

    Raises:
        Refusal: it is not a count.
    """
    return _read(_CONTRACTS, text, CONTRACT, "invalid_parameters")


def _read(pattern: re.Pattern[str], text: str, unit: int, code: str) -> int:
    match = pattern.fullmatch(text)
    if match is None:
        raise Refusal(400, code, f"{text[:40]!r} is not a decimal number in range")
    units, decimals = match[1] or "0", match[2] or match[3] or ""
    scaled, rest = divmod(int(decimals.ljust(6, "0")) * unit, 1_000_000)
    if rest:
        raise Refusal(400, code, f"{text!r} has too many decimals")
    return int(units) * unit + scaled
