"""Sessions traded through a front door are verified too: commands and order log (R-74, R-90)."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from framework.cli import replay as command
from framework.cli.main import main
from framework.cli.replay_log import BESIDE_THE_CORE
from framework.engine.recorded_core import CORE
from framework.model.commands import SubmitOrder
from framework.model.inputs import CommandIssued, InputRecord, SessionStarted
from framework.model.records import JournalOpened, OrderTrailed, Record
from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from framework.store.entries import Head, Row, first_checksum, record_of, row_of
from framework.store.input_log import InputLog, read_segments
from framework.store.opening import open_for_reading
from framework.store.sqlite_reading import connect
from tests.recorded_session import SEEDED
from tests.scenarios.gateway_traffic import Notes, trade_until
from tests.scenarios.test_gateway_kills import Gateway
from tests.source_code import ROOT

START_NS = 1_790_000_000_000_000_000
COMMANDS = {"submit", "modify", "modify_exits", "cancel", "reset_exits"}
_decode = msgspec.msgpack.Decoder(InputRecord).decode


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch, process: None) -> Iterator[None]:
    """Let this process have a hash seed that recordings can name, and print no logs."""
    monkeypatch.setenv("PYTHONHASHSEED", SEEDED["PYTHONHASHSEED"])
    with capture_logs():
        yield


class Client:
    """Asks the gateway over REST."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the body of an answer that is no refusal."""
        async with self._http.request(method, path, json=body) as answer:
            found = await answer.json()
            assert answer.status < 300, (method, path, found)
            return found

    async def submit(self, kind: str = "market", **more: str) -> str:
        """Submit an order to buy and return its id."""
        order = {"symbol": "AAPL", "side": "buy", "quantity": "2", "order_type": kind, **more}
        return str((await self.ask("POST", "/v1/orders", order))["id"])


Trade = Callable[[Client], Awaitable[Any]]


class Sessions:
    """Process starts of the mock gateway on one journal, on virtual time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        text = (ROOT / "config" / "tektii_gateway.yaml").read_text()
        self.text = text.replace("# journal: sqlite:///", f"journal: sqlite:///{directory}/")
        self.config = directory / "gateway.yaml"
        self.config.write_text(self.text)
        self.path = directory / "tektii_gateway.db"
        self.inputs = directory / "tektii_gateway.db.inputs"
        self._count = 0

    def play(self, trade: Trade) -> None:
        """Start, trade, stop in order."""
        settings = load(self.config, environment={})

        async def session() -> None:
            async with (
                Runtime(settings, config=self.text) as runtime,
                aiohttp.ClientSession(
                    connector=open_connector(), base_url=runtime.addresses[0]
                ) as http,
            ):
                client = Client(http)
                await client.ask("GET", "/v1/quotes/AAPL")
                await anyio.sleep(1)
                await trade(client)

        self._count += 1
        start_ns = START_NS + self._count * 3_600 * 1_000_000_000
        run_simulated(session, seed=settings.seed, start_ns=start_ns)

    def killed_copy(self, directory: Path) -> "Sessions":
        """Return what a kill would leave now; to be called while a session lasts."""
        directory.mkdir()
        copy = Sessions(directory)
        copy._count = self._count
        for path in self.directory.glob("tektii_gateway.db*"):
            target = directory / path.name
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        return copy

    def verify(self) -> int:
        """Return the exit code of `headrace replay --verify`."""
        return main(["replay", f"sqlite:///{self.path}", "--verify"])

    def inputs_recorded(self) -> list[Any]:
        """Return every recorded input."""
        return [_decode(payload) for _, _, payload in read_segments(self.inputs)]

    def rewrite_inputs(self, records: list[Any]) -> None:
        """Replace the recorded inputs."""
        shutil.rmtree(self.inputs)
        log = InputLog.open(self.inputs, records[0].journal_id, 1)
        for record in records:
            log.append(msgspec.msgpack.encode(record))
        log.close()

    def rows(self) -> list[Row]:
        """Return the order log."""
        return list(command.read_order_log(f"sqlite:///{self.path}"))

    def entries(self) -> list[Record]:
        """Return the entries of the order log."""
        return [record_of(row, "journal") for row in self.rows()]

    def rewrite_entry(self, position: int, entry: Record) -> None:
        """Put another entry into the order log, with a chain of checksums that bears it out."""
        rows = self.rows()
        reading = open_for_reading(f"sqlite:///{self.path}")
        head = Head(0, first_checksum(reading.journal_id))
        reading.close()
        connection = connect(self.path, "rw", 1.0)
        for at, row in enumerate(rows, 1):
            changed = entry if at == position else record_of(row, "journal")
            new = row_of(changed, at, row[1], row[2], head.checksum)
            head = Head(at, new[5])
            connection.execute(
                "UPDATE entries SET payload = ?, checksum = ? WHERE position = ?",
                (new[6], new[5], at),
            )
        connection.close()
        self.path.with_name(self.path.name + "-mark").unlink()


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path)


async def every_command(client: Client) -> None:
    """Ask for everything that a client of this door can ask for."""
    await client.submit(stop_loss="50", take_profit="900", client_order_id="bracket")
    resting = await client.submit("limit", limit_price="1")
    await client.ask("PATCH", f"/v1/orders/{resting}", {"limit_price": "2", "quantity": "3"})
    bracket = await client.submit("limit", limit_price="1", stop_loss="0.5")
    await client.ask("PATCH", f"/v1/orders/{bracket}", {"stop_loss": "0.6", "take_profit": "500"})
    trailing = await client.submit(
        "trailing_stop", side="sell", trailing_distance="5", trailing_type="absolute"
    )
    await client.ask("PATCH", f"/v1/orders/{trailing}", {"trailing_distance": "7"})
    for name, price in (("low", "1"), ("lower", "0.9")):
        await client.submit("limit", limit_price=price, oco_group_id="pair", client_order_id=name)
    (position,) = await client.ask("GET", "/v1/positions")
    moved = {"stop_loss": "60", "take_profit": "800"}
    await client.ask("PATCH", f"/v1/positions/{position['id']}", moved)
    await anyio.sleep(20)
    await client.ask("DELETE", f"/v1/orders/{resting}")
    await client.ask("DELETE", f"/v1/positions/{position['id']}", {"quantity": "1"})
    await client.ask("DELETE", "/v1/orders")
    await client.ask("POST", "/v1/circuit-breakers/reset")
    await client.submit(stop_loss="50")
    await client.ask("DELETE", "/v1/positions")


async def bracket(client: Client) -> None:
    """Hold a position with its exits, and have an order rest."""
    await client.submit(stop_loss="50", take_profit="900")
    await client.submit("limit", limit_price="1")
    await anyio.sleep(2)


def test_r74_a_session_with_every_kind_of_command_verifies(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(every_command)

    assert sessions.verify() == 0, capsys.readouterr().out

    issued = [item for item in sessions.inputs_recorded() if isinstance(item, CommandIssued)]
    assert {item.run for item in issued} == {CORE}
    assert {item.name for item in issued} >= COMMANDS
    written = [row for row in sessions.rows() if row[3] not in BESIDE_THE_CORE]
    assert any(isinstance(entry, OrderTrailed) for entry in sessions.entries())
    out = capsys.readouterr().out
    assert f"{len(issued)} from outside given again and their answers compared" in out
    assert f"{len(written)} entries of the order log compared" in out
    assert "what the order log holds is what follows from the inputs" in out


def test_r74_sessions_with_restarts_and_kills_in_between_verify(
    sessions: Sessions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, killed while orders are on their way, and in order again."""
    copies: list[Sessions] = []

    async def killed(client: Client) -> None:
        await bracket(client)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(client.submit)
            await anyio.sleep(0.0005)
            copies.append(sessions.killed_copy(tmp_path / "killed"))

    sessions.play(bracket)
    sessions.play(killed)
    (after,) = copies
    after.play(every_command)

    assert after.verify() == 0, capsys.readouterr().out

    epochs = [entry.epoch for entry in after.entries() if isinstance(entry, JournalOpened)]
    assert epochs == [1, 2, 3]
    out = capsys.readouterr().out
    for epoch in epochs:
        assert f"session {epoch}: " in out
    assert ", 0 entries" not in out


def test_r01_r74_a_kill_within_what_a_command_leads_to_verifies(
    sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another thread writes inputs at any time: the newest may be of an item that goes on."""
    copies: list[Sessions] = []
    append = InputLog.append

    def torn(inputs: InputLog, payload: bytes) -> int:
        position = append(inputs, payload)
        if not copies and isinstance(_decode(payload), CommandIssued):
            inputs.flush()
            copies.append(sessions.killed_copy(tmp_path / "killed"))
        return position

    monkeypatch.setattr(InputLog, "append", torn)
    sessions.play(bracket)
    (after,) = copies
    said = "its records end within what the last of them led to, as a kill leaves them"

    assert after.verify() == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[1] == said

    after.play(bracket)

    assert after.verify() == 0, capsys.readouterr().out
    out = capsys.readouterr().out.splitlines()
    assert out[1] == said
    assert out[2].startswith("session 2: ")
    assert out.count(said) == 1


def test_a_command_that_was_tampered_with_is_shown_with_its_place(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(bracket)
    records = sessions.inputs_recorded()
    place = next(i for i, item in enumerate(records) if isinstance(item, CommandIssued))
    arguments = msgspec.msgpack.decode(records[place].arguments)
    arguments[0][0]["quantity"] = "3"
    records[place] = msgspec.structs.replace(records[place], arguments=arguments)
    sessions.rewrite_inputs(records)

    assert sessions.verify() == 1

    entries = sessions.entries()
    entry = next(i for i, item in enumerate(entries, 1) if isinstance(item, SubmitOrder))
    out = capsys.readouterr().out
    at = f"at entry {entry} of the order log, behind record {place + 1}, in the core:"
    assert f"first difference, {at}" in out
    assert "  before:    a command from outside: submit(" in out
    assert "quantity=Decimal('2')" in out.partition("recorded:")[2].partition("\n")[0]
    assert "quantity=Decimal('3')" in out.partition("replayed:")[2].partition("\n")[0]


def test_an_answer_that_was_tampered_with_is_shown_with_its_place(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(bracket)
    records = sessions.inputs_recorded()
    place = next(i for i, item in enumerate(records) if isinstance(item, CommandIssued))
    answer = next(i for i in range(place, len(records)) if hasattr(records[i], "outcome"))
    records[answer] = msgspec.structs.replace(records[answer], outcome="something else")
    sessions.rewrite_inputs(records)

    assert sessions.verify() == 1

    out = capsys.readouterr().out
    assert f"first difference, at record {answer + 1}, in the core:" in out
    assert "  recorded:  answered 'something else'" in out


@pytest.mark.parametrize("session", [1, 2])
def test_an_entry_of_the_order_log_that_was_tampered_with_is_shown_with_its_place(
    session: int, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chain of checksums bears it out: only the replay can tell."""
    sessions.play(bracket)
    sessions.play(bracket)
    submits = [
        at
        for at, (row, entry) in enumerate(zip(sessions.rows(), sessions.entries(), strict=True), 1)
        if isinstance(entry, SubmitOrder) and row[1] == session
    ]
    position = submits[-1]
    entry = sessions.entries()[position - 1]
    assert isinstance(entry, SubmitOrder)
    sessions.rewrite_entry(position, msgspec.structs.replace(entry, time_ns=entry.time_ns + 1))
    assert main(["journal", "verify", f"sqlite:///{sessions.path}"]) == 0
    assert "entries are whole" in capsys.readouterr().out

    assert sessions.verify() == 1

    out = capsys.readouterr().out
    assert f"first difference, at entry {position} of the order log, behind record " in out


def test_an_order_log_with_more_than_follows_from_the_inputs_is_not_verified(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(bracket)
    records = sessions.inputs_recorded()
    place = next(i for i, item in enumerate(records) if isinstance(item, CommandIssued))
    sessions.rewrite_inputs(records[:place])

    assert sessions.verify() == 2

    entries = sessions.entries()
    entry = next(i for i, item in enumerate(entries, 1) if isinstance(item, SubmitOrder))
    assert f"the inputs end before what the order log has from entry {entry} on" in (
        capsys.readouterr().out
    )


def test_inputs_that_end_within_an_item_whose_entries_are_there_are_not_verified(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kill leaves no entry without its inputs, so that none may be missing then."""
    sessions.play(bracket)
    records = sessions.inputs_recorded()
    place = next(i for i, item in enumerate(records) if isinstance(item, CommandIssued))
    sessions.rewrite_inputs(records[: place + 1])

    assert sessions.verify() == 2

    out = capsys.readouterr().out
    assert "its records end within what the last of them led to" in out
    assert "the inputs end before what the order log has from entry " in out


def test_a_damaged_order_log_is_named_and_nothing_is_verified(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(bracket)
    connection = connect(sessions.path, "rw", 1.0)
    connection.execute("UPDATE entries SET time_ns = 0 WHERE position = 7")
    connection.close()

    assert sessions.verify() == 1

    assert "entry 7 does not bear out its checksum" in capsys.readouterr().err


def test_inputs_without_their_order_log_are_verified_and_that_is_said(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.play(bracket)
    sessions.path.unlink()

    assert sessions.verify() == 0

    out = capsys.readouterr().out
    assert "is not there: nothing is compared with an order log" in out
    assert "0 entries of the order log compared" in out
    assert "what the order log holds" not in out
    assert isinstance(sessions.inputs_recorded()[0], SessionStarted)


@pytest.mark.socket
@pytest.mark.kill
def test_r01_r74_processes_on_a_real_clock_that_were_killed_in_traffic_verify(
    tmp_path: Path,
) -> None:
    """On a virtual clock all of a start is one instant by itself; here it must be made one."""
    gateway, notes = Gateway(tmp_path), Notes()
    try:
        for number in range(2):
            url = gateway.start()

            async def kill(number: int = number) -> None:
                await asyncio.sleep(0.15 + 0.1 * number)
                gateway.process.kill()

            asyncio.run(trade_until(url, notes, f"r{number}", number, kill))
    finally:
        gateway.process.kill()

    journal = f"sqlite:///{tmp_path / 'tektii_gateway.db'}"
    replayed = subprocess.run(
        [sys.executable, "-m", "framework", "replay", journal, "--verify"],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=60,
        check=False,
    )

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert notes.handles
    assert [line[:10] for line in replayed.stdout.splitlines()[:2]] == ["session 1:", "session 2:"]
