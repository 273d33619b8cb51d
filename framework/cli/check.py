"""`headrace check CONFIG`: builds everything a configuration names, and runs nothing."""

import argparse
import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from framework.settings.loading import load, located
from framework.settings.modes import Mode
from framework.settings.structs import Settings

if TYPE_CHECKING:
    from framework.runtime.system import Seams, System


def run(options: argparse.Namespace) -> int:
    """Print what would run, line by line."""
    settings = load(options.config)
    with located(options.config):
        check_journal(settings)
        check_alerts(settings)
        lines = [*check(settings), *kept(settings)]
    print(*lines, f"{options.config}: no mistakes found", sep="\n")
    return 0


def check(settings: Settings) -> list[str]:
    """Return what would run, a line each: venues, instruments, assumptions, runs, doors.

    Raises:
        ConfigError: an adapter, a strategy, a model or a front door does not fit its section.
        DataError: recorded data is missing, or its header does not fit.
    """
    from framework.clock.clock import VirtualClock
    from framework.net.connectors import no_connector
    from framework.runtime.wiring import Seams, build, describe
    from framework.simulation.loop import seeded_random
    from framework.store.memory import MemoryLog

    seams = Seams(
        clock=VirtualClock(),
        random_for=lambda name: seeded_random(settings.seed, name),
        blocking=_inline,
        connector=no_connector,
    )
    system = build(settings, seams, MemoryLog(), journal_id="check")
    if settings.server:
        asyncio.run(build_doors(settings, system, seams))
    return describe(settings, system)


async def build_doors(settings: Settings, system: "System", seams: "Seams") -> None:
    """Raise ConfigError if a front door, its settings or a token makes no sense."""
    from framework.runtime.desk import Desk
    from framework.runtime.doors import FrontDoors

    currencies = {name: account.currency for name, account in settings.accounts.items()}
    FrontDoors(settings, system, Desk(system, currencies=currencies, is_paced=False), seams)


def kept(settings: Settings) -> list[str]:
    """Return what outlives the process and how it is stopped from outside, a line each."""
    from framework.runtime.operator_place import place_of

    if settings.mode in (Mode.BACKTEST, Mode.REPLAY):
        return []
    kill_file = place_of(settings).kill_file
    inputs = "recorded" if settings.record_inputs else "not recorded"
    lines = [f"journal {shown_journal(settings.journal)}"]
    if settings.journal is not None:
        lines = [f"{lines[0]}, durability {settings.durability.value}, inputs {inputs}"]
    return lines if kill_file is None else [*lines, f"kill file {kill_file}"]


def shown_journal(url: str | None) -> str:
    """Return a journal's URL without user and password."""
    if url is None or "@" not in url:
        return url or "none"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def check_alerts(settings: Settings) -> None:
    """Raise ConfigError if an alert's target makes no sense, or its secret cannot be found."""
    from framework.alerts.targets import Surroundings, targets_of

    around = Surroundings(
        source=settings.name,
        blocking=_inline,
        environment=os.environ,
        allows_literal_secrets=settings.mode is not Mode.LIVE,
    )
    targets_of(settings.alerts, around)


def check_journal(settings: Settings) -> None:
    """Raise ConfigError if the configuration's journal or its place can be none."""
    from framework.errors import ConfigError, JournalError
    from framework.runtime.operator_place import place_of
    from framework.store.opening import SQLITE, sqlite_path

    place_of(settings)
    if settings.journal is not None and settings.journal.startswith(SQLITE):
        try:
            sqlite_path(settings.journal)
        except JournalError as error:
            raise ConfigError(str(error).removeprefix("journal: "), key="journal") from None


async def _inline(function: Callable[[], Any]) -> Any:
    return function()
