"""The recorded feed: all sources of a venue as one sorted stream."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from adapters.replay.merge import Chunk, Stream, merge
from adapters.replay.scan import Range, scan_lines, scan_table
from adapters.replay.settings import Kind, OnError
from adapters.replay.sources import Source
from framework.model.events import Event
from framework.model.instrument import Instrument


class ReplayFeed:
    """Recorded market data of one venue, as fast as it reads.

    `skipped` counts the rows that the newest scan left out, by reason.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        instruments: Sequence[Instrument],
        *,
        venue: str,
        on_error: OnError = OnError.STOP,
        wanted: Range | None = None,
    ) -> None:
        self.instruments = tuple(instruments)
        self.skipped: Counter[str] = Counter()
        self._sources = tuple(sources)
        self._venue = venue
        self._on_error = on_error
        self._wanted = wanted or Range()

    def files(self) -> list[Path]:
        """Return every file that a scan reads, each once, in the order of the configuration."""
        return list(dict.fromkeys(source.path for source in self._sources))

    def scan(self) -> Iterator[Event]:
        """Yield every event in time order; memory does not grow with the input.

        Raises:
            DataError: a file or row is faulty; the events before it have been yielded.
        """
        return chain.from_iterable(self.scan_chunks())

    def scan_chunks(self) -> Iterator[Sequence[Event]]:
        """Yield the same events in lists of a few thousand, never an empty one."""
        self.skipped.clear()
        return merge(
            [
                Stream(
                    rank=(0 if source.kind is Kind.CANDLES else 1, index),
                    start_ns=source.start_ns,
                    open=partial(self._open, source),
                )
                for index, source in enumerate(self._sources)
                if source.start_ns < self._wanted.end_ns
            ]
        )

    def statistics(self) -> dict[str, int]:
        """Return what the newest scan left out, by reason, and the number of files."""
        return {"files": len(self._sources), **self.skipped}

    def _open(self, source: Source) -> Iterator[Chunk]:
        if source.layout is None:
            return scan_lines(
                source,
                self._venue,
                wanted=self._wanted,
                on_error=self._on_error,
                skipped=self.skipped,
            )
        return scan_table(
            source,
            source.layout,
            wanted=self._wanted,
            on_error=self._on_error,
            skipped=self.skipped,
        )
