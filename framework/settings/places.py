"""Where a setting stands: dotted keys, and errors that know their place on one line.

A key reads `venues.binance.source.files` or `strategies[0].account`. Code that judges a part of
the configuration raises `ConfigError(key=...)` relative to that part; `section` puts the part's
own key in front.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from framework.errors import ConfigError

LONGEST_REASON = 400  # characters; a hostile value must not flood a terminal


def join_key(*parts: str) -> str:
    """Return the parts as one dotted key: `a`, `b[0]`, `[1]` → `a.b[0][1]`."""
    joined = ""
    for part in parts:
        separator = "." if joined and part and not part.startswith("[") else ""
        joined += separator + part
    return joined


def parent_key(key: str) -> str:
    """Return the key one level up, `""` at the top."""
    cut = max(key.rfind("."), key.rfind("["))
    return key[:cut] if cut > 0 else ""


def one_line(text: str, longest: int = LONGEST_REASON) -> str:
    """Return `text` without line breaks and control characters, cut to `longest` characters."""
    printable = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."


def config_error(
    reason: str, *, file: str | None = None, line: int | None = None, key: str = ""
) -> ConfigError:
    """Return a `ConfigError` that is one line whatever the file contained."""
    shown_file = None if file is None else one_line(file)
    return ConfigError(one_line(reason), file=shown_file, line=line, key=one_line(key, 200))


@contextmanager
def section(key: str) -> Iterator[None]:
    """Put `key` in front of the key of every `ConfigError` raised inside that has no file yet."""
    try:
        yield
    except ConfigError as error:
        if error.file is not None:
            raise
        raise config_error(error.reason, key=join_key(key, error.key)) from error
