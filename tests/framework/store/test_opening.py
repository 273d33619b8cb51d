"""A URL becomes an order log, or one error that names the place and the reason."""

import asyncio
from pathlib import Path

import pytest

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.interfaces import OrderLog
from framework.store.memory import MemoryLog
from framework.store.opening import open_for_reading, open_order_log, sqlite_path
from framework.store.order_log import StoredLog
from tests.fakes import ManualClock
from tests.framework.store.journals import START_NS, close, journal_id, records


def opened(
    url: str, *, accounts: tuple[str, ...] = (), lock_directory: Path | None = None
) -> OrderLog:
    return open_order_log(
        url,
        clock=ManualClock(START_NS),
        make_id=journal_id,
        inline=True,
        accounts=accounts,
        lock_directory=lock_directory,
    )


def test_a_file_can_be_named_relative_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a b%?.db".replace("?", ""), f"sqlite:///{tmp_path}/other.db"):
        log = opened(url)
        assert isinstance(log, StoredLog)
        close(log)

    assert {file.name for file in tmp_path.glob("*.db")} == {"a b%.db", "other.db"}
    assert sqlite_path("sqlite:////var/journal.db") == Path("/var/journal.db")


@pytest.mark.parametrize(
    "url",
    ["", "file.db", "sqlite:///", "sqlite:///dir/", "sqlite:///a.db?mode=ro", "mysql://u:p@h"],
)
def test_any_other_url_is_refused_without_repeating_its_secrets(url: str) -> None:
    for open_it in (opened, open_for_reading):
        with pytest.raises(JournalError, match="names no journal; there are sqlite") as caught:
            open_it(url)
        assert "u:p" not in str(caught.value)


def test_memory_needs_no_lock_and_no_file() -> None:
    log = opened("memory:", accounts=("main",))

    assert isinstance(log, MemoryLog)
    assert log.journal_id == journal_id()


def test_r09_accounts_are_locked_as_long_as_the_log_is_open(tmp_path: Path) -> None:
    first = opened(f"sqlite:///{tmp_path}/a.db", accounts=("main",), lock_directory=tmp_path)
    assert isinstance(first, StoredLog)

    with pytest.raises(JournalLocked, match="account 'main' is in use"):
        opened(f"sqlite:///{tmp_path}/b.db", accounts=("main",), lock_directory=tmp_path)
    assert not (tmp_path / "b.db").exists()

    close(first)
    second = opened(f"sqlite:///{tmp_path}/b.db", accounts=("main",), lock_directory=tmp_path)
    assert isinstance(second, StoredLog)
    close(second)


def test_r09_an_opening_that_fails_gives_every_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    (tmp_path / "a.db").write_bytes(b"damaged")
    with pytest.raises(JournalDamaged):
        opened(url, accounts=("main",), lock_directory=tmp_path)
    (tmp_path / "a.db").unlink()

    def fail(*_: object, **__: object) -> None:
        raise JournalDamaged("it is not what it was")

    with monkeypatch.context() as patched:
        patched.setattr("framework.store.opening.StoredLog", fail)
        with pytest.raises(JournalDamaged):
            opened(url, accounts=("main",), lock_directory=tmp_path)

    log = opened(url, accounts=("main",), lock_directory=tmp_path)
    assert isinstance(log, StoredLog)
    close(log)


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    log = opened(url)
    assert isinstance(log, StoredLog)
    for record in records(4):
        log.append(record)
    log.commit()

    reading = open_for_reading(url)
    assert reading.head().position == 4
    log.append(records(1)[0])
    log.commit()
    assert reading.head().position == 5
    reading.close()
    close(log)


def test_a_log_that_writes_in_a_thread_needs_its_loop(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the loop"):
        open_order_log(
            f"sqlite:///{tmp_path}/a.db", clock=ManualClock(START_NS), make_id=journal_id
        )


def test_r06_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nowhere: there is no such folder"):
        opened(f"sqlite:///{tmp_path}/nowhere/a.db")


def test_the_log_closes_in_a_loop_that_is_not_its_own_caller(tmp_path: Path) -> None:
    async def use() -> int:
        log = open_order_log(
            f"sqlite:///{tmp_path}/a.db",
            clock=ManualClock(START_NS),
            make_id=journal_id,
            loop=asyncio.get_running_loop(),
        )
        log.append(records(1)[0])
        closing = [asyncio.create_task(log.aclose()) for _ in range(3)]
        closing[0].cancel()
        await asyncio.wait(closing)
        await log.aclose()
        return log.durable_position

    assert asyncio.run(use()) == 1
