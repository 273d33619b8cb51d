"""`headrace journal show | verify | export | backup | recover JOURNAL`.

All but `recover` only read, while a process writes to the journal or not. Exit code 1: damaged.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.model.records import Record
    from framework.store.storage import Reading

EXIT_DAMAGED = 1


def add_parser(commands: Any) -> None:
    """Register the verbs."""
    text = "look into the journal of orders, check it, copy it"
    journal = commands.add_parser("journal", help=text, description=text)
    actions = journal.add_subparsers(dest="action", required=True, metavar="action")
    for name, description in (
        ("show", "print entries"),
        ("verify", "check every entry and the database; exit code 1 when damaged"),
        ("export", "write all entries as lines of JSON"),
        ("backup", "copy it to a new file, while it is written or not (SQLite)"),
        ("recover", "go on with what is whole, keep the damaged files beside it (SQLite)"),
    ):
        action = actions.add_parser(name, help=description, description=description)
        action.add_argument("journal", help="its URL as in the configuration, or its file")
        if name == "show":
            action.add_argument("--run", metavar="ID", help="entries about this run only")
            action.add_argument("--order", metavar="ID", help="entries about this order only")
            action.add_argument("--kind", help="entries of this kind only, such as submit_order")
            action.add_argument("--after", type=count, default=0, metavar="POSITION")
            action.add_argument("--limit", type=count, metavar="N", help="the first N only")
            action.add_argument("--json", action="store_true", help="lines of JSON")
        elif name == "export":
            action.add_argument("--to", metavar="FILE", help="a new file instead of the screen")
        elif name == "backup":
            action.add_argument("target", metavar="FILE", help="a new file")


def count(text: str) -> int:
    """Return a count from an argument."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise ValueError(text)
    return value


def run(options: argparse.Namespace) -> int:
    """Run one action and return its exit code."""
    actions: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "show": show,
        "verify": verify,
        "export": export,
        "backup": back_up,
        "recover": recover,
    }
    return actions[options.action](options)


def show(options: argparse.Namespace) -> int:
    """Print the entries that the filters leave."""
    from framework.settings.places import one_line

    with closing(opened(options.journal)) as reading:
        for entry in islice(chosen(reading, options), options.limit):
            print(as_json(entry) if options.json else one_line(as_text(entry), longest=4_000))
    return 0


def verify(options: argparse.Namespace) -> int:
    """Check everything and say how much is whole; EXIT_DAMAGED unless all is."""
    from framework.cli.main import say
    from framework.store.copies import verify as check

    with closing(opened(options.journal)) as reading:
        print(f"journal {reading.journal_id}, epoch {reading.epoch}")
        found = check(reading)
    times = ""
    if found.first_ns is not None and found.last_ns is not None:
        times = f", {utc(found.first_ns)} to {utc(found.last_ns)}"
    print(f"{found.entry_count} entries are whole{times}")
    if found.damage:
        say(f"damaged: {found.damage}")
        return EXIT_DAMAGED
    return 0


def export(options: argparse.Namespace) -> int:
    """Write every entry as a line of JSON."""
    from framework.errors import DataError

    try:
        with closing(opened(options.journal)) as reading, output(options.to) as file:
            for entry in entries(reading):
                file.write(as_json(entry) + "\n")
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise DataError(str(error.strerror), file=options.to) from error
    return 0


def back_up(options: argparse.Namespace) -> int:
    """Copy the journal as it is at one moment."""
    from framework.store.copies import back_up as copy
    from framework.store.opening import sqlite_path

    entry_count = copy(sqlite_path(url_of(options.journal)), Path(options.target))
    print(f"{options.target}: {entry_count} entries")
    return 0


def recover(options: argparse.Namespace) -> int:
    """Put the longest whole beginning in the journal's place."""
    from framework.store.copies import recover as repair
    from framework.store.opening import sqlite_path

    path = sqlite_path(url_of(options.journal))
    done = repair(path)
    print(f"{path}: goes on with {done.entry_count} entries; before: {done.kept_as}")
    print(f"because: {done.damage or 'it was asked for; nothing was damaged'}")
    return 0


Entry = tuple[int, int, int, str, "Record"]
"""Position, epoch, time_ns, kind, record."""


def entries(reading: "Reading", subject: int | None = None) -> Iterator[Entry]:
    """Yield what is whole, all of it or what may be about a subject."""
    from framework.store.copies import whole_rows
    from framework.store.entries import record_of

    for row in whole_rows(reading):
        if subject is None or row[4] == subject:
            yield (*row[:4], record_of(row, reading.place))


def chosen(reading: "Reading", options: argparse.Namespace) -> Iterator[Entry]:
    """Yield the entries that the filters leave."""
    from framework.model.records import order_of
    from framework.store.entries import subject_of

    runs: dict[str, str] = {}  # of each order: its later records do not repeat it
    subject = subject_of(options.order) if options.order else None
    for entry in entries(reading, subject):
        position, _, _, kind, record = entry
        run = run_of(record) or runs.get(order_of(record), "")
        if run and order_of(record):
            runs[order_of(record)] = run
        if (
            position > options.after
            and options.kind in (None, kind)
            and options.order in (None, order_of(record))
            and options.run in (None, run)
        ):
            yield entry


def run_of(record: "Record") -> str:
    """Return the run that a record names, "" if none."""
    from framework.model.runs import Run

    if isinstance(record, Run):
        return record.id
    intent = getattr(record, "intent", None)
    return str(getattr(intent or record, "run", ""))


def as_json(entry: Entry) -> str:
    """Return an entry as one line of JSON."""
    import msgspec

    names = ("position", "epoch", "time_ns", "kind", "record")
    return msgspec.json.encode(dict(zip(names, entry, strict=True))).decode()


def as_text(entry: Entry) -> str:
    """Return an entry as a line to read: position, time, kind, what it says."""
    import msgspec

    position, _, time_ns, kind, record = entry
    said = msgspec.to_builtins(record, builtin_types=(bytes,))
    said.pop("type", None)
    words = [f"{name}={plain(value)}" for name, value in said.items() if value not in ("", None)]
    return f"{position:>9}  {utc(time_ns)}  {kind:<16} {' '.join(words)}"


def plain(value: object) -> str:
    """Return a field's value on few characters; bytes are counted."""
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, dict):
        inner = [f"{name}={plain(of)}" for name, of in value.items() if of not in ("", None, [])]
        return "{" + " ".join(inner) + "}"
    return str(value)


def utc(time_ns: int) -> str:
    """Return a time as 2024-01-01T00:00:00.000Z."""
    from datetime import UTC, datetime

    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03}Z"


def opened(journal: str) -> "Reading":
    """Open a journal for reading only."""
    from framework.store.opening import open_for_reading

    return open_for_reading(url_of(journal))


def url_of(journal: str) -> str:
    """Return the URL that an argument means: it is one, or a file."""
    return journal if ":" in journal else f"sqlite:///{journal}"


def output(path: str | None) -> Any:
    """Return a new file at `path`, or the screen, as a context."""
    screen: IO[str] = sys.stdout
    return nullcontext(screen) if path is None else open(path, "x", encoding="utf-8")
