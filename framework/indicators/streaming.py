"""The interface of an indicator that takes one value at a time.

Every indicator starts with `value` None, stays None while it warms up, and from then on holds
what the last `update` returned. Inputs are finite floats, oldest first; a NaN would stay inside
for as long as the window or the recursion remembers it, which is why feeds refuse it.
"""

from typing import Protocol, TypeVar

R_co = TypeVar("R_co", covariant=True)


class Indicator(Protocol[R_co]):
    """Takes one value at a time; `R_co` is what it yields once warm."""

    @property
    def value(self) -> R_co | None:
        """What the last update returned."""

    def update(self, value: float, /) -> R_co | None:
        """Take the next value; return the indicator, or None while warming up."""


def checked_period(period: int, name: str = "period", *, minimum: int = 1) -> int:
    """Return `period`.

    Raises:
        ValueError: it is less than `minimum`.
    """
    if period < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {period}")
    return period
