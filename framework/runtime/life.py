"""Signs of life of strategies: what tells one that has nothing to do from one that hangs."""

from collections.abc import Iterable

from framework.runtime.system import Run


class SignsOfLife:
    """Compares what each strategy is at with what it was at when asked last.

    A strategy lives while it can take an event, or has taken another one since. One whose handler
    waits for a single thing all the time is silent, whatever it waits for; so is one that was
    halted.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = {run.settings.id: run for run in runs}
        self._seen: dict[str, int] = {}

    def are_shown(self, name: str) -> bool:
        """Tell whether a run's strategy has shown a sign of life since this was asked last."""
        run = self._runs.get(name)
        if run is None or run.is_halted:
            return False
        sequence = run.subscriber.sequence
        is_new, self._seen[name] = sequence != self._seen.get(name), sequence
        return is_new or not run.subscriber.is_busy
