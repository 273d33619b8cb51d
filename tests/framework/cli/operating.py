"""A process that answers operators, beside the command under test."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from framework.runtime.control import Control
from framework.runtime.mailbox import Mailbox
from framework.runtime.operator_place import read_place
from tests.fakes import ManualClock
from tests.framework.runtime.operator_samples import RecordingOperations


@contextmanager
def answering(config: Path, operations: RecordingOperations) -> Iterator[None]:
    """Run the mailbox of `config` in a thread, as a process of its own would."""
    folder = read_place(str(config)).mailbox
    assert folder is not None
    is_open, loops = threading.Event(), []

    async def serve() -> None:
        control = Control(operations, ManualClock(7), lambda action: None)
        mailbox = Mailbox(folder, control.handle, blocking=_in_place, durable=_nothing)
        await mailbox.open()
        try:
            task = asyncio.current_task()
            assert task is not None
            loops.append((asyncio.get_running_loop(), task))
            is_open.set()
            await mailbox.run()
        except asyncio.CancelledError:
            mailbox.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert is_open.wait(10)
    try:
        yield
    finally:
        ((loop, task),) = loops
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


async def _in_place(function: Callable[[], Any]) -> Any:
    return function()


async def _nothing() -> None:
    return None


@pytest.fixture
def quiet() -> Iterator[None]:
    """Catch what the answering process logs."""
    with capture_logs():
        yield
