"""The mailbox of a running process: takes the operator's requests, leaves answers.

    lock         held while the process runs, so that others can see that it does
    requests/    one JSON file per request, put there whole
    taken/       a request at work; one that is found here at a start is done again
    answers/     one JSON file per answer; who asked takes it away
    refused/     what was no request

A request is answered once what it caused is durable, or after `DURABLE_S` with a word that it is
not. A file that is no request is named in the log, moved aside, and never looked at again.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import structlog

from framework.errors import JournalError, JournalLocked
from framework.runtime.operator_requests import Answer, Reading, Request
from framework.runtime.private_files import read_whole, shown_name, write_whole
from framework.settings.places import one_line
from framework.store.lock import FileLock

POLL_S = 0.1
DURABLE_S = 5.0
LOCK_ATTEMPTS = 20  # somebody who looks whether we run holds the lock for a moment
MOST_AT_ONCE = 32
MOST_ANSWERS = 1_000  # that nobody took away
SUFFIX = ".json"
FOLDERS = ("requests", "taken", "answers", "refused")
Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]
log = structlog.get_logger("operator")


class Mailbox:
    """Polls a folder while `run` runs; `handle` does what is asked, on the loop's thread.

    `durable` returns once everything recorded so far is durable, and raises JournalError if it
    cannot be.
    """

    def __init__(
        self,
        folder: Path,
        handle: Callable[[Request], Answer],
        *,
        blocking: Blocking,
        durable: Callable[[], Awaitable[None]],
    ) -> None:
        self.refused_count = 0
        self._files = _Files(folder)
        self._handle = handle
        self._blocking = blocking
        self._durable = durable
        self._lock: FileLock | None = None

    async def open(self) -> None:
        """Say that this process runs; requests that were at work in a crash wait again.

        Raises:
            JournalLocked: another process has this mailbox.
            JournalError: the folder cannot be made, or belongs to somebody else.
        """
        for _ in range(LOCK_ATTEMPTS - 1):
            with suppress(JournalLocked):
                self._lock = await self._blocking(self._files.open)
                return
            await _pause()
        self._lock = await self._blocking(self._files.open)

    async def take(self) -> int:
        """Answer what waits now; return how many requests there were.

        Call it once before anything is sent: what was asked while no process ran comes first.
        """
        answered = 0
        for letter in await self._blocking(self._files.collect):
            if letter.request is None:
                self.refused_count += 1
                log.error("operator_request_refused", file=letter.name, reason=letter.reason)
            else:
                await self._answer(letter.request)
                answered += 1
        return answered

    async def run(self) -> None:
        """Answer requests until cancelled."""
        while True:
            await self.take()
            await _pause()

    def close(self) -> None:
        """Say that this process does not run any more; harmless when repeated."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _answer(self, request: Request) -> None:
        tell = log.info if isinstance(request.ask, Reading) else log.warning
        tell("operator_request", request=request.id, by=request.by, ask=repr(request.ask))
        try:
            answer = await self._made_durable(self._handle(request))
        except Exception as error:
            # It must not be taken again at the next start, and fail again.
            failure = Answer(request.id, is_done=False, text=f"failed inside: {error!r}")
            await self._blocking(lambda: self._files.answer(failure))
            raise
        await self._blocking(lambda: self._files.answer(answer))

    async def _made_durable(self, answer: Answer) -> Answer:
        reason = f"not durable within {DURABLE_S:g} s"
        with anyio.move_on_after(DURABLE_S):
            try:
                await self._durable()
                return answer
            except JournalError as error:
                reason = str(error)
        text = one_line(f"{answer.text} (but the journal has not got it: {reason})", 1_000)
        return msgspec.structs.replace(answer, text=text)


class _Letter(msgspec.Struct, frozen=True):
    """One file that was found: a request, or why it is none."""

    name: str
    request: Request | None = None
    reason: str = ""


class _Files:
    """The blocking side: everything that touches the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ignored: set[str] = set()  # what could not even be moved aside

    def open(self) -> FileLock:
        """Make the folders, take the lock, put what was at work back to the requests."""
        prepare(self._folder)
        lock = FileLock(self._folder / "lock", f"the mailbox {self._folder}")
        try:
            for name in sorted(os.listdir(self._folder / "taken")):
                os.replace(self._folder / "taken" / name, self._folder / "requests" / name)
        except OSError as error:
            lock.release()
            raise JournalError(f"{self._folder}: {error.strerror}") from error
        return lock

    def collect(self) -> list[_Letter]:
        """Take the oldest requests; what is none of them is moved aside."""
        try:
            names = sorted(os.listdir(self._folder / "requests"))
        except OSError as error:
            return self._once("requests", f"cannot be listed: {error.strerror}")
        letters: list[_Letter] = []
        for name in names:
            if not name.startswith(".") and name not in self._ignored:  # "." is still written
                letters += self._taken(name)
            if len(letters) == MOST_AT_ONCE:
                break
        return letters

    def answer(self, answer: Answer) -> None:
        """Write an answer, then forget its request: in this order, so that none is lost."""
        answers = self._folder / "answers"
        content = msgspec.json.encode(answer)
        try:
            for old in sorted(os.listdir(answers))[:-MOST_ANSWERS]:
                os.unlink(answers / old)
            write_whole(answers / f"{answer.id}{SUFFIX}", content)
            (self._folder / "taken" / f"{answer.id}{SUFFIX}").unlink(missing_ok=True)
        except OSError as error:  # the person sees no answer, and asks again
            log.error("operator_answer_not_written", request=answer.id, reason=error.strerror)

    def _taken(self, name: str) -> list[_Letter]:
        path = self._folder / "requests" / name
        try:
            content = read_whole(path)
            request = msgspec.json.decode(content, type=Request)
            if f"{request.id}{SUFFIX}" != name:
                raise ValueError("the name and the id differ")
            os.replace(path, self._folder / "taken" / name)
        except FileNotFoundError:
            if not os.path.lexists(path):  # taken back by who asked
                return []
            return self._once(name, "cannot be taken: there is no folder for it")
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            return self._refused(path, str(error))
        except OSError as error:
            return self._once(name, f"cannot be taken: {error.strerror}")
        return [_Letter(name, request)]

    def _refused(self, path: Path, reason: str) -> list[_Letter]:
        try:
            os.replace(path, self._folder / "refused" / path.name)
        except OSError as error:
            return self._once(path.name, f"{reason}; cannot be moved aside: {error.strerror}")
        return [_Letter(shown_name(path), reason=one_line(reason))]

    def _once(self, name: str, reason: str) -> list[_Letter]:
        """Tell of a file that stays where it is, but not ten times a second."""
        if name in self._ignored:
            return []
        self._ignored.add(name)
        return [_Letter(one_line(name, 100), reason=one_line(reason))]


def prepare(folder: Path) -> None:
    """Make the folders of a mailbox, for this user only.

    Raises:
        JournalError: they cannot be made, or belong to somebody else.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for part in (folder, *(folder / name for name in FOLDERS)):
            part.mkdir(mode=0o700, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror}") from error
    if owner != os.getuid():
        raise JournalError(f"{folder} belongs to user {owner}; only that user may use it")


async def _pause() -> None:
    with anyio.move_on_after(POLL_S):
        await anyio.sleep_forever()
