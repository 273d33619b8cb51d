"""Token buckets: what may leave when, and who goes first."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework.net.rate_limit import BucketOptions, Line, RateLimits, Ticket, TokenBucket

SIZES = st.builds(
    BucketOptions,
    capacity=st.floats(1, 1_000),
    refill_per_s=st.floats(0.01, 1_000),
    reserve=st.floats(0, 0.9),
)
CALLS = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0, 1), st.booleans()), max_size=60
)  # seconds since the last one, cost as a share of what is possible, whether it is a cancel


def test_a_bucket_gives_its_tokens_and_then_says_how_long() -> None:
    bucket = TokenBucket(BucketOptions(capacity=10, refill_per_s=2, reserve=0.2))

    assert bucket.try_take(8, False, 0.0) == 0.0
    assert bucket.try_take(1, False, 0.0) == pytest.approx(0.5)
    assert bucket.try_take(2, True, 0.0) == 0.0
    assert bucket.try_take(1, True, 0.0) == pytest.approx(0.5)
    assert bucket.try_take(1, True, 0.5) == 0.0


def test_the_clock_may_stand_still_or_seem_to_go_back() -> None:
    bucket = TokenBucket(BucketOptions(capacity=1, refill_per_s=1, reserve=0), 5.0)

    assert bucket.try_take(1, False, 5.0) == 0.0
    assert bucket.try_take(1, False, 4.0) == 1.0
    assert bucket.try_take(1, False, 5.5) == pytest.approx(0.5)


def test_a_cost_that_never_fits_is_a_mistake_and_says_so() -> None:
    bucket = TokenBucket(BucketOptions(capacity=10, refill_per_s=1, reserve=0.2))

    with pytest.raises(ConfigError, match="cost 9 never fits"):
        bucket.try_take(9, False, 0.0)
    assert bucket.try_take(9, True, 0.0) == 0.0
    with pytest.raises(ConfigError):
        bucket.try_take(10.5, True, 0.0)


@pytest.mark.parametrize(
    "sizes", [(0, 1, 0), (1, 0, 0), (-1, 1, 0), (1, 1, 1), (1, 1, -0.1), (float("nan"), 1, 0)]
)
def test_impossible_sizes_are_refused(sizes: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError):
        BucketOptions(*sizes)


@given(SIZES, CALLS)
def test_no_span_sees_more_than_the_bucket_and_its_refill(
    size: BucketOptions, calls: list[tuple[float, float, bool]]
) -> None:
    """R-68: over every span between two requests that left."""
    bucket = TokenBucket(size)
    now_s, left = 0.0, []
    for pause_s, share, is_cancel in calls:
        now_s += pause_s
        cost = share * size.capacity * (1 if is_cancel else 1 - size.reserve) * 0.999
        if bucket.try_take(cost, is_cancel, now_s) == 0.0:
            left.append((now_s, cost))

    for first in range(len(left)):
        spent = 0.0
        for at_s, cost in left[first:]:
            spent += cost
            allowed = size.capacity + size.refill_per_s * (at_s - left[first][0])
            assert spent <= allowed * (1 + 1e-9) + 1e-6


@given(SIZES, CALLS)
def test_the_wait_that_is_told_is_enough_and_no_longer_than_needed(
    size: BucketOptions, calls: list[tuple[float, float, bool]]
) -> None:
    bucket = TokenBucket(size)
    now_s = 0.0
    for pause_s, share, is_cancel in calls:
        now_s += pause_s
        cost = share * size.capacity * (1 if is_cancel else 1 - size.reserve) * 0.999
        wait_s = bucket.try_take(cost, is_cancel, now_s)
        if wait_s > 1e-3:
            assert bucket.try_take(cost, is_cancel, now_s + wait_s * 0.99) > 0
            now_s += wait_s * 1.01
            assert bucket.try_take(cost, is_cancel, now_s) == 0.0


@given(SIZES, CALLS)
def test_cancels_have_the_reserve_to_themselves(
    size: BucketOptions, calls: list[tuple[float, float, bool]]
) -> None:
    """R-68, F-23: what a bucket of the reserve's size grants to cancels alone, ours grants too."""
    if size.reserve * size.capacity < 1e-3:
        return
    ours = TokenBucket(size)
    alone = TokenBucket(BucketOptions(size.reserve * size.capacity, size.refill_per_s, 0))
    now_s = 0.0
    for pause_s, share, is_cancel in calls:
        now_s += pause_s
        if is_cancel:
            cost = share * size.reserve * size.capacity * 0.999
            if alone.try_take(cost, True, now_s) == 0.0:
                assert ours.try_take(cost, True, now_s) == 0.0
        else:
            ours.try_take(share * size.capacity * (1 - size.reserve) * 0.999, False, now_s)


def test_a_pause_holds_for_everybody_and_begins_with_an_empty_bucket() -> None:
    bucket = TokenBucket(BucketOptions(capacity=10, refill_per_s=1, reserve=0.2))

    bucket.pause(3, 0.0)
    bucket.pause(1, 0.0)  # the longer one holds

    assert bucket.try_take(1, True, 1.0) == pytest.approx(2.0)
    assert bucket.try_take(3, True, 3.0) == 0.0
    assert bucket.try_take(1, True, 3.0) == pytest.approx(1.0)


def test_new_sizes_keep_what_was_taken() -> None:
    bucket = TokenBucket(BucketOptions(capacity=10, refill_per_s=1, reserve=0))
    bucket.try_take(6, False, 0.0)

    bucket.resize(BucketOptions(capacity=20, refill_per_s=2, reserve=0), 1.0)
    assert bucket.try_take(15, False, 1.0) == 0.0
    assert bucket.try_take(1, False, 1.0) == pytest.approx(0.5)
    bucket.resize(BucketOptions(capacity=5, refill_per_s=1, reserve=0), 1.0)
    assert bucket.try_take(5, False, 5.0) == pytest.approx(1.0)


# -- the line ------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5), st.booleans(), st.booleans()),
             max_size=40)
)  # fmt: skip
def test_cancels_go_first_and_each_kind_in_order(
    arrivals: list[tuple[float, int, bool, bool]],
) -> None:
    """R-68: a cancel never waits behind an ordinary request; nobody overtakes his own kind."""
    line = Line(TokenBucket(BucketOptions(capacity=8, refill_per_s=1.5, reserve=0.25)))
    waiting: dict[bool, list[int]] = {True: [], False: []}

    def granted(number: int, is_cancel: bool) -> Callable[[], None]:
        def note() -> None:
            assert waiting[is_cancel][0] == number
            assert is_cancel or not waiting[True]
            waiting[is_cancel].pop(0)

        return note

    now_s = 0.0
    for number, (pause_s, cost, is_cancel, leaves) in enumerate(arrivals):
        now_s += pause_s
        line.advance(now_s)
        had_to_wait = bool(waiting[True] or (waiting[False] and not is_cancel))
        wait_s = line.try_take(cost, is_cancel, now_s)
        assert not (had_to_wait and wait_s == 0.0)
        if wait_s > 0:
            ticket = Ticket(cost, is_cancel, granted(number, is_cancel))
            line.join(ticket)
            waiting[is_cancel].append(number)
            if leaves:
                line.leave(ticket)
                line.leave(ticket)
                waiting[is_cancel].remove(number)

    for _ in range(200):
        wait_s = line.advance(now_s) or 0.0
        now_s += wait_s + 1e-6
    assert waiting == {True: [], False: []}


def test_who_comes_when_the_line_is_served_is_served_at_once() -> None:
    line = Line(TokenBucket(BucketOptions(capacity=4, refill_per_s=1, reserve=0)))
    line.try_take(4, False, 0.0)
    told: list[str] = []
    line.join(Ticket(1, False, lambda: told.append("first")))

    assert line.try_take(1, False, 0.5) == pytest.approx(0.5)
    assert line.try_take(1, False, 2.0) == 0.0

    assert told == ["first"]


# -- groups --------------------------------------------------------------------------------------


def test_groups_are_apart_and_unknown_ones_a_mistake() -> None:
    limits = RateLimits({"read": BucketOptions(1, 1, 0), "write": BucketOptions(1, 1, 0)})

    assert limits.try_take("read", 1, False, 0.0) == 0.0
    assert limits.try_take("write", 1, False, 0.0) == 0.0
    assert limits.try_take("read", 1, False, 0.0) == 1.0
    with pytest.raises(ConfigError, match=r"'raed'; there are: read, write"):
        limits.try_take("raed", 1, False, 0.0)


def test_without_buckets_nothing_is_limited_and_yet_can_be_paused() -> None:
    limits = RateLimits({})

    assert {limits.try_take("any", 1e6, False, 0.0) for _ in range(1_000)} == {0.0}
    limits.pause("any", 2.0, 0.0)
    assert limits.try_take("any", 1, True, 0.5) == pytest.approx(1.5)
    assert limits.try_take("other", 1, False, 0.5) == 0.0
    assert limits.try_take("any", 1, False, 2.0) == 0.0


def test_limits_that_the_venue_tells_replace_ours() -> None:
    """B25."""
    limits = RateLimits({"read": BucketOptions(1, 1, 0)})

    limits.resize("read", BucketOptions(100, 10, 0), 0.0)
    limits.resize("write", BucketOptions(2, 1, 0), 0.0)

    assert limits.try_take("read", 100, False, 0.0) == 0.0
    assert limits.try_take("write", 2, False, 0.0) == 0.0
    assert limits.try_take("write", 1, False, 0.0) == 1.0


# -- a storm day ---------------------------------------------------------------------------------

DAY_S = 86_400.0


class VenueLimiter:
    """The venue's own limiter as it is written elsewhere: it counts back from a due time (GCRA)."""

    def __init__(self, capacity: float, refill_per_s: float) -> None:
        self._tolerance_s = capacity / refill_per_s
        self._per_token_s = 1 / refill_per_s
        self._due_s = 0.0
        self.refused = 0
        self.taken = 0

    def arrive(self, cost: float, now_s: float) -> None:
        """Take a request, or refuse it."""
        due_s = max(self._due_s, now_s) + cost * self._per_token_s
        if due_s - now_s > self._tolerance_s:
            self.refused += 1
        else:
            self._due_s = due_s
            self.taken += 1


class StormDay:
    """24 h of bursts far above the limits, in virtual time, over a way with jitter.

    The venue holds 200 tokens and gains 100 a second; the way takes up to `JITTER_S`.
    """

    JITTER_S = 0.2

    def __init__(self, ours: BucketOptions, seed: int) -> None:
        self.venue = VenueLimiter(200, 100)
        self.waits_s: dict[bool, list[float]] = {True: [], False: []}
        self._line = Line(TokenBucket(ours))
        self._random = Random(seed)
        self._now_s = 0.0
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def pass_by(self) -> None:
        self._after(0.0, self._burst)
        while self._due and self._due[0][0] < DAY_S:
            self._now_s, _, action = heappop(self._due)
            action()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heappush(self._due, (self._now_s + seconds, next(self._numbers), action))

    def _burst(self) -> None:
        for _ in range(self._random.randint(1, 120)):  # 18 of them fill the bucket
            self._ask(10, False)
        for _ in range(self._random.randint(1, 15)):  # all of them fit into its reserve
            self._ask(2, True)
        self._after(self._random.expovariate(1 / 300), self._burst)

    def _ask(self, cost: float, is_cancel: bool) -> None:
        asked_s = self._now_s

        def leave() -> None:
            self.waits_s[is_cancel].append(self._now_s - asked_s)
            travel_s = self._random.uniform(0, self.JITTER_S)
            self._after(travel_s, lambda: self.venue.arrive(cost, self._now_s))

        if self._line.try_take(cost, is_cancel, self._now_s) == 0.0:
            leave()
        else:
            self._line.join(Ticket(cost, is_cancel, leave))
            self._serve()

    def _serve(self) -> None:
        wait_s = self._line.advance(self._now_s)
        if wait_s is not None:
            self._after(wait_s + 1e-9, self._serve)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_day_meets_no_refusal_and_cancels_get_out(seed: int) -> None:
    """R-68, F-23: smaller than the venue's by the jitter, our bucket meets 0 refusals."""
    day = StormDay(BucketOptions(capacity=180, refill_per_s=100, reserve=0.2), seed)

    day.pass_by()

    assert day.venue.refused == 0
    assert day.venue.taken > 10_000
    assert max(day.waits_s[False]) > 5.0  # it was a storm
    assert max(day.waits_s[True]) < 0.5


def test_the_storm_would_have_been_refused() -> None:
    """The day above proves something: larger than the venue's, our bucket meets refusals."""
    day = StormDay(BucketOptions(capacity=250, refill_per_s=100, reserve=0.2), 1)

    day.pass_by()

    assert day.venue.refused > 100
