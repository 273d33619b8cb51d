"""The command line's log: structlog and the standard library's loggers in one form, on stderr.

Readable lines on a terminal, JSON elsewhere. Secrets never get through: values under keys that
name one are masked, and known secret values are taken out of the finished line (T-41).
"""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from framework.settings.places import one_line
from framework.settings.secrets import MASK, redact
from framework.settings.structs import LogFormat, LoggingSettings, LogLevel

LONGEST_VALUE = 10_000  # characters of one field
_SECRET_KEY = re.compile(
    r"(?i)secret|passw|passphrase|private_?key|api_?key|authorization|signature|cookie"
    r"|(^|_)(access_|auth_|api_|refresh_)?token$"
)
_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.CRITICAL: logging.CRITICAL,
}


class _CommandLineHandler(logging.StreamHandler[TextIO]):
    """The one handler this module installs, found again when it is configured twice."""


def configure_logging(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (by default stderr)."""
    output = sys.stderr if stream is None else stream
    level = _LEVELS[settings.level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secret_keys,
    ]
    ending = rendering(is_console(settings.format, output), has_colors=output.isatty())
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,  # so that a second call, as in tests, takes effect
    )
    route_standard_loggers(shared, ending, output, level)


def is_console(format_: LogFormat, output: TextIO) -> bool:
    """Return whether lines are for a person."""
    return format_ is LogFormat.CONSOLE or (format_ is LogFormat.AUTO and output.isatty())


def rendering(is_for_console: bool, *, has_colors: bool) -> list[Processor]:
    """Return the processors that turn an event into a line."""
    if not is_for_console:
        json_lines: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
        return [*json_lines, redact_line]
    console = structlog.dev.ConsoleRenderer(
        colors=has_colors,
        exception_formatter=structlog.dev.plain_traceback,  # the others show local variables
    )
    return [strip_control_characters, console, redact_line]


def route_standard_loggers(
    shared: Sequence[Processor], ending: Sequence[Processor], output: TextIO, level: int
) -> None:
    """Give libraries' loggers (aiohttp, asyncio) the same form, from warnings on."""
    handler = _CommandLineHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(shared),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, _CommandLineHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))


def mask_secret_keys(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Mask every field whose name says that it is a secret."""
    for key in event:
        if _SECRET_KEY.search(key):
            event[key] = MASK
    return event


def strip_control_characters(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Make foreign text harmless for a terminal (T-16)."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("exception", "stack"):
            event[key] = one_line(value, LONGEST_VALUE)
    return event


def redact_line(logger: WrappedLogger, name: str, line: Any) -> str:
    """Take known secret values out of the finished line."""
    return redact(str(line))
