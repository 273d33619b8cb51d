"""`headrace journal`: what it prints, its exit codes, and that it needs no lock."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from framework.cli.journal import as_text, export, run_of, utc
from framework.cli.main import main, parser
from framework.model.records import StrategyState
from framework.model.runs import Execution, Run
from tests.framework.store.journals import START_NS, close, log_at, order_id, records, written_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    close(written_at(tmp_path / "journal.db", 12))
    return tmp_path / "journal.db"


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """Return the lines that `journal ...` prints; it must succeed."""
    assert main(["journal", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def positions(lines: list[str]) -> list[int]:
    return [int(line.split()[0]) for line in lines]


def test_show_prints_every_entry_with_time_and_kind(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, "show", f"sqlite:///{path}")

    assert positions(lines) == list(range(1, 13))
    assert lines[1].split()[:3] == ["2", "2024-01-01T00:00:00.000Z", "order_accepted"]
    assert f"order_id={order_id(0)}" in lines[1]
    assert "intent={run=run key=1.0.0" in lines[0].replace("type=order_intent ", "")


def test_show_filters_by_run_order_kind_and_place(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert positions(shown(capsys, "show", path, "--order", order_id(1))) == [5, 6, 7]
    assert positions(shown(capsys, "show", path, "--kind", "order_filled")) == [3, 7, 11]
    assert positions(shown(capsys, "show", path, "--run", "run", "--after", 5)) == [6, 7, 9, 10, 11]
    assert positions(shown(capsys, "show", path, "--limit", 2, "--after", 9)) == [10, 11]
    assert shown(capsys, "show", path, "--run", "other") == []
    assert shown(capsys, "show", path, "--limit", 0) == []


def test_show_as_json_is_a_line_per_entry(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "show", path, "--json", "--limit", 4)

    entries = [msgspec.json.decode(line) for line in lines]
    assert [entry["position"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["record"]["type"] == entries[0]["kind"] == "submit_order"
    assert entries[2]["record"]["quantity"] == "0.5"


def test_a_running_journal_can_be_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written_at(tmp_path / "journal.db", 8)

    assert len(shown(capsys, "show", tmp_path / "journal.db")) == 8
    assert "8 entries are whole" in shown(capsys, "verify", tmp_path / "journal.db")[1]
    log.append(records(1)[0])
    log.commit()
    assert log.failure == ""
    assert len(shown(capsys, "show", tmp_path / "journal.db")) == 9
    close(log)


def test_verify_counts_and_dates(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "verify", path) == [
        "journal journal-of-tests, epoch 1",
        "12 entries are whole, 2024-01-01T00:00:00.000Z to 2024-01-01T00:00:00.000Z",
    ]


def test_verify_of_an_empty_journal_has_no_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close(log_at(tmp_path / "journal.db"))

    assert shown(capsys, "verify", tmp_path / "journal.db")[1] == "0 entries are whole"


def test_r05_verify_exits_with_1_and_says_what_is_damaged(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path)

    assert main(["journal", "verify", str(path)]) == 1

    printed = capsys.readouterr()
    assert "6 entries are whole" in printed.out
    assert printed.err == (f"damaged: {path}: entry 7 does not bear out its checksum\n")


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET time_ns = 0 WHERE position = 7")


def test_export_writes_lines_of_json_to_the_screen_or_a_new_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, "export", path)
    target = tmp_path / "export.jsonl"

    assert shown(capsys, "export", path, "--to", target) == []

    assert target.read_text().splitlines() == lines
    assert len(lines) == 12
    assert main(["journal", "export", str(path), "--to", str(target)]) == 2
    assert "File exists" in capsys.readouterr().err


def test_r05_export_gives_what_is_whole_and_then_fails(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path)

    assert main(["journal", "export", str(path)]) == 1

    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 6
    assert "entry 7 does not bear out" in printed.err


def test_a_reader_that_goes_away_is_no_failure_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout.write", gone)
    options = parser().parse_args(["journal", "export", str(path)])

    with pytest.raises(BrokenPipeError):  # `main` ends quietly on it
        export(options)


def test_r12_backup_copies_and_counts(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "backup.db"

    assert shown(capsys, "backup", f"sqlite:///{path}", target) == [f"{target}: 12 entries"]
    assert main(["journal", "backup", str(path), str(target)]) == 1
    assert "File exists" in capsys.readouterr().err
    assert len(shown(capsys, "show", target)) == 12


def test_r05_recover_says_what_it_kept_and_why(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path)

    lines = shown(capsys, "recover", path)

    assert lines == [
        f"{path}: goes on with 6 entries; before: {path}.damaged-1",
        f"because: {path}: entry 7 does not bear out its checksum",
    ]
    assert "nothing was damaged" in shown(capsys, "recover", path)[1]


def test_a_journal_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("show", "verify", "export"):
        assert main(["journal", action, str(tmp_path / "no.db")]) == 1
        assert capsys.readouterr().err == f"{tmp_path}/no.db: there is no journal\n"
    assert main(["journal", "backup", "memory:", "x.db"]) == 1
    assert "names no journal" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["-1", "x", str(2**63)])
def test_a_place_that_is_no_count_is_refused(wrong: str, path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["journal", "show", str(path), f"--after={wrong}"])


def test_bytes_are_counted_and_times_are_utc() -> None:
    state = StrategyState("cross", 1, 7, b"\x00\x1b[31m", START_NS + 1_500_000)

    line = as_text((1, 1, START_NS, "strategy_state", state))

    assert "state=(6 bytes)" in line
    assert run_of(state) == "cross"
    assert run_of(Run("cross", "main", Execution.LIVE)) == "cross"
    assert utc(START_NS + 1_500_000) == "2024-01-01T00:00:00.001Z"
