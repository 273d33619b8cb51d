"""The command line: what each ending means for the exit code and for stderr."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framework.cli import check
from framework.cli.main import main
from framework.errors import (
    ConfigError,
    DataError,
    FrameworkError,
    InvariantBroken,
    VenueUnavailable,
)


def failing_with(error: BaseException) -> Any:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("command", ["run", "backtest", "check"])
def test_a_wrong_configuration_is_one_line_and_exit_code_2(
    command: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("seed: 7", "sed: 7"))

    code = main([command, str(config)])

    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith(f"{config}:2: sed: unknown key; known here: mode")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "backtest", "check"])
def test_a_missing_file_is_one_line_and_exit_code_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([command, str(tmp_path / "absent\x1b[31m.yaml")])

    err = capsys.readouterr().err
    assert code == 2
    assert err == f"{tmp_path}/absent\\x1b[31m.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no such column", file="a.csv", line=1), 2, "a.csv:1: no such column\n"),
        (VenueUnavailable("mock is away\nfor long"), 1, "mock is away\\nfor long\n"),
        (InvariantBroken(""), 1, "InvariantBroken\n"),
        (FrameworkError("x" * 9_000), 1, "x" * 1_997 + "...\n"),
        (KeyboardInterrupt(), 130, "headrace: interrupted\n"),
        (
            BaseExceptionGroup("", [ExceptionGroup("", [VenueUnavailable("mock is away")])]),
            1,
            "mock is away\n",
        ),
    ],
)
def test_every_expected_ending_is_one_line_with_its_exit_code(
    error: BaseException,
    code: int,
    line: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(check, "check", failing_with(error))

    assert main(["check", str(config)]) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ExceptionGroup("", [DataError("x"), ZeroDivisionError()])]
)
def test_a_bug_keeps_its_traceback(
    error: Exception, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "check", failing_with(error))

    with pytest.raises(type(error)):
        main(["check", str(config)])


def test_an_error_found_while_building_gets_its_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("no such file", key="venues.binance.source.files")
    monkeypatch.setattr(check, "check", failing_with(error))

    assert main(["check", str(config)]) == 2
    assert capsys.readouterr().err == f"{config}:6: venues.binance.source.files: no such file\n"


def test_check_prints_what_would_run(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "check", lambda settings: [f"mode {settings.mode.value}", "run x"])

    assert main(["check", str(config)]) == 0
    assert capsys.readouterr().out == f"mode backtest\nrun x\n{config}: no mistakes found\n"


def test_the_schema_knows_every_key_and_lets_variables_stand_anywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0

    schema = json.loads(capsys.readouterr().out)
    definitions = schema["$defs"]
    assert {"mode", "venues", "accounts", "strategies"} <= set(
        definitions["Settings"]["properties"]
    )
    assert definitions["Settings"]["additionalProperties"] is False
    assert "class" in definitions["StrategySettings"]["properties"]
    assert {"type": "string", "pattern": r"\$\{"} in definitions["Settings"]["properties"]["seed"][
        "anyOf"
    ]
    tick = definitions["InstrumentSettings"]["properties"]["multiplier"]
    assert tick["type"] == ["number", "string"]


def test_adapters_lists_the_built_in_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters"]) == 0

    lines = capsys.readouterr().out.splitlines()
    names = ("binance", "kalshi", "mock", "replay")
    assert set(lines) >= {f"{name:<7}  adapters.{name}:build  (built in)" for name in names}


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("headrace ")


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run"], ["backtest", "c", "--seed", "x"], ["check", "a", "b"]]
)
def test_wrong_arguments_are_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "headrace" in capsys.readouterr().err


def test_the_module_runs_as_a_program_and_imports_little(config: Path) -> None:
    config.write_text("mode: no")
    program = (
        "import sys; from framework.cli.main import main; "
        f"code = main(['check', {str(config)!r}]); "
        "print(code, [m for m in ('aiohttp', 'numpy') if m in sys.modules])"
    )

    wrong = subprocess.run(
        [sys.executable, "-m", "framework", "check", str(config)], capture_output=True, text=True
    )
    lean = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"{config}:1: mode: ")
    assert wrong.stderr.count("\n") == 1
    assert lean.stdout == "2 []\n"
