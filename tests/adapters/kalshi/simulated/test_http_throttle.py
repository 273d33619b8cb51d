"""S11: tokens of 2026: a read and a write bucket per account."""

from adapters.kalshi.simulated.throttle import Throttle
from tests.fakes import ManualClock

SECOND_NS = 1_000_000_000


def throttle(clock: ManualClock, *, is_enforced: bool = True) -> Throttle:
    """Return one of the basic tier: 200 read and 100 write tokens per second."""
    return Throttle("basic", lambda: clock.now_ns, is_enforced=is_enforced)


def test_s11_the_write_bucket_holds_two_seconds_and_the_read_bucket_one() -> None:
    buckets = throttle(ManualClock())

    assert [buckets.takes("alice", "write", 10) for _ in range(21)].count(True) == 20
    assert [buckets.takes("alice", "read", 10) for _ in range(21)].count(True) == 20
    assert buckets.takes("bob", "write", 200)


def test_s11_tokens_come_back_with_time_up_to_the_capacity() -> None:
    clock = ManualClock()
    buckets = throttle(clock)
    assert buckets.takes("alice", "write", 200)

    clock.advance_to(clock.now_ns + SECOND_NS // 10)
    assert not buckets.takes("alice", "write", 11)  # and takes none
    assert buckets.takes("alice", "write", 10)
    clock.advance_to(clock.now_ns + 60 * SECOND_NS)
    assert not buckets.takes("alice", "write", 201)
    assert buckets.takes("alice", "write", 200)


def test_without_enforcement_everything_passes() -> None:
    buckets = throttle(ManualClock(), is_enforced=False)

    assert all(buckets.takes("alice", "write", 1_000) for _ in range(10))
