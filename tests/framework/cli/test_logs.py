"""The log: one form for everybody's lines, and no secret in any of them (T-41)."""

import json
import logging
from io import StringIO

import pytest
import structlog

from framework.cli.logs import configure_logging
from framework.settings.secrets import Secret
from framework.settings.structs import LogFormat, LoggingSettings, LogLevel

pytestmark = pytest.mark.usefixtures("process")

VALUE = 'planted-"secret"-in-logs'


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_json_where_nobody_watches() -> None:
    output = StringIO()
    configure_logging(LoggingSettings(), output)

    structlog.get_logger("t").warning("feed_lost", venue="mock", attempt=3)

    line = json.loads(output.getvalue())
    assert (line["event"], line["level"], line["venue"], line["attempt"]) == (
        "feed_lost",
        "warning",
        "mock",
        3,
    )
    assert line["timestamp"].endswith("Z")


def test_lines_are_for_people_on_a_terminal() -> None:
    output = Terminal()
    configure_logging(LoggingSettings(), output)

    structlog.get_logger("t").warning("feed_lost", text="red\x1b[31malert")

    assert "feed_lost" in output.getvalue()
    assert "red\\x1b[31malert" in output.getvalue()


def test_a_format_can_be_chosen_and_quiet_levels_are_left_out() -> None:
    output = StringIO()
    configure_logging(LoggingSettings(LogLevel.WARNING, LogFormat.CONSOLE), output)

    structlog.get_logger("t").info("quiet")
    structlog.get_logger("t").warning("loud")

    assert "quiet" not in output.getvalue()
    assert "loud" in output.getvalue()
    assert "{" not in output.getvalue()


@pytest.mark.parametrize("output", [StringIO(), Terminal()])
def test_no_secret_gets_into_a_line(output: StringIO) -> None:
    secret = Secret(VALUE)
    configure_logging(LoggingSettings(), output)
    log = structlog.get_logger("t")

    log.info("connected", api_key="k1-hidden", headers={"x": VALUE}, key=secret)
    log.info(f"sent {VALUE}", access_token="t1-hidden", instrument_token=5)
    try:
        raise ValueError(VALUE)
    except ValueError:
        log.exception("failed")

    text = output.getvalue()
    assert "planted" not in text
    assert "hidden" not in text
    assert text.count("***") >= 5
    assert "instrument_token" in text


def test_libraries_lines_have_the_same_form_and_no_secret() -> None:
    Secret(VALUE)
    output = StringIO()
    configure_logging(LoggingSettings(), output)
    configure_logging(LoggingSettings(), output)

    logging.getLogger("aiohttp.client").warning("lost %s", VALUE)
    logging.getLogger("aiohttp.client").info("quiet")

    lines = output.getvalue().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["event"] == "lost ***"
