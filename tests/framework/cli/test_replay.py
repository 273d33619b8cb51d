"""`headrace replay`: exit codes, the first difference with the event before it, clear refusals."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework.cli import replay
from framework.cli.main import main
from framework.engine.playback import Verdict
from framework.engine.record_cursor import Difference
from framework.engine.session_start import config_hash
from framework.model.inputs import CommandIssued, RunUnverifiable, SessionStarted
from framework.runtime.journal import inputs_directory
from framework.settings.loading import load
from framework.store.input_log import InputLog
from tests.recorded_session import SEEDED, Sink, record


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have the hash seed that recordings of tests say they had."""
    monkeypatch.setenv("PYTHONHASHSEED", SEEDED["PYTHONHASHSEED"])


def write(folder: Path, sink: Sink) -> str:
    """Write a recording beside a journal and return that journal's path."""
    journal = str(folder / "trades.db")
    directory = inputs_directory(f"sqlite:///{journal}")
    assert directory is not None
    log = InputLog.open(directory, "j", 1)
    for payload in sink.payloads:
        log.append(payload)
    log.close()
    return journal


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a market maker over made-up data."""
    path = tmp_path / "config.yaml"
    path.write_text(Path("config/market_maker.yaml").read_text())
    return path


@pytest.fixture
def sink(config: Path) -> Sink:
    """A recording of it that holds the configuration."""
    settings = load(config)
    _, recorded = record(settings)
    start = msgspec.structs.replace(
        recorded.records[0], config=config.read_text(), config_hash=config_hash(settings)
    )
    recorded.payloads[0] = msgspec.msgpack.encode(start)
    return recorded


def test_an_equal_recording_is_exit_code_0(
    sink: Sink, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = write(tmp_path, sink)

    assert main(["replay", f"sqlite:///{journal}", "--verify"]) == 0

    out = capsys.readouterr().out
    assert f"{len(sink.of(CommandIssued))} commands compared" in out
    assert out.endswith("every command is equal\n")


def test_the_first_difference_is_shown_with_the_event_before_it_and_exit_code_1(
    sink: Sink, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = sink.records
    place = next(i for i, item in enumerate(records) if isinstance(item, CommandIssued))
    sink.payloads[place] = msgspec.msgpack.encode(
        msgspec.structs.replace(records[place], name="flatten")
    )
    journal = write(tmp_path, sink)

    assert main(["replay", journal, "--verify", "--config", str(config)]) == 1

    out = capsys.readouterr().out
    assert f"first difference, at record {place + 1}, in " in out
    assert "  before:    event " in out
    assert "  recorded:  flatten(" in out
    assert "  replayed:  submit(" in out


def test_a_run_that_is_not_verifiable_is_exit_code_2(
    sink: Sink, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del sink.payloads[1:]
    sink.payloads.append(msgspec.msgpack.encode(RunUnverifiable(0, "a foreign await", 0)))
    journal = write(tmp_path, sink)
    start = sink.records[0]
    assert isinstance(start, SessionStarted)
    run = start.runs[0].run

    assert main(["replay", journal, "--verify", "--run", run]) == 2

    assert f"run {run} is not verifiable from some point on: a foreign await" in (
        capsys.readouterr().out
    )


def test_an_input_that_is_missing_is_exit_code_2(
    sink: Sink, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del sink.payloads[1:]
    sink.payloads.append(msgspec.msgpack.encode(RunUnverifiable(-1, "an input was lost", 0)))

    assert main(["replay", write(tmp_path, sink), "--verify"]) == 2

    assert "not verifiable: an input was lost" in capsys.readouterr().out


def test_a_difference_of_another_run_does_not_judge_the_one_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    difference = Difference(7, "other", "buy", "sell", "event 3: Quote")
    verdict = Verdict("j", 1, 10, 4, difference, {}, changed_code=("other",))

    assert replay.report([verdict], "mine") == 1

    out = capsys.readouterr().out
    assert "run mine is equal up to there" in out
    assert "the code of run other has changed since" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--run", "nobody"], "the configuration has no run 'nobody'"),
        (["--config", "config/pairs.yaml"], "the configuration is not the recorded one"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_code_2(
    arguments: list[str],
    reason: str,
    sink: Sink,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["replay", write(tmp_path, sink), "--verify", *arguments]) == 2

    assert reason in capsys.readouterr().err


def test_a_journal_without_inputs_and_one_without_a_session_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(tmp_path / "none.db"), "--verify"]) == 2
    assert "no inputs were recorded" in capsys.readouterr().err

    assert main(["replay", write(tmp_path, Sink()), "--verify"]) == 2
    assert "no session begins in these inputs" in capsys.readouterr().err


def test_another_hash_seed_starts_the_program_again_with_the_recorded_one(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Replaced(Exception):
        pass

    def execve(program: str, command: list[str], environment: dict[str, str]) -> None:
        raise Replaced(command[1:], environment["PYTHONHASHSEED"])

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("PYTHONHASHSEED", "9")
    arguments = ["replay", write(tmp_path, sink), "--verify"]
    monkeypatch.setattr("sys.argv", ["headrace", *arguments])

    with pytest.raises(Replaced) as caught:
        main(arguments)

    assert caught.value.args == (["-m", "framework", *arguments], "0")


def test_a_recording_without_a_configuration_asks_for_one(
    sink: Sink, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start: Any = sink.records[0]
    sink.payloads[0] = msgspec.msgpack.encode(msgspec.structs.replace(start, config=""))

    assert main(["replay", write(tmp_path, sink), "--verify"]) == 2

    assert "holds no configuration: give --config" in capsys.readouterr().err
