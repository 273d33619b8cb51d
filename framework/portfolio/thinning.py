"""Bounded series: of each bucket of time only the newest sample is kept, and the very first.

Buckets start one nanosecond wide, so that nothing is lost. Whenever the series is full they
grow until half of it is left: along a list of widths that divide the day, then doubling.
"""

from collections.abc import Sequence

NS_PER_S = 1_000_000_000
MINIMUM_CAPACITY = 4  # so that half of it holds the first and the newest sample

_WIDTHS_S = (1, 5, 15, 60, 300, 900, 3_600, 4 * 3_600, 86_400)


def thinned(times_ns: Sequence[int], width_ns: int, target: int) -> tuple[int, list[int]]:
    """Return (new width, indices kept): the narrowest wider buckets that leave ≤ `target`."""
    while True:
        width_ns = wider(width_ns)
        kept = newest_per_bucket(times_ns, width_ns)
        if len(kept) <= target:
            return width_ns, kept


def wider(width_ns: int) -> int:
    """Return the next bucket width after `width_ns`."""
    for width_s in _WIDTHS_S:
        if width_s * NS_PER_S > width_ns:
            return width_s * NS_PER_S
    return 2 * width_ns


def newest_per_bucket(times_ns: Sequence[int], width_ns: int) -> list[int]:
    """Return the indices of the first sample and of the last one of each bucket, in order."""
    last = len(times_ns) - 1
    return [
        index
        for index, time_ns in enumerate(times_ns)
        if index in (0, last) or time_ns // width_ns != times_ns[index + 1] // width_ns
    ]
