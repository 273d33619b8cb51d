"""Paper trading in a process of its own, and strategies to look at while it runs.

Every wait is for a condition and has a deadline; nothing sleeps for a fixed time.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from framework import Quote, Strategy
from framework.cli.journal import entries
from framework.model.records import Record
from framework.store.opening import open_for_reading

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
Entry = tuple[int, int, Record]
"""Position, time, record."""


class Rester(Strategy):
    """Buys below the market at each quote and lets three such orders rest."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`busy_s`: how long each handler holds the loop; `holds`: bought first, at the market."""

        instrument: str = "demo:DEMO"
        busy_s: float = 0.0
        holds: Decimal = Decimal(0)

    settings: Settings

    def on_start(self) -> None:
        self.watch_quotes(self.settings.instrument)

    def on_quote(self, quote: Quote) -> None:
        mine = self.settings
        if mine.holds and self.position(mine.instrument).is_flat:
            self.buy(mine.instrument, mine.holds)
        resting = [order for order in self.orders(mine.instrument) if order.price is not None]
        for order in resting[:-2]:
            self.cancel(order.order_id)
        if len(resting) < 4:
            self.buy(mine.instrument, Decimal("0.1"), price=round(quote.bid * 0.998, 2))
        end_s = time.monotonic() + mine.busy_s
        while time.monotonic() < end_s:
            pass


class Idle(Strategy):
    """Watches."""

    def on_start(self) -> None:
        self.watch_quotes("demo:DEMO")

    def on_quote(self, quote: Quote) -> None:
        """Do nothing."""


CONFIG = """
mode: paper
name: demo
seed: 7
journal: sqlite:///{folder}/j.db
kill_file: {folder}/stop
venues:
  demo:
    adapter: mock
    settings:
      interval_ms: 100
      instruments: [{{symbol: DEMO, start_price: 10000, volatility: 0.2, spread_bps: 0.2}}]
    instruments: [{{symbol: DEMO, currency: USD, base: DEMO, tick: 0.01, lot: 0.01}}]
    latency: {{order_ms: 5}}
accounts: {{main: {{venue: demo, currency: USD, balances: {{USD: 100000}}}}}}
strategies:
  - id: rester
    class: tests.scenarios.paper_process:Rester
    account: main
    settings: {{busy_s: {busy_s}, holds: {holds}}}
    on_stop: leave
  - {{id: idle, class: "tests.scenarios.paper_process:Idle", account: main}}
"""


def write_config(folder: Path, *, busy_s: float = 0, holds: str = "0", more: str = "") -> Path:
    """Write a configuration into `folder` and return its path; its journal lies beside it."""
    path = folder / "paper.yaml"
    path.write_text(CONFIG.format(folder=folder, busy_s=busy_s, holds=holds) + more)
    return path


class PaperProcess:
    """`headrace run` on a configuration, and what it has written so far."""

    def __init__(self, config: Path) -> None:
        self.journal = config.parent / "j.db"
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "framework", "run", str(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        parsed = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [line for line in parsed if line["event"] == name]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds; looked at with each line, and 50 times a second."""
        end_s = time.monotonic() + DEADLINE_S
        with self._news:
            while not condition():
                assert time.monotonic() < end_s, "".join(self.lines[-30:])
                assert self._process.poll() is None, "".join(self.lines)
                self._news.wait(0.02)

    def until_event(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for `count` log lines of an event."""
        self.until(lambda: len(self.events(name)) >= count)
        return self.events(name)

    def entries(self, *kinds: type) -> list[Entry]:
        """Return what the journal has of some kinds, while the process runs or not."""
        with closing(open_for_reading(f"sqlite:///{self.journal}")) as reading:
            return [
                (position, time_ns, record)
                for position, _, time_ns, _, record in entries(reading)
                if isinstance(record, kinds)
            ]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask for an orderly stop and return the exit code."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        code = self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def kill(self) -> None:
        """End it with -9; harmless when it has ended."""
        self._process.kill()
        self.ended()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()


@contextmanager
def running(config: Path) -> Iterator[PaperProcess]:
    """Run a configuration from its start to the end of the block."""
    process = PaperProcess(config)
    try:
        process.until_event("started")
        yield process
    finally:
        process.kill()
