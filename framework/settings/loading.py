"""From a configuration file to `Settings`: every mistake is one line with file, line and key.

    settings = load("config/quickstart.yaml")

Relative paths in a configuration (`source.files`, `file:` secrets, the journal) are taken from
the working directory, not from the file's: configurations lie in `config/`, data in `output/`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from framework.errors import ConfigError
from framework.settings.checks import check_settings, resolved
from framework.settings.decoding import decode_section
from framework.settings.document import read_document
from framework.settings.places import config_error
from framework.settings.structs import Settings


def load(path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None) -> Settings:
    """Read, decode, complete and check the configuration at `path`.

    `environment` holds the variables of `${NAME}`, by default this process's. In the result
    every venue's `data` and `orders` are set.

    Raises:
        ConfigError: file, line, key and reason on one line.
    """
    variables = os.environ if environment is None else environment
    document = read_document(os.fspath(path), variables)
    try:
        settings = resolved(decode_section(document.values, Settings, key=""))
        check_settings(settings)
    except ConfigError as error:
        line = document.line_of(error.key)
        raise config_error(error.reason, file=document.file, line=line, key=error.key) from None
    return settings


def locate(path: str | os.PathLike[str], key: str) -> int | None:
    """Return the line of `key` in the file, or of the nearest part above it; None if unknown.

    Reads the file again, so that `Settings` need not carry lines for the rare error.
    """
    try:
        return read_document(os.fspath(path), environment=None).line_of(key)
    except ConfigError:  # the file has changed meanwhile
        return None


@contextmanager
def located(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add file and line to every `ConfigError` raised inside that has none, by its key."""
    try:
        yield
    except ConfigError as error:
        if error.file is not None:
            raise
        line = locate(path, error.key)
        file = os.fspath(path)
        raise config_error(error.reason, file=file, line=line, key=error.key) from error
