"""S14: REST faults are matched, counted and timed."""

from adapters.kalshi.simulated.rest_faults import RestFault, RestFaults
from tests.fakes import ManualClock

PATH = "/trade-api/v2/portfolio/orders"
SECOND_NS = 1_000_000_000


def faults_with(*faults: RestFault, clock: ManualClock | None = None) -> RestFaults:
    """Return faults that are active from now on."""
    clock = clock or ManualClock()
    active = RestFaults(lambda: clock.now_ns)
    for fault in faults:
        active.add(fault)
    return active


def test_s14_a_fault_lasts_for_a_number_of_matching_requests() -> None:
    active = faults_with(RestFault(kind="refuse", method="POST", path="/orders", count=2))

    assert active.take("GET", PATH) == {}
    assert active.take("POST", "/trade-api/v2/markets") == {}
    assert [len(active.take("POST", PATH)) for _ in range(3)] == [1, 1, 0]


def test_s14_a_fault_lasts_for_a_time() -> None:
    clock = ManualClock()
    active = faults_with(RestFault(kind="lose_answer", for_s=2.0), clock=clock)

    clock.advance_to(clock.now_ns + 2 * SECOND_NS - 1)
    assert "lose_answer" in active.take("GET", PATH)
    clock.advance_to(clock.now_ns + 1)
    assert active.take("GET", PATH) == {}


def test_s14_faults_of_different_kinds_meet_and_of_one_kind_follow_each_other() -> None:
    slow, first = RestFault(kind="delay_answer"), RestFault(kind="refuse", status=500, count=1)
    second = RestFault(kind="refuse", status=502, count=1)
    active = faults_with(slow, first, second)

    assert active.take("GET", PATH) == {"delay_answer": slow, "refuse": first}
    assert active.take("GET", PATH) == {"delay_answer": slow, "refuse": second}
    assert active.take("GET", PATH) == {"delay_answer": slow}


def test_s14_cleared_faults_are_gone() -> None:
    active = faults_with(RestFault(kind="garble"))

    active.clear()

    assert active.take("GET", PATH) == {}
