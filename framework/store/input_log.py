"""The input log: what the engine took, in append-only segment files beside the journal.

Each process start begins a new segment (`framework/store/segments.py`), so nothing is ever
written behind a frame that a crash left half written.
"""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from zlib import crc32

import msgspec

from framework.errors import JournalError
from framework.store.files import make_directory, sync_directory, write_all
from framework.store.segments import (
    FRAME,
    SUFFIX,
    Segment,
    SegmentHeader,
    read_segments,
    segment_number,
    segment_paths,
)

__all__ = ["InputLog", "read_segments"]

BATCH_COUNT = 10_000  # payloads joined for one write: a segment can grow beyond its size by so many


class InputLog:
    """Keeps payloads in memory and writes them when told; positions count from 1.

    `append` is for one thread; `flush` and `sync` may run in another meanwhile.

    Attributes:
        position: of the newest payload, written or not.
        synced_position: everything up to here survives a power loss.
        failure: why nothing can be written any more, "" while it can; final.
        report: what was not whole in the newest segment when this log was opened.
    """

    @classmethod
    def open(
        cls,
        directory: Path | str,
        journal_id: str,
        epoch: int,
        header: bytes = b"",
        *,
        segment_bytes: int = 16 << 20,
        cap_bytes: int = 4 << 30,
        buffer_count: int = 1_000_000,
    ) -> "InputLog":
        """Begin a new segment behind those in `directory`, which is made if need be.

        The oldest segments are deleted when all of them exceed `cap_bytes`, never the one in use.
        More than `buffer_count` payloads that nobody writes are a failure.

        Raises:
            JournalError: the directory holds another journal's inputs, or cannot be written.
        """
        directory = Path(directory)
        make_directory(directory)
        try:
            number, position, report = _end_of(directory, journal_id)
            start = SegmentHeader(journal_id, epoch, number + 1, position + 1, header)
            return cls(directory, start, segment_bytes, cap_bytes, buffer_count, report)
        except OSError as error:
            raise JournalError(f"{directory}: {error.strerror}") from error

    def __init__(
        self,
        directory: Path,
        start: SegmentHeader,
        segment_bytes: int,
        cap_bytes: int,
        buffer_count: int,
        report: str,
    ) -> None:
        self.position = start.first_position - 1
        self.synced_position = self.position
        self.failure = ""
        self.report = report
        self._written_position = self.position
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._cap_bytes = cap_bytes
        self._buffer_count = buffer_count
        self._pending: deque[bytes] = deque()
        self._writing = Lock()
        self._syncing = Lock()  # taken inside `_writing`, never the other way round
        self._file = -1
        self._size = 0
        self._chain = 0
        self._begin_segment(start)

    def append(self, payload: bytes) -> int:
        """Keep `payload` for the next `sync` and return its position.

        Raises:
            ValueError: it is empty, which in a file could not be told from a hole.
        """
        if not payload:
            raise ValueError("an input of no bytes cannot be told from a hole in the file")
        pending = self._pending
        if len(pending) < self._buffer_count:
            pending.append(payload)
        elif not self.failure:
            self.failure = f"{self._directory}: {self._buffer_count} inputs wait to be written"
        self.position = position = self.position + 1
        return position

    def flush(self) -> int:
        """Give what is kept to the operating system: it survives a kill, not a power loss.

        Never waits for a `sync` of another thread. Returns the position up to which it does.
        Raises JournalError as `sync` does.
        """
        with self._writing:
            self._guard(self._write)
            return self._written_position

    def sync(self) -> int:
        """Write what is kept and wait for the disk; return `synced_position`.

        Raises:
            JournalError: it cannot be written, now or since earlier.
        """
        self.flush()
        with self._syncing:
            self._guard(self._sync)
            return self.synced_position

    def close(self) -> None:
        """Sync and close; harmless when repeated. Raises JournalError as `sync` does."""
        if self._file < 0:
            return
        try:
            if not self.failure:
                self.sync()
        finally:
            with self._writing, self._syncing:
                os.close(self._file)
                self._file = -1

    def _guard(self, work: Callable[[], None]) -> None:
        """Do `work`; the first failure is the last: what a failed sync left on disk is unknown."""
        if self.failure or self._file < 0:
            raise JournalError(self.failure or f"{self._directory}: closed")
        try:
            work()
        except OSError as error:
            self.failure = f"{self._directory}: {error.strerror}"
            self._pending.clear()
            raise JournalError(self.failure) from error

    def _sync(self) -> None:
        written = self._written_position  # a segment that was left behind was synced then
        if self.synced_position != written:
            os.fdatasync(self._file)
            self.synced_position = written

    def _write(self) -> None:
        waiting = len(self._pending)  # what is appended meanwhile is for the next time
        while waiting:
            if self._size >= self._segment_bytes:
                self._rotate()
            count = min(waiting, BATCH_COUNT)
            self._write_batch(count)
            waiting -= count

    def _write_batch(self, count: int) -> None:
        take, pack, chain = self._pending.popleft, FRAME.pack, self._chain
        parts: list[bytes] = []
        for _ in range(count):
            payload = take()
            chain = crc32(payload, chain)
            parts.append(pack(len(payload), chain))
            parts.append(payload)
        self._size += write_all(self._file, b"".join(parts))
        self._chain = chain
        self._written_position += count

    def _rotate(self) -> None:
        following = self._header.number + 1
        first = self._written_position + 1
        header = msgspec.structs.replace(self._header, number=following, first_position=first)
        with self._syncing:
            os.fdatasync(self._file)
            os.close(self._file)
            self._begin_segment(header)
        self._prune()

    def _begin_segment(self, header: SegmentHeader) -> None:
        data, self._chain = header.to_bytes()
        self._file = -1
        self._file = os.open(
            self._directory / f"{header.number:06}{SUFFIX}",
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o600,
        )
        self._size = write_all(self._file, data)
        self._header = header
        os.fsync(self._file)
        sync_directory(self._directory)

    def _prune(self) -> None:
        """Delete the oldest segments while all of them, the new one grown, exceed the cap."""
        paths = segment_paths(self._directory)
        sizes = [path.stat().st_size for path in paths]
        total = sum(sizes) + self._segment_bytes
        for path, size in zip(paths[:-1], sizes[:-1], strict=True):
            if total > self._cap_bytes:
                path.unlink()
                total -= size


def _end_of(directory: Path, journal_id: str) -> tuple[int, int, str]:
    """Return the newest segment's number, the newest whole entry's position, what is torn."""
    paths = segment_paths(directory)
    number = segment_number(paths[-1]) if paths else 0
    notes: list[str] = []
    position = 0
    for segment in map(Segment, reversed(paths)):
        header = segment.header
        if header is not None:
            if header.journal_id != journal_id:
                raise JournalError(f"{directory}: holds the inputs of journal {header.journal_id}")
            position = header.first_position - 1 + sum(1 for _ in segment.frames())
        notes.extend(str(finding) for finding in segment.findings)
        if header is not None:
            break
    return number, position, "; ".join(notes)
