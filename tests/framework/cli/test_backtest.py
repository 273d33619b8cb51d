"""`headrace backtest`: what it prints, writes and shows."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from framework.cli.main import main
from framework.cli.progress import progress_bar, progress_lines, shown_progress

pytestmark = pytest.mark.usefixtures("process")

SECOND_NS = 1_000_000_000


@pytest.fixture
def calls(replace_module: Any) -> dict[str, Any]:
    """A backtest that takes no time; the settings it was given and the files it wrote."""
    calls: dict[str, Any] = {}

    def run_backtest(settings: Any, *, on_progress: Any = None, on_listening: Any) -> Any:
        calls.update(settings=settings, on_progress=on_progress)
        structlog.get_logger("strategy").info("quote_refused")
        return "result", SimpleNamespace(trades=["trade"])

    def write_trades_csv(path: str, trades: Any) -> None:
        calls["trades"] = (path, trades)

    def write_report(path: str, result: Any, artifacts: Any) -> None:
        calls["report"] = (path, result)
        Path(path).write_text("report")

    replace_module("framework.backtest.runner", run_backtest=run_backtest)
    replace_module("framework.backtest.result", to_json=lambda result: b'{"json": true}')
    replace_module("framework.backtest.summary", summary_text=lambda result: f"summary of {result}")
    replace_module("framework.backtest.trades_csv", write_trades_csv=write_trades_csv)
    replace_module("framework.backtest.report", write_report=write_report)
    return calls


def test_a_backtest_prints_its_summary(
    config: Path, calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", str(config)]) == 0

    out, err = capsys.readouterr()
    assert out == "summary of result\n"
    assert '"event": "quote_refused"' in err
    assert calls["settings"].seed == 7
    assert calls["on_progress"] is not None


def test_json_is_the_only_output_for_machines(
    config: Path, calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", str(config), "--json", "--seed", "9"]) == 0

    assert capsys.readouterr().out == '{"json": true}\n'
    assert calls["settings"].seed == 9
    assert calls["on_progress"] is None


def test_trades_and_report_are_written_where_asked(
    config: Path, calls: dict[str, Any], tmp_path: Path
) -> None:
    trades, report = str(tmp_path / "t.csv"), str(tmp_path / "r.html")

    assert main(["backtest", str(config), "--trades", trades, "--report", report]) == 0

    assert calls["trades"] == (trades, ["trade"])
    assert calls["report"] == (report, "result")


def test_an_output_without_a_folder_is_refused_before_the_work(
    config: Path, calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, path, reason in (
        ("--trades", f"{tmp_path}/absent/t.csv", "its folder does not exist"),
        ("--report", str(tmp_path), "is a folder"),
    ):
        assert main(["backtest", str(config), option, path]) == 2
        assert capsys.readouterr().err == f"{path}: {reason}\n"
    assert calls == {}


def test_a_file_that_cannot_be_written_is_one_line_after_the_result(
    config: Path,
    calls: dict[str, Any],
    replace_module: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "r.html")

    replace_module("framework.backtest.report", write_report=fail)

    assert main(["backtest", str(config), "--report", "r.html"]) == 1
    out, err = capsys.readouterr()
    assert out == "summary of result\n"
    assert err.splitlines()[-1] == "r.html: cannot be written: No space left on device"


def test_only_a_backtest_configuration_is_backtested(
    paper: Path, calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", str(paper)]) == 2
    assert capsys.readouterr().err.startswith(f"{paper}:1: mode: the mode is paper; a backtest")
    assert calls == {}


def test_progress_is_a_line_each_ten_seconds_where_nobody_watches() -> None:
    output = StringIO()
    now_ns = 0
    show = progress_lines(output, lambda: now_ns)

    for second in range(0, 25):
        now_ns = second * SECOND_NS
        fraction = None if second < 15 else second / 25
        show(SimpleNamespace(events=second * 1_000, fraction=fraction))

    assert output.getvalue().splitlines() == [
        "headrace: 10,000 events, 1,000/s",
        "headrace: 80%, 20,000 events, 1,000/s",
    ]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_nothing_when_quiet() -> None:
    terminal = Terminal()
    with shown_progress(lambda: 0, output=terminal) as show:
        assert show is not None
        show(SimpleNamespace(events=5, fraction=0.5))
    with shown_progress(lambda: 0, is_quiet=True) as quiet:
        assert quiet is None

    assert "events" in terminal.getvalue()


def test_a_bar_without_a_known_end_still_counts() -> None:
    output = Terminal()

    with progress_bar(output) as show:
        show(SimpleNamespace(events=1_234, fraction=None))

    assert "1,234" in output.getvalue() or "1234" in output.getvalue()
