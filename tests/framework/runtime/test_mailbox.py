"""The mailbox between commands and a process: nothing lost, nothing twice, nothing crashes it."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import JournalError, JournalLocked
from framework.runtime import mailbox as mailbox_module
from framework.runtime.asking import answer_to, is_listening, put, take_back, who_asks
from framework.runtime.mailbox import LOCK_ATTEMPTS, Mailbox
from framework.runtime.operator_requests import Answer, Ask, Kill, Request, ShowRuns
from framework.simulation.loop import run_simulated
from framework.store.lock import FileLock

GOOD_ID = f"{5:020d}-{5:016x}"


class World:
    """A mailbox whose process answers everything with what was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "j.db.operator"
        self.handled: list[Ask] = []
        self.failure: BaseException | None = None
        self.flush: Callable[[], Awaitable[None]] = self.nothing
        self.order: list[str] = []
        self.mailbox = self.new()

    def new(self) -> Mailbox:
        return Mailbox(
            self.folder, self.handle, blocking=self.in_place, durable=lambda: self.flush()
        )

    async def nothing(self) -> None:
        self.order.append("durable")

    async def in_place(self, function: Callable[[], Any]) -> Any:
        return function()

    def handle(self, request: Request) -> Answer:
        self.order.append("handled")
        self.handled.append(request.ask)
        if self.failure is not None:
            raise self.failure
        return Answer(request.id, is_done=True, text=f"by {request.by}")

    def put(self, ask: Ask | None = None, time_ns: int = 1) -> str:
        return put(self.folder, ask or Kill("fire"), by="ada", time_ns=time_ns)

    def names(self, part: str) -> list[str]:
        return sorted(os.listdir(self.folder / part))

    def put_file(self, content: bytes, name: str = f"{GOOD_ID}.json") -> Path:
        path = self.folder / "requests" / name
        path.write_bytes(content)
        return path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return run_simulated(main)


def test_a_request_is_taken_within_a_moment_and_answered(world: World) -> None:
    async def main() -> Answer | None:
        await world.mailbox.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.mailbox.run)
            await anyio.sleep(1)
            asked = world.put()
            answer = await answer_to(world.folder, asked, within_s=0.5)
            tasks.cancel_scope.cancel()
        return answer

    answer = run(main)

    assert answer is not None
    assert (answer.is_done, answer.text) == (True, "by ada")
    assert world.handled == [Kill("fire")]
    assert [world.names(part) for part in ("requests", "taken", "answers")] == [[], [], []]


def test_an_answer_waits_until_what_it_tells_is_durable(world: World) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put()
        seen: list[list[str]] = []

        async def flush() -> None:
            seen.append(world.names("answers"))

        world.flush = flush
        await world.mailbox.take()
        assert seen == [[]]

    run(main)

    assert len(world.names("answers")) == 1


def test_r64_a_journal_that_is_down_does_not_keep_a_kill_from_being_answered(
    world: World,
) -> None:
    async def fail() -> None:
        raise JournalError("disk full")

    async def hang() -> None:
        await anyio.sleep_forever()

    async def main() -> list[str]:
        await world.mailbox.open()
        texts = []
        for flush in (fail, hang):
            world.flush = flush
            asked = world.put()
            await world.mailbox.take()
            answer = await answer_to(world.folder, asked, within_s=1)
            assert answer is not None
            texts.append(answer.text)
        return texts

    assert run(main) == [
        "by ada (but the journal has not got it: disk full)",
        "by ada (but the journal has not got it: not durable within 5 s)",
    ]


def test_requests_are_taken_in_the_order_they_were_asked(world: World) -> None:
    async def main() -> None:
        for number in (3, 1, 2):
            world.put(Kill(str(number)), time_ns=number)
        await world.mailbox.open()
        assert await world.mailbox.take() == 3

    run(main)

    assert world.handled == [Kill("1"), Kill("2"), Kill("3")]


def test_what_was_asked_while_no_process_ran_is_taken_at_the_start(world: World) -> None:
    asked = world.put()
    assert not is_listening(world.folder)

    async def main() -> Answer | None:
        await world.mailbox.open()
        await world.mailbox.take()
        return await answer_to(world.folder, asked, within_s=1)

    assert run(main) is not None


def test_a_request_at_work_in_a_crash_is_taken_again(world: World) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put()

        async def crash() -> None:
            raise KeyboardInterrupt

        world.flush = crash
        with pytest.raises(KeyboardInterrupt):
            await world.mailbox.take()
        assert len(world.names("taken")) == 1
        world.mailbox.close()
        world.flush = world.nothing
        again = world.new()
        await again.open()
        assert await again.take() == 1
        assert await again.take() == 0

    run(main)

    assert len(world.handled) == 2
    assert world.names("taken") == []


def test_a_request_that_fails_inside_is_answered_and_never_taken_again(world: World) -> None:
    world.failure = RuntimeError("a bug")

    async def main() -> Answer | None:
        await world.mailbox.open()
        asked = world.put()
        with pytest.raises(RuntimeError, match="a bug"):
            await world.mailbox.take()
        assert await world.mailbox.take() == 0
        return await answer_to(world.folder, asked, within_s=1)

    answer = run(main)

    assert answer is not None
    assert not answer.is_done
    assert "a bug" in answer.text


BAD = {
    "empty": b"",
    "no JSON": b"kill!",
    "cut off": b'{"id":"',
    "another shape": b'{"verb":"kill"}',
    "an unknown verb": b'{"id":"%s","by":"a","time_ns":1,"ask":{"type":"rm"}}' % GOOD_ID.encode(),
    "an unknown field": b'{"id":"%s","by":"a","time_ns":1,"ask":{"type":"runs","x":1}}'
    % GOOD_ID.encode(),
    "an id that differs": msgspec.json.encode(
        Request(f"{6:020d}-{6:016x}", "a", 1, ShowRuns()),
    ),
    "a path for an id": b'{"id":"../../x","by":"a","time_ns":1,"ask":{"type":"runs"}}',
    "deep": b"[" * 60_000,
    "large": b" " * 70_000,
    "no UTF-8": b'{"id":"\xff"}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_file_that_is_no_request_is_named_and_moved_aside(
    world: World, logs: list[Any], content: bytes
) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put_file(content)
        good = world.put()
        assert await world.mailbox.take() == 1
        assert await answer_to(world.folder, good, within_s=1) is not None

    run(main)

    assert world.names("refused") == [f"{GOOD_ID}.json"]
    assert world.names("requests") == []
    assert world.mailbox.refused_count == 1
    (line,) = [line for line in logs if line["event"] == "operator_request_refused"]
    assert line["file"] == f"{GOOD_ID}.json"
    assert line["reason"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_content_crashes_the_mailbox(world: World, content: bytes) -> None:
    async def main() -> None:
        world.mailbox = world.new()
        await world.mailbox.open()
        world.put_file(content)
        assert await world.mailbox.take() == 0
        world.mailbox.close()

    run(main)

    assert world.names("requests") == []


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [make_link, make_pipe, make_folder])
def test_what_is_no_plain_file_is_moved_aside_without_being_followed(
    world: World, logs: list[Any], make: Callable[[Path], None]
) -> None:
    async def main() -> None:
        await world.mailbox.open()
        make(world.folder / "requests" / f"{GOOD_ID}.json")
        assert await world.mailbox.take() == 0

    run(main)

    assert world.names("refused") == [f"{GOOD_ID}.json"]


def test_a_foreign_file_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await world.mailbox.open()
        os.chmod(world.put_file(b"{}"), 0o644)
        real = os.getuid()
        if os.stat(world.folder).st_uid == 0:
            os.chown(world.folder / "requests" / f"{GOOD_ID}.json", 12345, -1)
        else:
            monkeypatch.setattr(os, "getuid", lambda: real + 1)
        await world.mailbox.take()

    run(main)

    assert world.names("refused") == [f"{GOOD_ID}.json"]


def test_what_cannot_be_moved_aside_is_told_once(world: World, logs: list[Any]) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put_file(b"no request")
        (world.folder / "refused").rmdir()
        (world.folder / "refused").write_text("in the way")
        for _ in range(5):
            await world.mailbox.take()

    run(main)

    assert len([line for line in logs if line["event"] == "operator_request_refused"]) == 1


def test_a_request_that_cannot_be_taken_is_told_once(world: World, logs: list[Any]) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put()
        (world.folder / "taken").rmdir()
        for _ in range(3):
            assert await world.mailbox.take() == 0

    run(main)

    assert "cannot be taken" in logs[0]["reason"]
    assert len(logs) == 1


def test_a_request_taken_back_while_it_is_looked_at_is_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path) -> bytes:
        path.unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(mailbox_module, "read_whole", gone)

    async def main() -> None:
        await world.mailbox.open()
        world.put()
        assert await world.mailbox.take() == 0

    run(main)


def test_what_was_at_work_and_cannot_wait_again_keeps_the_process_from_starting(
    world: World,
) -> None:
    asked = world.put()
    os.rename(world.folder / "requests" / f"{asked}.json", world.folder / "taken" / f"{asked}.json")
    (world.folder / "requests" / f"{asked}.json").mkdir()

    with pytest.raises(JournalError, match="operator"):
        run(world.mailbox.open)

    assert not is_listening(world.folder)


def test_a_folder_that_is_gone_is_told_once_and_ends_nothing(world: World, logs: list[Any]) -> None:
    async def main() -> None:
        await world.mailbox.open()
        (world.folder / "requests").rmdir()
        for _ in range(3):
            assert await world.mailbox.take() == 0

    run(main)

    assert [line["file"] for line in logs] == ["requests"]


def test_an_answer_that_cannot_be_written_ends_nothing(world: World, logs: list[Any]) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put()
        (world.folder / "answers").rmdir()
        assert await world.mailbox.take() == 1

    run(main)

    assert "operator_answer_not_written" in [line["event"] for line in logs]


def test_unread_answers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "MOST_ANSWERS", 3)

    async def main() -> None:
        await world.mailbox.open()
        for number in range(8):
            world.put(time_ns=number)
            await world.mailbox.take()

    run(main)

    assert len(world.names("answers")) == 4
    assert world.names("answers")[-1].startswith(f"{7:020d}")


def test_a_request_that_is_being_written_is_left_alone(world: World) -> None:
    async def main() -> None:
        await world.mailbox.open()
        world.put_file(b"{", name=".half")
        assert await world.mailbox.take() == 0

    run(main)

    assert world.names("requests") == [".half"]


def test_a_storm_is_taken_in_portions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "MOST_AT_ONCE", 2)

    async def main() -> list[int]:
        await world.mailbox.open()
        for number in range(3):
            world.put(time_ns=number)
        return [await world.mailbox.take() for _ in range(3)]

    assert run(main) == [2, 1, 0]


def test_one_process_has_the_mailbox_and_others_can_see_it(world: World) -> None:
    async def main() -> None:
        await world.mailbox.open()
        assert is_listening(world.folder)
        with pytest.raises(JournalLocked):
            await world.new().open()
        world.mailbox.close()
        world.mailbox.close()
        assert not is_listening(world.folder)
        await world.new().open()

    run(main)


def test_somebody_who_only_looks_does_not_keep_a_process_from_starting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def lock(path: Path, what: str) -> Any:
        tries.append(path)
        if len(tries) < LOCK_ATTEMPTS:
            raise JournalLocked("somebody looks")
        return FileLock(path, what)

    monkeypatch.setattr(mailbox_module, "FileLock", lock)

    run(world.mailbox.open)

    assert is_listening(world.folder)


def test_a_mailbox_is_for_its_owner_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    modes = [path.stat().st_mode & 0o777 for path in (world.folder, world.folder / "requests")]
    files = [path.stat().st_mode & 0o777 for path in (world.folder / "requests").iterdir()]
    assert (modes, files) == ([0o700, 0o700], [0o600])
    real = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: real + 1)

    with pytest.raises(JournalError, match=f"belongs to user {real}"):
        world.put()


def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.db.operator").write_text("in the way")

    with pytest.raises(JournalError, match="operator"):
        World(tmp_path).put()


def test_a_request_can_be_taken_back_until_it_is_taken(world: World) -> None:
    asked = world.put()

    assert take_back(world.folder, asked)
    assert not take_back(world.folder, asked)
    assert world.names("requests") == []


def test_nobody_answers_in_time(world: World) -> None:
    asked = world.put()

    assert run(lambda: answer_to(world.folder, asked, within_s=2)) is None


def test_an_answer_that_cannot_be_read_is_named(world: World) -> None:
    asked = world.put()
    (world.folder / "answers" / f"{asked}.json").write_text("rubbish")

    with pytest.raises(JournalError, match="answers"):
        run(lambda: answer_to(world.folder, asked, within_s=2))


def test_t05_who_asks_is_the_systems_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody else")

    assert who_asks().startswith(f"{os.getuid()} (")
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert who_asks() == "987654"
