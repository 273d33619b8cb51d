"""What can go wrong with a REST answer on demand: lost, late, refused, an error after the deed.

A fault concerns the requests that it matches, for a number of them or for a time, whichever ends
first; several faults may concern the same request.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

FaultKind = Literal[
    "lose_request",  # the connection ends before anything was done
    "lose_answer",  # the connection ends after the request was carried out
    "delay_request",  # it is carried out `delay_s` later
    "delay_answer",  # it is carried out at once, the answer comes `delay_s` later
    "refuse",  # `status` instead of carrying it out
    "fail_after",  # `status` after carrying it out
    "garble",  # carried out; the answer is not JSON
    "repeat_cursor",  # a page that has a cursor has the one it was asked for
]


class RestFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault; without `count` and `for_s` it lasts until it is cleared."""

    kind: FaultKind
    method: str = ""  # "": every method
    path: str = ""  # part of the path; "": every path
    status: int = 503
    delay_s: float = 0.0
    count: int | None = None  # matching requests
    for_s: float | None = None

    def concerns(self, method: str, path: str) -> bool:
        """Say whether it is about requests like this."""
        return self.method in ("", method) and self.path in path


class _Active(msgspec.Struct):
    fault: RestFault
    left: int | None
    end_ns: int | None


class RestFaults:
    """The faults of a venue; the control interface adds and clears them."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._active: list[_Active] = []

    def add(self, fault: RestFault) -> None:
        """Let it happen from now on."""
        end_ns = None if fault.for_s is None else self._now_ns() + round(fault.for_s * 1e9)
        self._active.append(_Active(fault, fault.count, end_ns))

    def clear(self) -> None:
        """Let everything go well again."""
        self._active.clear()

    def take(self, method: str, path: str) -> dict[FaultKind, RestFault]:
        """Return, by kind, the faults that this request meets; each is counted down."""
        now_ns = self._now_ns()
        self._active = [one for one in self._active if not _is_over(one, now_ns)]
        met: dict[FaultKind, RestFault] = {}
        for one in self._active:
            if one.fault.kind in met or not one.fault.concerns(method, path):
                continue
            met[one.fault.kind] = one.fault
            if one.left is not None:
                one.left -= 1
        return met


def _is_over(one: _Active, now_ns: int) -> bool:
    return one.left == 0 or (one.end_ns is not None and now_ns >= one.end_ns)
