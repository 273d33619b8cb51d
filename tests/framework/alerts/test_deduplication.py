"""R-66: an alert is told at once, its repetitions are counted, and none is lost."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from framework.alerts.deduplication import LONGEST_MESSAGE, MOST_FIELDS, Alerts
from framework.model.records import AlertRaised
from framework.settings.secrets import Secret
from framework.settings.structs import LogLevel
from tests.fakes import ManualClock

SECOND_NS = 10**9
WARNING, ERROR = LogLevel.WARNING, LogLevel.ERROR


class World:
    """Alerts with a window of ten seconds, on a clock turned by hand."""

    def __init__(self, *, capacity: int = 100) -> None:
        self.clock = ManualClock(SECOND_NS)
        self.told: list[AlertRaised] = []
        self.alerts = Alerts(self.clock, self.told.append, window_s=10, capacity=capacity)

    def raise_(self, name: str = "feed_lost", level: LogLevel = WARNING) -> AlertRaised | None:
        return self.alerts.raise_(name, level, f"{name} at {self.clock.now_ns}")

    def wait_s(self, seconds: int) -> None:
        self.clock.advance_to(self.clock.now_ns + seconds * SECOND_NS)

    @property
    def counts(self) -> list[tuple[str, int]]:
        return [(told.name, told.count) for told in self.told]


def test_r66_the_first_alert_is_told_at_once() -> None:
    world = World()

    told = world.alerts.raise_("feed_lost", ERROR, "no data", key="kite", venue="kite", age_s=3)

    assert told == AlertRaised(
        name="feed_lost",
        level="error",
        message="no data",
        time_ns=SECOND_NS,
        key="kite",
        fields=(("venue", "kite"), ("age_s", "3")),
    )
    assert world.told == [told]


def test_r66_repetitions_are_told_once_at_the_windows_end_with_their_count() -> None:
    world = World()
    world.raise_()
    world.wait_s(1)
    assert [world.raise_() for _ in range(4)] == [None] * 4

    world.wait_s(9)

    assert world.counts == [("feed_lost", 1), ("feed_lost", 5)]
    assert world.told[-1].message == f"feed_lost at {2 * SECOND_NS}"
    assert world.told[-1].time_ns == 11 * SECOND_NS


def test_a_key_that_stayed_quiet_is_forgotten() -> None:
    world = World()
    world.raise_()

    world.wait_s(10)

    assert world.counts == [("feed_lost", 1)]
    assert world.clock.pending_count == 0
    assert world.raise_() is not None


def test_a_condition_that_lasts_is_told_once_per_window() -> None:
    world = World()
    for _ in range(40):
        world.raise_()
        world.wait_s(1)

    world.wait_s(20)

    assert world.counts[0] == ("feed_lost", 1)
    assert sum(count for _, count in world.counts) == 1 + 40  # the first is in its summary too
    assert len(world.told) == 5
    assert world.clock.pending_count == 0


def test_keys_are_told_apart() -> None:
    world = World()

    world.alerts.raise_("feed_lost", WARNING, "no data", key="kite")
    world.alerts.raise_("feed_lost", WARNING, "no data", key="binance")

    assert [told.key for told in world.told] == ["kite", "binance"]


def test_a_more_urgent_repetition_does_not_wait() -> None:
    world = World()
    world.raise_()
    world.raise_()

    told = world.raise_(level=ERROR)
    world.wait_s(10)

    assert told is not None
    assert [(told.level, told.count) for told in world.told] == [("warning", 1), ("error", 3)]


def test_less_urgent_repetitions_do_not_lower_the_summary() -> None:
    world = World()
    world.raise_(level=ERROR)
    world.raise_(level=WARNING)

    world.wait_s(10)

    assert [(told.level, told.count) for told in world.told] == [("error", 1), ("error", 2)]


def test_memory_is_bounded_and_the_oldest_window_tells_its_count_before_it_goes() -> None:
    world = World(capacity=2)
    for name in ("a", "a", "b", "c"):
        world.raise_(name)

    assert world.counts == [("a", 1), ("b", 1), ("a", 2), ("c", 1)]
    assert world.clock.pending_count == 2


def test_closing_tells_what_was_only_counted() -> None:
    world = World()
    for name in ("a", "b", "b"):
        world.raise_(name)

    world.alerts.close()
    world.alerts.close()

    assert world.counts == [("a", 1), ("b", 1), ("b", 2)]
    assert world.clock.pending_count == 0


def test_telling_may_raise_the_same_alert_again() -> None:
    clock = ManualClock()
    told: list[AlertRaised] = []

    def tell(alert: AlertRaised) -> None:
        told.append(alert)
        alerts.raise_("disk_full", ERROR, "cannot record it")

    alerts = Alerts(clock, tell, window_s=10)
    alerts.raise_("disk_full", ERROR, "first")
    clock.advance_to(10 * SECOND_NS)
    alerts.close()

    assert [alert.count for alert in told] == [
        1,
        2,
        1,
        1,
    ]  # each telling is counted, none goes on for ever


def test_t41_text_is_one_short_line_without_secrets() -> None:
    world = World()
    Secret("hunter-2222")
    fields = {f"field_{number}": "hunter-2222\x1b[2J" for number in range(MOST_FIELDS + 5)}

    told = world.alerts.raise_("a\nb", ERROR, "key hunter-2222 " + "x" * 5_000, **fields)

    assert told is not None
    assert told.name == r"a\nb"
    assert told.message.startswith("key *** xxx")
    assert len(told.message) == LONGEST_MESSAGE
    assert len(told.fields) == MOST_FIELDS
    assert told.fields[0] == ("field_0", r"***\x1b[2J")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), max_size=60))
def test_r66_every_alert_is_counted_exactly_once(raised: list[tuple[str, int]]) -> None:
    world = World(capacity=2)
    for name, wait_s in raised:
        world.raise_(name)
        world.wait_s(wait_s)
    world.alerts.close()

    counted: Counter[str] = Counter()
    known: Counter[str] = Counter()  # what a summary of the open window counts again
    for told in world.told:
        is_first = told.count == 1 and told.message == f"{told.name} at {told.time_ns}"
        counted[told.name] += told.count - (0 if is_first else known[told.name])
        known[told.name] = int(is_first)

    assert counted == Counter(name for name, _ in raised)
    assert world.alerts.raised_count == len(raised)
    assert world.alerts.told_count == len(world.told)
