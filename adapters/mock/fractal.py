"""A price path without a memory: any stretch of it, past or to come, is worked out when asked for.

The path is a function of a seed and of the steps since its origin. It is made from the top: half of
34 years lies before the origin and half after (in steps of 500 ms), each a *stretch* that knows
where it opens, its high, its low, where it closes and its volume; every stretch of 2^k steps is
split into two of 2^(k-1) by chance that depends on its place alone:

    middle = (open + close) / 2 + open × scale(k) × noise / 2, between low and high
    noise  = (u0 + u1 + u2 + u3 - 2) × √3          mean 0, variance 1, |noise| ≤ 3.5
    scale(k) = min(volatility × √(2^k × step / year), `WIDEST`)

A stretch that rises makes its low in its first half and its high in the second one, one that falls
the other way round, so that both are truly reached. So candles of every length and time fit each
other exactly: an hour is the join of its minutes, and a week ten years ago costs no more than the
last one. The cap on `scale` keeps the price near its start for ever.

Only sums, products, comparisons and square roots of float64 decide: the same seed gives the same
path on every machine.
"""

from functools import lru_cache
from math import sqrt
from typing import NamedTuple

from adapters.mock.process import YEAR_NS

LEVELS = 31  # of halving: 2^31 steps before the origin, and as many after it
WIDEST = 0.02  # of the price: how far the middle of a long stretch strays
REACH = 2.0  # scales by which high and low together may leave open and close
STEP_VOLUME = 40  # of one step, in the mean
UNEVEN_LEVELS = 9  # stretches up to 2^9 steps trade unevenly, longer ones as their length says

_MASK = (1 << 64) - 1
_SQRT_3 = sqrt(3.0)
_UNIT = 1.0 / 65_536
_OF_LEVEL, _OF_PLACE = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95  # odd, with about as many ones


class Stretch(NamedTuple):
    """What happened between two steps; prices in ticks. It opens where the one before closed."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class FractalPath:
    """One instrument's path; `price` at the origin is its start.

    Reads that go forwards step by step share nearly all of their work: of every level the pair of
    stretches that was looked at last is kept, and nothing else.
    """

    __slots__ = ("_kept", "_places", "_root_after", "_root_before", "_scales", "_seed")

    def __init__(self, *, seed: int, start_ticks: int, volatility: float, step_ns: int) -> None:
        self._seed = seed & _MASK
        self._scales = _scales(volatility, step_ns)
        self._root_after = self._root(start_ticks, 0, opens=True)
        self._root_before = self._root(start_ticks, -1, opens=False)
        self._places: list[int | None] = [
            None
        ] * LEVELS  # of the parent, by the level of its halves
        self._kept: list[tuple[Stretch, Stretch]] = [(self._root_after,) * 2] * LEVELS

    def price(self, step: int) -> int:
        """Return the price in ticks that stands from `step` until the next one."""
        return self.stretch(step, step + 1).open

    def stretch(self, first: int, last: int) -> Stretch:
        """Return what happened from step `first` to step `last`; nothing where they are the same.

        Raises:
            ValueError: a step is too far away: `is_within` tells.
        """
        if not (self.is_within(first) and self.is_within(last)):
            raise ValueError(f"the path does not reach from {first} to {last}")
        if first >= last:
            price = self._node(0, first).open
            return Stretch(price, price, price, price, 0)
        opened = high = low = closed = volume = 0
        at = first
        while at < last:
            level = (last - at).bit_length() - 1
            if at:
                level = min(level, (at & -at).bit_length() - 1)
            part = self._node(level, at >> level)
            if at == first:
                opened, high, low = part.open, part.high, part.low
            else:
                high, low = max(high, part.high), min(low, part.low)
            closed = part.close
            volume += part.volume
            at += 1 << level
        return Stretch(opened, high, low, closed, volume)

    @staticmethod
    def is_within(step: int) -> bool:
        """Tell whether the path reaches as far as this."""
        return -(1 << LEVELS) <= step < 1 << LEVELS

    def _node(self, level: int, place: int) -> Stretch:
        """Return the stretch of 2^level steps that begins at step place × 2^level."""
        if level == LEVELS:
            return self._root_before if place < 0 else self._root_after
        parent = place >> 1
        if self._places[level] != parent:
            self._kept[level] = self._halves(self._node(level + 1, parent), level + 1, parent)
            self._places[level] = parent
        return self._kept[level][place & 1]

    def _halves(self, whole: Stretch, level: int, place: int) -> tuple[Stretch, Stretch]:
        opened, high, low, closed, volume = whole
        chance, more = self._chance(level, place)
        scale = opened * self._scales[level]
        middle = round((opened + closed) / 2 + scale * _noise(chance) / 2)
        middle = _inside(low, middle, high)
        if level == 1:  # the halves are single steps: what lies beyond open and close is here
            if high > opened and high > closed:
                middle = high
            elif low < opened and low < closed:
                middle = low
        else:
            reach = int(REACH * opened * self._scales[level - 1])
            middle = _reaching(whole, middle, reach)
        part = volume // 2
        if level <= UNEVEN_LEVELS:
            part += int(volume * ((more >> 16 & 0xFFFF) * _UNIT - 0.5) * 0.6)
        rise, fall = (0, 1) if closed >= opened else (1, 0)  # the halves with the low and the high
        ends = (opened, middle), (middle, closed)
        top, bottom = max(ends[rise]), min(ends[fall])
        if level > 2:  # a stretch of two steps can leave its open and close on one side only
            wick = REACH / 2 * opened * self._scales[level - 1]
            room = 1.0 - (more >> 48) * _UNIT / 4  # short of the extreme: the other half makes it
            top += int(min(wick * (more & 0xFFFF) * _UNIT, (high - top) * room))
            bottom -= int(min(wick * (more >> 32 & 0xFFFF) * _UNIT, (bottom - low) * room))
        if closed >= opened:
            first = Stretch(opened, top, low, middle, part)
            return first, Stretch(middle, high, bottom, closed, volume - part)
        first = Stretch(opened, high, bottom, middle, part)
        return first, Stretch(middle, top, low, closed, volume - part)

    def _root(self, start: int, place: int, *, opens: bool) -> Stretch:
        chance, more = self._chance(LEVELS + 1, place)
        other = max(2, round(start * (1 + self._scales[LEVELS] * _noise(chance))))
        opened, closed = (start, other) if opens else (other, start)
        beyond = int(REACH / 2 * start * self._scales[LEVELS] * (more & 0xFFFF) * _UNIT)
        high, low = max(start, other) + beyond, max(1, min(start, other) - beyond)
        return Stretch(opened, high, low, closed, STEP_VOLUME << LEVELS)

    def _chance(self, level: int, place: int) -> tuple[int, int]:
        """Return two numbers of 64 bits that depend on the seed and the place (SplitMix64).

        Source: https://prng.di.unimi.it/splitmix64.c
        """
        state = (self._seed + level * _OF_LEVEL + place * _OF_PLACE) & _MASK
        return _mixed(state), _mixed((state + _OF_LEVEL) & _MASK)


@lru_cache(maxsize=1_024)
def _scales(volatility: float, step_ns: int) -> tuple[float, ...]:
    """Return how far the middle of a stretch of 2^level steps strays, by level."""
    one = volatility * sqrt(step_ns / YEAR_NS)
    return tuple(min(one * sqrt(2.0**level), WIDEST) for level in range(LEVELS + 1))


def _reaching(whole: Stretch, middle: int, reach: int) -> int:
    """Return the middle moved so far that no half has to go further than `reach` to an extreme."""
    opened, high, low, closed, _ = whole
    above, below = high - max(opened, closed), min(opened, closed) - low
    if above > reach and above >= below:
        return max(middle, high - reach)
    if below > reach:
        return min(middle, low + reach)
    return middle


def _inside(low: int, price: int, high: int) -> int:
    """Return a price thrown back from the extremes that it would pass."""
    price = 2 * high - price if price > high else 2 * low - price if price < low else price
    return max(low, min(high, price))


def _noise(chance: int) -> float:
    total = (chance & 0xFFFF) + (chance >> 16 & 0xFFFF) + (chance >> 32 & 0xFFFF) + (chance >> 48)
    return (total * _UNIT - 2.0) * _SQRT_3


def _mixed(state: int) -> int:
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return state ^ state >> 31
