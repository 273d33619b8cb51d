"""The kill file: while it exists no new order leaves, whatever the loop and the journal do (R-64).

Anybody who may write the file can stop trading: `headrace kill`, a script, `touch`. Its text is
the reason. A thread looks for it, so that it is seen while the loop is busy. A file that is there
in any form, or of which cannot be told whether it is there, counts as there.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from framework.runtime.private_files import sync_folder, write_whole
from framework.settings.places import one_line

POLL_S = 0.02  # R-64 allows 100 ms, of which a busy interpreter may take some
LONGEST_REASON = 500  # characters
log = structlog.get_logger("kill_file")


def kill_reason(path: Path) -> str | None:
    """Return why the file at `path` stops everything, None if there is none."""
    try:
        os.lstat(path)  # all that a look costs where there is none, which is nearly always
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"kill file {path} cannot be read: {error.strerror}"
    try:
        content = _start_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return None if not path.is_symlink() else f"kill file {path} is a link to nothing"
    except OSError as error:
        return f"kill file {path} cannot be read: {error.strerror}"
    text = one_line(content.decode(errors="replace").strip(), LONGEST_REASON)
    return text or f"kill file {path}"


def _start_of(path: Path) -> bytes:
    # NONBLOCK: a pipe must not hold the thread, and counts as empty
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, 4 * LONGEST_REASON)
    finally:
        os.close(file)


def write_kill_file(path: Path, reason: str) -> None:
    """Put the file there, whole and durable. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f"{one_line(reason, LONGEST_REASON)}\n".encode())


def remove_kill_file(path: Path) -> bool:
    """Take the file away; False if there was none. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True


class KillFileWatch:
    """Calls `trip(reason)` from a thread of its own each time the file appears.

    One that is there at `start` counts as appearing. A `trip` that fails is called again at the
    next look. Taking the file away releases nothing; it only lets the next one be seen.
    """

    def __init__(self, path: Path, trip: Callable[[str], None], *, poll_s: float = POLL_S) -> None:
        self.trip_count = 0
        self._path = path
        self._trip = trip
        self._poll_s = poll_s
        self._is_tripped = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look once at once, on the calling thread, then go on in the background."""
        self.look()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="kill_file", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless if it does not run."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join(timeout=1)
            self._thread = None

    def forget(self) -> None:
        """Trip again at the next look if the file is there: a release has undone what it did."""
        self._is_tripped = False

    def look(self) -> None:
        """Look once: what the thread does each `poll_s`, and a simulated world by a timer."""
        reason = kill_reason(self._path)
        if reason is None:
            self._is_tripped = False
        elif not self._is_tripped:
            self._trip(reason)
            self._is_tripped = True
            self.trip_count += 1

    def _run(self) -> None:
        while not self._stopped.wait(self._poll_s):
            try:
                self.look()
            except Exception as error:  # whatever it is: looking goes on
                log.error("kill_file_trip_failed", path=str(self._path), error=repr(error))
