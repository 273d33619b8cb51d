from hypothesis import given
from hypothesis import strategies as st

from framework.net.staleness import StalenessWatch


def test_r42_a_quiet_stream_is_told_once_until_data_comes_again() -> None:
    watch = StalenessWatch()
    watch.watch("book", 10, 0)
    watch.watch("trades", 100, 0)

    watch.on_data("book", 5)
    assert watch.due_ns == 15
    assert watch.check(14) == []
    assert watch.check(16) == [("book", 11)]
    assert watch.check(30) == []
    assert watch.due_ns == 100
    watch.on_data("book", 40)
    assert watch.check(50) == [("book", 10)]
    assert watch.check(100) == [("trades", 100)]
    assert watch.due_ns is None


def test_what_is_not_watched_does_not_matter() -> None:
    watch = StalenessWatch()
    watch.on_data("book", 5)
    watch.pause("book")
    watch.resume("book", 6)
    watch.forget("book")
    watch.watch("book", 10, 7)
    watch.forget("book")

    assert watch.due_ns is None
    assert watch.check(1_000) == []


def test_a_heartbeat_by_data_puts_off_what_is_not_told() -> None:
    watch = StalenessWatch()
    watch.watch("quiet", 10, 0)
    watch.watch("dead", 4, 0)

    assert watch.check(5) == [("dead", 5)]
    watch.heard(8)
    assert watch.due_ns == 18
    assert watch.check(17) == []
    assert watch.check(18) == [("quiet", 18)]


def test_a_paused_stream_is_never_stale_and_gets_its_whole_limit_afterwards() -> None:
    watch = StalenessWatch()
    watch.watch("book", 10, 0)

    watch.pause("book")
    assert watch.due_ns is None
    assert watch.check(100) == []
    watch.resume("book", 200)
    assert watch.check(209) == []
    assert watch.check(210) == [("book", 10)]


def test_a_stream_is_not_stale_while_its_market_is_closed_or_has_just_opened() -> None:
    watch = StalenessWatch(lambda stream, now_ns: 1_000 <= now_ns < 2_000)
    watch.watch("book", 10, 900)

    for now_ns in (910, 950, 1_003):
        assert watch.check(now_ns) == []
    assert watch.due_ns == 1_013
    assert watch.check(1_013) == [("book", 10)]
    watch.on_data("book", 1_995)
    assert watch.check(2_005) == []


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=60))
def test_told_exactly_when_no_data_came_for_the_limit(steps: list[tuple[int, bool]]) -> None:
    watch = StalenessWatch()
    watch.watch("book", 20, 0)
    now_ns = last_ns = 0
    is_told = False

    for wait_ns, has_data in steps:
        now_ns += wait_ns
        if has_data:
            watch.on_data("book", now_ns)
            last_ns, is_told = now_ns, False
        is_stale = now_ns - last_ns >= 20 and not is_told
        assert watch.check(now_ns) == ([("book", now_ns - last_ns)] if is_stale else [])
        is_told = is_told or is_stale
