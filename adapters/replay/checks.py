"""What a row of market data cannot say, tested a chunk at a time with numpy.

A fault never gets past here: the scan ends with file, line and reason, or leaves the row out
and counts it, as the configuration says.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.replay.columns import Columns, Floats
from adapters.replay.settings import Kind, OnError, Prices
from framework.errors import DataError

Mask: TypeAlias = NDArray[np.bool_]

NO_TIME_NS = -(2**63)
SIDES = frozenset({"buy", "b", "buyer", "bid", "sell", "s", "seller", "ask", "unknown", "none", ""})
TRUTHS = frozenset({"true", "false", "1", "0"})

_PRICES = {
    Kind.CANDLES: ("open", "high", "low", "close"),
    Kind.QUOTES: ("bid", "ask"),
    Kind.TRADES: ("price",),
}
_SIZES = {
    Kind.CANDLES: ("volume",),
    Kind.QUOTES: ("bid_size", "ask_size"),
    Kind.TRADES: ("size",),
}


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with the rows where `mask` is true."""

    reason: str
    mask: Mask


class Judge:
    """Applies the checks to one file's rows, in file order.

    With `OnError.STOP` the rows before the first fault pass and `failure` holds the error to
    raise after them. With `OnError.SKIP` faulty rows are left out and counted in `skipped`.
    """

    def __init__(
        self,
        path: Path,
        kind: Kind,
        *,
        prices: Prices,
        on_error: OnError,
        start_ns: int,
        skipped: Counter[str],
    ) -> None:
        self.failure: DataError | None = None
        self._path = path
        self._kind = kind
        self._prices = prices
        self._on_error = on_error
        self._last_ns = start_ns
        self._has_last = False
        self._skipped = skipped

    def is_faultless(self, columns: Columns) -> bool:
        """Return whether every row may pass; nothing is counted or remembered."""
        return not any(
            fault.mask.any()
            for fault in (*self._value_faults(columns), *self._order_faults(columns))
        )

    def accept(self, columns: Columns) -> None:
        """Remember the last time of rows that pass."""
        if len(columns):
            self._last_ns, self._has_last = int(columns.time[-1]), True

    def judge(self, columns: Columns, lines: Sequence[int]) -> Columns:
        """Return the rows that pass; `lines` are their line or row numbers."""
        positions = np.asarray(lines, dtype=np.int64)
        for faults_of in (self._value_faults, self._order_faults):
            faults = [fault for fault in faults_of(columns) if fault.mask.any()]
            if not faults:
                continue
            keep = self._keep(faults, columns, positions)
            columns, positions = columns.rows(keep), positions[keep]
        self.accept(columns)
        return columns

    def refuse(self, reason: str, line: int) -> bool:
        """Deal with a row that cannot even be read; return whether the scan goes on."""
        if self._on_error is OnError.SKIP:
            self._skipped[reason.partition(" '")[0]] += 1
            return True
        self._fail(reason, line)
        return False

    def _keep(
        self, faults: Sequence[Fault], columns: Columns, positions: NDArray[np.int64]
    ) -> Mask:
        bad = np.zeros(len(columns), dtype=np.bool_)
        for fault in faults:
            if self._on_error is OnError.SKIP:  # a row counts once, under its first fault
                count = int((fault.mask & ~bad).sum())
                if count:
                    self._skipped[fault.reason] += count
            bad |= fault.mask
        if self._on_error is OnError.SKIP:
            return ~bad
        first = int(bad.argmax())
        reason = next(fault.reason for fault in faults if fault.mask[first])
        values = ", ".join(f"{name} {column[first]}" for name, column in columns.numbers.items())
        self._fail(f"{reason} ({values})", int(positions[first]))
        keep = np.zeros(len(columns), dtype=np.bool_)
        keep[:first] = True
        return keep

    def _fail(self, reason: str, line: int) -> None:
        """The earliest line is the one to report: later passes only see the rows before it."""
        self.failure = DataError(reason, file=str(self._path), line=line)

    def _value_faults(self, columns: Columns) -> list[Fault]:
        numbers = columns.numbers
        faults = [
            Fault(f"{name} is not finite", ~np.isfinite(column)) for name, column in numbers.items()
        ]
        if self._prices is Prices.POSITIVE:
            faults += [
                Fault(f"{name} is not above zero", self._not_positive(name, columns))
                for name in _PRICES[self._kind]
            ]
        faults += [
            Fault(f"{name} is negative", numbers[name] < 0.0)
            for name in _SIZES[self._kind]
            if name in numbers
        ]
        if self._kind is Kind.CANDLES:
            faults += _candle_faults(numbers)
        for name, known in (("side", SIDES), ("is_buyer_maker", TRUTHS)):
            if name in columns.texts:
                faults.append(Fault(f"{name} is unknown", _not_among(columns.texts[name], known)))
        return faults

    def _not_positive(self, name: str, columns: Columns) -> Mask:
        """A quote's side with size 0 is nobody's: its price says nothing and may be zero."""
        prices = columns.numbers[name]
        sizes = columns.numbers.get(f"{name}_size") if self._kind is Kind.QUOTES else None
        if sizes is None:
            return prices <= 0.0
        impossible: Mask = (prices < 0.0) | ((prices == 0.0) & (sizes != 0.0))
        return impossible

    def _order_faults(self, columns: Columns) -> list[Fault]:
        if not len(columns):
            return []
        earlier = np.empty_like(columns.time)
        earlier[0] = self._last_ns
        np.maximum(np.maximum.accumulate(columns.time)[:-1], self._last_ns, out=earlier[1:])
        faults = [Fault("time goes back", columns.time < earlier)]
        if self._kind is Kind.CANDLES:
            repeats = columns.time == earlier
            if not self._has_last:
                repeats[0] = False
            faults.append(Fault("candle comes twice", repeats))
        return faults


def _candle_faults(numbers: dict[str, Floats]) -> list[Fault]:
    high, low = numbers["high"], numbers["low"]
    return [
        Fault("high is below low", high < low),
        *(
            Fault(f"{name} is outside low and high", (numbers[name] < low) | (numbers[name] > high))
            for name in ("open", "close")
        ),
    ]


def _not_among(texts: Sequence[str], known: frozenset[str]) -> Mask:
    strange = {text for text in set(texts) if text.strip().lower() not in known}
    if not strange:
        return np.zeros(len(texts), dtype=np.bool_)
    return np.fromiter((text in strange for text in texts), dtype=np.bool_, count=len(texts))
