"""`headrace run`: ordered start and stop around a runtime, and signals (R-10)."""

import asyncio
import os
import re
import signal
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import anyio
import pytest

from framework.cli import run as run_command
from framework.cli.main import main
from framework.cli.signals import StopSignals
from framework.errors import VenueUnavailable
from framework.model.decimals import multiply
from framework.model.orders import Fill
from framework.risk.kill_switch import KillSwitch
from framework.settings.modes import Mode
from framework.settings.structs import Settings

pytestmark = pytest.mark.usefixtures("process")


class FakeRuntime:
    """Writes down what happens to it; `script` says what each stage does."""

    events: list[str]
    script: dict[str, Any]
    engine = SimpleNamespace(
        market=SimpleNamespace(reference_price=lambda instrument: 2.5),
        ledger=SimpleNamespace(
            equity=lambda account, mark: {"USDT": multiply(mark("a:B"), Decimal(40_000))},
            holdings=lambda run: [],
        ),
        bus=SimpleNamespace(on=lambda *types: lambda handler: handler),
        registry=[],
    )
    system = SimpleNamespace(
        runs=[],
        book=[],
        safeguards=SimpleNamespace(kill_switch=KillSwitch()),
        care=SimpleNamespace(emulation=SimpleNamespace(unprotected=list)),
    )
    restored_position = 17
    addresses: tuple[str, ...] = ()

    def __init__(self, settings: Any, *, interrupts_handlers: bool, config: str) -> None:
        assert interrupts_handlers
        assert "mode: paper" in config
        self.events.append(f"made for {settings.mode.value}")

    async def __aenter__(self) -> "FakeRuntime":
        await self._stage("start")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stage("stop")
        self.events.append("stopped")

    async def wait(self) -> None:
        await self._stage("wait")

    async def _stage(self, name: str) -> None:
        self.events.append(name)
        for action in self.script.get(name, ()):
            result = action()
            if result is not None:
                await result


@pytest.fixture
def runtime(replace_module: Any) -> type[FakeRuntime]:
    class Runtime(FakeRuntime):
        events: list[str] = []  # noqa: RUF012 - one class per test
        script: dict[str, Any] = {}  # noqa: RUF012

    replace_module("framework.runtime.runner", Runtime=Runtime)
    return Runtime


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fail() -> None:
    raise VenueUnavailable("mock is away")


def test_a_run_that_ends_by_itself_is_exit_code_0(paper: Path, runtime: type[FakeRuntime]) -> None:
    assert main(["run", str(paper)]) == 0
    assert runtime.events == ["made for paper", "start", "wait", "stop", "stopped"]


def test_a_run_says_what_it_started_and_what_became_of_the_accounts(
    paper: Path, runtime: type[FakeRuntime], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", str(paper)])

    started, stopped, ended = capsys.readouterr().err.splitlines()
    assert '"mode": "paper"' in started
    assert '"journal": "sqlite:///headrace.db", "durability": "full"' in started
    assert '"records_inputs": "yes", "restored": "17"' in started
    assert '"gate": "active", "unprotected": "none"' in started
    assert '"gate": "active", "unprotected": "none", "event": "stopped"' in stopped
    assert '"account": "main"' in ended
    assert '"USDT": "100,000.0"' in ended


@pytest.mark.parametrize(("level", "asked"), [("info", [Fill]), ("warning", []), ("error", [])])
def test_executions_are_asked_for_where_the_log_shows_them(
    paper: Path,
    runtime: type[FakeRuntime],
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    asked: list[type],
) -> None:
    found: list[type] = []

    def on(*types: type) -> Any:
        found.extend(types)
        return lambda handler: handler

    monkeypatch.setattr(runtime.engine.bus, "on", on)
    paper.write_text(f"{paper.read_text()}\nlogging: {{level: {level}}}\n")

    assert main(["run", str(paper)]) == 0
    assert found == asked


def test_a_run_can_be_given_an_end(paper: Path, runtime: type[FakeRuntime]) -> None:
    runtime.script.update(wait=[anyio.sleep_forever])

    assert main(["run", str(paper), "--for", "0.01s"]) == 0
    assert runtime.events[-1] == "stopped"


def test_where_front_doors_listen_is_the_one_line_on_stdout(
    paper: Path, runtime: type[FakeRuntime], capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.addresses = ("http://127.0.0.1:8080", "unix:/tmp/x.sock")

    assert main(["run", str(paper)]) == 0
    out, _ = capsys.readouterr()
    assert out == "listening on http://127.0.0.1:8080, unix:/tmp/x.sock\n"


@pytest.mark.parametrize("text", ["5", "s", "-1s", "5 s", "1e3s", "nan", ""])
def test_a_length_of_time_has_a_unit(text: str) -> None:
    with pytest.raises(SystemExit):
        main(["run", "c.yaml", "--for", text])


@pytest.mark.parametrize(("action", "code"), [(interrupt, 130), (terminate, 143)])
def test_the_first_signal_stops_in_order(
    paper: Path,
    runtime: type[FakeRuntime],
    capfd: pytest.CaptureFixture[str],
    action: Any,
    code: int,
) -> None:
    runtime.script.update(wait=[action, anyio.sleep_forever], stop=[anyio.lowlevel.checkpoint])

    assert main(["run", str(paper)]) == code
    assert runtime.events == ["made for paper", "start", "wait", "stop", "stopped"]
    assert "stopping in order; once more to leave at once" in capfd.readouterr().err


def test_a_signal_during_the_start_cancels_it(paper: Path, runtime: type[FakeRuntime]) -> None:
    runtime.script.update(start=[interrupt, anyio.sleep_forever])

    assert main(["run", str(paper)]) == 130
    assert runtime.events == ["made for paper", "start"]


def test_a_signal_during_the_stop_does_not_break_it(
    paper: Path, runtime: type[FakeRuntime]
) -> None:
    runtime.script.update(stop=[interrupt, anyio.lowlevel.checkpoint, anyio.lowlevel.checkpoint])

    assert main(["run", str(paper)]) == 130
    assert runtime.events[-1] == "stopped"


def test_a_failure_stops_in_order_and_is_one_line(
    paper: Path, runtime: type[FakeRuntime], capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.script.update(wait=[fail])

    assert main(["run", str(paper)]) == 1
    assert runtime.events[-1] == "stopped"
    assert capsys.readouterr().err.splitlines()[-1] == "mock is away"


def test_a_cancellation_that_nobody_signalled_is_not_swallowed(
    paper: Path, runtime: type[FakeRuntime]
) -> None:
    def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    runtime.script.update(wait=[cancel, anyio.sleep_forever])

    with pytest.raises(asyncio.CancelledError):
        main(["run", str(paper)])


def test_former_signal_handlers_come_back(paper: Path, runtime: type[FakeRuntime]) -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))

    main(["run", str(paper)])

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_second_signal_leaves_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    signals = StopSignals(leave=left.append)

    with signals.installed():
        signal.raise_signal(signal.SIGTERM)
        assert left == []
        signal.raise_signal(signal.SIGINT)

    assert left == [130]
    assert signals.exit_code == 143
    assert capfd.readouterr().err.splitlines()[1] == "headrace: leaving at once"


def test_a_backtest_configuration_runs_as_a_backtest(
    config: Path, replace_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from framework.cli import backtest

    shown: list[str] = []

    def show(settings: Settings, path: str) -> int:
        shown.append(settings.mode.value)
        return 0

    monkeypatch.setattr(backtest, "show", show)

    assert main(["run", str(config)]) == 0
    assert shown == ["backtest"]


def test_real_time_runs_on_the_fast_loop_where_there_is_one() -> None:
    uvloop = pytest.importorskip("uvloop")

    assert run_command.loop_factory(Mode.LIVE) is uvloop.new_event_loop
    assert run_command.loop_factory(Mode.REPLAY) is None


@pytest.mark.parametrize(
    ("program", "seed", "is_started_again"),
    [
        ("/usr/bin/headrace", None, True),
        ("/usr/bin/headrace", "random", True),
        ("/lib/framework/__main__.py", None, True),
        ("/usr/bin/headrace", "7", False),
        ("/lib/pytest/__main__.py", None, False),
    ],
)
def test_r74_recorded_inputs_need_a_hash_seed_that_is_not_left_to_chance(
    program: str,
    seed: str | None,
    is_started_again: bool,
    paper: Path,
    runtime: type[FakeRuntime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Embedded in another program, or with a seed already, everything stays as it is."""
    started: list[Any] = []

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        started.append((command[1:], environment["PYTHONHASHSEED"]))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
    arguments = ["run", str(paper)]
    monkeypatch.setattr("sys.argv", [program, *arguments])

    main(arguments)

    assert started == ([(["-m", "framework", *arguments], "0")] if is_started_again else [])


def test_without_a_journal_no_hash_seed_is_needed(
    paper: Path, runtime: type[FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: fail())
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    paper.write_text(re.sub("(?m)^journal:.*$", "", paper.read_text()))
    monkeypatch.setattr("sys.argv", ["headrace", "run", str(paper)])

    assert main(["run", str(paper)]) == 0
