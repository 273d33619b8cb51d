"""The command line as a process of its own: a real loop, real signals (R-10)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIMIT_S = 20


@contextmanager
def running_paper() -> Iterator[subprocess.Popen[str]]:
    """Start paper trading over the mock venue and wait until it says so."""
    command = [sys.executable, "-m", "framework", "run", "config/paper.yaml"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert '"started"' in process.stderr.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.kill
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_paper_session_in_order(number: int, code: int) -> None:
    with running_paper() as process:
        os.kill(process.pid, number)
        _, rest = process.communicate(timeout=LIMIT_S)

    assert process.returncode == code
    assert "stopping in order" in rest
    assert "account_at_the_end" in rest
    assert "Traceback" not in rest
