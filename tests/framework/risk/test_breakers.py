"""What happens too often opens a breaker, and it stays open until it is reset."""

from hypothesis import given
from hypothesis import strategies as st

from framework.risk.breakers import Breaker


def test_it_trips_once_and_stays_tripped_until_reset() -> None:
    breaker = Breaker(3, 100)

    assert [breaker.count(now_ns) for now_ns in (0, 50, 99, 99, 10_000)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert breaker.is_tripped
    breaker.reset()
    assert not breaker.is_tripped
    assert not breaker.count(10_001)


def test_what_is_spread_out_never_trips() -> None:
    breaker = Breaker(3, 100)

    assert not any(breaker.count(now_ns) for now_ns in range(0, 5_000, 50))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 6), st.integers(1, 100)
)
def test_it_trips_with_the_first_window_that_holds_the_limit(
    gaps: list[int], limit: int, window_ns: int
) -> None:
    breaker = Breaker(limit, window_ns)
    times_ns: list[int] = []
    for gap in gaps:
        times_ns.append((times_ns[-1] if times_ns else 0) + gap)
        breaker.count(times_ns[-1])

    full = any(
        sum(end - window_ns < time_ns <= end for time_ns in times_ns[: index + 1]) >= limit
        for index, end in enumerate(times_ns)
    )
    assert breaker.is_tripped is full
