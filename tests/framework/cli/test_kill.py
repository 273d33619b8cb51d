"""`headrace kill` (R-64): the file first, then the cancels; and the way back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli import operate
from framework.cli.main import main
from framework.errors import OrderError
from framework.runtime.kill_file import kill_reason
from framework.runtime.operator_requests import Kill, Release
from tests.framework.cli.operating import answering, quiet
from tests.framework.cli.test_operate import Silent, config, on_terminal, waiting
from tests.framework.runtime.operator_samples import RecordingOperations

__all__ = ["config", "quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
ROOT = Path(__file__).parents[3]
PROCESS = """
import sys
from pathlib import Path
from structlog.testing import capture_logs
from tests.framework.cli.operating import answering
from tests.framework.runtime.operator_samples import RecordingOperations
operations = RecordingOperations()
with capture_logs(), answering(Path(sys.argv[1]), operations):
    print("open", flush=True)
    sys.stdin.readline()
print([call[0] for call in operations.calls], flush=True)
"""


def started(config: Path) -> subprocess.Popen[str]:
    """Start a process that answers operators and wait until it does."""
    command = [sys.executable, "-c", PROCESS, str(config)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def kill_file(config: Path) -> Path:
    return config.parent / "j.db.kill"


def test_r64_the_file_is_there_and_the_process_is_asked_for_the_cancels(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = RecordingOperations()

    with answering(config, operations):
        code = main(["kill", str(config), "--reason", "wrong prices", "--flatten"])

    assert code == 0
    assert kill_reason(kill_file(config)) == "wrong prices"
    ((verb, reason, by, flatten),) = operations.calls
    assert (verb, reason, flatten) == ("kill", "wrong prices", True)
    assert by.startswith(str(os.getuid()))
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"kill file {kill_file(config)} is written: new orders stop"
    assert second.startswith("halted: no new order leaves")


def test_r64_a_kill_asks_nobody_for_a_confirmation_or_a_reason(config: Path) -> None:
    assert main(["kill", str(config)]) == 0

    reason = kill_reason(kill_file(config))
    assert reason is not None
    assert reason.startswith(f"killed by {os.getuid()}")
    assert waiting(config) == [Kill(reason)]


def test_r64_a_process_that_hangs_is_stopped_by_the_file_and_the_request_stays(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(operate, "ANSWER_S", 0.05)
    silent = Silent(config)

    assert main(["kill", str(config), "--reason", "x"]) == 1

    silent.lock.release()
    assert kill_reason(kill_file(config)) == "x"
    assert waiting(config) == [Kill("x")]
    assert "the request stays" in capsys.readouterr().err


def test_r64_a_mailbox_that_cannot_be_used_does_not_keep_the_file_from_being_written(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "j.db.operator").write_text("in the way")

    assert main(["kill", str(config)]) == 1

    assert kill_reason(kill_file(config))
    assert "working orders are not cancelled" in capsys.readouterr().err


def test_r64_a_file_that_cannot_be_written_does_not_keep_the_process_from_being_asked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_file(config).mkdir()
    operations = RecordingOperations()

    with answering(config, operations):
        assert main(["kill", str(config)]) == 1

    assert [call[0] for call in operations.calls] == ["kill"]
    assert "cannot be written" in capsys.readouterr().err


def test_a_kill_file_alone_stops_new_orders_and_says_what_it_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"mode: paper\nkill_file: {tmp_path}/stop\n")

    assert main(["kill", str(path)]) == 1

    assert kill_reason(tmp_path / "stop")
    assert "working orders are not cancelled" in capsys.readouterr().err


def test_a_configuration_with_neither_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mode: paper\n")

    assert main(["kill", str(path)]) == 2
    assert "no journal and no kill_file" in capsys.readouterr().err


def test_a_long_reason_is_cut_rather_than_refused(config: Path) -> None:
    assert main(["kill", str(config), "--reason", "x" * 5_000]) == 0

    (ask,) = waiting(config)
    assert isinstance(ask, Kill)
    assert len(ask.reason) == 250


def test_a_release_takes_the_file_away_and_then_asks(config: Path) -> None:
    main(["kill", str(config)])
    operations = RecordingOperations()

    with answering(config, operations):
        assert main(["kill", str(config), "--release", "--reason", "fixed", "--yes"]) == 0

    assert kill_reason(kill_file(config)) is None
    assert [call[0] for call in operations.calls] == ["kill", "release"]


def test_t14_a_release_is_confirmed_by_typing_the_name(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["kill", str(config)])
    on_terminal(monkeypatch, "no\n")
    assert main(["kill", str(config), "--release", "--reason", "fixed"]) == 1
    assert kill_reason(kill_file(config))

    on_terminal(monkeypatch, "demo\n")
    assert main(["kill", str(config), "--release", "--reason", "fixed"]) == 0
    assert kill_reason(kill_file(config)) is None
    assert waiting(config)[1:] == [Release("fixed")]


def test_a_refused_release_is_exit_code_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(config, RecordingOperations(OrderError("the journal is down"))):
        code = main(["kill", str(config), "--release", "--reason", "fixed", "--yes"])

    assert code == 1
    assert "the journal is down" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [[], ["--reason", "x", "--flatten"]])
def test_a_release_needs_a_reason_and_nothing_else(
    config: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    assert main(["kill", str(config), "--release", "--yes", *extra]) == 2
    assert "--reason" in capsys.readouterr().err


def test_a_release_that_cannot_take_the_file_away_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_file(config).mkdir()

    assert main(["kill", str(config), "--release", "--reason", "x", "--yes"]) == 1

    assert not (config.parent / "j.db.operator").exists()
    assert "j.db.kill" in capsys.readouterr().err


@pytest.mark.kill
def test_r64_a_kill_from_another_process_is_done_and_one_after_a_crash_waits(
    config: Path,
) -> None:
    command = [sys.executable, "-m", "framework", "kill", str(config), "--reason", "x"]

    def kill() -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    with started(config) as process:
        assert "halted: no new order leaves" in kill()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert "waits for the next start" in kill()
    with started(config) as process:
        assert "halted: no new order leaves" in kill()
        out, _ = process.communicate("\n", timeout=60)

    assert out == "['kill', 'kill']\n"
