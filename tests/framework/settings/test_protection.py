"""Protection, allocation and calendars in a configuration file."""

from decimal import Decimal
from pathlib import Path

import pytest

from framework.model.calendars import CalendarSettings
from framework.model.protection import BasketRule, Distance, Level, PositionRule, Protection, Share
from framework.settings.loading import load
from tests.framework.settings.samples import error_of, write

D = Decimal
HEAD = """\
mode: paper
venues: {mock: {adapter: mock}}
accounts: {main: {venue: mock, currency: USD, balances: {USD: 1000}}}
strategies:
  - id: cross
    class: "a.b:C"
    account: main
"""


def test_rules_and_hours_are_typed_values(tmp_path: Path) -> None:
    text = """
    allocation: 5000
    metadata: {desk: a}
    protection:
      position:
        - {stop: {percent: 2}, target: {amount: 50.5}}
        - {instrument: "mock:X", stop: {price: 95}, trail: {points: 1}}
      basket: {stop: {percent: 1.5}}
      max_day_loss: 100
      square_off: 15:20
      square_off_minutes: 10
      timezone: Asia/Kolkata
      stale_after_s: 30
calendars:
  nse:
    timezone: Asia/Kolkata
    week: {mon-fri: ["09:15-15:30"]}
    holidays: [2026-01-26]
    special: {2026-11-08: ["18:00-19:15"]}
  us: {exchange: XNYS}
"""
    settings = load(write(tmp_path, HEAD + text))

    (strategy,) = settings.strategies
    assert strategy.allocation == 5000
    assert strategy.metadata == {"desk": "a"}
    assert strategy.protection == Protection(
        position=(
            PositionRule(stop=Level(percent=D(2)), target=Level(amount=D("50.5"))),
            PositionRule("mock:X", stop=Level(price=D(95)), trail=Distance(points=D(1))),
        ),
        basket=BasketRule(stop=Share(percent=D("1.5"))),
        max_day_loss=D(100),
        square_off="15:20",
        square_off_minutes=10,
        timezone="Asia/Kolkata",
        stale_after_s=30,
    )
    assert settings.calendars["us"] == CalendarSettings(exchange="XNYS")
    assert settings.calendars["nse"].special == {"2026-11-08": ["18:00-19:15"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("    allocation: 0", "strategies[0].allocation: must be above zero"),
        (
            "    protection: {basket: {stop: {percent: 1}}}",
            "strategies[0].protection: a percent of the allocation needs `allocation`",
        ),
        (
            "    protection: {position: [{stop: {percent: 1, points: 2}}]}",
            "strategies[0].protection.position[0].stop: needs exactly one of percent",
        ),
        (
            "    protection: {stop_loss: 5}",
            "strategies[0].protection.stop_loss: unknown key; known here: position, basket",
        ),
        (
            "    protection: {max_run_loss: .nan}",
            "is not a number",
        ),
        (
            "    protection: {timezone: Mars}",
            "strategies[0].protection: unknown time zone 'Mars'; use names such as",
        ),
        (
            "calendars: {nse: {week: {mon: ['9-5']}}}",
            "calendars.nse: '9' is not a time of day such as 09:15",
        ),
        ("calendars: {'a:b': {exchange: X}}", "calendars.a:b: the name does not fit"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, text: str, reason: str) -> None:
    """R-88."""
    assert reason in error_of(tmp_path, HEAD + text)
