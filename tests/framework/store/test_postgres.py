"""What is PostgreSQL's own about the order log there; what all logs share is in the contracts."""

import asyncio
import re
from collections.abc import Iterator

import asyncpg
import pytest

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.model.records import Record
from framework.store import postgres
from framework.store.copies import verify
from framework.store.opening import open_for_reading
from framework.store.order_log import StoredLog
from framework.store.postgres import VERSION, PostgresStorage
from framework.store.postgres_connection import PostgresConnection, named_errors, parse_url
from tests.fakes import ManualClock
from tests.framework.store.journals import (
    START_NS,
    journal_id,
    order_id,
    postgres_journal,
    records,
)


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_journal() as url:
        yield url


def storage_at(url: str) -> PostgresStorage:
    return PostgresStorage(parse_url(url), make_id=journal_id, now_ns=START_NS, busy_s=10.0)


def written_at(url: str, count: int) -> StoredLog:
    log = StoredLog(storage_at(url), ManualClock(START_NS), inline=True)
    for record in records(count):
        log.append(record)
    log.commit()
    assert log.failure == ""
    return log


def change(url: str, *statements: str) -> None:
    link = PostgresConnection(parse_url(url), busy_s=10.0)
    link.transact(*((statement, ()) for statement in statements))
    link.close()
    link.close()


@pytest.mark.socket
def test_a_journal_is_read_and_verified_while_it_is_written(url: str) -> None:
    log = written_at(url, 12)

    reading = open_for_reading(url)
    assert verify(reading) == (12, START_NS, START_NS, "")
    assert reading.epoch == 1
    reading.close()
    asyncio.run(log.aclose())


@pytest.mark.socket
def test_several_journals_live_in_one_database(url: str) -> None:
    with postgres_journal() as other:
        logs = [written_at(url, 4), written_at(other, 8)]

        assert [log.position for log in logs] == [4, 8]
        for log in logs:
            asyncio.run(log.aclose())


@pytest.mark.socket
def test_r05_a_changed_row_or_header_is_named(url: str) -> None:
    asyncio.run(written_at(url, 12).aclose())
    change(url, "UPDATE entries SET time_ns = 0 WHERE position = 7")
    reading = open_for_reading(url)
    assert verify(reading).entry_count == 6
    assert "entry 7 does not bear out" in verify(reading).damage
    reading.close()

    for statement, reason in (
        ("UPDATE journal SET journal_id = 'x'", "header does not bear out"),
        ("DELETE FROM journal", "header is gone"),
    ):
        change(url, statement)
        with pytest.raises(JournalDamaged, match=reason):
            storage_at(url)


@pytest.mark.socket
def test_r11_a_newer_journal_is_refused_with_a_way_forward(url: str) -> None:
    asyncio.run(written_at(url, 1).aclose())
    change(url, "UPDATE journal SET version = 9")

    newer = r"written by a newer headrace \(format 9, this one reads up to 2\): open it with"
    with pytest.raises(JournalError, match=newer):
        storage_at(url)
    with pytest.raises(JournalError, match=newer):
        open_for_reading(url)
    with pytest.raises(JournalError, match="there is no journal"):
        open_for_reading(f"{url}_missing")


@pytest.mark.socket
def test_r11_an_older_journal_is_read_as_it_is_and_brought_up_by_a_start(url: str) -> None:
    asyncio.run(written_at(url, 3).aclose())
    change(url, "UPDATE journal SET version = 1")
    reading = open_for_reading(url)
    assert verify(reading).entry_count == 3
    reading.close()

    log = written_at(url, 1)

    assert log.position == 4
    asyncio.run(log.aclose())
    link = PostgresConnection(parse_url(url), busy_s=10.0)
    assert link.fetch("SELECT version FROM journal")[0]["version"] == VERSION
    link.close()


def cut(storage: PostgresStorage) -> None:
    """End the sessions of a journal's owner, as a restart of the server does."""
    other = PostgresConnection(parse_url("postgresql://" + storage.place.split("//")[1]), busy_s=10)
    pids = [
        link.fetch("SELECT pg_backend_pid()")[0][0]
        for link in (storage._link, storage.reading._link)
        if not link.is_lost
    ]
    other.fetch("SELECT pg_terminate_backend(pid, 5000) FROM unnest($1::integer[]) pid", pids)
    other.close()


def storage_of(log: StoredLog) -> PostgresStorage:
    return log._writer._storage  # type: ignore[return-value]


def entries_at(url: str) -> list[Record]:
    log = written_at(url, 0)
    found = [record for _, record in log.read()]
    asyncio.run(log.aclose())
    return found


@pytest.mark.socket
def test_r06_after_a_cut_connection_the_log_goes_on_where_it_was(url: str) -> None:
    log = written_at(url, 4)
    for _ in range(2):
        cut(storage_of(log))
        for record in records(4):
            log.append(record)
        log.commit()
        cut(storage_of(log))
        log.save_snapshot(log.position, b"state")
        log.commit()
        cut(storage_of(log))
        assert len(list(log.read())) == log.position
        assert log.newest_snapshot() == (log.position, b"state")
        cut(storage_of(log))
        assert log.of_order(order_id(0))[-1] == (log.position - 1, records(3)[2])
    log.append(records(1)[0])
    log.commit()

    assert (log.failure, log.durable_position) == ("", 13)
    with pytest.raises(JournalLocked):  # the new session has the lock
        storage_at(url)
    asyncio.run(log.aclose())
    assert entries_at(url) == [*records(4) * 3, *records(1)]


@pytest.mark.socket
def test_r06_a_commit_whose_answer_was_lost_is_not_written_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written_at(url, 4)
    storage = storage_of(log)
    execute = storage._link.execute
    lost: list[str] = []

    def lose_answer(statement: str, *values: object) -> str:
        found = execute(statement, *values)
        if statement.lstrip().startswith("INSERT INTO entries") and not lost:
            lost.append(found)
            cut(storage)
            return execute("SELECT 1")  # raises
        return found

    monkeypatch.setattr(storage._link, "execute", lose_answer)
    for record in records(4):
        log.append(record)
    log.commit()

    assert lost == ["INSERT 0 4"]
    assert (log.failure, log.durable_position) == ("", 8)
    asyncio.run(log.aclose())
    assert entries_at(url) == records(4) * 2


@pytest.mark.socket
@pytest.mark.parametrize("step", ["_require_ours", "_lock"])
def test_r06_a_new_connection_that_ends_as_well_is_made_again(
    step: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written_at(url, 4)
    storage = storage_of(log)
    take = getattr(storage, step)
    taken: list[str] = []

    def cut_once() -> None:
        taken.append(step)
        if len(taken) == 1:
            cut(storage)
        take()

    monkeypatch.setattr(storage, step, cut_once)
    cut(storage)
    log.append(records(1)[0])
    log.commit()

    assert len(taken) > 1
    assert (log.failure, log.durable_position) == ("", 5)
    asyncio.run(log.aclose())
    assert entries_at(url) == [*records(4), *records(1)]


@pytest.mark.socket
@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        ("UPDATE journal SET epoch = epoch + 1", "another process start has taken over"),
        ("DELETE FROM journal", "another process start has taken over"),
        ("DELETE FROM entries WHERE position = 4", "ends at entry 3 .* and 4 were durable"),
        ("DELETE FROM entries", "ends at entry 0 .* and 4 were durable"),
        ("UPDATE entries SET checksum = 1 WHERE position = 4", "ends at entry 4 .* 4 were"),
    ],
)
def test_r06_a_journal_that_is_not_ours_any_more_after_a_cut_is_a_final_failure(
    meanwhile: str, reason: str, url: str
) -> None:
    log = written_at(url, 4)
    cut(storage_of(log))
    change(url, meanwhile)

    log.append(records(1)[0])
    log.commit()

    assert re.search(reason, log.failure)
    assert log.durable_position == 4
    asyncio.run(log.aclose())


@pytest.mark.socket
def test_r01_who_was_overtaken_while_cut_off_hears_it_at_once_and_writes_nothing(url: str) -> None:
    log = written_at(url, 4)
    cut(storage_of(log))
    successor = written_at(url, 4)

    log.append(records(1)[0])
    log.commit()

    assert "another process start has taken over" in log.failure
    asyncio.run(log.aclose())
    assert (successor.position, len(list(successor.read()))) == (8, 8)
    asyncio.run(successor.aclose())


@pytest.mark.socket
def test_r06_a_lock_that_somebody_took_meanwhile_is_a_final_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RECONNECT_S", (0.0, 0.0))
    monkeypatch.setattr(postgres, "LOCK_WAIT_MS", 50)
    log = written_at(url, 4)
    storage = storage_of(log)
    cut(storage)
    other = PostgresConnection(parse_url(url), busy_s=10.0)
    other.execute("SELECT pg_advisory_lock($1, $2)", *storage._lock_name)

    log.append(records(1)[0])
    log.commit()

    assert "in use by process headrace" in log.failure
    other.close()
    asyncio.run(log.aclose())


@pytest.mark.socket
def test_r06_a_server_that_stays_away_is_a_final_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RECONNECT_S", (0.0, 0.0))
    log = written_at(url, 4)
    storage = storage_of(log)
    nowhere = parse_url("postgresql://127.0.0.1:1/db")._replace(schema=parse_url(url).schema)
    for link in (storage._link, storage.reading._link):
        monkeypatch.setattr(link, "_address", nowhere)
    cut(storage)

    log.append(records(1)[0])
    log.commit()

    assert "postgresql://" in log.failure
    assert log.durable_position == 4
    with pytest.raises(JournalError):
        list(log.read())
    asyncio.run(log.aclose())
    assert entries_at(url) == records(4)


@pytest.mark.socket
def test_r06_an_error_that_is_no_lost_connection_is_final_at_once(url: str) -> None:
    log = written_at(url, 4)
    change(url, "ALTER TABLE entries RENAME TO others")

    log.append(records(1)[0])
    log.commit()

    assert 'relation "entries" does not exist' in log.failure
    with pytest.raises(JournalError, match="does not exist"):
        list(log.read())
    asyncio.run(log.aclose())


@pytest.mark.socket
def test_an_epoch_is_taken_by_compare_and_set(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(written_at(url, 1).aclose())
    head = "framework.store.postgres.PostgresReading.head"
    change_epoch = "UPDATE journal SET epoch = epoch + 1"

    def be_overtaken(_: object) -> object:
        change(url, change_epoch)
        return type("Head", (), {"position": 1})

    monkeypatch.setattr(head, be_overtaken)
    with pytest.raises(JournalLocked, match="another process has just started on it"):
        storage_at(url)


@pytest.mark.socket
def test_a_server_that_does_not_sync_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = PostgresConnection.fetch

    def say_off(link: PostgresConnection, statement: str, *values: object) -> object:
        return [("off",)] if statement == "SHOW fsync" else fetch(link, statement, *values)

    monkeypatch.setattr(PostgresConnection, "fetch", say_off)
    with pytest.raises(JournalError, match="fsync off: nothing is durable"):
        storage_at(url)


@pytest.mark.socket
def test_an_error_of_the_server_is_no_lock(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.store.postgres.LOCK_WAIT_MS", "'no time'")
    with pytest.raises(JournalError, match="lock_timeout"):
        storage_at(url)


@pytest.mark.socket
def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    with pytest.raises(
        JournalError, match=r"postgresql://127\.0\.0\.1:1/db\?journal=headrace: "
    ) as e:
        storage_at("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(e.value)


def test_the_journals_name_is_part_of_the_url_and_other_options_stay() -> None:
    address = parse_url("postgresql://u:p@h:5/db?sslmode=require&journal=my_1")

    assert address.url == "postgresql://u:p@h:5/db?sslmode=require"
    assert address.schema == "journal_my_1"
    assert address.place == "postgresql://h:5/db?journal=my_1"


@pytest.mark.parametrize("name", ["a b", "A", "x;--", "é", "9", "a" * 41])
def test_t04_a_journals_name_is_a_plain_one(name: str) -> None:
    with pytest.raises(JournalError, match="small letters"):
        parse_url(f"postgresql://h/db?journal={name}")


@pytest.mark.parametrize(
    ("error", "expected", "reason"),
    [
        (asyncpg.exceptions.DataCorruptedError("bad page"), JournalDamaged, "bad page"),
        (TimeoutError(), JournalError, "no answer in time"),
        (ConnectionResetError("reset"), JournalError, "reset"),
    ],
)
def test_errors_of_the_link_become_ours(
    error: Exception, expected: type[Exception], reason: str
) -> None:
    with pytest.raises(expected, match=f"here: {reason}"), named_errors("here"):
        raise error
