"""Writers of an order log: batches go in on the loop's thread, news of them comes back there."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

from framework.errors import JournalError
from framework.store.entries import Row
from framework.store.storage import Snapshot, Storage

GROUP_ROWS = 1_000  # batches are joined into one transaction while it has fewer rows than this


class Batch(NamedTuple):
    """What belongs into one transaction, and snapshots to keep after it."""

    rows: Sequence[Row]
    snapshots: Sequence[Snapshot]


class Written(NamedTuple):
    """How far the log is durable and indexed; None: no news. `failure` is final unless empty."""

    position: int | None
    indexed_position: int | None
    failure: str


OnWritten = Callable[[Written], None]


class InlineWriter:
    """Writes a batch before `write` returns: for simulated worlds, where threads do not exist."""

    def __init__(
        self, storage: Storage, before_write: Callable[[], None], on_written: OnWritten
    ) -> None:
        self._storage = storage
        self._before_write = before_write
        self._on_written = on_written
        self._has_failed = False

    def write(self, batch: Batch) -> None:
        """Write `batch` and tell; nothing after a failure."""
        if not self._has_failed:
            written = write_group(self._storage, [batch], self._before_write, is_last=True)
            self._has_failed = bool(written.failure)
            self._on_written(written)

    def hurry(self) -> None:
        """Do nothing: what was to be written has been."""

    async def aclose(self) -> None:
        """Close the storage; harmless when repeated."""
        close_storage(self._storage)


class WriterThread:
    """Writes in a thread of its own, joining what queued up meanwhile into one transaction.

    With `linger_s` it lets more queue up for so long before each transaction, unless told to
    hurry: most of what a small one costs is the same for a large one.
    """

    def __init__(
        self,
        storage: Storage,
        before_write: Callable[[], None],
        on_written: OnWritten,
        loop: asyncio.AbstractEventLoop,
        *,
        linger_s: float = 0.0,
    ) -> None:
        self._storage = storage
        self._before_write = before_write
        self._on_written = on_written
        self._loop = loop
        self._linger_s = linger_s
        self._is_urgent = Event()
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._is_stopping = False
        # A process that ends without `aclose` must not wait for a disk that hangs.
        self._thread = Thread(target=self._run, name="order-log", daemon=True)
        self._thread.start()

    def write(self, batch: Batch) -> None:
        """Queue `batch`; `on_written` is called on the loop's thread once it is on disk."""
        self._queue.put(batch)

    def hurry(self) -> None:
        """Write what is queued without waiting for more."""
        self._is_urgent.set()

    async def aclose(self) -> None:
        """Write what is queued, close the storage and end the thread; harmless when repeated."""
        if not self._is_stopping:
            self._is_stopping = True
            self._queue.put(None)
            self.hurry()
        await asyncio.shield(self._ended)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._write_until_told()
            close_storage(self._storage)
        finally:
            self._tell(self._end)

    def _write_until_told(self) -> None:
        while True:
            group, is_end = self._next_group()
            if group:
                is_last = self._queue.empty()
                written = write_group(self._storage, group, self._before_write, is_last=is_last)
                self._tell(self._on_written, written)
                if written.failure:
                    return
            if is_end:
                return

    def _next_group(self) -> tuple[list[Batch], bool]:
        """Wait for a batch; return it with those behind it, and whether they are the last."""
        group: list[Batch] = []
        count = 0
        while True:
            batch = self._queue.get()
            if batch is None:
                return group, True
            if not group and self._linger_s:
                self._is_urgent.wait(self._linger_s)
                self._is_urgent.clear()
            group.append(batch)
            count += len(batch.rows)
            if count >= GROUP_ROWS or self._queue.empty():
                return group, False

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, *arguments)


def write_group(
    storage: Storage,
    group: Sequence[Batch],
    before_write: Callable[[], None],
    *,
    is_last: bool,
) -> Written:
    """Write batches as one transaction, then their snapshots; return what came of it.

    `is_last`: nothing waits behind them; so there is time for housekeeping, unless they were many.
    """
    position = indexed_position = None
    try:
        rows = [row for batch in group for row in batch.rows] if len(group) > 1 else group[0].rows
        if rows:
            before_write()
            storage.write(rows)
            position = rows[-1][0]
        for batch in group:
            for snapshot in batch.snapshots:
                storage.save_snapshot(snapshot)
        indexed_position = storage.tend(is_idle=is_last and len(rows) < GROUP_ROWS)
    except JournalError as error:
        return Written(position, indexed_position, str(error))
    except Exception as error:  # whatever it is: what the thread dies of must be heard
        reason = f"{storage.place}: {type(error).__name__}: {error}"
        return Written(position, indexed_position, reason)
    return Written(position, indexed_position, "")


def close_storage(storage: Storage) -> None:
    """Close; what fails there loses nothing, as all that was promised is on disk."""
    with suppress(JournalError):
        storage.close()
