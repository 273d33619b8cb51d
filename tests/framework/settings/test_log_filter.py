"""`RUST_LOG` as a log level (section 17 of the gateway's description)."""

from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.settings.loading import load
from framework.settings.log_filter import level_of
from framework.settings.structs import LogLevel
from tests.source_code import ROOT

GATEWAY = ROOT / "config" / "tektii_gateway.yaml"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("debug", LogLevel.DEBUG),
        ("info", LogLevel.INFO),
        ("warn", LogLevel.WARNING),
        ("warning", LogLevel.WARNING),
        ("error", LogLevel.ERROR),
        ("critical", LogLevel.CRITICAL),
        ("WARN", LogLevel.WARNING),
        ("trace", LogLevel.DEBUG),
        ("off", LogLevel.CRITICAL),
        ("gateway=debug", LogLevel.DEBUG),
        ("tektii_gateway::stream=error", LogLevel.ERROR),
        ("info,gateway=debug", LogLevel.DEBUG),
        ("warn, hyper=error,", LogLevel.WARNING),
        ("info/some.*text", LogLevel.INFO),
        ("", LogLevel.INFO),  # as if it were not set
    ],
)
def test_a_gateway_takes_its_level_from_rust_log(text: str, level: LogLevel) -> None:
    assert load(GATEWAY, environment={"RUST_LOG": text}).logging.level is level


def test_without_the_variable_a_gateway_logs_what_happens() -> None:
    assert load(GATEWAY, environment={}).logging.level is LogLevel.INFO


@pytest.mark.parametrize(
    "text", ["loud", "gateway", "gateway=", "=debug", "gateway=loud", "info,loud", ",", "/x"]
)
def test_what_is_no_filter_is_refused_with_its_place(text: str) -> None:
    assert level_of(text) is None
    with pytest.raises(
        ConfigError, match=r"logging\.level: .* is not one of debug, info"
    ) as caught:
        load(GATEWAY, environment={"RUST_LOG": text})
    assert caught.value.line is not None


def test_any_configuration_may_say_it_like_that(tmp_path: Path) -> None:
    path = tmp_path / "chosen.yaml"
    path.write_text(GATEWAY.read_text().replace("${RUST_LOG:-info}", "gateway=warn"))
    assert load(path, environment={}).logging.level is LogLevel.WARNING
