"""Recordings of live sessions, restarts included, verified by the command line (R-74, R-90)."""

import shutil
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from framework import Fill, Order, Quote, Strategy, Timer
from framework.cli import replay as command
from framework.cli.main import main
from framework.cli.replay_log import RecordedLog
from framework.engine.recorded_core import CORE
from framework.errors import KeyConflict
from framework.model.inputs import (
    CommandIssued,
    GateMoved,
    InputRecord,
    InputTaken,
    OnlookerCame,
    OnlookerLeft,
    OrderForgotten,
)
from framework.model.market_data import BookChanged
from framework.model.orders import OrderIntent, OrderStatus, Side
from framework.model.records import HoldOrder, JournalOpened
from framework.orders.eviction import ClosedOrders
from framework.runtime import keeping
from framework.runtime.journal import inputs_directory
from framework.runtime.operator_requests import Kill, Release, Request
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from framework.store.entries import record_of
from framework.store.input_log import InputLog, read_segments
from tests.broker import adapter as broker
from tests.broker.rig import simulated_loop, started_server
from tests.broker.script import CALM, STORM, Script
from tests.crash.trading import trader_settings
from tests.recorded_session import SEEDED
from tests.scripted_venue import SECOND_NS, START_NS

DEMO = "demo:DEMO"
CONFIG = """
mode: paper
name: replayed
seed: 7
journal: sqlite:///{journal}
venues:
  demo:
    adapter: mock
    settings:
      interval_ms: 100
      candle_interval: 1s
      instruments:
        - {{symbol: DEMO, start_price: 10000, volatility: 0.8, spread_bps: 0.2}}
    instruments:
      - {{symbol: DEMO, currency: USD, base: DEMO, tick: 0.01, lot: 0.01}}
    costs: {{taker_bps: 5}}
    latency: {{order_ms: 20, jitter_ms: 10}}
accounts:
  main: {{venue: demo, currency: USD, balances: {{USD: 1000000}}}}
strategies:
  - {{id: plain, class: "tests.scenarios.test_replay_live:Plain", account: main, on_stop: leave}}
  - {{id: patient, class: "tests.scenarios.test_replay_live:Patient", account: main,
      on_stop: flatten}}
"""
_decode = msgspec.msgpack.Decoder(InputRecord).decode


class Plain(Strategy):
    """Buys on a timer with stop and target, and leaves what it has over a restart."""

    def on_start(self) -> None:
        self.count = 0
        self.watch_quotes(DEMO)
        self.every(1.5, "buy")

    def on_timer(self, timer: Timer) -> None:
        quote = self.quote(DEMO)
        if quote is None:
            return
        self.count += 1
        held = self.position(DEMO).quantity
        away = Decimal(1 + self.count % 3)
        ask = self.instrument(DEMO).price(quote.ask)
        self.buy(
            DEMO,
            Decimal("0.1"),
            stop_loss=ask - away,
            take_profit=ask + 2 * away,
            tags=(f"{held}", f"{len(self.orders())}", f"{timer.missed}"),
        )
        self.buy(DEMO, Decimal("0.05"), price=ask - 20)

    def save_state(self) -> Any:
        return {"count": self.count}

    def load_state(self, state: Any) -> None:
        self.count = state["count"]


class Patient(Strategy):
    """Waits for its fills, and sells what it bought; `on_stop: flatten` closes the rest."""

    def on_start(self) -> None:
        self.watch_quotes(DEMO)

    async def on_quote(self, quote: Quote) -> None:
        order = self.buy(DEMO, Decimal("0.2"))
        try:
            await order.filled(timeout_s=1)
        except TimeoutError:
            self.cancel(order)
        await self.sleep(0.7)
        price = self.random.choice((None, quote.bid - 5))
        exact = None if price is None else self.instrument(DEMO).price(price)
        self.sell(DEMO, Decimal("0.1"), price=exact, tags=(str(self.now_ns),))

    def on_order(self, order: Order) -> None:
        if order.status is OrderStatus.REJECTED:
            self.cancel_all()


Step = Callable[[Runtime], Awaitable[Any]]


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch, process: None) -> None:
    """Let this process have a hash seed that recordings can name."""
    monkeypatch.setenv("PYTHONHASHSEED", SEEDED["PYTHONHASHSEED"])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a journal of its own."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(journal=tmp_path / "trades.db"))
    return path


def run(config: Path, seconds: float, *, start_s: float = 0, during: Step | None = None) -> Runtime:
    """Run one session on virtual time and return it, stopped."""
    settings, text = load(config), config.read_text()

    async def session() -> Runtime:
        async with Runtime(settings, config=text) as runtime:
            if during is not None:
                await during(runtime)
            await anyio.sleep(seconds)
        return runtime

    start_ns = START_NS + round(start_s * SECOND_NS)
    return run_simulated(session, seed=settings.seed, start_ns=start_ns)


def journal_of(config: Path) -> str:
    """Return the URL of the configuration's journal."""
    return f"sqlite:///{config.parent / 'trades.db'}"


def inputs_of(config: Path) -> Path:
    """Return where its inputs lie."""
    directory = inputs_directory(journal_of(config))
    assert directory is not None
    return directory


def records_of(config: Path) -> list[Any]:
    """Return every recorded input."""
    return [_decode(payload) for _, _, payload in read_segments(inputs_of(config))]


def entries_of(config: Path, kind: type) -> list[Any]:
    """Return the order log's entries of one type."""
    rows = command.read_order_log(journal_of(config))
    entries = [record_of(row, "journal") for row in rows]
    return [entry for entry in entries if isinstance(entry, kind)]


def verify(config: Path) -> int:
    """Return the exit code of `headrace replay --verify`."""
    return main(["replay", journal_of(config), "--verify"])


def rewrite(config: Path, records: list[Any]) -> None:
    """Replace the recorded inputs."""
    directory = inputs_of(config)
    for file in directory.iterdir():
        file.unlink()
    log = InputLog.open(directory, records[0].journal_id, 1)
    for record in records:
        log.append(msgspec.msgpack.encode(record))
    log.close()


def test_r74_r90_two_paper_sessions_on_one_journal_verify(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, 30)
    second = run(config, 30, start_s=40)

    assert verify(config) == 0, capsys.readouterr().out

    issued = [record for record in records_of(config) if isinstance(record, CommandIssued)]
    assert {record.run for record in issued} >= {0, 1}
    assert len(issued) > 100
    assert len(entries_of(config, HoldOrder)) > 20
    assert [run.context.session for run in second.system.runs] == [2, 2]
    out = capsys.readouterr().out
    assert out.count("commands compared") == 2
    assert out.endswith("every command is equal\n")


def test_a_tampered_command_is_shown_with_the_event_before_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, 8)
    records = records_of(config)
    places = [i for i, item in enumerate(records) if isinstance(item, CommandIssued)]
    place = next(i for i in places[10:] if records[i].name == "submit")
    records[place] = msgspec.structs.replace(records[place], name="flatten")
    rewrite(config, records)

    assert verify(config) == 1

    out = capsys.readouterr().out
    assert f"first difference, at record {place + 1}, in " in out
    assert "  before:    event " in out
    assert "  recorded:  flatten(" in out
    assert "  replayed:  submit(" in out


def test_the_journal_is_opened_in_the_replay_as_it_was_recorded(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, 2)
    run(config, 2, start_s=10)
    found: list[JournalOpened] = []
    append = RecordedLog.append

    def noted(log: RecordedLog, entry: Any) -> int:
        if isinstance(entry, JournalOpened):
            found.append(entry)
        return append(log, entry)

    monkeypatch.setattr(RecordedLog, "append", noted)

    assert verify(config) == 0

    recorded = entries_of(config, JournalOpened)
    assert found == recorded


def test_a_replay_writes_nothing(config: Path) -> None:
    run(config, 3)
    files = files_of(config)

    assert verify(config) == 0

    assert files_of(config) == files


def files_of(config: Path) -> dict[Path, bytes]:
    """Return what is on disk, but for what SQLite makes beside a file that it only reads."""
    found = {path: path.read_bytes() for path in config.parent.rglob("*") if path.is_file()}
    return {
        path: found[path]
        for path in found
        if path.suffix != ".db-shm" and not (path.suffix == ".db-wal" and not found[path])
    }


def asked(number: int, ask: Any) -> Request:
    """Return an operator's request."""
    return Request(id=f"{START_NS:020d}-{number:016x}", by="ada", time_ns=START_NS, ask=ask)


def test_r64_what_an_operator_asks_acts_in_the_replay_as_it_did(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed, released, killed with everything flattened; killed still after a restart."""

    async def during(runtime: Runtime) -> None:
        services = runtime._services
        assert services is not None
        await anyio.sleep(5)
        services.ask(asked(1, Kill("enough")))
        await anyio.sleep(4)
        services.ask(asked(2, Release("go on")))
        await anyio.sleep(4)
        services.ask(asked(3, Kill("all of it", flatten=True)))

    run(config, 3, during=during)
    run(config, 5, start_s=60)

    assert verify(config) == 0, capsys.readouterr().out

    inputs = [item for item in records_of(config) if isinstance(item, InputTaken)]
    assert sum(b"is_kill_file_there" in bytes(item.event) for item in inputs) == 3
    denied = [order.reason for order in entries_of(config, Order) if "halted" in order.reason]
    assert any("enough" in reason for reason in denied)
    assert any("all of it" in reason for reason in denied)


def test_without_what_the_operator_asked_the_replay_differs(config: Path) -> None:
    async def during(runtime: Runtime) -> None:
        services = runtime._services
        assert services is not None
        await anyio.sleep(5)
        services.ask(asked(1, Kill("enough")))

    run(config, 5, during=during)
    records = records_of(config)
    place = next(
        i
        for i, item in enumerate(records)
        if isinstance(item, InputTaken) and b"is_kill_file_there" in bytes(item.event)
    )
    del records[place]
    rewrite(config, records)

    assert verify(config) == 1


@pytest.mark.parametrize(("seed", "script"), [(1, CALM), (2, STORM), (3, STORM)])
def test_r74_sessions_against_a_broker_that_loses_answers_verify(
    seed: int, script: Script, tmp_path: Path
) -> None:
    """Live orders: doubts, questions, reports and reconciliation are inputs like any other."""
    broker.install()
    chosen = trader_settings(seed=seed, journal=f"sqlite:///{tmp_path / 'trades.db'}")

    async def session(seconds: float) -> None:
        async with Runtime(chosen):
            await anyio.sleep(seconds)

    async def both() -> None:
        server = await started_server(script, seed=seed, tick_ms=40)
        await session(20)
        await anyio.sleep(3)
        del simulated_loop()._randoms["run trader"]  # a new process begins its streams anew
        await session(10)
        server.close()

    with capture_logs():
        run_simulated(both, seed=seed, start_ns=START_NS)
        verdicts = command.replay(
            lambda _: chosen,
            read_segments(tmp_path / "trades.db.inputs"),
            environment=SEEDED,
            read_rows=partial(command.read_order_log, str(chosen.journal)),
        )

    assert [verdict.difference for verdict in verdicts] == [None, None]
    assert [(verdict.lost, verdict.unverifiable) for verdict in verdicts] == [("", {})] * 2
    assert all(verdict.command_count > 50 for verdict in verdicts)


# -- what comes by other ways than the bus ---------------------------------------------------------


def test_whoever_listens_to_the_bus_changes_no_number_in_the_replay(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fills and positions are made for who asks; keys of orders count them."""
    heard: list[Any] = []

    async def during(runtime: Runtime) -> None:
        bus = runtime.engine.bus
        await anyio.sleep(3)
        bus.on(Fill, run=["plain"])(heard.append)
        await anyio.sleep(3)
        async with bus.subscribe(Order, Fill) as events:
            heard.extend([await anext(events) for _ in range(20)])
        await anyio.sleep(2)
        bus.subscribe(BookChanged)  # never read: its channel overflows

    run(config, 40, during=during)

    assert verify(config) == 0, capsys.readouterr().out
    kinds = [type(item) for item in records_of(config)]
    assert kinds.count(OnlookerCame) == 4
    assert OnlookerLeft in kinds
    assert len(heard) > 20


def test_r64_a_kill_switch_that_another_thread_trips_acts_where_it_did(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def during(runtime: Runtime) -> None:
        switch, clock = runtime.engine.gate.kill_switch, runtime.engine.clock
        for state in ("trip", "hold"):
            await anyio.sleep(3)
            move = getattr(switch, state)
            thread = Thread(target=move, args=("thread", f"{state} in a test", clock.now_ns))
            thread.start()
            thread.join()
        await anyio.sleep(3)
        switch.release("thread")

    run(config, 5, during=during)

    assert verify(config) == 0, capsys.readouterr().out
    states = [item.state for item in records_of(config) if isinstance(item, GateMoved)]
    assert states == ["halted", "reducing", "active"]
    reasons = {order.reason for order in entries_of(config, Order)}
    assert {"halted: trip in a test", "reducing only: hold in a test"} <= reasons


def test_r06_a_journal_that_fails_halts_the_replay_too(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def during(runtime: Runtime) -> None:
        await anyio.sleep(4)
        assert runtime._keeping is not None
        runtime._keeping._fail("the disk is full")

    run(config, 5, during=during)

    assert verify(config) == 0, capsys.readouterr().out
    assert any("the disk is full" in order.reason for order in entries_of(config, Order))


def test_r53_closed_orders_leave_memory_in_the_replay_where_they_did(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeping, "ClosedOrders", partial(ClosedOrders, kept=3))

    run(config, 12)

    assert verify(config) == 0, capsys.readouterr().out
    assert sum(isinstance(item, OrderForgotten) for item in records_of(config)) > 5


def test_what_is_asked_of_the_desk_from_outside_is_carried_out_in_the_replay(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the stop policy of a strategy that did not stop by itself."""

    async def during(runtime: Runtime) -> None:
        await anyio.sleep(6)
        desk = runtime.engine.desk
        desk.cancel_entries("plain")
        desk.flatten("plain")
        desk.submit(OrderIntent("plain", "k", DEMO, Side.BUY, Decimal("0.1")))
        with pytest.raises(KeyConflict):
            desk.submit(OrderIntent("plain", "k", DEMO, Side.SELL, Decimal("0.1")))

    run(config, 5, during=during)

    assert verify(config) == 0, capsys.readouterr().out
    by_core = [i for i in records_of(config) if isinstance(i, CommandIssued) and i.run == CORE]
    assert {"cancel_entries", "flatten", "submit"} <= {item.name for item in by_core}


def test_a_session_that_a_crash_ended_and_the_one_after_it_verify(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk as it was in the middle of a handler's wait, then a start on it."""
    copy = config.parent / "crashed"

    async def during(runtime: Runtime) -> None:
        await anyio.sleep(7.3)
        copy.mkdir()
        for path in config.parent.glob("trades.db*"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)

    run(config, 3, during=during)
    crashed = copy / "config.yaml"
    crashed.write_text(CONFIG.format(journal=copy / "trades.db"))
    run(crashed, 8, start_s=20)

    assert main(["replay", str(copy / "trades.db"), "--verify"]) == 0, capsys.readouterr().out

    out = capsys.readouterr().out
    assert "session 1: " in out
    assert "session 2: " in out
