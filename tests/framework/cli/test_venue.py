"""`headrace venue`: finds the venue, hands it its arguments, stops it by signal."""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from framework.cli import venue as command
from framework.cli.main import main
from framework.errors import ConfigError, VenueError


class Entry:
    """An entry point of somebody else's package."""

    name = "elsewhere"

    def __init__(self, found: object) -> None:
        self._found = found

    def load(self) -> object:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Venue:
    """A venue that says its options and ends as it was told to."""

    def __init__(self) -> None:
        self.is_closed = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=0)
        parser.add_argument("--end", choices=["signal", "config", "cancelled"], default="signal")

    async def serve(self, options: argparse.Namespace, announce: command.Announce) -> None:
        if options.end == "config":
            raise ConfigError("port 80 is taken", key="--port")
        if options.end == "cancelled":
            raise asyncio.CancelledError
        announce({"port": options.port})
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """A venue called `elsewhere`."""
    offered = Venue()
    offer(monkeypatch, offered)
    return offered


def offer(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """Let an entry point called `elsewhere` load this."""

    def entry_points(group: str, name: str = "elsewhere") -> list[Entry]:
        return [Entry(found)] if (group, name) == ("headrace.venues", "elsewhere") else []

    monkeypatch.setattr(command, "entry_points", entry_points)


def test_a_venue_is_served_until_ctrl_c_and_says_where_it_is_on_one_line(
    venue: Venue, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(["venue", "elsewhere", "--port", "7"])

    said = capfd.readouterr()
    assert code == 0
    assert json.loads(said.out) == {"port": 7}
    assert said.out.count("\n") == 1
    assert "stopping in order" in said.err
    assert venue.is_closed


def test_a_venue_that_cannot_start_is_one_line_and_exit_code_2(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["venue", "elsewhere", "--end", "config"])

    assert code == 2
    assert capsys.readouterr().err == "--port: port 80 is taken\n"


def test_wrong_arguments_end_with_code_2_and_say_what_the_venue_takes(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["venue", "elsewhere", "--prot", "7"])

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "headrace venue elsewhere: error: unrecognized arguments: --prot 7" in said


def test_help_after_the_name_is_the_venues(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["venue", "elsewhere", "--help"])

    assert ended.value.code == 0
    assert "--end" in capsys.readouterr().out


def test_a_cancellation_that_no_signal_asked_for_is_not_hidden(venue: Venue) -> None:
    with pytest.raises(asyncio.CancelledError):
        main(["venue", "elsewhere", "--end", "cancelled"])


def test_a_venue_that_does_not_exist_is_named_with_those_that_do(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["venue", "nowhere"])

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("there is no simulated venue 'nowhere' (known: ")
    assert "elsewhere" in said
    assert "kalshi" in said


def test_an_adapter_without_a_simulated_venue_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["venue", "replay"]) == 2
    assert "there is no simulated venue 'replay'" in capsys.readouterr().err


def test_a_package_that_fails_while_it_is_imported_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer(monkeypatch, VenueError("no wheel"))

    with pytest.raises(ConfigError, match=r"'elsewhere' cannot be imported: .*no wheel"):
        command.find_venue("elsewhere")


def test_a_venue_whose_library_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="cryptography")

    monkeypatch.setattr(command, "import_module", missing)

    with pytest.raises(ConfigError, match="venue 'kalshi' needs 'cryptography'"):
        command.find_venue("kalshi")


def test_a_venue_of_ours_is_found_by_its_name() -> None:
    found = command.find_venue("kalshi")

    assert callable(found.add_arguments)
    assert callable(found.serve)


def test_announcements_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    facts: Mapping[str, object] = {"rest": "http://127.0.0.1:1/trade-api/v2"}

    command.announce(facts)

    assert json.loads(capsys.readouterr().out) == facts
