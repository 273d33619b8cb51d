"""A run's warm-up as it is recorded: the history that came, and what the run makes of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from framework.engine.recorded_core import CORE
from framework.engine.values import pack, pack_error
from framework.engine.warm_up import WarmUp
from framework.model.inputs import WarmUpAnswered

if TYPE_CHECKING:
    from framework.engine.recorder import Recorder


class RecordedWarmUp:
    """Stands between one run's warm-up and the feeds that it asks."""

    def __init__(self, recorder: "Recorder", run: int) -> None:
        self._recorder = recorder
        self._run = run

    def attach(self, warm_up: WarmUp) -> None:
        """Put it in place."""
        placed: Any = warm_up
        placed.fetch = partial(self._fetch, warm_up.fetch)
        placed.ask_history = partial(self._ask, warm_up.ask_history)

    async def _fetch(self, fetch: Callable[[], Awaitable[None]]) -> None:
        try:
            await fetch()
        finally:
            self._recorder.end()

    async def _ask(self, history: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Ask outside any item; what the run makes of the answer is one."""
        recorder = self._recorder
        recorder.end()
        answer: bytes
        try:
            candles = await history(*args)
        except BaseException as error:
            answer = pack_error(error) if isinstance(error, Exception) else b""
            recorder.write(WarmUpAnswered(self._run, recorder.now_ns, answer, is_error=True))
            raise
        time_ns = recorder.now_ns
        recorder.write(WarmUpAnswered(self._run, time_ns, pack(candles)))
        recorder.begin(CORE, time_ns)
        return candles
