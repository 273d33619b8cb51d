"""What every adapter promises, played against its simulated venue on virtual time."""

from typing import NamedTuple

import pytest

from framework.adapter_kit.finding import find_rig
from framework.adapter_kit.scoring import AREAS, Check, play
from framework.adapter_kit.stage import CheckSkipped
from framework.runtime.adapters import find_adapter

ADAPTERS = ("kalshi", "binance", "tektii")


class Case(NamedTuple):
    """One check of one adapter."""

    adapter: str
    area: str
    check: Check

    def __str__(self) -> str:
        return f"{self.adapter}-{self.area}-{self.check.__name__}"


CASES = [
    Case(adapter, area, check)
    for adapter in ADAPTERS
    for area, checks in AREAS.items()
    for check in checks
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_adapter_keeps_its_promise(case: Case) -> None:
    """R-20, R-22, R-24, R-26, R-40 to R-45, R-68, F-01, F-17: each check names what it is about."""
    build = find_adapter(case.adapter, key="adapter")
    try:
        play(case.check, build, find_rig(case.adapter), seed=7)
    except CheckSkipped as reason:
        pytest.skip(str(reason))
