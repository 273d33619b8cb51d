"""A run's protection rules end to end: the first that matches ends it, once, over restarts too."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework import OrderStatus
from framework.model.calendars import CalendarSettings
from framework.model.commands import SubmitOrder
from framework.model.market_data import Quote
from framework.model.protection import (
    BasketRule,
    Distance,
    Level,
    PositionRule,
    Protection,
    ProtectionState,
    Share,
)
from framework.model.records import AlertRaised
from framework.model.runs import RunState
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import ErrorPolicy, InstrumentSettings
from tests.scenarios.stage import BOTH, Actor, make, perform, staged, states
from tests.scripted_venue import (
    BTC,
    ETH,
    MINUTE_NS,
    SECOND_NS,
    START_NS,
    entries,
    position_of,
    quote,
)

D = Decimal
SESSION = "x:NYSE"
OFFICE = {"office": CalendarSettings(week={"mon-sun": ["09:00-17:00"]})}
OFFICE_VENUE = {"instruments": [InstrumentSettings(symbol="NYSE", calendar="office")]}
both_modes = pytest.mark.parametrize("mode", BOTH)
DAY_START_NS = START_NS - START_NS % (24 * 60 * MINUTE_NS)
FALL = [quote(0, 100, 101), quote(1, 95, 96), quote(2, 90, 91), quote(3, 90, 91), quote(4, 90, 91)]
RISE = [quote(0, 100, 101), quote(1, 110, 111), quote(2, 120, 121), quote(3, 120, 121)]
TURN = [quote(0, 100, 101), quote(1, 120, 121), quote(2, 110, 111), quote(3, 110, 111)]


def guarded(**rules: Any) -> dict[str, Any]:
    """Return the fields of a run under these rules."""
    return {"protection": Protection(**rules), "allocation": D(1000)}


def fired(runtime: Runtime) -> list[str]:
    """Return the rules that fired, in order."""
    records = entries(runtime, ProtectionState)
    rules = ["", *(record.fired for record in records)]
    return [now for before, now in pairwise(rules) if now and before != now]


def at(hour: float, bid: float, ask: float) -> Quote:
    """Return a quote of the office instrument at a UTC hour of the day after the start."""
    time_ns = DAY_START_NS + round((24 + hour) * 60 * MINUTE_NS)
    return Quote(SESSION, time_ns, time_ns, bid, ask, 1000.0, 1000.0)


@both_modes
@pytest.mark.parametrize(
    ("rules", "market", "rule"),
    [
        ({"position": (PositionRule(stop=Level(percent=D(5))),)}, FALL, "position[0].stop"),
        ({"position": (PositionRule(target=Level(points=D(5))),)}, RISE, "position[0].target"),
        ({"position": (PositionRule(trail=Distance(points=D(5))),)}, TURN, "position[0].trail"),
        ({"max_position_loss": D(8)}, FALL, "max_position_loss"),
        ({"basket": BasketRule(stop=Share(amount=D(8)))}, FALL, "basket.stop"),
        ({"basket": BasketRule(target=Share(percent=D(1)))}, RISE, "basket.target"),
        ({"basket": BasketRule(trail=Share(amount=D(5)))}, TURN, "basket.trail"),
        ({"max_day_loss": D(8)}, FALL, "max_day_loss"),
        ({"max_run_loss": D(8)}, FALL, "max_run_loss"),
    ],
)
def test_the_first_rule_that_matches_ends_the_run_once(
    mode: Mode, rules: dict[str, Any], market: list[Quote], rule: str
) -> None:
    plan = {
        1: make("entry", "buy", BTC, 1, stop_loss="50%"),
        4: make("again", "buy", BTC, 1),
    }
    late = quote(5, 90, 91)

    runtime = perform(staged(plan, [*market, late], mode, run=guarded(**rules)))

    assert position_of(runtime) == 0
    assert fired(runtime) == [rule]
    alerts = [alert for alert in entries(runtime, AlertRaised) if alert.name == "run_exited"]
    assert [alert.level for alert in alerts] == ["critical"]
    assert rule in alerts[0].message
    assert runtime.system.book.get("run").state is RunState.PAUSED
    (again,) = [order for order in states(runtime) if order.status is OrderStatus.DENIED]
    assert f"paused: {rule}" in again.reason
    assert not [order for order in states(runtime) if not order.is_closed]


def test_a_square_off_before_the_close_lasts_until_the_close() -> None:
    rules = guarded(square_off_minutes=30)
    plan = {
        1: make("entry", "buy", SESSION, 1),
        3: make("late", "buy", SESSION, 1),
        4: make("next", "buy", SESSION, 1),
    }
    market = [at(16, 10, 11), at(16.4, 10, 11), at(16.6, 10, 11), at(33.1, 10, 11), at(34, 10, 11)]

    runtime = perform(
        staged(plan, market, run=rules, calendars=OFFICE, venue=OFFICE_VENUE, watched=(SESSION,))
    )

    sent = entries(runtime, SubmitOrder)
    assert [command.intent.reduce_only for command in sent] == [False, True, False]
    assert sent[1].time_ns == DAY_START_NS + round(40.5 * 60 * MINUTE_NS)
    assert position_of(runtime, instrument=SESSION) == 1
    assert runtime.system.book.get("run").state is RunState.ACTIVE


def test_a_square_off_by_the_clock_ends_with_the_day() -> None:
    rules = guarded(square_off="22:16", timezone="UTC")  # the market begins at 22:14
    plan = {1: make("entry", "buy", BTC, 1), 3: make("late", "buy", BTC, 1)}
    market = [quote(0, 100, 101), quote(60, 100, 101), quote(130, 100, 101)]

    runtime = perform(staged(plan, [*market, quote(2 * 3600, 100, 101)], run=rules))

    assert fired(runtime) == ["square_off"]
    assert position_of(runtime) == 0
    assert states(runtime)[-1].status is OrderStatus.DENIED
    assert runtime.system.book.get("run").state is RunState.ACTIVE  # midnight has passed


# -- the strategy's signs of life


class Hanging(Actor):
    """Waits for ever in the handler of its second quote."""

    async def on_quote(self, quote: Any) -> None:  # type: ignore[override]
        self.count += 1
        if self.count == 1:
            self.buy(BTC, 1)
        if self.count == 2:
            await self.sleep(1_000_000)


@both_modes
def test_a_strategy_that_hangs_is_taken_out(mode: Mode) -> None:
    market = [quote(second, 100, 101) for second in range(0, 60, 2)]

    runtime = perform(staged(Hanging, market, mode, run=guarded(stale_after_s=10.0)))

    assert fired(runtime) == ["stale_after_s"]
    assert position_of(runtime) == 0
    (exit_,) = [one for one in entries(runtime, SubmitOrder) if one.intent.reduce_only]
    silent_s = (exit_.time_ns - START_NS) / SECOND_NS - 2
    assert 10 <= silent_s <= 15  # looked at each quarter


@both_modes
def test_a_quiet_market_is_no_silent_strategy(mode: Mode) -> None:
    plan = {1: make("entry", "buy", BTC, 1)}
    market = [quote(0, 100, 101), quote(500, 100, 101)]

    runtime = perform(staged(plan, market, mode, run=guarded(stale_after_s=5.0)))

    assert fired(runtime) == []
    assert position_of(runtime) == 1


@both_modes
def test_a_halted_strategy_shows_no_life(mode: Mode) -> None:
    def fail(strategy: Any) -> None:
        raise RuntimeError("a bug")

    plan = {1: make("entry", "buy", BTC, 1), 2: fail}
    market = [quote(second, 100, 101) for second in range(30)]
    run = {**guarded(stale_after_s=10.0), "on_error": ErrorPolicy.HALT}

    runtime = perform(staged(plan, market, mode, run=run))

    assert fired(runtime) == ["stale_after_s"]
    assert position_of(runtime) == 0


# -- over restarts


def session(journal: Path, number: int, plan: Any, market: list[Quote], **rules: Any) -> Runtime:
    """Play one session of a run under rules, an hour after the one before."""
    shift_ns = number * 60 * MINUTE_NS
    moved = [
        msgspec.structs.replace(
            event, time_ns=event.time_ns + shift_ns, received_ns=event.received_ns + shift_ns
        )
        for event in market
    ]
    chosen = staged(plan, moved, Mode.PAPER, journal=journal, run=guarded(**rules))
    return perform(chosen, start_ns=START_NS + shift_ns)


def test_a_run_that_was_ended_stays_so_after_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    rules = {"max_position_loss": D(8)}
    first = session(journal, 0, {1: make("entry", "buy", BTC, 1)}, FALL, **rules)
    second = session(journal, 1, {1: make("again", "buy", BTC, 1)}, RISE, **rules)

    assert position_of(first) == position_of(second) == 0
    (again,) = states(second)
    assert again.status is OrderStatus.DENIED
    assert second.system.book.get("run").state is RunState.PAUSED


def test_a_trail_and_a_basket_go_on_from_where_they_were(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    rules = {
        "position": (PositionRule(instrument=ETH, trail=Distance(points=D(1))),),
        "basket": BasketRule(trail=Share(amount=D(15))),
    }
    first = session(journal, 0, {1: make("entry", "buy", BTC, 1)}, RISE, **rules)
    assert position_of(first) == 1

    second = session(journal, 1, {}, [quote(0, 104, 105), quote(1, 104, 105)], **rules)

    assert position_of(second) == 0
    assert "basket.trail" in second.system.book.get("run").reason


def test_an_exit_that_a_crash_cut_short_is_finished(tmp_path: Path) -> None:
    """The market has gone before the closing order fills; the next start still gets it flat."""
    journal = tmp_path / "paper.db"
    rules = {"max_position_loss": D(8)}
    gone = [
        *FALL[:1],
        *(msgspec.structs.replace(event, bid_size=0.001) for event in FALL[1:]),
    ]
    first = session(journal, 0, {1: make("entry", "buy", BTC, 1)}, gone, **rules)
    second = session(journal, 1, {}, FALL[2:], **rules)

    assert position_of(first) == 1
    assert position_of(second) == 0
    assert second.system.book.get("run").state is RunState.PAUSED
