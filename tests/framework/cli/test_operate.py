"""The operator's verbs: what is asked, what is printed, and the exit code."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework.cli import operate
from framework.cli.main import main
from framework.errors import OrderError
from framework.model.reports import EndKind, OrderEnded, OrderFilled
from framework.runtime.operator_place import read_place
from framework.runtime.operator_requests import Ask, Request
from tests.framework.cli.operating import answering, quiet
from tests.framework.runtime.operator_samples import RecordingOperations

__all__ = ["quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
ASSIGN = ["a:B", "-5", "--from", "external", "--to", "cross", "--price", "3.10"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"mode: live\nname: demo\njournal: sqlite:///{tmp_path}/j.db\n"
        "accounts: {main: {venue: a, currency: USD}}\n"
        'venues: {a: {adapter: mock, settings: {key: "${NOT_SET}"}}}\n'
    )
    return path


def waiting(config: Path) -> list[Ask]:
    """What waits in the mailbox for a start."""
    folder = read_place(str(config)).mailbox
    assert folder is not None
    paths = sorted((folder / "requests").glob("*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=Request).ask for path in paths]


def on_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["adopt", "v1", "--run", "cross"], ("adopt", "v1", "cross")),
        (["close-run", "cross"], ("close_run", "cross", False)),
        (["close-run", "cross", "--assign-to-external"], ("close_run", "cross", True)),
        (["resume-run", "cross"], ("resume_run", "cross")),
        (["reset-breaker", "o1"], ("reset_breaker", "o1")),
        (
            ["resolve", "o1", "--as", "cancelled", "--reason", "seen", "--yes"],
            ("resolve", "o1", OrderEnded("o1", EndKind.CANCELLED, 7, "seen", "operator")),
        ),
        (
            [
                *("resolve", "o1", "--as", "filled", "--quantity", "2", "--price", "3"),
                *("--execution-id", "e1", "--yes"),
            ],
            (
                "resolve",
                "o1",
                OrderFilled("o1", "e1", operate.decimal("2"), operate.decimal("3"), 7),
            ),
        ),
    ],
)
def test_a_verb_reaches_the_process_and_its_answer_is_printed(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    call: tuple[Any, ...],
) -> None:
    operations = RecordingOperations()
    verb, *rest = arguments

    with answering(config, operations):
        code = main([verb, str(config), *rest])

    assert code == 0
    assert [found[:-1] for found in operations.calls] == [call]
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert printed.err == ""
    assert waiting(config) == []


def test_an_assignment_is_exact(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operations = RecordingOperations()

    with answering(config, operations):
        assert main(["assign", str(config), *ASSIGN, "--product", "MIS", "--yes"]) == 0

    ((_, assignment, _),) = operations.calls
    assert (f"{assignment.quantity}", f"{assignment.price}") == ("-5", "3.10")
    assert assignment.bucket.product == "MIS"
    assert capsys.readouterr().out == "-5 a:B at 3.10 moved from external to cross\n"


def test_a_refusal_is_one_line_and_exit_code_1(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(config, RecordingOperations(OrderError("order o1 is not in doubt\n\x1b[2J"))):
        code = main(["resolve", str(config), "o1", "--as", "rejected", "--yes"])

    assert code == 1
    assert capsys.readouterr().err == "resolve: order o1 is not in doubt\\n\\x1b[2J\n"


def test_orders_are_a_table_without_empty_columns(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(config, RecordingOperations()):
        assert main(["orders", str(config)]) == 0

    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        *("ORDER", "RUN", "INSTRUMENT", "SIDE", "TYPE", "QUANTITY", "FILLED", "PRICE"),
        *("STATUS", "IN_DOUBT"),
    ]
    assert line.split() == [
        *("o1", "cross", "a:B", "buy", "limit", "1.50", "0", "10", "submitted", "submit"),
    ]


@pytest.mark.parametrize("verb", ["orders", "positions", "runs"])
def test_lists_are_json_for_machines(
    config: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    with answering(config, RecordingOperations()):
        assert main([verb, str(config), "--json"]) == 0

    (row,) = json.loads(capsys.readouterr().out)
    assert row["run"] == "cross"


def test_an_empty_list_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operations = RecordingOperations()
    operations.order_rows = []

    with answering(config, operations):
        assert main(["orders", str(config), "--all"]) == 0

    assert capsys.readouterr().out == "none\n"
    assert operations.calls == [("orders", True)]


@pytest.mark.parametrize("verb", ["orders", "positions", "runs"])
def test_a_list_needs_a_process(
    config: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main([verb, str(config)]) == 1
    assert capsys.readouterr().err.startswith("no process runs with this journal")


def test_without_a_process_a_change_waits_for_the_next_start_and_says_so(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assign", str(config), *ASSIGN, "--yes"]) == 0
    assert capsys.readouterr().out == (
        f"no process runs with this journal (mailbox {config.parent}/j.db.operator):"
        " this waits for the next start and is done before anything is sent\n"
    )
    assert len(waiting(config)) == 1

    operations = RecordingOperations()
    with answering(config, operations):
        assert main(["runs", str(config)]) == 0  # asked later, so answered later

    assert [call[0] for call in operations.calls] == ["assign"]


def test_t14_what_changes_beliefs_is_confirmed_by_typing_the_name(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch, "demo\n")

    assert main(["assign", str(config), *ASSIGN]) == 0

    asked = capsys.readouterr().err.splitlines()
    assert asked[0] == "about to move -5 a:B at 3.10 from external to cross"
    assert asked[1] == f"{config}: mode live, accounts main"
    assert len(waiting(config)) == 1


@pytest.mark.parametrize("typed", ["", "yes\n", "demo2\n"])
def test_t14_anything_else_does_nothing(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
) -> None:
    on_terminal(monkeypatch, typed)

    assert main(["resolve", str(config), "o1", "--as", "rejected"]) == 1
    assert "nothing was done" in capsys.readouterr().err
    assert not (config.parent / "j.db.operator").exists()


def test_t14_without_a_terminal_it_takes_yes(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("demo\n"))

    assert main(["resolve", str(config), "o1", "--as", "rejected"]) == 1
    assert "add --yes" in capsys.readouterr().err


class Silent:
    """A process that has the mailbox open and never looks into it."""

    def __init__(self, config: Path) -> None:
        from framework.runtime.mailbox import prepare
        from framework.store.lock import FileLock

        folder = read_place(str(config)).mailbox
        assert folder is not None
        prepare(folder)
        self.lock = FileLock(folder / "lock", "a mailbox")


def test_a_process_that_does_not_answer_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(operate, "ANSWER_S", 0.05)
    silent = Silent(config)

    assert main(["adopt", str(config), "v1", "--run", "cross"]) == 1

    silent.lock.release()
    assert "taken back, nothing was done" in capsys.readouterr().err
    assert waiting(config) == []


def test_a_request_that_was_taken_and_not_answered_is_in_doubt(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from framework.runtime import asking

    monkeypatch.setattr(operate, "ANSWER_S", 0.05)
    monkeypatch.setattr(asking, "take_back", lambda folder, request: False)
    silent = Silent(config)

    assert main(["adopt", str(config), "v1", "--run", "cross"]) == 1

    silent.lock.release()
    assert "whether it was done is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["assign", "c", "a:B", "many", "--from", "x", "--to", "y", "--price", "1"],
        ["assign", "c", "a:B", "nan", "--from", "x", "--to", "y", "--price", "1"],
        ["assign", "c", "a:B", "1", "--from", "x", "--to", "y"],
        ["resolve", "c", "o1", "--as", "lost"],
        ["resolve", "c", "o1"],
        ["adopt", "c", "v1"],
    ],
)
def test_wrong_arguments_are_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("mode: paper\n", "there is no journal"),
        ("journal: [x]\n", "is not text"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, reason: str
) -> None:
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)

    assert main(["runs", str(path)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_an_argument_that_the_process_would_not_take_is_refused_here(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["close-run", str(config), "x" * 300]) == 2
    assert "does not fit" in capsys.readouterr().err
    assert not (config.parent / "j.db.operator").exists()


def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("resolve", "assign", "adopt", "close-run", "reset-breaker", "orders", "runs"):
        with pytest.raises(SystemExit) as left:
            main([verb, "--help"])
        assert left.value.code == 0
        assert "config" in capsys.readouterr().out
