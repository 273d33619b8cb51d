"""R-64: a file stops new orders, whatever the loop and the journal do."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.runtime.kill_file import (
    KillFileWatch,
    kill_reason,
    remove_kill_file,
    write_kill_file,
)

POLL_S = 0.005
DEADLINE_S = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j.db.kill"


def test_no_file_is_no_reason(path: Path) -> None:
    assert kill_reason(path) is None
    assert kill_reason(path / "below a file that is none") is None


def test_the_text_is_the_reason(path: Path) -> None:
    write_kill_file(path, "feed is wrong\nsince noon \x1b[2J")

    assert kill_reason(path) == r"feed is wrong\nsince noon \x1b[2J"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("text", ["", "\n", "  "])
def test_an_empty_file_kills_too(path: Path, text: str) -> None:
    path.write_text(text)

    assert kill_reason(path) == f"kill file {path}"


def test_a_huge_file_gives_a_short_reason(path: Path) -> None:
    path.write_bytes(b"\xff" * 1_000_000)

    reason = kill_reason(path)

    assert reason is not None
    assert len(reason) <= 500


def make_link_to_nothing(path: Path) -> None:
    path.symlink_to("/nowhere")


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "make", [make_link_to_nothing, make_link_to_itself, make_pipe, make_folder]
)
def test_r61_whatever_stands_there_counts_as_the_file(
    path: Path, make: Callable[[Path], None]
) -> None:
    make(path)

    assert kill_reason(path)


def test_r64_a_file_of_which_cannot_be_told_whether_it_is_there_counts_as_there(path: Path) -> None:
    unheard_of = path / ("x" * 300)
    path.mkdir()

    assert kill_reason(unheard_of) == f"kill file {unheard_of} cannot be read: File name too long"


def test_where_there_is_none_nothing_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(arguments))

    assert kill_reason(path) is None
    assert opened == []


def test_one_that_goes_while_it_is_looked_at_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kill_file(path, "x")
    open_it = os.open

    def open_too_late(*arguments: Any) -> int:
        remove_kill_file(path)
        return open_it(*arguments)

    monkeypatch.setattr(os, "open", open_too_late)

    assert kill_reason(path) is None


def test_taking_it_away_is_harmless_when_repeated(path: Path) -> None:
    write_kill_file(path, "x")

    assert remove_kill_file(path)
    assert not remove_kill_file(path)
    assert kill_reason(path) is None


def test_the_folder_is_made(tmp_path: Path) -> None:
    write_kill_file(tmp_path / "new" / "j.kill", "x")

    assert kill_reason(tmp_path / "new" / "j.kill") == "x"


def test_each_appearance_trips_once(path: Path) -> None:
    reasons: list[str] = []
    watch = KillFileWatch(path, reasons.append)

    watch.look()
    for reason in ("one", "two"):
        write_kill_file(path, reason)
        watch.look()
        watch.look()
        remove_kill_file(path)
        watch.look()

    assert reasons == ["one", "two"]
    assert watch.trip_count == 2


def test_r64_a_file_that_is_there_at_the_start_trips_before_start_returns(path: Path) -> None:
    write_kill_file(path, "left from yesterday")
    trips: list[tuple[str, int]] = []
    watch = KillFileWatch(path, lambda reason: trips.append((reason, threading.get_ident())))

    watch.start()
    watch.stop()

    assert trips == [("left from yesterday", threading.get_ident())]


def test_r64_a_busy_loop_does_not_keep_the_file_from_being_seen(path: Path) -> None:
    tripped = threading.Event()
    watch = KillFileWatch(path, lambda reason: tripped.set(), poll_s=POLL_S)
    watch.start()
    try:
        write_kill_file(path, "stop")

        wait_for(tripped.is_set)  # this thread never waits, as a bad handler does not
    finally:
        watch.stop()


def test_a_trip_that_fails_is_tried_again(path: Path, logs: list[Any]) -> None:
    calls: list[str] = []

    def trip(reason: str) -> None:
        calls.append(reason)
        if len(calls) < 3:
            raise RuntimeError("not yet")

    watch = KillFileWatch(path, trip, poll_s=POLL_S)
    watch.start()
    try:
        write_kill_file(path, "stop")
        wait_for(lambda: watch.trip_count == 1)
    finally:
        watch.stop()

    assert calls == ["stop"] * 3
    assert [line["event"] for line in logs] == ["kill_file_trip_failed"] * 2


def test_a_stopped_watch_has_no_thread_and_can_start_again(path: Path) -> None:
    watch = KillFileWatch(path, lambda reason: None)

    watch.start()
    watch.stop()
    watch.stop()
    watch.start()
    watch.stop()

    assert not any(thread.name == "kill_file" for thread in threading.enumerate())


def test_r64_one_that_comes_back_within_a_look_trips_again_once_its_trip_was_released(
    path: Path,
) -> None:
    reasons: list[str] = []
    watch = KillFileWatch(path, reasons.append)
    write_kill_file(path, "one")
    watch.look()
    remove_kill_file(path)
    write_kill_file(path, "two")  # before the watch has looked again

    watch.forget()
    watch.look()

    assert reasons == ["one", "two"]
