"""`headrace alert test`: one line per target, and exit code 1 if one failed (R-66)."""

import sys
from pathlib import Path

import pytest

from framework.cli.main import main
from framework.settings import secrets


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no secret of another test."""
    monkeypatch.setattr(secrets, "_known", [])


def write(folder: Path, *alerts: str, mode: str = "paper") -> str:
    path = folder / "c.yaml"
    lines = "".join(f"  - {alert}\n" for alert in alerts)
    path.write_text(f"mode: {mode}\nname: demo\nalerts:\n{lines}" if alerts else f"mode: {mode}\n")
    return str(path)


def command(code: str, more: str = "") -> str:
    return f"{{command: [{sys.executable}, -c, {code!r}]{more}}}"


@pytest.mark.kill
def test_r66_every_target_gets_the_alert_and_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    path = write(
        tmp_path,
        command(f'import sys; open("{out}", "w").write(sys.stdin.read())'),
        command("raise SystemExit(3)"),
    )

    assert main(["alert", "test", path]) == 1

    name = Path(sys.executable).name
    assert capsys.readouterr().out.splitlines() == [
        f"ok       command {name}",
        f"failed   command {name}: ended with exit code 3",
    ]
    assert '"alert_test"' in out.read_text()


@pytest.mark.kill
def test_a_target_that_takes_no_such_level_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, command("pass"), command("raise SystemExit(3)", ", level: critical"))

    assert main(["alert", "test", path, "--level", "error"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok")
    assert lines[1].startswith("skipped")
    assert lines[1].endswith("takes critical and above")


@pytest.mark.socket
def test_t41_a_failure_does_not_show_the_address(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/services/very-secret-token")
    mail = "{host: 127.0.0.1, port: 1, from: a@b, to: [c@d], security: none}"
    path = write(tmp_path, "{webhook: env:HOOK}", f"{{mail: {mail}}}")

    assert main(["alert", "test", path]) == 1

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("failed   webhook 127.0.0.1: ClientConnectorError")
    assert second == "failed   mail 127.0.0.1: ConnectionRefusedError: Connection refused"
    assert "very-secret" not in first


def test_no_targets_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alert", "test", write(tmp_path)]) == 0
    assert "log lines only" in capsys.readouterr().out


def test_a_wrong_target_is_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "{webhook: 'http://example.com'}")

    assert main(["alert", "test", path]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}:4: alerts[0].webhook: plain http")


@pytest.mark.parametrize("arguments", [["alert"], ["alert", "test", "c", "--level", "loud"]])
def test_wrong_arguments_are_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert "usage" in capsys.readouterr().err
