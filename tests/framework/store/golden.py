"""What a version of the order log can say, and a journal that says some of it.

    python -m tests.framework.store.golden     writes both for the version of today

A version that has been released stays as it is: what is new then is a new version.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import inspect

from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.orders import AtPrice, Exits, OrderIntent, Percent, Side
from framework.model.records import (
    AccountPlace,
    CoverNoted,
    DataFile,
    DataPlayed,
    ExitsReplaced,
    IntentDenied,
    JournalOpened,
    OrderTrailed,
    Record,
)
from framework.model.runs import Execution
from framework.store.copies import whole_rows
from framework.store.entries import record_of
from framework.store.schema import VERSION
from framework.store.sqlite_reading import SqliteReading
from tests.framework.store.journals import START_NS, close, journal_id, log_at, order_id, records
from tests.source_code import ROOT

GOLDEN = ROOT / "tests" / "data" / "journals"


def golden_records() -> list[Record]:
    """Return what a golden journal holds: orders' lives, and a record of each newer kind."""
    intent = OrderIntent("run", "c.a", "sim:BTC", Side.SELL, Decimal(1))
    one, other, now_ns = order_id(0), order_id(1), START_NS + 99
    place = AccountPlace("main", "sim", "mock", "USD", Execution.SIMULATED)
    return [
        *records(12),
        InstrumentChanged("sim:BTC", now_ns, now_ns, Instrument(id="sim:BTC", currency="USD")),
        ExitsReplaced(one, Exits(stop_loss=AtPrice(Decimal("42000.5"))), now_ns, ((other, 2),)),
        CoverNoted(one, Decimal("0.25"), now_ns, ((other, 2),)),
        OrderTrailed(other, None, None, now_ns, Percent(Decimal("1.5"))),
        IntentDenied(order_id(9), intent, now_ns),
        JournalOpened(journal_id(), 2, now_ns, "0.1.0", "paper", ("main",), places=(place,)),
        DataPlayed("sim", "replay", "abc", 7, (DataFile("btc.csv", 3, "def"),), now_ns, 1, 2, 3),
    ]


def write_journal(path: Path) -> None:
    """Write the golden journal of today's version."""
    log = log_at(path)
    for at, record in enumerate(golden_records(), 1):
        log.append(record)
        if at == 8:
            log.commit()
            log.save_snapshot(8, b"state at 8")
    log.commit()
    close(log)


def lines(path: Path) -> list[bytes]:
    """Return each entry of a journal as a line of JSON."""
    reading = SqliteReading(path)
    try:
        return [
            msgspec.json.encode(
                {
                    "position": row[0],
                    "epoch": row[1],
                    "time_ns": row[2],
                    "kind": row[3],
                    "record": record_of(row, reading.place),
                }
            )
            for row in whole_rows(reading)
        ]
    finally:
        reading.close()


def words() -> list[str]:
    """Return what this version can say: a line per struct with its fields, per enum its values."""
    return sorted(set(_words(inspect.type_info(Record), set())))


def _words(found: inspect.Type, seen: set[type]) -> Iterator[str]:
    if isinstance(found, inspect.StructType):
        if found.cls in seen:
            return
        seen.add(found.cls)
        fields = " ".join(field.encode_name for field in found.fields)
        tag = "" if found.tag is None else f" ({found.tag})"
        yield f"{found.cls.__name__}{tag}: {fields}"
        for field in found.fields:
            yield from _words(field.type, seen)
    elif isinstance(found, inspect.EnumType):
        members: Any = found.cls
        yield f"{found.cls.__name__}: {' '.join(str(member.value) for member in members)}"
    else:
        for name in ("types", "item_types"):
            for inner in getattr(found, name, ()):
                yield from _words(inner, seen)
        for name in ("item_type", "key_type", "value_type", "type"):
            inner = getattr(found, name, None)
            if inner is not None:
                yield from _words(inner, seen)


def main() -> None:
    """Write the files of today's version."""
    target = GOLDEN / f"version_{VERSION}.journal"
    with TemporaryDirectory() as folder:
        path = Path(folder, target.name)
        write_journal(path)
        target.write_bytes(path.read_bytes())
        target.with_suffix(".jsonl").write_bytes(b"\n".join(lines(path)) + b"\n")
    target.with_suffix(".words").write_text("\n".join(words()) + "\n")


if __name__ == "__main__":
    main()
