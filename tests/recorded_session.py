"""Records a session on virtual time and plays it again: what `run` and `replay` do with files."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from framework.cli.replay import replay
from framework.engine.playback import Verdict
from framework.model.inputs import InputRecord, RunUnverifiable
from framework.runtime import keeping
from framework.runtime.runner import Runtime
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
        self.failure = ""

    def append(self, payload: bytes) -> int:
        """Keep `payload` and return its position."""
        self.payloads.append(payload)
        return len(self.payloads)

    def flush(self) -> int:
        """Have nothing to write; return the position."""
        return len(self.payloads)

    def sync(self) -> None:
        """Count."""
        self.sync_count += 1

    def close(self) -> None:
        """Keep what there is."""

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
def recording(sink: Any) -> Iterator[None]:
    """Have every runtime that starts inside record to `sink`, journal or not."""

    with (
        patch.object(keeping, "open_inputs", lambda *_: sink),
        patch.dict(os.environ, SEEDED),
    ):
        yield


def record(
    settings: Settings,
    *,
    sink: Sink | None = None,
    during: Callable[[Runtime], Any] | None = None,
    start_ns: int | None = None,
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

    with recording(kept):
        start = (START_NS if during is not None else 0) if start_ns is None else start_ns
        return run_simulated(main, seed=settings.seed, start_ns=start), kept


def play_again(
    settings: Settings, entries: Iterable[tuple[int, int, bytes]], **options: Any
) -> list[Verdict]:
    """Replay what was recorded."""
    return replay(lambda _: settings, entries, environment=SEEDED, **options)


def verify(settings: Settings, sink: Sink) -> Verdict:
    """Return the verdict on a recording of one session."""
    (verdict,) = play_again(settings, sink.entries())
    return verdict


def reasons(sink: Sink) -> list[str]:
    """Return why runs were marked not verifiable."""
    return [record.reason for record in sink.of(RunUnverifiable)]


__all__ = ["Sink", "play_again", "reasons", "record", "recording", "strategy_of", "verify"]
