"""R-02: an exception at every journal write, commit, publish and send, and everything comes back.

A world is played once to count its moments, then once more for each of them: the trader dies there,
its log keeps what was durable and any part of the rest (R-04), the next one starts on it, and once
the broker is calm both must agree to the last digit. Here each seed dies at every third moment, the
next seed at the one after; `make soak` plays every moment of more seeds.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.broker.script import CALM, STORM, Script
from tests.crash.trading import BracketTrader, ExitMover
from tests.crash.world import Outcome, play

SEEDS = int(os.environ.get("HEADRACE_CRASH_SEEDS", "8"))
STEP = int(os.environ.get("HEADRACE_CRASH_STEP", "3"))  # 1: each moment; else every so many-th
FEWEST_MOMENTS = 200  # of a seed; 8 seeds and their recoveries make some 800 pairs with every third

SCRIPTS = {
    "calm": CALM,
    "storm": STORM,
    "mute": Script(lose_request=0.15, lose_answer=0.15, lose_push=0.15),
    "parts": Script(partial=0.8, late=0.5, cancel_race=0.5, accept_last=0.3, repeat_push=0.3),
    "torn": Script(disconnect=0.02, restart=0.01, down_ms=200, delay_ms=(0, 20)),
    "shy": msgspec.structs.replace(STORM, visible_after_ms=1_000),
}
NAMES = list(SCRIPTS)


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep thousands of lost connections from being printed."""
    with capture_logs():
        yield


def script_of(seed: int) -> Script:
    return SCRIPTS[NAMES[seed % len(NAMES)]]


def broken(seed: int, deaths: Sequence[int], **more: Any) -> list[str]:
    """Return what one world says was wrong, each line with what it takes to play it again."""
    outcome: Outcome = play(seed, script_of(seed), deaths, **more)
    where = f"seed {seed} ({NAMES[seed % len(NAMES)]}), deaths {[*deaths]} {outcome.deaths}"
    return [f"{where}: {line}" for line in outcome.wrong]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_r02_r04_a_crash_at_any_moment_loses_nothing_and_repeats_nothing(seed: int) -> None:
    counted = play(seed, script_of(seed), [0])
    moments = counted.moments[0]
    assert counted.wrong == []
    assert len(moments) >= FEWEST_MOMENTS

    wrong = [
        line
        for number in range(1 + seed % STEP, len(moments) + 1, STEP)
        for line in broken(seed, [number])
    ]

    assert wrong == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_r02_a_crash_at_any_moment_of_a_recovery_is_just_one_more(seed: int) -> None:
    first = 30 + 13 * (seed % 7)
    recovery = play(seed, script_of(seed), [first, 0]).moments[1]

    wrong = [
        line for number in range(1, len(recovery) + 1, 8) for line in broken(seed, [first, number])
    ]

    assert wrong == []


def test_r90_one_seed_is_one_crash() -> None:
    one, again = (play(5, STORM, [60, 30]) for _ in range(2))

    assert one == again


# Each found something once: exits that counted what was filled twice after a restart, a stop made
# larger and filled before the answer, a stop that had been due and could not leave.
BRACKET_SEEDS = [6, 9, 11, *range(SEEDS, SEEDS + SEEDS // 8)]


@pytest.mark.parametrize("has_stops", [True, False], ids=["native", "core"])
@pytest.mark.parametrize("seed", BRACKET_SEEDS)
def test_r01_r31_r32_exits_never_trade_more_than_their_entry_over_any_crash(
    seed: int, has_stops: bool
) -> None:
    """Judged at the broker at every moment; at rest, stops cover what is held to the last digit."""
    terms = {"trader": BracketTrader, "has_stops": has_stops}
    moments = play(seed, script_of(seed), [0], **terms).moments[0]
    step = max(1, len(moments) // 24)

    wrong = [
        line
        for number in range(1 + seed % step, len(moments) + 1, step)
        for line in broken(seed, [number, 40], **terms)
    ]

    assert wrong == []


@pytest.mark.parametrize("has_stops", [True, False], ids=["native", "core"])
@pytest.mark.parametrize("seed", [6, 9])
def test_r01_r31_r32_exits_that_are_moved_about_keep_what_is_held_covered_over_any_crash(
    seed: int, has_stops: bool
) -> None:
    """The same promises while exits are replaced, added and taken away at random."""
    terms = {"trader": ExitMover, "has_stops": has_stops}
    moments = play(seed, script_of(seed), [0], **terms).moments[0]
    step = max(1, len(moments) // 24)

    wrong = [
        line
        for number in range(1 + seed % step, len(moments) + 1, step)
        for line in broken(seed, [number, 40], **terms)
    ]

    assert wrong == []
