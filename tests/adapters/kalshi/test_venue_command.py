"""`headrace venue kalshi`: what its arguments mean, and the process that they start."""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.command_line import add_arguments, settings_of
from adapters.kalshi.simulated.stream_settings import SecondSubscribe
from adapters.kalshi.simulated.venue_settings import VenueSettings
from framework.cli.main import main
from framework.errors import ConfigError
from tests.adapters.kalshi.simulated.rest_rig import PEM, Client

ROOT = Path(__file__).parents[3]
LIMIT_S = 20


@pytest.fixture
def public_key(tmp_path: Path) -> str:
    """The file of a public key."""
    path = tmp_path / "key.pub"
    path.write_bytes(PEM)
    return str(path)


def parsed(*arguments: str) -> argparse.Namespace:
    """Return what the command line makes of its arguments."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def settings(*arguments: str) -> VenueSettings:
    """Return the settings that the arguments stand for."""
    return settings_of(parsed(*arguments))


def test_without_more_arguments_signatures_are_needed_and_there_is_activity(
    public_key: str,
) -> None:
    found = settings("--key-id", "k1", "--public-key", public_key)

    assert found.auth is AuthMode.REQUIRE
    assert found.accounts == {"k1": "k1"}
    assert found.keys[0].public_key == PEM.decode()
    assert found.profile is Profile.CURRENT
    assert found.activity is not None
    assert not found.rest.enforces_limits


def test_every_argument_has_its_setting(public_key: str) -> None:
    keys = ["--key-id", "k1", "--public-key", public_key, "--key-id", "k2"]
    behaviour = ["--profile", "legacy", "--second-subscribe", "merge", "--error-shape", "flat"]
    found = settings(
        *keys,
        *("--public-key", public_key, "--auth", "optional", "--markets", "7", "--rate", "2.5"),
        *behaviour,
        *("--null-lists", "--lag-ms", "250", "--limits", "premier", "--act-for-accounts"),
    )

    assert list(found.accounts) == ["k1", "k2"]
    assert (found.auth, found.markets) == (AuthMode.OPTIONAL, 7)
    assert found.activity is not None
    assert (found.activity.steps_per_s, found.activity.most_steps_per_s) == (2.5, 17.5)
    assert found.profile is Profile.LEGACY
    assert found.streams.second_subscribe is SecondSubscribe.MERGE
    assert (found.rest.error_shape, found.rest.null_lists, found.rest.lag_ms) == ("flat", True, 250)
    assert (found.rest.tier, found.rest.enforces_limits) == ("premier", True)
    assert found.acts_for_accounts
    assert settings("--auth", "off", "--no-activity").activity is None


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--port", "70000"], ["--port", "x"], ["--markets", "0"], ["--rate", "nan"]),
        *(["--rate", "0"], ["--seed", "-1"], ["--auth", "maybe"], ["--profile", "2027"]),
    ],
)
def test_an_argument_out_of_range_ends_with_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)

    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_keys_that_make_no_sense_are_one_line_each(public_key: str, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00")
    missing = str(tmp_path / "missing")

    for arguments, reason in (
        ([], "nobody could sign: give --key-id and --public-key"),
        (["--key-id", "k1"], "every --key-id needs its --public-key"),
        (["--key-id", "k1", "--public-key", public_key] * 2, "given twice"),
        (["--key-id", "k1", "--public-key", missing], "missing: --public-key: No such file"),
        (["--key-id", "k1", "--public-key", str(tmp_path)], "Is a directory"),
        (["--key-id", "k1", "--public-key", "a\0b"], "null byte"),
        (["--key-id", "k1", "--public-key", str(binary)], "it is not PEM"),
    ):
        with pytest.raises(ConfigError, match=reason):
            settings(*arguments)


def test_a_file_that_holds_no_key_ends_with_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")

    code = main(["venue", "kalshi", "--key-id", "k1", "--public-key", str(path)])

    assert code == 2
    assert capsys.readouterr().err == "keys: key 'k1' is not a public key in PEM\n"


@pytest.mark.socket
def test_a_port_that_is_taken_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        code = main(["venue", "kalshi", "--auth", "off", "--port", port])

    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert said.err.count("\n") == 1


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the venue as a process."""
    command = [sys.executable, "-m", "framework", "venue", "kalshi", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def converse(place: dict[str, Any]) -> tuple[Any, list[str]]:
    """Trade over REST, and hear about it on the stream."""
    async with aiohttp.ClientSession() as session:
        client = Client(session, "k1", place["rest"], now_ms=lambda: int(time.time() * 1_000))
        (market,) = (await client.get("/markets"))["markets"]
        signed = client.signed("GET", "/trade-api/ws/v2")
        async with session.ws_connect(place["ws"], headers=signed) as stream:
            channels = {"channels": ["user_orders"]}
            await stream.send_json({"id": 1, "cmd": "subscribe", "params": channels})
            first = await stream.receive_json(timeout=LIMIT_S)
            order = await client.buy("0.01", ticker=market["ticker"])
            second = await stream.receive_json(timeout=LIMIT_S)
    return order, [first["type"], second["type"]]


@pytest.mark.socket
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_s1_the_process_says_where_it_is_serves_and_stops_in_order(
    number: int, public_key: str
) -> None:
    key = ["--key-id", "k1", "--public-key", public_key]
    with running("--port", "0", "--markets", "1", "--no-activity", *key) as process:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        order, heard = asyncio.run(converse(place))
        os.kill(process.pid, number)
        rest, errors = process.communicate(timeout=LIMIT_S)

    assert place["key_ids"] == ["k1"]
    assert order["status"] == "resting"
    assert heard == ["subscribed", "user_order"]
    assert process.returncode == 0
    assert rest == ""
    assert errors == "headrace: stopping in order; once more to leave at once\n"
