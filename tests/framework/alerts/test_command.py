"""Programs as alert targets: no shell, no inherited secrets (T-43, T-53), always an end."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from framework.alerts.command import Command
from framework.alerts.delivery import DELIVERED, attempted
from framework.errors import ForbiddenInSimulation
from framework.settings.structs import LogLevel
from framework.simulation.loop import run_simulated
from tests.framework.alerts.samples import alert


def python(code: str, *arguments: str, timeout_s: float = 20.0) -> Command:
    return Command(
        [sys.executable, "-c", code, *arguments],
        "paper",
        level=LogLevel.WARNING,
        timeout_s=timeout_s,
        environment={"PATH": os.environ["PATH"], "API_KEY": "hunter-2222"},
    )


@pytest.mark.kill
@pytest.mark.anyio
async def test_t43_t53_a_program_gets_json_and_almost_no_environment(tmp_path: Path) -> None:
    out = tmp_path / "out; touch pwned"
    code = (
        "import json, os, sys; json.dump("
        "[json.load(sys.stdin), sorted(os.environ), os.getsid(0) == os.getpid()],"
        " open(sys.argv[1], 'w'))"
    )

    outcome = await attempted(python(code, str(out)), alert(message="$(id) `id`"))

    assert outcome == DELIVERED
    told, environment, leads_its_session = json.loads(out.read_text())
    assert told["message"] == "$(id) `id`"
    assert set(environment) - {"LC_CTYPE"} == {"PATH"}
    assert leads_its_session
    assert os.listdir(tmp_path) == [out.name]


@pytest.mark.kill
@pytest.mark.anyio
async def test_an_exit_code_is_a_failure() -> None:
    outcome = await attempted(python("raise SystemExit(3)"), alert())

    assert outcome.reason == "ended with exit code 3"
    assert outcome.is_retryable


@pytest.mark.kill
@pytest.mark.anyio
async def test_a_program_that_reads_nothing_is_no_problem() -> None:
    told = alert(message="x" * 1_000_000)  # more than a pipe holds

    assert await attempted(python("import os; os.close(0)"), told) == DELIVERED


@pytest.mark.kill
@pytest.mark.anyio
async def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "whole = sys.argv[1] + '.new'\n"
        "open(whole, 'w').write(f'{os.getpid()} {child.pid}')\n"
        "os.rename(whole, sys.argv[1])\n"
        "time.sleep(600)\n"
    )
    command = python(code, str(pids))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(command.send, alert())
            while not pids.exists():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

        for pid in map(int, pids.read_text().split()):
            while is_alive(pid):  # noqa: ASYNC110 - the kernel says when
                await anyio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.kill
@pytest.mark.anyio
async def test_a_program_that_is_not_there_is_named() -> None:
    command = Command(["/no/such"], "p", level=LogLevel.INFO, timeout_s=1.0, environment={})

    outcome = await attempted(command, alert())

    assert command.name == "command such"
    assert outcome.reason == "cannot be started: No such file or directory"
    assert not outcome.is_retryable


def test_a_simulated_world_starts_no_program() -> None:
    async def main() -> None:
        with pytest.raises(ForbiddenInSimulation):
            await python("pass").send(alert())

    run_simulated(main)
