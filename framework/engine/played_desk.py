"""The order desk as a replayed run sees it: a command is carried out if the record has it next."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from framework.engine.record_cursor import command_text
from framework.engine.recorded_desk import COMMANDS, arguments_of, outcome_of
from framework.errors import DataError, StrategyError
from framework.model.inputs import CommandAnswered, CommandIssued

if TYPE_CHECKING:
    from framework.engine.playback import Playback
    from framework.engine.played_run import PlayedRun


class PlayedDesk:
    """Passes everything on to `desk`, commands after they have been compared."""

    def __init__(self, desk: Any, line: "PlayedRun", playback: "Playback") -> None:
        self._desk = desk
        self._line = line
        self._playback = playback

    def __getattr__(self, name: str) -> Any:
        """Return the desk's own, compared first if it is a command."""
        found = getattr(self._desk, name)
        if name in COMMANDS:
            found = partial(self._command, name, found)
        setattr(self, name, found)
        return found

    def _command(self, name: str, call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        playback, line = self._playback, self._line
        playback.require_player(line)
        arguments = arguments_of(args, named)
        found = playback.peek()
        if (
            not isinstance(found, CommandIssued)
            or (found.run, found.name) != (line.index, name)
            or bytes(found.arguments) != bytes(arguments)
        ):
            playback.differ(line, command_text(name, arguments))
            raise StrategyError("the replay parts from the record here")
        playback.take()
        playback.command_count += 1
        playback.play_beside()  # what another thread did as the command was given
        return _carry_out(playback, line, found, partial(call, *args, **named))

    def inject(self, command: CommandIssued) -> None:
        """Carry out a recorded command of a run whose strategy is not played any more."""
        inject(self._playback, self._line, self._desk, command)


def inject(
    playback: "Playback", line: "PlayedRun | None", desk: Any, command: CommandIssued
) -> None:
    """Carry out a recorded command that no strategy gives now; without a run: the core's."""
    call = partial(_with_arguments, getattr(desk, command.name), command.arguments)
    _carry_out(playback, line, command, call, is_inside=False)


def _carry_out(
    playback: "Playback",
    line: "PlayedRun | None",
    command: CommandIssued,
    call: Callable[[], Any],
    *,
    is_inside: bool = True,
) -> Any:
    outcome, failure, result = "", None, None
    try:
        result = playback.as_core(command.time_ns, call)
        outcome = outcome_of(result)
    except Exception as error:  # the strategy hears it, as it did then
        outcome, failure = repr(error), error
    found = playback.peek()
    if not isinstance(found, CommandAnswered) or found.outcome != outcome:
        playback.differ(line, f"answered {outcome!r}")
    else:
        playback.take()
    if failure is not None and is_inside:
        raise failure
    return result


def _with_arguments(call: Callable[..., Any], arguments: msgspec.Raw) -> Any:
    """Call with recorded arguments, which take the types that the call declares."""
    args, named = msgspec.msgpack.decode(arguments)
    hints = get_type_hints(call)
    try:
        bound = signature(call).bind(*args, **named)
        for name, value in bound.arguments.items():
            bound.arguments[name] = msgspec.convert(value, hints.get(name, Any))
    except (TypeError, msgspec.MsgspecError) as error:
        raise DataError(f"a recorded command does not fit {call.__name__}: {error}") from error
    return call(*bound.args, **bound.kwargs)
