"""Protection: which rule ends a run, once, and what it still knows after a restart."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.clock.calendars import Calendars
from framework.model.calendars import CalendarSettings
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket, Fee
from framework.model.protection import (
    ExitRun,
    Protection,
    ProtectionAction,
    ProtectionAlert,
    ProtectionState,
    RunRearmed,
)
from framework.model.runs import Execution, Run
from framework.orders.protection import EXIT_WAIT_NS, MOST_EXIT_ALERTS, ProtectionRules
from framework.orders.protection_rules import is_guarded
from framework.portfolio.ledger import Ledger
from tests.framework.clock.test_local_time import at

D = Decimal
S = 1_000_000_000
NSE = CalendarSettings(timezone="Asia/Kolkata", week={"mon-fri": ["09:15-15:30"]})
LATE = CalendarSettings(timezone="Asia/Kolkata", week={"mon-fri": ["09:00-23:30"]})
CALENDARS = Calendars({"nse": NSE, "late": LATE})
INFY = Instrument("k:INFY", currency="INR", calendar="nse")
FUT = Instrument(
    "k:FUT", currency="INR", kind=InstrumentKind.FUTURE, multiplier=D(10), calendar="late"
)
COIN = Instrument("b:COIN", base="COIN", currency="INR")
EURO = Instrument("b:EURO", currency="EUR")
TABLE = {instrument.id: instrument for instrument in (INFY, FUT, COIN, EURO)}
MORNING = at("2026-01-06 04:00")  # 09:30 in Kolkata, a Tuesday


class Watched:
    """A run under its rules, with prices, fills and time to set by hand."""

    def __init__(self, now_ns: int = MORNING, **rules: Any) -> None:
        self.protection = msgspec.convert(rules, Protection)
        self.run = Run(
            "r", "main", Execution.LIVE, allocation=D(10_000), protection=self.protection
        )
        self.ledger = Ledger(TABLE.__getitem__)
        self.prices: dict[str, Decimal | None] = {}
        self.busy: list[str] = []
        self.log: list[ProtectionState] = []
        self.now_ns = now_ns
        self.rules = self.new_rules()
        assert self.rules.start(now_ns) == []

    def new_rules(self) -> ProtectionRules:
        return ProtectionRules(
            self.run,
            ledger=self.ledger,
            mark=lambda name: self.prices.get(name),
            currency="INR",
            hours_of=lambda name: CALENDARS.hours_of(TABLE[name]),
            busy=lambda: self.busy,
            record=self.log.append,
        )

    def restart(self) -> list[ProtectionAction]:
        """Lose everything but what was recorded."""
        self.rules = self.new_rules()
        if self.log:
            packed = msgspec.msgpack.encode(self.log[-1])
            self.rules.restore(msgspec.msgpack.decode(packed, type=ProtectionState))
        return self.rules.start(self.now_ns)

    def trade(
        self,
        signed: str,
        price: str,
        instrument: Instrument = INFY,
        *,
        fees: tuple[Fee, ...] = (),
        bucket: str = "",
    ) -> list[ProtectionAction]:
        quantity = D(signed)
        self.prices.setdefault(instrument.id, D(price))
        self.ledger.book(
            self.ledger.holding("main", "r", instrument, Bucket(bucket)),
            is_buy=quantity > 0,
            quantity=abs(quantity),
            price=D(price),
            fees=fees,
        )
        return self.rules.on_fill(self.now_ns)

    def mark(self, price: str | None, instrument: Instrument = INFY) -> list[ProtectionAction]:
        self.prices[instrument.id] = None if price is None else D(price)
        return self.rules.on_mark(instrument.id, self.now_ns)

    def wait(self, seconds: float) -> list[ProtectionAction]:
        return self.at(self.now_ns + int(seconds * S))

    def at(self, now_ns: int) -> list[ProtectionAction]:
        self.now_ns = now_ns
        return self.rules.on_time(now_ns)

    def walk(self, *prices: str) -> str:
        """Return the first of these prices that ends the run, and the rule."""
        for price in prices:
            for action in self.mark(price):
                assert isinstance(action, ExitRun)
                return f"{price} {action.rule}"
        return ""


# --- one position ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "signed", "prices", "ended"),
    [
        ({"stop": {"percent": 2}}, "10", ("98.01", "98"), "98 position[0].stop"),
        ({"stop": {"percent": 2}}, "-10", ("101.99", "102"), "102 position[0].stop"),
        ({"stop": {"points": 3}}, "10", ("97.01", "97"), "97 position[0].stop"),
        ({"stop": {"amount": 45}}, "10", ("95.51", "95.5"), "95.5 position[0].stop"),
        ({"stop": {"amount": 45}}, "-10", ("104.49", "104.5"), "104.5 position[0].stop"),
        ({"target": {"percent": 4}}, "10", ("103.99", "104"), "104 position[0].target"),
        ({"target": {"points": 4}}, "-10", ("96.01", "96"), "96 position[0].target"),
        ({"target": {"amount": 40}}, "10", ("103.99", "104"), "104 position[0].target"),
        ({"instrument": "k:INFY", "stop": {"price": 97}}, "10", ("97.1", "97"),
         "97 position[0].stop"),
        ({"instrument": "k:INFY", "stop": {"price": 103}}, "-10", ("102", "103.5"),
         "103.5 position[0].stop"),
        ({"instrument": "k:INFY", "target": {"price": 103}}, "10", ("102", "103"),
         "103 position[0].target"),
        ({"instrument": "k:INFY", "target": {"price": 97}}, "-10", ("97.5", "96"),
         "96 position[0].target"),
        ({"instrument": "k:FUT", "stop": {"percent": 1}}, "10", ("50",), ""),
        ({"trail": {"points": 2}}, "10", ("105", "103.01", "103"), "103 position[0].trail"),
        ({"trail": {"points": 2}}, "-10", ("95", "96.99", "97"), "97 position[0].trail"),
        ({"trail": {"percent": 2}}, "10", ("200", "196.01", "196"), "196 position[0].trail"),
        ({"trail": {"amount": 20}}, "10", ("105", "103.01", "103"), "103 position[0].trail"),
        ({"trail": {"points": 2}, "trail_after": {"percent": 5}}, "10",
         ("104.9", "102", "105", "103.01", "103"), "103 position[0].trail"),
        ({"trail": {"points": 2}, "trail_after": {"points": 5}}, "-10",
         ("95.1", "98", "95", "97"), "97 position[0].trail"),
    ],
)  # fmt: skip
def test_a_position_ends_the_run_at_its_level(
    rule: dict[str, object], signed: str, prices: tuple[str, ...], ended: str
) -> None:
    watched = Watched(position=[rule])
    assert watched.trade(signed, "100") == []

    assert watched.walk(*prices) == ended


def test_levels_count_from_the_average_entry_of_what_is_held_now() -> None:
    watched = Watched(position=[{"stop": {"percent": 2}}])
    watched.trade("10", "100")
    watched.mark("110")
    watched.trade("10", "110")

    assert watched.walk("102.91", "102.9") == "102.9 position[0].stop"


def test_the_first_matching_rule_ends_the_run_exactly_once() -> None:
    watched = Watched(
        position=[{"stop": {"points": 5}}, {"stop": {"points": 1}}],
        max_position_loss=1,
        max_run_loss=1,
    )
    watched.trade("10", "100")

    (action,) = watched.mark("90")

    assert action == ExitRun(
        "r", "position[0].stop", "position[0].stop: 10 k:INFY at 90", MORNING, None
    )
    assert watched.mark("80") == watched.trade("-1", "80") == watched.wait(1) == []


def test_the_loss_of_any_position_is_bounded() -> None:
    watched = Watched(max_position_loss=500)
    watched.trade("10", "100")
    watched.trade("-1", "100", FUT)

    assert watched.mark("149.9", FUT) == []
    (action,) = watched.mark("150", FUT)

    assert isinstance(action, ExitRun)
    assert action.rule == "max_position_loss"


def test_buckets_are_positions_of_their_own() -> None:
    watched = Watched(position=[{"trail": {"points": 2}}])
    watched.trade("10", "100", bucket="day")
    watched.mark("110")
    watched.trade("-10", "110", bucket="carry")

    assert watched.walk("109.5", "111", "109.1", "109") == "109 position[0].trail"


def test_a_position_that_ended_or_turned_begins_its_trail_anew() -> None:
    watched = Watched(position=[{"trail": {"points": 2}}])
    watched.trade("10", "100")
    watched.mark("110")
    watched.trade("-20", "110")  # short from here

    assert watched.walk("109", "110.9") == ""
    watched.trade("10", "110")
    assert [trail for trail in watched.rules.state.trails if trail.is_long] == []
    watched.trade("10", "110")
    assert watched.walk("109", "108.5") == "108.5 position[0].trail"


def test_a_price_of_nothing_held_is_not_judged() -> None:
    watched = Watched(position=[{"stop": {"points": 1}}])

    assert watched.mark("50") == []
    assert watched.log == []


# --- all positions together --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basket", "prices", "ended"),
    [
        ({"stop": {"amount": 90}}, ("91.1", "91"), "91 basket.stop"),
        ({"stop": {"percent": 1}}, ("90.1", "90"), "90 basket.stop"),
        ({"target": {"amount": 50}}, ("104.9", "105"), "105 basket.target"),
        ({"target": {"percent": "0.5"}}, ("104.9", "105"), "105 basket.target"),
        ({"trail": {"amount": 20}}, ("110", "108.1", "108"), "108 basket.trail"),
        (
            {"trail": {"amount": 20}, "trail_after": {"amount": 50}},
            ("104", "101", "105", "103.1", "103"),
            "103 basket.trail",
        ),
    ],
)
def test_a_basket_ends_by_its_profit(
    basket: dict[str, object], prices: tuple[str, ...], ended: str
) -> None:
    watched = Watched(basket=basket)
    watched.trade("10", "100")

    assert watched.walk(*prices) == ended


def test_a_basket_counts_all_positions_what_was_closed_on_the_way_and_fees() -> None:
    watched = Watched(basket={"stop": {"amount": 100}})
    watched.trade("10", "100", fees=(Fee("INR", D(5)),))
    watched.trade("1", "100", FUT)
    watched.mark("98")  # −20
    watched.trade("-5", "98", fees=(Fee("INR", D(5)),))  # −10 of them realised, and 10 of fees
    assert watched.mark("93.1", FUT) == []  # −69

    (action,) = watched.mark("93", FUT)

    assert isinstance(action, ExitRun)
    assert action.reason == "basket.stop: the basket's profit is -100 INR"


def test_each_basket_counts_from_where_the_run_was_last_flat() -> None:
    watched = Watched(basket={"stop": {"amount": 100}, "trail": {"amount": 500}})
    for _ in range(3):
        watched.trade("10", "100")
        watched.mark("94")
        watched.trade("-10", "94")  # −60 each time
        assert watched.rules.state.best is None
        watched.prices[INFY.id] = D(100)
    watched.trade("10", "100")

    assert watched.walk("90.1", "90") == "90 basket.stop"


def test_the_loss_of_a_run_counts_from_its_opening() -> None:
    watched = Watched(max_run_loss=100)
    for price in ("94", "96.1"):
        watched.trade("10", "100")
        assert watched.mark(price) == []
        watched.trade("-10", price)
        watched.prices[INFY.id] = D(100)
    (action,) = watched.trade("1", "100", fees=(Fee("INR", D(1)),))

    assert isinstance(action, ExitRun)
    assert action.reason == "max_run_loss: 100.0 INR lost"
    watched.rules.rearm(watched.now_ns)
    assert watched.mark("100") != []  # a limit that is broken stays broken


def test_the_loss_of_a_day_begins_at_local_midnight_and_ends_with_the_day() -> None:
    watched = Watched(max_day_loss=100, timezone="Asia/Kolkata")
    watched.trade("10", "100")
    watched.mark("95")  # −50
    midnight_ns = at("2026-01-06 18:30")
    assert watched.rules.next_time_ns(watched.now_ns) == midnight_ns
    assert watched.at(midnight_ns) == []

    assert watched.mark("85.1") == []  # −149 since yesterday, −99 since midnight
    (action,) = watched.mark("85")

    end_ns = at("2026-01-07 18:30")
    assert action == ExitRun(
        "r", "max_day_loss", "max_day_loss: 100 INR lost since midnight", midnight_ns, end_ns
    )
    watched.trade("-10", "85")
    assert watched.at(end_ns - 1) == []
    assert watched.at(end_ns) == [RunRearmed("r", "max_day_loss", end_ns)]
    watched.prices[INFY.id] = D(85)
    assert watched.trade("10", "85") == []


def test_a_realised_loss_of_the_day_ends_a_flat_run_too() -> None:
    watched = Watched(max_day_loss=100)
    watched.at(MORNING)
    watched.trade("10", "100")
    (action,) = watched.trade("-10", "90")

    assert isinstance(action, ExitRun)
    assert action.rule == "max_day_loss"


# --- the clock ---------------------------------------------------------------------------------


def test_a_silent_strategy_ends_its_run() -> None:
    watched = Watched(stale_after_s=30)
    watched.wait(20)
    watched.rules.heartbeat(watched.now_ns)
    assert watched.rules.next_time_ns(watched.now_ns) == watched.now_ns + 30 * S
    assert watched.wait(29.9) == []

    (action,) = watched.wait(0.1)

    assert isinstance(action, ExitRun)
    assert action.reason == "no sign of life from the strategy for 30 s"
    assert action.until_ns is None
    watched.rules.rearm(watched.now_ns)
    assert watched.wait(29) == []


def test_a_square_off_comes_once_a_day_and_ends_at_midnight() -> None:
    """R-58."""
    watched = Watched(square_off="15:20", timezone="Asia/Kolkata")
    days: list[tuple[str, int]] = []
    now_ns: int | None = watched.now_ns
    while (now_ns := watched.rules.next_time_ns(watched.now_ns)) is not None and len(days) < 8:
        days += [(type(action).__name__, now_ns) for action in watched.at(now_ns)]

    assert days == [
        pair
        for day in (6, 7, 8, 9)
        for pair in (
            ("ExitRun", at(f"2026-01-0{day} 09:50")),
            ("RunRearmed", at(f"2026-01-0{day} 18:30")),
        )
    ]


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-03-08 05:00", ["2026-03-08 07:00", "2026-03-09 06:30"]),  # 02:30 is not there
        ("2026-11-01 04:00", ["2026-11-01 07:30", "2026-11-02 07:30"]),
    ],
)
def test_a_square_off_over_a_clock_change_comes_once(start: str, due: list[str]) -> None:
    """R-58."""
    midnight_ns = at(start)
    watched = Watched(midnight_ns, square_off="02:30", timezone="America/New_York")
    exits: list[int] = []
    while (now_ns := watched.rules.next_time_ns(watched.now_ns)) is not None and len(exits) < 2:
        exits += [now_ns for action in watched.at(now_ns) if isinstance(action, ExitRun)]

    assert exits == [at(text) for text in due]


def test_a_run_that_starts_after_its_square_off_waits_for_the_next_day() -> None:
    watched = Watched(square_off="15:20", timezone="Asia/Kolkata")
    watched.now_ns = at("2026-01-06 10:30")

    (action,) = watched.restart()

    assert isinstance(action, ExitRun)
    assert action.until_ns == at("2026-01-06 18:30")


def test_a_person_who_resumes_after_the_square_off_is_not_overruled_that_day() -> None:
    watched = Watched(square_off="15:20", timezone="Asia/Kolkata")
    assert len(watched.at(at("2026-01-06 09:50"))) == 1
    watched.rules.rearm(at("2026-01-06 10:00"))

    assert watched.at(at("2026-01-06 12:00")) == []
    assert watched.at(at("2026-01-07 09:49")) == []
    assert len(watched.at(at("2026-01-07 09:50"))) == 1


def test_a_square_off_before_the_close_of_what_is_held() -> None:
    watched = Watched(square_off_minutes=10)
    assert watched.rules.next_time_ns(watched.now_ns) is None
    watched.trade("1", "100", FUT)
    assert watched.rules.next_time_ns(watched.now_ns) == at("2026-01-06 17:50")
    watched.busy = [INFY.id]  # an order that may still fill
    assert watched.rules.next_time_ns(watched.now_ns) == at("2026-01-06 09:50")
    assert watched.at(at("2026-01-06 09:50") - 1) == []

    (action,) = watched.at(at("2026-01-06 09:50"))

    assert action == ExitRun(
        "r",
        "square_off_minutes",
        "square-off 10 minutes before the close of k:INFY",
        at("2026-01-06 09:50"),
        at("2026-01-06 10:00"),
    )
    watched.busy = []
    watched.trade("-1", "100", FUT)
    assert watched.at(at("2026-01-06 10:00")) == [
        RunRearmed("r", "square_off_minutes", at("2026-01-06 10:00"))
    ]


def test_a_fill_within_the_last_minutes_is_squared_off_at_once() -> None:
    watched = Watched(square_off_minutes=10)
    watched.at(at("2026-01-06 09:55"))

    (action,) = watched.trade("1", "100")

    assert isinstance(action, ExitRun)


def test_what_never_closes_is_not_squared_off_before_a_close() -> None:
    watched = Watched(square_off_minutes=10)
    watched.trade("1", "100", COIN)

    assert watched.rules.next_time_ns(watched.now_ns) is None
    assert watched.at(at("2026-01-06 23:55")) == []


# --- what cannot be judged ---------------------------------------------------------------------


def test_a_position_without_a_price_is_not_judged_by_a_guess_and_somebody_is_told() -> None:
    """R-61."""
    watched = Watched(
        position=[{"stop": {"points": 1}}], basket={"stop": {"amount": 100}}, price_wait_s=5
    )
    watched.trade("10", "100")
    watched.mark(None)
    assert watched.rules.next_time_ns(watched.now_ns) == watched.now_ns + 5 * S
    assert watched.wait(4.9) == []

    assert watched.wait(0.1) == [ProtectionAlert("r", "no_price", INFY.id, watched.now_ns)]
    assert watched.wait(100) == []  # told once
    assert watched.rules.next_time_ns(watched.now_ns) is None
    assert watched.walk("99.5", "99") == "99 position[0].stop"


def test_a_price_that_comes_back_ends_the_spell() -> None:
    watched = Watched(position=[{"stop": {"points": 50}}], price_wait_s=5)
    watched.trade("10", "100")
    for _ in range(2):
        watched.mark(None)
        assert [type(action) for action in watched.wait(5)] == [ProtectionAlert]
        watched.mark("100")
    watched.mark(None)
    watched.trade("-10", "100")

    assert watched.wait(60) == []


def test_one_price_that_is_missing_stops_the_sum_and_not_the_other_positions() -> None:
    watched = Watched(basket={"stop": {"amount": 10}}, max_position_loss=100)
    watched.trade("10", "100")
    watched.trade("1", "100", FUT)
    watched.mark(None, FUT)

    assert watched.walk("95", "90") == "90 max_position_loss"


def test_profit_in_another_currency_is_told_of_and_not_summed() -> None:
    watched = Watched(max_run_loss=10)
    watched.trade("1", "100", EURO)
    assert watched.mark("1", EURO) == []

    told = [ProtectionAlert("r", "other_currency", EURO.id, watched.now_ns)]
    assert watched.at(watched.now_ns) == told
    assert watched.wait(60) == []
    watched.trade("-1", "50", EURO)  # the loss remains
    assert watched.trade("10", "100") == []
    assert watched.mark("1") == []


def test_a_percent_of_no_entry_price_is_told_of() -> None:
    """A base asset that was transferred in has no cost."""
    watched = Watched(position=[{"target": {"percent": 1}}])
    holding = watched.ledger.holding("main", "r", COIN)
    holding.quantity = D(2)
    assert watched.mark("100", COIN) == []

    told = [ProtectionAlert("r", "no_entry_price", COIN.id, watched.now_ns)]
    assert watched.at(watched.now_ns) == told
    assert watched.wait(1) == []
    assert watched.trade("1", "99", COIN) != []  # 300 for what cost 99


def test_rules_that_need_no_price_say_nothing_of_one() -> None:
    watched = Watched(stale_after_s=1000)
    watched.trade("10", "100")
    watched.mark(None)

    assert watched.wait(500) == []


# --- exits and restarts ------------------------------------------------------------------------


def test_an_exit_that_does_not_get_the_run_flat_raises_alerts() -> None:
    watched = Watched(position=[{"stop": {"points": 1}}])
    watched.trade("10", "100")
    watched.mark("99")
    told = []
    while (now_ns := watched.rules.next_time_ns(watched.now_ns)) is not None:
        told += [(action, now_ns) for action in watched.at(now_ns)]

    assert told == [
        (ProtectionAlert("r", "exit_incomplete", INFY.id, due_ns), due_ns)
        for due_ns in (MORNING + EXIT_WAIT_NS * count for count in range(1, MOST_EXIT_ALERTS + 1))
    ]


def test_a_pause_does_not_end_while_something_is_held() -> None:
    watched = Watched(square_off="15:20", timezone="Asia/Kolkata")
    watched.trade("10", "100")
    assert len(watched.at(at("2026-01-06 09:50"))) == 1

    later = watched.at(at("2026-01-06 18:30"))
    assert later == [ProtectionAlert("r", "exit_incomplete", INFY.id, at("2026-01-06 18:30"))]
    watched.trade("-10", "100")
    assert watched.wait(1) == [RunRearmed("r", "square_off", watched.now_ns)]


def test_an_exit_goes_on_after_a_crash() -> None:
    watched = Watched(position=[{"stop": {"points": 1}}])
    watched.trade("10", "100")
    (action,) = watched.mark("99")
    watched.now_ns += 60 * S

    (again,) = watched.restart()

    assert isinstance(action, ExitRun)
    assert again == msgspec.structs.replace(action, time_ns=watched.now_ns)
    assert watched.mark("98") == []


def test_an_exit_whose_pause_is_over_is_not_repeated() -> None:
    watched = Watched(square_off="15:20", timezone="Asia/Kolkata")
    watched.at(at("2026-01-06 09:50"))
    watched.now_ns = at("2026-01-06 20:00")

    assert watched.restart() == [RunRearmed("r", "square_off", watched.now_ns)]


def test_a_trail_goes_on_from_the_recorded_extreme() -> None:
    watched = Watched(position=[{"trail": {"points": 2}}])
    watched.trade("10", "100")
    watched.mark("110")
    watched.restart()

    assert watched.walk("109", "108") == "108 position[0].trail"


def test_a_basket_and_a_day_go_on_from_where_they_were() -> None:
    watched = Watched(basket={"trail": {"amount": 30}}, max_day_loss=100)
    watched.at(MORNING)
    watched.trade("10", "100")
    watched.trade("-10", "95")  # −50 today
    watched.prices[INFY.id] = D(100)
    watched.trade("10", "100")
    watched.mark("110")
    watched.restart()

    assert watched.walk("109", "107.1", "107") == "107 basket.trail"
    watched.rules.rearm(watched.now_ns)
    assert watched.rules.state.day_base == 20


def test_a_basket_rule_that_is_new_counts_from_the_start() -> None:
    watched = Watched(max_run_loss=1_000)
    watched.trade("10", "100")
    watched.mark("80")  # −200
    basket = msgspec.convert({"basket": {"stop": {"amount": 50}}}, Protection)
    watched.run = msgspec.structs.replace(watched.run, protection=basket)
    assert watched.restart() == []

    assert watched.walk("75.1", "75") == "75 basket.stop"


def test_trails_of_rules_that_are_gone_are_left_behind() -> None:
    watched = Watched(position=[{"trail": {"points": 2}}])
    watched.trade("10", "100")
    watched.mark("110")
    other = msgspec.convert({"position": [{"stop": {"points": 50}}]}, Protection)
    watched.run = msgspec.structs.replace(watched.run, protection=other)

    assert watched.restart() == []
    assert watched.rules.state.trails == ()


PRICES = st.lists(st.integers(8_000, 12_000).map(lambda cents: D(cents) / 100), max_size=40)


@given(PRICES, st.sampled_from(["10", "-10"]), st.lists(st.booleans(), max_size=40))
def test_restarts_between_prices_change_nothing(
    prices: list[Decimal], signed: str, restarts: list[bool]
) -> None:
    """Stopped and read again from its record after any price, a run ends at the same one."""
    ends = []
    for crashes in (False, True):
        watched = Watched(
            position=[{"trail": {"percent": 3}, "trail_after": {"points": 2}}],
            basket={"trail": {"amount": 90}, "stop": {"percent": 2}},
            max_day_loss=150,
        )
        watched.trade(signed, "100")
        found = ""
        for index, price in enumerate(prices):
            found = found or watched.walk(str(price))
            if crashes and not found and index < len(restarts) and restarts[index]:
                assert watched.restart() == []
        ends.append((found, watched.rules.state))

    assert ends[0][0] == ends[1][0]
    if ends[0][0]:
        assert ends[0][1].fired == ends[1][1].fired


@given(PRICES, st.sampled_from([1, -1]))
def test_a_trail_is_never_further_from_the_best_than_its_distance_and_a_step(
    prices: list[Decimal], side: int
) -> None:
    """The oracle follows every price; the rule follows in twentieths of its distance."""
    watched = Watched(position=[{"trail": {"points": 5}}])
    watched.trade(str(10 * side), "100")
    best = D(100)
    for price in prices:
        ended = watched.walk(str(price))
        best = max(best * side, price * side) * side
        back = (best - price) * side
        if back >= 5 + D("0.25"):
            assert ended
        if back < 5:
            assert not ended
        if ended:
            break
    steps = [state.trails[0].extreme * side for state in watched.log if state.trails]
    assert steps == sorted(steps)
    assert all(later - sooner >= D("0.25") for sooner, later in pairwise(steps))


# --- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"position": [{"stop": {}}]}, "needs exactly one of percent, points, amount, price"),
        ({"position": [{"stop": {"percent": 1, "points": 1}}]}, "needs exactly one of"),
        ({"position": [{"stop": {"percent": 0}}]}, "percent must be above zero, and is 0"),
        ({"position": [{"stop": {"amount": "NaN"}}]}, "amount must be above zero"),
        ({"position": [{"stop": {"price": 5}}]}, "a `price` needs the `instrument`"),
        ({"position": [{"trail": {"price": 5}}]}, "unknown field `price`"),
        ({"position": [{"trail": {"percent": 100}}]}, "would never end anything"),
        ({"position": [{}]}, "needs a stop, a target or a trail"),
        ({"position": [{"stop": {"points": 1}, "trail_after": {"points": 1}}]}, "needs a `trail`"),
        ({"basket": {"stop": {"points": 1}}}, "unknown field `points`"),
        ({"basket": {}}, "needs a stop, a target or a trail"),
        ({"max_day_loss": -1}, "max_day_loss must be above zero, and is -1"),
        ({"square_off": "3pm"}, "'3pm' is not a time of day such as 09:15"),
        ({"square_off": "24:00"}, "is the next day's 00:00"),
        ({"square_off_minutes": 0}, "Expected `int` >= 1"),
        ({"timezone": "Nowhere"}, "unknown time zone 'Nowhere'"),
        ({"stale_after_s": 0}, "Expected `float` > 0"),
        ({"stop": {"percent": 2}}, "unknown field `stop`"),
    ],
)
def test_what_no_rule_can_be_is_refused_with_the_reason(
    section: dict[str, object], reason: str
) -> None:
    """R-88."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(section, Protection)


@pytest.mark.parametrize(
    "rules",
    [
        {"position": [{"stop": {"percent": 1}}]},
        {"basket": {"stop": {"amount": 1}}},
        {"max_position_loss": 1},
        {"max_day_loss": 1},
        {"max_run_loss": 1},
        {"stale_after_s": 1},
        {"square_off": "15:20"},
        {"square_off_minutes": 1},
    ],
)
def test_a_run_with_any_rule_is_guarded(rules: dict[str, object]) -> None:
    assert is_guarded(msgspec.convert(rules, Protection))
    assert not is_guarded(Protection())


def test_a_share_of_the_allocation_is_asked_for_by_each_part_of_the_basket() -> None:
    for part in ("stop", "target", "trail"):
        percent = msgspec.convert({"basket": {part: {"percent": 1}}}, Protection)
        amount = msgspec.convert({"basket": {part: {"amount": 1}}}, Protection)
        assert (percent.needs_allocation, amount.needs_allocation) == (True, False)
