"""Records to write, and journals to write them to."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from itertools import count
from pathlib import Path

import pytest

from framework.errors import JournalError
from framework.model.commands import SubmitOrder
from framework.model.orders import Fee, OrderIntent, Side
from framework.model.records import GateSet, Record
from framework.model.reports import OrderAccepted, OrderFilled
from framework.store.order_log import StoredLog
from framework.store.postgres_connection import PostgresConnection, parse_url
from framework.store.sqlite import SqliteStorage
from tests.fakes import ManualClock

START_NS = 1_704_067_200_000_000_000
_names = count(1)


def order_id(number: int) -> str:
    """Return an id as the registry makes them."""
    return blake2b(b"%d" % number, digest_size=10).hexdigest()


def life_of(number: int) -> list[Record]:
    """Return three records about one order, and one about none."""
    identity, time_ns, price = order_id(number), START_NS + number, Decimal("43251.1")
    intent = OrderIntent("run", f"1.{number}.0", "sim:BTC", Side.BUY, Decimal("0.5"), price=price)
    fee = Fee("USD", Decimal("21.62555"))
    return [
        SubmitOrder(identity, "main", intent, Decimal("0.5"), time_ns),
        OrderAccepted(identity, time_ns, str(number)),
        OrderFilled(identity, f"e{number}", Decimal("0.5"), price, time_ns, fees=(fee,)),
        GateSet("reducing", f"number {number}", "test", time_ns),
    ]


def records(how_many: int) -> list[Record]:
    """Return so many records, the same each time."""
    lives = (life_of(number) for number in range((how_many + 3) // 4))
    return [record for life in lives for record in life][:how_many]


def journal_id() -> str:
    """Return the id that the tests give to a new journal."""
    return "journal-of-tests"


def storage_at(path: Path, *, busy_s: float = 60.0) -> SqliteStorage:
    """Open the SQLite journal at `path`."""
    return SqliteStorage(path, make_id=journal_id, now_ns=START_NS, busy_s=busy_s)


def log_at(path: Path, *, kept_entries: int = 200_000, busy_s: float = 60.0) -> StoredLog:
    """Open the SQLite journal at `path` without thread and loop: `commit` writes."""
    storage = storage_at(path, busy_s=busy_s)
    return StoredLog(storage, ManualClock(START_NS), inline=True, kept_entries=kept_entries)


def close(log: StoredLog) -> None:
    """Close a log that has no loop."""
    with pytest.raises(StopIteration):
        log.aclose().send(None)


def written_at(path: Path, how_many: int) -> StoredLog:
    """Return an open log with so many entries, each group of four a commit of its own."""
    log = log_at(path)
    for at, record in enumerate(records(how_many), 1):
        log.append(record)
        if at % 4 == 0:
            log.commit()
    log.commit()
    return log


def crashed_copy(source: Path, directory: Path, *suffixes: str) -> Path:
    """Copy a journal's files as they are now, as a kill would leave them; return the new one."""
    directory.mkdir(exist_ok=True)
    target = directory / source.name
    for suffix in suffixes or ("", "-wal", "-mark"):
        file = source.with_name(source.name + suffix)
        if file.exists():
            shutil.copy(file, target.with_name(target.name + suffix))
    return target


@cache
def postgres_server() -> str:
    """Return the URL of a server that answers, or why there is none."""
    host = os.environ.get("PGHOST", "127.0.0.1")
    user = os.environ.get("PGUSER", "postgres")
    url = f"postgresql://{user}@{host}/{os.environ.get('PGDATABASE', 'postgres')}"
    try:
        PostgresConnection(parse_url(url), busy_s=10.0).close()
    except JournalError as error:
        return f"no server: {error}"
    return url


@contextmanager
def postgres_journal() -> Iterator[str]:
    """Give the URL of a journal that does not exist yet, and drop it; skips without a server."""
    server = postgres_server()
    if server.startswith("no server"):
        pytest.skip(server)
    url = f"{server}?journal=test_{os.getpid()}_{next(_names)}"
    try:
        yield url
    finally:
        link = PostgresConnection(parse_url(url), busy_s=10.0)
        link.execute(f"DROP SCHEMA IF EXISTS {parse_url(url).schema} CASCADE")
        link.close()
