"""A full outbox gives way from the least urgent on, and counts it."""

from hypothesis import given
from hypothesis import strategies as st

from framework.alerts.alert import rank
from framework.alerts.outbox import Outbox
from framework.settings.structs import LogLevel
from tests.framework.alerts.samples import alert

LEVELS = [level.value for level in LogLevel]


def test_alerts_leave_in_the_order_they_came() -> None:
    outbox = Outbox()
    for name in ("a", "b", "c"):
        outbox.put(alert(name))

    assert [outbox.take().name for _ in range(len(outbox))] == ["a", "b", "c"]


def test_the_oldest_of_the_least_urgent_level_is_dropped() -> None:
    outbox = Outbox(capacity=3)
    for name, level in (("a", "error"), ("b", "info"), ("c", "info")):
        outbox.put(alert(name, level))

    dropped = outbox.put(alert("d", "critical"))

    assert dropped is not None
    assert dropped.name == "b"
    assert outbox.dropped_count == 1


def test_a_new_alert_that_is_less_urgent_than_all_others_is_dropped_itself() -> None:
    outbox = Outbox(capacity=1)
    outbox.put(alert("a", "critical"))
    newest = alert("b", "info")

    assert outbox.put(newest) is newest


@given(st.lists(st.sampled_from(LEVELS), max_size=40), st.integers(1, 10))
def test_what_stays_is_never_less_urgent_than_what_went(levels: list[str], capacity: int) -> None:
    outbox = Outbox(capacity)
    dropped = [outbox.put(alert(str(number), level)) for number, level in enumerate(levels)]
    gone = [one for one in dropped if one is not None]
    kept = [outbox.take() for _ in range(len(outbox))]

    assert len(gone) == outbox.dropped_count == max(0, len(levels) - capacity)
    assert not gone or max(rank(one.level) for one in gone) <= min(rank(k.level) for k in kept)
    assert [k.name for k in kept] == sorted((k.name for k in kept), key=int)
