"""Records a session on virtual time and plays it again: what `run` and `replay` do with files."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from framework.cli.replay import replay
from framework.engine.engine import Engine
from framework.engine.playback import Verdict
from framework.engine.recorded_run import RecordingClock
from framework.engine.recorder import Recorder
from framework.engine.session_start import session_start
from framework.model.inputs import InputRecord, RunUnverifiable
from framework.runtime import runner, supervisor, wiring
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from tests.scripted_venue import START_NS, strategy_of

SEEDED = {"PYTHONHASHSEED": "0"}
_decode = msgspec.msgpack.Decoder(InputRecord).decode


class Sink:
    """An input log in memory."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.sync_count = 0

    def append(self, payload: bytes) -> int:
        """Keep `payload` and return its position."""
        self.payloads.append(payload)
        return len(self.payloads)

    def sync(self) -> None:
        """Count."""
        self.sync_count += 1

    @property
    def records(self) -> list[InputRecord]:
        """What was recorded."""
        return [_decode(payload) for payload in self.payloads]

    def of(self, kind: type) -> list[Any]:
        """Return the records of one kind."""
        return [record for record in self.records if isinstance(record, kind)]

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield what `read_segments` would."""
        for number, payload in enumerate(self.payloads):
            yield number + 1, 1, payload


@contextmanager
def recording(
    sink: Sink,
    settings: Settings,
    *,
    epoch: int = 1,
    restore: Callable[[Any, Any], None] = lambda *_: None,
) -> Iterator[None]:
    """Have every runtime that starts inside record to `sink`, after `restore(system, log)`."""
    original_build: Any = wiring.build
    original_supervisor: Any = supervisor.Supervisor
    clocks: list[RecordingClock] = []

    def make_engine(*, clock: Any, **rest: Any) -> Engine:
        clocks.append(RecordingClock(clock))
        return Engine(clock=clocks[-1], **rest)

    def build(*args: Any, **named: Any) -> Any:
        with patch.object(wiring, "Engine", make_engine):
            system = original_build(*args, **named)
        restore(system, system.engine.log)
        for run in system.runs:
            run.context.session = epoch
        return system

    def supervise(engine: Engine, runs: Any, *args: Any, **named: Any) -> Any:
        supervised = original_supervisor(engine, runs, *args, **named)
        start = session_start(
            runs,
            settings,
            journal_id=engine.desk._ids.journal_id,
            epoch=epoch,
            time_ns=engine.clock.now_ns,
            seed=settings.seed,
            environment=SEEDED,
            is_pumped=settings.mode in (Mode.BACKTEST, Mode.REPLAY),
            order_position=engine.log.position,
        )
        brokers: list[Any] = list(engine.brokers.values())
        venues = [broker for broker in brokers if hasattr(broker, "on_market")]
        Recorder(sink, clocks[-1]).attach(engine, runs, start, venues=venues)
        return supervised

    with patch.object(runner, "build", build), patch.object(runner, "Supervisor", supervise):
        yield


def record(
    settings: Settings,
    *,
    sink: Sink | None = None,
    during: Callable[[Runtime], Any] | None = None,
    start_ns: int | None = None,
    epoch: int = 1,
    restore: Callable[[Any, Any], None] = lambda *_: None,
    **options: Any,
) -> tuple[Runtime, Sink]:
    """Run a configuration to its end on virtual time and return what was recorded."""
    kept = sink or Sink()

    async def main() -> Runtime:
        async with Runtime(settings, **options) as runtime:
            if during is not None:
                await during(runtime)
            else:
                await runtime.wait()
        return runtime

    with recording(kept, settings, epoch=epoch, restore=restore):
        start = (START_NS if during is not None else 0) if start_ns is None else start_ns
        return run_simulated(main, seed=settings.seed, start_ns=start), kept


def play_again(
    settings: Settings, entries: Iterable[tuple[int, int, bytes]], **options: Any
) -> list[Verdict]:
    """Replay what was recorded."""
    return replay(settings, entries, environment=SEEDED, **options)


def verify(settings: Settings, sink: Sink) -> Verdict:
    """Return the verdict on a recording of one session."""
    (verdict,) = play_again(settings, sink.entries())
    return verdict


def reasons(sink: Sink) -> list[str]:
    """Return why runs were marked not verifiable."""
    return [record.reason for record in sink.of(RunUnverifiable)]


__all__ = ["Sink", "play_again", "reasons", "record", "recording", "strategy_of", "verify"]
