"""`headrace check`: what would run and what is kept of it; every mistake is one line."""

from pathlib import Path

import pytest

from framework.cli.main import main
from tests.source_code import ROOT

CONFIG = """
mode: paper
journal: {journal}
durability: async
record_inputs: {inputs}
calendars: {{nse: {{timezone: Asia/Kolkata, week: {{mon-fri: ["09:15-15:30"]}}}}}}
exits: {{late_trigger: alert, protection: core}}
venues: {{demo: {{adapter: mock, settings: {{instruments: [{{symbol: D, start_price: 9}}]}}}}}}
accounts: {{main: {{venue: demo, currency: USD, balances: {{USD: 1000}}}}}}
strategies:
  - id: maker
    class: strategies.market_maker:MarketMaker
    account: main
    settings: {{instrument: "demo:D", quantity: 1, maximum_position: 1}}
    allocation: 500
    protection: {{max_day_loss: 50}}
risk: {{max_daily_loss: 100, runaway: {{max_orders_per_second: 10}}}}
alerts: [{{command: ["true"], level: critical}}]
"""


def write(folder: Path, *, journal: str = "sqlite:///x.db", inputs: str = "true") -> Path:
    path = folder / "c.yaml"
    path.write_text(CONFIG.format(journal=journal, inputs=inputs))
    return path


@pytest.mark.parametrize(
    ("journal", "inputs", "lines"),
    [
        (
            "sqlite:///x.db",
            "true",
            ["journal sqlite:///x.db, durability async, inputs recorded", "kill file x.db.kill"],
        ),
        (
            "postgresql://ada:pass@host/db",
            "false",
            [
                "journal postgresql://host/db, durability async, inputs not recorded",
                "kill file headrace-headrace.kill",
            ],
        ),
        ("null", "true", ["journal none"]),
    ],
)
def test_what_outlives_the_process_is_said_without_passwords(
    journal: str, inputs: str, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, journal=journal, inputs=inputs)

    assert main(["check", str(path)]) == 0

    printed = capsys.readouterr().out
    assert printed.splitlines()[-1 - len(lines) : -1] == lines
    assert "pass" not in printed


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("sqlite:///x.db", "mysql://x", "3: journal: 'mysql://x' is neither sqlite:///FILE"),
        ("sqlite:///x.db", "sqlite:///x?y", "3: journal: 'sqlite' names no journal"),
        ("async", "never", "4: durability: 'never' is not one of full, async"),
        ("09:15", "29:15", "6: calendars.nse: '29:15' is not a time of day"),
        ("alert,", "maybe,", "7: exits.late_trigger: 'maybe' is not one of fire, alert"),
        ("max_day_loss", "max_day", "16: strategies[0].protection.max_day: unknown key"),
        ("max_orders_per_second", "max", "17: risk.runaway.max: unknown key"),
        ('["true"]', "[true]", "18: alerts[0].command[0]: Expected `str`, got `bool`"),
    ],
)
def test_r88_a_mistake_is_one_line_with_its_place(
    command: str,
    right: str,
    wrong: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace(right, wrong))

    assert main([command, str(path)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}:{message}")


def test_an_alert_whose_secret_is_missing_is_noticed_before_it_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace('command: ["true"]', "webhook: env:NOT_SET_ANYWHERE"))

    assert main(["check", str(path)]) == 2
    assert "18: alerts[0].webhook: environment variable NOT_SET_ANYWHERE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("GATEWAY_PROVIDER", "alpaca", "provider: GATEWAY_PROVIDER is 'alpaca'"),
        ("GATEWAY_API_KEY", "short", "at least 32 characters"),
        ("SUBSCRIPTIONS", "nonsense", "no JSON"),
        ("GATEWAY_HOST", "0.0.0.0", "`tls`"),
    ],
)
def test_front_doors_are_built_too(
    variable: str,
    value: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = str(ROOT / "config" / "tektii_gateway.yaml")
    assert main(["check", config]) == 0
    assert "door tektii at 127.0.0.1:8080: accounts main" in capsys.readouterr().out

    monkeypatch.setenv(variable, value)

    assert main(["check", config]) == 2
    assert reason in capsys.readouterr().err
