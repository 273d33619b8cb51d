"""The path without a memory: any stretch of it is the join of its parts."""

from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mock.fractal import LEVELS, FractalPath, Stretch

START = 1_500_000
HALF_SECOND_NS = 500_000_000
DAY, YEAR = 172_800, 63_072_000  # steps


def path(seed: int = 7, *, start: int = START, volatility: float = 2.0) -> FractalPath:
    return FractalPath(seed=seed, start_ticks=start, volatility=volatility, step_ns=HALF_SECOND_NS)


def join(first: Stretch, second: Stretch) -> Stretch:
    assert first.close == second.open
    return Stretch(
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume + second.volume,
    )


SEEDS = st.integers(0, 2**64 - 1)
PLACES = st.integers(-1_000_000, 1_000_000) | st.integers(-(1 << LEVELS), (1 << LEVELS) - 1_000)


@settings(max_examples=60, deadline=None)
@given(SEEDS, PLACES, st.integers(1, 300), st.sampled_from([1, 20, 1_000, START, 10**9]))
def test_a_stretch_has_the_prices_of_its_steps(
    seed: int, first: int, count: int, start: int
) -> None:
    made = path(seed, start=start)
    count = min(count, (1 << LEVELS) - 1 - first)
    prices = [made.price(step) for step in range(first, first + count + 1)]

    whole = made.stretch(first, first + count)

    assert (whole.open, whole.close) == (prices[0], prices[-1])
    assert (whole.high, whole.low) == (max(prices), min(prices))
    assert whole.low >= 1
    assert whole.volume >= 0


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    first=PLACES,
    lengths=st.lists(st.integers(1, 10 * YEAR), min_size=1, max_size=6),
    is_backwards=st.booleans(),
)
def test_a_stretch_is_the_join_of_its_parts_in_whatever_order_they_are_asked_for(
    seed: int, first: int, lengths: list[int], *, is_backwards: bool
) -> None:
    """So a week is its days and an hour its minutes, however long ago."""
    ends = [first]
    for length in lengths:
        ends.append(min(ends[-1] + length, (1 << LEVELS) - 1))
    pairs = list(pairwise(ends))
    pairs = [pair for pair in pairs if pair[0] < pair[1]] or [(first, first)]
    made = path(seed)
    asked = pairs[::-1] if is_backwards else pairs
    parts = {pair: made.stretch(*pair) for pair in asked}

    whole = path(seed).stretch(first, pairs[-1][1])

    assert whole == reduce(join, (parts[pair] for pair in pairs))


def test_it_begins_at_its_start_and_stays_near_it() -> None:
    for seed in range(20):
        made = path(seed)
        assert made.price(0) == START
        century = [made.stretch(-(1 << LEVELS), 0), made.stretch(0, (1 << LEVELS) - 1)]
        assert min(part.low for part in century) > START * 0.7
        assert max(part.high for part in century) < START * 1.3


@pytest.mark.parametrize("volatility", [0.5, 2.0])
def test_it_moves_as_its_volatility_says(volatility: float) -> None:
    made = path(volatility=volatility)
    prices = [made.price(step) for step in range(20_001)]
    moves = [after / before - 1 for before, after in pairwise(prices)]
    deviation = (sum(move * move for move in moves) / len(moves)) ** 0.5

    one = volatility * (0.5 / (365 * 86_400)) ** 0.5
    assert 0.5 * one < deviation < 2 * one
    assert max(abs(move) for move in moves) < 16 * one
    assert sum(move != 0 for move in moves) > 10_000


def test_seeds_differ_and_one_seed_repeats() -> None:
    def prices(seed: int) -> list[int]:
        return [path(seed).price(step) for step in range(50)]

    assert prices(1) == prices(1)
    assert prices(1) != prices(2)


def test_a_path_that_does_not_move_stands() -> None:
    made = path(volatility=0.0)
    assert made.stretch(-DAY, DAY)[:4] == (START, START, START, START)


def test_beyond_its_ends_there_is_nothing() -> None:
    made = path()
    with pytest.raises(ValueError, match="does not reach"):
        made.stretch(-(1 << LEVELS) - 1, 0)
    with pytest.raises(ValueError, match="does not reach"):
        made.price((1 << LEVELS) - 1)
