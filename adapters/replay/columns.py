"""Which column of a table feeds which field of an event.

Names are compared without case and surrounding blanks. Where `columns:` says nothing, the
header must hold exactly one of a field's usual names; two of them are refused, not guessed.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.replay.settings import Kind, Stamp
from adapters.replay.times import Times

Floats: TypeAlias = NDArray[np.float64]
Texts: TypeAlias = list[str]

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ts")
NUMBER_FIELDS = frozenset(
    {
        "open",
        "high",
        "low",
        "close",
        "volume",
        "bid",
        "ask",
        "bid_size",
        "ask_size",
        "price",
        "size",
    }
)
TIME_FIELDS = frozenset({"time", "received"})

_REQUIRED = {
    Kind.CANDLES: ("time", "open", "high", "low", "close"),
    Kind.QUOTES: ("time", "bid", "ask"),
    Kind.TRADES: ("time", "price", "size"),
}
_OPTIONAL = {
    Kind.CANDLES: ("received", "volume"),
    Kind.QUOTES: ("received", "bid_size", "ask_size"),
    Kind.TRADES: ("received", "side", "is_buyer_maker", "trade_id"),
}
_USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "received": ("received", "received_ns"),
    "bid": ("bid", "bid_price"),
    "ask": ("ask", "ask_price"),
    "size": ("size", "quantity", "qty", "amount"),
    "side": ("side", "aggressor"),
    "trade_id": ("trade_id", "id"),
}


class Columns(msgspec.Struct):
    """Some rows, column by column, all of one length and in file order.

    `numbers` hold the fields of `NUMBER_FIELDS`; `received` is None where the file has none.
    """

    time: Times
    numbers: dict[str, Floats]
    texts: dict[str, Texts]
    received: Times | None = None

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, keep: NDArray[np.bool_]) -> "Columns":
        """Return the rows where `keep` is true."""
        chosen = np.flatnonzero(keep).tolist()
        return Columns(
            time=self.time[keep],
            numbers={field: column[keep] for field, column in self.numbers.items()},
            texts={field: [column[i] for i in chosen] for field, column in self.texts.items()},
            received=None if self.received is None else self.received[keep],
        )

    def slice(self, start: int, stop: int) -> "Columns":
        """Return the rows from `start` to before `stop`."""
        return Columns(
            time=self.time[start:stop],
            numbers={field: column[start:stop] for field, column in self.numbers.items()},
            texts={field: column[start:stop] for field, column in self.texts.items()},
            received=None if self.received is None else self.received[start:stop],
        )


def kind_of(header: Sequence[str]) -> Kind | None:
    """Return the only kind whose required columns stand in `header`, or None."""
    names = {name.strip().lower() for name in header}
    fitting = [
        kind
        for kind, fields in _REQUIRED.items()
        if all(names.intersection(_USUAL_NAMES.get(field, (field,))) for field in fields[1:])
    ]
    return fitting[0] if len(fitting) == 1 else None


def map_columns(
    header: Sequence[str], kind: Kind, *, stated: Mapping[str, str], stamp: Stamp | None
) -> dict[str, int]:
    """Return field -> index in `header`, the fields in their documented order.

    Raises:
        ValueError: a column is missing, stands twice, or two names fit one field.
    """
    unknown = sorted(set(stated) - {*_REQUIRED[kind], *_OPTIONAL[kind]})
    if unknown:
        raise ValueError(f"{kind.value} have no field {unknown[0]!r}")
    names = [name.strip().lower() for name in header]
    mapped: dict[str, int] = {}
    for field in (*_REQUIRED[kind], *_OPTIONAL[kind]):
        wanted = (stated[field],) if field in stated else _usual_names(field, stamp)
        found = [name for name in names if name in {text.strip().lower() for text in wanted}]
        if len(found) > 1:
            raise ValueError(f"columns {found} all fit {field!r}: say `columns: {{{field}: ...}}`")
        if found:
            mapped[field] = names.index(found[0])
        elif field in stated or field in _REQUIRED[kind]:
            known = ", ".join(name.strip() for name in header)
            raise ValueError(f"has no column for {field!r} ({' or '.join(wanted)}) in: {known}")
    return mapped


def _usual_names(field: str, stamp: Stamp | None) -> tuple[str, ...]:
    if field != "time":
        return _USUAL_NAMES.get(field, (field,))
    if stamp is Stamp.OPEN:
        return (*TIME_NAMES, "open_time", "open_ns")
    if stamp is Stamp.CLOSE:
        return (*TIME_NAMES, "close_ns", "time_ns")
    return (*TIME_NAMES, "time_ns")
