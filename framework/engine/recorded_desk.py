"""The order desk as a recorded run sees it: each command is written down before it is carried out.

`PlayedDesk` in `playback.py` is its counterpart, so that both name what a command is.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from framework.orders.order_state import OrderState

if TYPE_CHECKING:
    from framework.engine.recorded_run import Line
    from framework.engine.recorder import Recorder

COMMANDS = frozenset(
    {
        *("submit", "deny", "submit_basket", "cancel", "modify", "cancel_all", "close", "flatten"),
        *("modify_exits", "reset_exits"),
    }
)

_encode = msgspec.msgpack.Encoder().encode


class RecordedDesk:
    """Passes everything on to `desk`, commands through the recorder."""

    def __init__(self, desk: Any, line: "Line", recorder: "Recorder") -> None:
        self._desk = desk
        self._line = line
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        """Return the desk's own, made to be recorded if it is a command."""
        if name in COMMANDS:
            found: Any = partial(self._command, name, self._recorder.core.desk_calls[name])
        else:
            found = getattr(self._desk, name)
        setattr(self, name, found)
        return found

    def _command(self, name: str, call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        line, recorder = self._line, self._recorder
        recorder.check_caller(line, name)
        return recorder.core.command(line.index, name, call, args, named)


def arguments_of(args: tuple[Any, ...], named: dict[str, Any]) -> msgspec.Raw:
    """Return the arguments of a command as bytes that are equal for equal arguments."""
    return msgspec.Raw(_encode((args, named)))


def outcome_of(result: Any) -> str:
    """Return what a command came to as text: ids with status and reason, or a refusal."""
    if result is None:
        return ""
    if isinstance(result, OrderState):
        facts = result.facts
        status = facts.status._value_  # without the call behind `value`
        return f"{result.order_id} {status} {facts.refusal}".rstrip()
    if isinstance(result, list | tuple):
        return ", ".join(map(outcome_of, cast(list[Any], result)))
    return str(result)
