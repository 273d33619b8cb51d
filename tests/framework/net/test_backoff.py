from random import Random

from hypothesis import given
from hypothesis import strategies as st

from framework.net.backoff import BackOff

seconds = st.floats(0, 100, allow_nan=False)


@given(floor_s=seconds, base_s=seconds, cap_s=seconds, seed=st.integers())
def test_r43_every_pause_lies_between_the_floor_and_the_doubled_base(
    floor_s: float, base_s: float, cap_s: float, seed: int
) -> None:
    back_off = BackOff(floor_s, base_s, cap_s, Random(seed))

    for attempt in range(12):
        longest_s = max(floor_s, min(base_s * 2**attempt, cap_s))
        assert floor_s <= back_off.next_s() <= longest_s * (1 + 1e-12)


def test_the_jitter_is_full() -> None:
    back_off = BackOff(0.1, 0.5, 30, Random(1))
    pauses = []
    for _ in range(1_000):
        back_off.attempt = 6
        pauses.append(back_off.next_s())

    assert min(pauses) < 0.5
    assert max(pauses) > 29.5


def test_it_goes_on_for_ever_and_begins_again_after_a_reset() -> None:
    back_off = BackOff(0, 1, 30, Random(1))
    for _ in range(5_000):
        back_off.next_s()
    assert back_off.attempt == 5_000

    back_off.reset()

    assert back_off.next_s() <= 1
