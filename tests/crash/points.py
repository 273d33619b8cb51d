"""The moments at which a process may die, counted, so that each of them can be tried (R-02)."""

from collections.abc import Callable
from typing import Any

from framework.model.commands import VenueCommand


class Crash(SystemExit):
    """The process is gone, here and now.

    A `SystemExit`, which nothing in the framework catches and which leaves the loop at once: no
    handler and no clean-up runs between the point and the end.
    """


class Points:
    """Counts moments, and ends the process at one of them.

    Attributes:
        count: how many moments there were.
        names: what each of them was.
        is_dead: whether the process has died: whatever is left of it can do no harm.
    """

    def __init__(self, crash_at: int | None = None) -> None:
        self.names: list[str] = []
        self.is_dead = False
        self.on_death: Callable[[], None] = lambda: None
        self._crash_at = crash_at

    @property
    def count(self) -> int:
        """How many moments there were."""
        return len(self.names)

    def __call__(self, name: str) -> None:
        """Be at the moment `name`. Raises Crash where this is the one."""
        if self.is_dead:
            return
        self.names.append(name)
        if len(self.names) == self._crash_at:
            self.is_dead = True
            self.on_death()
            raise Crash(name)


class MortalContext:
    """An `AdapterContext` in which each publish is a moment."""

    def __init__(self, context: Any, point: Points) -> None:
        self._context = context
        self._point = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def publish(self, event: Any) -> None:
        """Publish, with a moment before and after."""
        if self._point.is_dead:
            return
        self._point(f"before publish {type(event).__name__}")
        self._context.publish(event)
        self._point(f"after publish {type(event).__name__}")


class MortalBroker:
    """A broker in which each send is a moment."""

    def __init__(self, broker: Any, point: Points) -> None:
        self.broker = broker
        self.order, self.open_orders = broker.order, broker.open_orders
        self.executions, self.positions = broker.executions, broker.positions
        self.balances, self.capabilities = broker.balances, broker.capabilities
        self.run = broker.run
        self._point = point

    def send(self, command: VenueCommand) -> None:
        """Send, with a moment before and after."""
        if self._point.is_dead:
            return
        self._point(f"before send {type(command).__name__}")
        self.broker.send(command)
        self._point(f"after send {type(command).__name__}")
