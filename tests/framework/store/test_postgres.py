"""What is PostgreSQL's own about the order log there; what all logs share is in the contracts."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.store.copies import verify
from framework.store.opening import open_for_reading
from framework.store.order_log import StoredLog
from framework.store.postgres import PostgresStorage
from framework.store.postgres_connection import PostgresConnection, named_errors, parse_url
from tests.fakes import ManualClock
from tests.framework.store.journals import START_NS, journal_id, postgres_journal, records


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

    with pytest.raises(JournalError, match=r"newer headrace \(schema 9"):
        storage_at(url)
    with pytest.raises(JournalError, match="there is no journal"):
        open_for_reading(f"{url}_missing")


@pytest.mark.socket
def test_r06_a_connection_that_the_server_cut_is_a_final_failure(url: str) -> None:
    log = written_at(url, 4)
    other = PostgresConnection(parse_url(url), busy_s=10.0)
    other.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND classid::bigint = $1 AND granted AND objid::bigint = $2",
        0x48445243,
        log._writer._storage._lock_name[1] % 2**32,  # type: ignore[attr-defined]
    )
    other.close()

    log.append(records(1)[0])
    log.commit()

    assert "postgresql://" in log.failure
    assert log.durable_position == 4
    asyncio.run(log.aclose())
    log = written_at(url, 0)
    assert log.position == 4
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
