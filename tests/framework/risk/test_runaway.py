"""Runs that submit in a loop or send again after each rejection are paused (R-62, F-09)."""

from decimal import Decimal

import pytest

from framework.model.orders import Side
from framework.risk.gate import Approved, Gate, Refused
from framework.risk.runaway import Runaways
from framework.settings.risk_limits import RunawaySettings
from tests.framework.risk.samples import SECOND, buy, gate, sell, view

MS = 1_000_000


class Watched:
    """A gate with the breakers around it, as the wiring puts them together."""

    def __init__(
        self, settings: RunawaySettings | None = None, *, largest: Decimal | None = None
    ) -> None:
        self.tripped: list[tuple[str, str]] = []
        self.gate: Gate = gate(max_order_quantity=largest)
        self.runaways = Runaways(
            settings or RunawaySettings(),
            pause=self.gate.pause,
            on_trip=lambda run, reason: self.tripped.append((run, reason)),
        )
        self.gate.on_denied = self.runaways.denied

    def submit(self, now_ns: int, quantity: str = "1") -> bool:
        """Send one order as the desk does; tell whether it left."""
        if isinstance(self.gate.check(buy(quantity), view(at=now_ns)), Refused):
            return False
        self.runaways.sent("r", "v:X", Side.BUY, now_ns)
        return True


def test_a_submit_loop_is_stopped_within_a_second() -> None:
    """R-62: one order each millisecond, for ever."""
    watched = Watched()

    sent = [now_ms for now_ms in range(5_000) if watched.submit(now_ms * MS)]

    assert len(sent) == 501
    assert sent[-1] < 1_000
    assert watched.tripped == [("r", "runaway: more than 500 orders within a second")]
    assert isinstance(watched.gate.check(sell("1"), view("1")), Approved)  # its way out stays open


def test_a_loop_of_refused_orders_is_stopped_within_a_second() -> None:
    """R-62."""
    watched = Watched(largest=Decimal("0.5"))

    for now_ms in range(0, 2_000, 10):
        assert not watched.submit(now_ms * MS)

    assert watched.tripped == [("r", "runaway: more than 20 refusals within a second")]


@pytest.mark.parametrize("answer_ms", [1, 20, 90])
def test_sending_again_after_each_rejection_is_stopped_within_a_second(answer_ms: int) -> None:
    """R-62: however slowly the venue answers."""
    watched = Watched(RunawaySettings(max_refusals_per_second=None))
    now_ms = 0
    while watched.submit(now_ms * MS) and now_ms < 60_000:
        now_ms += answer_ms
        watched.runaways.rejected("r", "v:X", Side.BUY, now_ms * MS)

    assert now_ms <= 1_000
    assert watched.tripped == [
        ("r", "runaway: 10 times in a row an order followed a rejection in v:X")
    ]


def test_rejections_of_a_venue_count_as_refusals_too() -> None:
    watched = Watched()
    for number in range(21):
        watched.runaways.rejected("r", f"v:{number}", Side.BUY, number)

    assert watched.tripped == [("r", "runaway: more than 20 refusals within a second")]


def test_an_accepted_order_ends_the_row_and_so_does_a_pause_of_a_second() -> None:
    settings = RunawaySettings(max_refusals_per_second=None, max_resends=2)
    watched = Watched(settings)
    runaways, line = watched.runaways, ("r", "v:X", Side.BUY)
    for start in range(0, 100 * SECOND, 10 * SECOND):
        runaways.rejected(*line, start)
        runaways.sent(*line, start + 1)
        runaways.accepted(*line)  # a row of one

        runaways.rejected(*line, start + 2)
        runaways.sent(*line, start + 3)
        runaways.rejected(*line, start + 4)
        runaways.sent(*line, start + 2 * SECOND)  # thought about it

        runaways.sent("r", "v:Y", Side.BUY, start + 3 * SECOND)
        runaways.accepted("nobody", "v:X", Side.BUY)

    assert watched.tripped == []


def test_a_second_order_after_one_rejection_ends_the_row() -> None:
    watched = Watched(RunawaySettings(max_refusals_per_second=None, max_resends=2))
    line = ("r", "v:X", Side.BUY)
    watched.runaways.rejected(*line, 0)
    watched.runaways.sent(*line, 1)
    watched.runaways.sent(*line, 2)
    watched.runaways.rejected(*line, 3)
    watched.runaways.sent(*line, 4)

    assert watched.tripped == []


def test_a_run_is_told_of_once_and_counted_again_after_a_reset() -> None:
    watched = Watched(RunawaySettings(max_refusals_per_second=1))
    assert watched.runaways.reason("r") == ""
    for now_ns in range(10):
        watched.runaways.denied("r", now_ns)
        watched.runaways.rejected("r", "v:X", Side.BUY, now_ns)
    assert len(watched.tripped) == 1
    assert watched.runaways.reason("r") == "runaway: more than 1 refusals within a second"
    assert watched.gate.is_paused("r")

    watched.runaways.reset("r")
    watched.gate.resume("r")
    assert watched.submit(20)
    watched.runaways.denied("r", 21)
    watched.runaways.denied("r", 22)
    assert len(watched.tripped) == 2


def test_each_run_is_counted_by_itself_and_a_rule_can_be_switched_off() -> None:
    off = RunawaySettings(
        max_orders_per_second=None, max_refusals_per_second=None, max_resends=None
    )
    watched = Watched(off)
    for now_ns in range(1_000):
        watched.runaways.rejected("r", "v:X", Side.BUY, now_ns)
        watched.runaways.sent("r", "v:X", Side.BUY, now_ns)
    assert watched.tripped == []

    both = Watched(RunawaySettings(max_refusals_per_second=5))
    for now_ns in range(5):
        both.runaways.denied("one", now_ns)
        both.runaways.denied("two", now_ns)
    assert both.tripped == []
