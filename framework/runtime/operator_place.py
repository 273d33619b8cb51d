"""Where the operator's tools meet a process: files beside the journal, found from a configuration.

    <journal path>.operator/    requests and answers (`mailbox`)
    <journal path>.kill         the kill file, unless the configuration names another

A journal that is no file (PostgreSQL) has `headrace-<name>` in its place, in the working
directory. Only these few keys of the configuration are read, so that a person who has none of its
secrets and variables can still stop it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from framework.errors import ConfigError
from framework.settings.document import read_document
from framework.settings.places import config_error
from framework.settings.scalars import plain_value, substituted
from framework.settings.structs import Settings

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_MEMORY = "memory:"


class OperatorPlace(msgspec.Struct, frozen=True):
    """The files of one configuration; None where it has no journal that could be beside them."""

    name: str
    mode: str
    accounts: tuple[str, ...]
    mailbox: Path | None
    kill_file: Path | None


def place_of(settings: Settings) -> OperatorPlace:
    """Return the place of a loaded configuration."""
    return _place(
        settings.name,
        settings.mode.value,
        tuple(settings.accounts),
        settings.journal,
        settings.kill_file,
    )


def read_place(path: str, environment: Mapping[str, str] | None = None) -> OperatorPlace:
    """Return the place of the configuration at `path`, without loading the rest of it.

    Raises:
        ConfigError: it cannot be read, or one of the few keys makes no sense.
    """
    variables = os.environ if environment is None else environment
    values = read_document(path, None).values  # all text, as it is written

    def text(key: str, default: str | None = None) -> str | None:
        value = values.get(key, default)
        if value is None:
            return None
        if not isinstance(value, str):
            raise config_error("is not text", file=path, key=key)
        if plain_value(value) is None:
            return None
        try:
            return substituted(value, variables)
        except ValueError as error:
            raise config_error(str(error), file=path, key=key) from None

    accounts: Any = values.get("accounts")
    names = tuple(map(str, accounts)) if isinstance(accounts, dict) else ()
    name, mode = text("name", "headrace") or "headrace", text("mode", "")
    try:
        return _place(name, mode or "", names, text("journal"), text("kill_file"))
    except ConfigError as error:
        raise config_error(error.reason, file=path, key=error.key) from None


def _place(
    name: str, mode: str, accounts: tuple[str, ...], journal: str | None, kill_file: str | None
) -> OperatorPlace:
    if not journal or journal == _MEMORY:
        beside = None
    elif journal.startswith(_SQLITE):
        beside = journal.removeprefix(_SQLITE)
    elif not journal.startswith(_POSTGRES):
        raise config_error(
            f"{journal!r} is neither sqlite:///FILE nor postgresql://", key="journal"
        )
    elif "/" in name:
        raise config_error("has a slash", key="name")
    else:
        beside = f"headrace-{name}"
    chosen = kill_file or (f"{beside}.kill" if beside else None)
    return OperatorPlace(
        name=name,
        mode=mode,
        accounts=accounts,
        mailbox=Path(f"{beside}.operator") if beside else None,
        kill_file=Path(chosen) if chosen else None,
    )
