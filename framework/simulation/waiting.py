"""Says in words which tasks wait and where, for the errors of a simulation that cannot go on."""

import asyncio
from asyncio import Handle
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

_SHOWN = 50  # tasks listed; a message must stay readable


def describe_tasks(tasks: Iterable["asyncio.Task[Any]"]) -> str:
    """List `tasks` in creation order, one per line."""
    ordered = sorted(tasks, key=hash)
    lines = [f"\n  {describe_task(task)}" for task in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        lines.append(f"\n  and {len(ordered) - _SHOWN} more")
    return "".join(lines) or "no task"


def describe_task(task: "asyncio.Task[Any]") -> str:
    """Return the task's name, its chain of coroutines, and the line at which the last one waits."""
    names: list[str] = []
    place = "an unknown place"
    awaited: Any = task.get_coro()
    while awaited is not None:
        prefix = next((p for p in ("cr", "gi", "ag") if hasattr(awaited, f"{p}_frame")), None)
        frame = prefix and getattr(awaited, f"{prefix}_frame")
        if not frame:
            break
        names.append(awaited.__qualname__)
        place = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = getattr(awaited, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await")
    return f"{task.get_name()}: {' > '.join(names)} at {place}"


def describe_callback(handle: Handle) -> str:
    """Return what `handle` will run: the task that it steps, or the function's name."""
    callback: Any = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return describe_task(owner)
    return str(getattr(callback, "__qualname__", callback))
