"""The command line as a process of its own: a real loop, signals (R-10), journals (R-09)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.paper_process import running, write_config

ROOT = Path(__file__).parents[3]
LIMIT_S = 60


@contextmanager
def running_paper(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start paper trading, its journal in `folder`, and wait until it says so."""
    config = str(ROOT / "config" / "paper.yaml")
    command = [sys.executable, "-m", "framework", "run", config]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            assert any('"started"' in line for line in process.stderr)
            yield process
        finally:
            process.kill()


@pytest.mark.kill
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_paper_session_in_order(number: int, code: int, tmp_path: Path) -> None:
    with running_paper(tmp_path) as process:
        os.kill(process.pid, number)
        _, rest = process.communicate(timeout=LIMIT_S)

    assert process.returncode == code
    assert "stopping in order" in rest
    assert "account_at_the_end" in rest
    assert "Traceback" not in rest


@pytest.mark.kill
def test_r09_one_process_per_journal_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with running(config) as first:
        started_s = time.monotonic()
        second = headrace("run", config)
        took_s = time.monotonic() - started_s
        first.kill()

    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"is in use by process {first.pid}" in second.stderr
    assert took_s < LIMIT_S / 2  # R-09 says 2 s; a busy machine needs longer to start it
    with running(config) as third:
        (started,) = third.events("started")
        assert int(started["restored"]) > 0


@pytest.mark.kill
@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        ("another mode", 1, "written in mode paper and this is dry_run"),
        ("garbage", 1, "not a database"),
        ("no journal", 2, "paper.yaml:5: journal: 'mysql://x' is neither"),
        ("no folder", 1, "there is no such folder"),
        ("another account", 2, "strategies[0].id: run 'rester' is open on account 'main'"),
    ],
)
def test_a_journal_that_does_not_fit_is_one_line(
    damage: str, code: int, reason: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path)
    with running(config) as process:
        assert process.stop() == 130
    text = config.read_text()
    if damage == "another mode":
        text = text.replace("mode: paper", "mode: dry_run")
    elif damage == "garbage":
        (tmp_path / "j.db").write_bytes(b"hello")
    elif damage == "no journal":
        text = text.replace(f"sqlite:///{tmp_path}/j.db", "mysql://x")
    elif damage == "no folder":
        text = text.replace(f"{tmp_path}/j.db", "/proc/none/j.db")
    else:
        text = text.replace("{main:", "{other:").replace("account: main", "account: other")
    config.write_text(text)

    refused = headrace("run", config)

    assert refused.returncode == code
    (line,) = [line for line in refused.stderr.splitlines() if "journal_read" not in line]
    assert reason in line


def headrace(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
