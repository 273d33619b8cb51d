"""`headrace check-adapter`: what is played, what is printed, and the exit codes."""

import json
from typing import Any

import pytest

from adapters.binance.simulated.rig import BinanceRig
from framework.adapter_kit import scoring
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.scoring import AREAS
from framework.adapter_kit.stage import CheckFailed, CheckSkipped, Stage
from framework.cli import check_adapter
from framework.cli.main import main


async def holds(stage: Stage) -> None:
    """A promise that is kept."""


async def fails(stage: Stage) -> None:
    """A promise that is not."""
    raise CheckFailed("seen:\n" + 3_000 * "x")


async def skips(stage: Stage) -> None:
    """A promise that cannot be checked."""
    raise CheckSkipped("the venue has no fault 'swap'")


def play(monkeypatch: pytest.MonkeyPatch, **areas: tuple[Any, ...]) -> None:
    """Let these be the checks of these areas."""
    monkeypatch.setattr(scoring, "AREAS", {**dict.fromkeys(AREAS, ()), **areas})


def test_a_score_by_area_and_exit_code_0_where_all_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, data=(holds, holds), orders=(holds, skips))

    code = main(["check-adapter", "binance"])

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "data          2 of 2",
        "orders        1 of 1, 1 not played",
        "  skips: not played, the venue has no fault 'swap'",
        "score         3 of 3, 1 not played",
    ]


def test_a_broken_promise_is_named_on_one_line_and_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, data=(holds, fails))

    code = main(["check-adapter", "binance", "--area", "data"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert lines[:2] == ["data          1 of 2", "  fails: A promise that is not."]
    assert lines[2].startswith(r"    seen:\nxxx")
    assert len(lines[2]) < 1_100
    assert lines[3:] == ["score         1 of 2"]


def test_an_adapter_of_which_nothing_can_be_checked_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, data=(skips,))

    assert main(["check-adapter", "binance"]) == 1
    assert "score         0 of 0, 1 not played" in capsys.readouterr().out


def test_json_has_every_verdict_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, data=(holds, fails, skips))

    code = main(["check-adapter", "binance", "--json"])

    said = capsys.readouterr()
    assert code == 1
    assert said.err == ""
    verdicts = json.loads(said.out)
    assert [verdict["check"] for verdict in verdicts] == ["holds", "fails", "skips"]
    assert verdicts[0] == {
        "area": "data",
        "check": "holds",
        "promise": "A promise that is kept.",
        "failure": "",
        "skipped": "",
    }
    assert verdicts[1]["failure"].startswith("seen:\nxxx")


def test_only_the_areas_asked_for_are_played_once_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, data=(holds,), orders=(fails,), limits=(holds,))

    code = main(["check-adapter", "binance", *("--area", "limits") * 2, "--area", "data"])

    assert code == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "limits",
        "data",
        "score",
    ]


def test_the_seed_reaches_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    async def look(stage: Stage) -> None:
        """Look."""
        seeds.append(stage.loop.seed)

    play(monkeypatch, data=(look,))

    assert main(["check-adapter", "binance", "--seed", "7"]) == 0
    assert seeds == [7]


def test_an_area_that_does_not_exist_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check-adapter", "binance", "--area", "poetry"])

    assert ended.value.code == 2
    assert "invalid choice: 'poetry'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "there is no adapter 'nowhere' (known: "),
        ("replay", "adapter 'replay' has no simulated venue"),
    ],
)
def test_an_adapter_that_cannot_be_played_is_one_line_and_exit_code_2(
    name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["check-adapter", name])

    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1


def test_the_areas_on_the_command_line_are_those_of_the_kit() -> None:
    """They are listed twice, so that `--help` need not import the kit."""
    assert tuple(AREAS) == check_adapter.AREAS


def test_a_venue_with_few_faults_is_scored_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Played for real: what needs a fault that the venue does not have is left out, and said so."""
    faults = frozenset(Fault) - {Fault.TOO_MANY}
    monkeypatch.setattr(BinanceRig, "faults", faults)

    code = main(["check-adapter", "binance", "--area", "limits"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines == [
        "limits        2 of 2, 1 not played",
        "  obeys_when_told_to_pause: not played, the venue has no fault 'too_many'",
        "score         2 of 2, 1 not played",
    ]
