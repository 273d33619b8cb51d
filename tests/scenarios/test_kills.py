"""R-01: a trader killed with -9 again and again, against a broker in another process.

Eight kills in the suite; `HEADRACE_KILLS=1000`, as `make soak` sets it, for more.
"""

import os
from pathlib import Path

import pytest

from tests.crash.harness import Round

KILLS = int(os.environ.get("HEADRACE_KILLS", "8"))
KILLS_PER_ROUND = 13  # on one journal, with one broker
pytestmark = [pytest.mark.socket, pytest.mark.kill]


@pytest.mark.parametrize("number", range(-(-KILLS // KILLS_PER_ROUND)))
def test_r01_r20_a_kill_loses_nothing_and_repeats_nothing(number: int, tmp_path: Path) -> None:
    kills = min(KILLS_PER_ROUND, KILLS - number * KILLS_PER_ROUND)
    seed = int(os.environ.get("HEADRACE_KILL_SEED", "0")) + number

    report = Round(tmp_path, seed=seed).play(kills)

    assert report.wrong == []
    assert sum(report.kills.values()) == kills
    assert report.order_count > 3 * kills
