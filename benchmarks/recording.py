"""Workload `record`: what recording every input and delivery costs a backtest, logs on and off.

The input log writes to a temporary folder and is synced at the end. Off, `bars` shows that the
hooks cost nothing; here both run over the same candles in turn.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from benchmarks.bars import CANDLES, INSTRUMENT, AsyncCross, Cross, candles, make_columns
from benchmarks.harness import run_engine
from framework.store.input_log import InputLog


@contextmanager
def recorded(folder: str, counts: list[int]) -> Iterator[None]:
    """Have the runtime started inside record to `folder`; its records are counted at the end."""
    log = InputLog.open(Path(folder), "bench", 1, buffer_count=20_000_000)

    with patch("framework.runtime.keeping.open_inputs", lambda *_: log):
        yield
    log.close()
    counts.append(log.position)


def measure() -> list[dict[str, object]]:
    """Return one row per kind of handler; medians of three."""
    columns = make_columns()
    rows: list[dict[str, object]] = []
    for name, strategy in (("plain", Cross), ("async", AsyncCross)):
        times: dict[str, list[float]] = {"off": [], "on": []}
        counts: list[int] = []
        for _ in range(3):
            for record, taken in times.items():
                with ExitStack() as stack:
                    if record == "on":
                        folder = stack.enter_context(TemporaryDirectory())
                        stack.enter_context(recorded(folder, counts))
                    seconds, _runtime = run_engine(strategy, candles(columns), INSTRUMENT)
                taken.append(seconds)
        on, off = median(times["on"]), median(times["off"])
        rows.append(
            {
                "workload": "record",
                "handlers": name,
                "rate": round(CANDLES / on),
                "unit": "candles/s",
                "rate_off": round(CANDLES / off),
                "ratio": round(off / on, 3),
                "records": counts[-1],
                "us_per_record": round((on - off) / counts[-1] * 1e6, 2),
            }
        )
    return rows
