"""What a process keeps is written beside its loop, also while it stops (R-06, R-10)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from tests.scenarios.stage import perform, staged
from tests.scripted_venue import quote

QUOTES = [quote(second, 100, 101) for second in range(3)]


@pytest.mark.parametrize("place", ["sync begins late", "close ends late"])
def test_r06_r10_a_stop_does_not_close_the_inputs_under_a_tick_that_writes_them(
    place: str, tmp_path: Path
) -> None:
    """The thread of either may be slow; nothing of that is a journal that fails."""
    called: list[str] = []

    async def slow(function: Callable[[], Any]) -> Any:
        name = function.__name__
        called.append(name)
        with anyio.CancelScope(shield=True):  # as what waits for a thread is
            if place == f"{name} begins late":
                await anyio.sleep(0.75)
            result = function()
            if place == f"{name} ends late":
                await anyio.sleep(0.75)
        return result

    async def during(runtime: Runtime) -> None:
        keeping = runtime._keeping
        assert keeping is not None
        keeping._seams = replace(keeping._seams, blocking=slow)

    runtime = perform(staged({}, QUOTES, Mode.PAPER, journal=tmp_path / "j.db"), during=during)

    assert called.count("sync") > 1
    assert called[-1] == "close"
    assert runtime.system.safeguards.kill_switch.causes == ()
