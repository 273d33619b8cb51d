"""The journal of one process: the order log opened by the configuration, and its snapshots."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from framework.engine.session_start import PYTHON, config_hash, framework_version
from framework.engine.snapshots import take_snapshot, to_bytes
from framework.interfaces import OrderLog
from framework.model.records import AccountPlace, JournalOpened
from framework.model.runs import Execution
from framework.runtime.system import Seams, System
from framework.runtime.venues import execution_of
from framework.settings.structs import Settings
from framework.store.opening import SQLITE, open_order_log, sqlite_path

SNAPSHOT_ENTRIES = 20_000  # what a start reads beyond the newest snapshot: a third of a second


async def open_journal(
    settings: Settings, url: str, seams: Seams, *, make_id: Callable[[], str], is_simulated: bool
) -> OrderLog:
    """Open the configuration's order log; live accounts are locked for this process (R-09).

    `make_id` names a new journal.

    Raises:
        JournalError: it cannot be opened, is damaged, or another process has it.
    """
    reality = execution_of(settings)
    accounts = [
        f"{settings.venues[settings.accounts[name].venue].adapter}.{name}"
        for name in reality
        if reality[name] is Execution.LIVE
    ]
    return await seams.blocking(  # type: ignore[no-any-return] # what the function returns
        partial(
            open_order_log,
            url,
            clock=seams.clock,
            make_id=make_id,
            loop=asyncio.get_running_loop(),
            durability=settings.durability,
            inline=is_simulated,
            accounts=accounts,
            lock_directory=None if is_simulated else lock_directory(),
        )
    )


def opened(settings: Settings, log: OrderLog, now_ns: int) -> JournalOpened:
    """Return who writes from now on (R-67)."""
    return JournalOpened(
        journal_id=log.journal_id,
        epoch=log.epoch,
        time_ns=now_ns,
        build=framework_version(),
        mode=settings.mode.value,
        accounts=tuple(settings.accounts),
        config_hash=config_hash(settings),
        seed=settings.seed,
        python=PYTHON,
        places=places_of(settings),
    )


def places_of(settings: Settings) -> tuple[AccountPlace, ...]:
    """Return where each account is, and how really it trades."""
    reality = execution_of(settings)
    return tuple(
        AccountPlace(
            name,
            account.venue,
            settings.venues[account.venue].adapter,
            account.currency,
            reality[name],
        )
        for name, account in settings.accounts.items()
    )


def why_refused(before: JournalOpened, now: JournalOpened) -> str:
    """Return why the one start must not go on where the other was, "" if it may (R-67).

    Another build may: what it could not read it would have refused already. Another mode, or an
    account that is another one under the same name, would mix what is real with what is not, or
    book one account's fills and orders on another.
    """
    if before.mode != now.mode:
        return (
            f"the journal was written in mode {before.mode} and this is {now.mode}:"
            " give each mode a journal of its own"
        )
    known = {place.account: place for place in before.places}
    for place in now.places:
        was = known.get(place.account)
        if was is not None and _identity(was) != _identity(place):
            return (
                f"account {place.account!r} was {_in_words(was)} in this journal and is"
                f" {_in_words(place)} now: give the other one a name or a journal of its own"
            )
    return ""


def with_places_of(before: JournalOpened, now: JournalOpened) -> JournalOpened:
    """Return the later start with the accounts that only the earlier one has."""
    named = {place.account for place in now.places}
    gone = tuple(place for place in before.places if place.account not in named)
    return msgspec.structs.replace(now, places=now.places + gone)


def _identity(place: AccountPlace) -> tuple[object, ...]:
    """Return what must stay: for a simulated account not where its prices come from."""
    adapter = place.adapter if place.execution is Execution.LIVE else ""
    return place.venue, place.currency, place.execution, adapter


def _in_words(place: AccountPlace) -> str:
    how = f"{place.execution.value}, in {place.currency}"
    return f"at venue {place.venue!r} ({place.adapter}, {how})"


class Snapshots:
    """Shortens the next start: keeps the core's state each `every` entries, and at the end."""

    def __init__(self, system: System, log: OrderLog, every: int = SNAPSHOT_ENTRIES) -> None:
        self._system = system
        self._log = log
        self._every = every
        newest = log.newest_snapshot()
        self._saved_position = 0 if newest is None else newest[0]

    def check(self) -> None:
        """Save a snapshot if enough has been written since the last; not inside a step."""
        if self._log.position - self._saved_position >= self._every:
            self.save()

    def save(self) -> None:
        """Save one, unless nothing has been written since the last or nothing can be."""
        log = self._log
        if log.position == self._saved_position or log.failure:
            return
        self._saved_position = log.position
        snapshot = take_snapshot(
            self._system.parts, journal_id=log.journal_id, position=log.position
        )
        log.save_snapshot(log.position, to_bytes(snapshot))


def inputs_directory(url: str) -> Path | None:
    """Return where the inputs beside a journal lie; None where it is no file."""
    if not url.startswith(SQLITE):
        return None
    path = sqlite_path(url)
    return path.with_name(f"{path.name}.inputs")


def lock_directory() -> Path:
    """Return where the account locks of this user are, for all of its processes."""
    return Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}"
