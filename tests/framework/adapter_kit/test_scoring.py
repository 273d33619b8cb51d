"""The score: what held, what did not and why, what was not played."""

import pytest

from adapters.binance import build
from adapters.binance.simulated.rig import BinanceRig
from framework.adapter_kit import scoring
from framework.adapter_kit.scoring import AREAS, Verdict, score
from framework.adapter_kit.stage import CheckFailed, CheckSkipped, Stage


async def holds(stage: Stage) -> None:
    """This holds.

    More about it.
    """
    await stage.pass_time(0.1)


async def fails(stage: Stage) -> None:
    """This does not."""
    raise CheckFailed("seen: nothing")


async def breaks(stage: Stage) -> None:
    """Nor does this."""
    raise KeyError("depth")


async def skips(stage: Stage) -> None:
    """This cannot be known."""
    raise CheckSkipped("no such fault")


@pytest.fixture(autouse=True)
def areas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small areas."""
    monkeypatch.setattr(scoring, "AREAS", {"one": (holds, fails), "two": (breaks, skips)})


def test_each_check_gets_a_verdict_with_its_promise() -> None:
    assert score(build, BinanceRig, areas=["one", "two"]) == [
        Verdict("one", "holds", "This holds."),
        Verdict("one", "fails", "This does not.", failure="seen: nothing"),
        Verdict("two", "breaks", "Nor does this.", failure="KeyError: 'depth'"),
        Verdict("two", "skips", "This cannot be known.", skipped="no such fault"),
    ]


def test_only_the_areas_asked_for_are_played() -> None:
    assert [verdict.check for verdict in score(build, BinanceRig, areas=["two"])] == [
        "breaks",
        "skips",
    ]


def test_the_seed_is_the_rig_s_and_the_loop_s() -> None:
    seeds: list[tuple[int, int]] = []

    class Seen(BinanceRig):
        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            seeds.append((seed, self._loop.seed))

    score(build, Seen, areas=["one"], seed=7)

    assert seeds == [(7, 7), (7, 7)]


def test_every_check_says_what_it_promises_in_a_line_of_its_own() -> None:
    for checks in AREAS.values():
        names = [check.__name__ for check in checks]
        assert len(set(names)) == len(names)
        for check in checks:
            assert (check.__doc__ or "").splitlines()[0].endswith("."), check.__name__
