"""Workload `replay`: the quotes of workload `quotes` from a Parquet file, in a process of its own.

The rate is compared with the same backtest over columns in memory; the memory is the child
process's greatest resident size, imports included (goal: under 150 MB).
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.harness import run_engine, settings_for
from benchmarks.quotes import INSTRUMENT, QUOTES, Counter, make_columns, quotes
from framework.runtime.runner import Runtime
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated

START_NS = 1_700_000_000_000_000_000


def write_file(path: Path) -> None:
    """Write the quotes as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times, bids, asks = make_columns()
    table = pa.table(
        {
            "timestamp": pa.array([START_NS + time_ns for time_ns in times], pa.timestamp("ns")),
            "bid": pa.array(bids, pa.float64()),
            "ask": pa.array(asks, pa.float64()),
        }
    )
    pq.write_table(table, path, row_group_size=100_000)


def play(path: str) -> dict[str, float]:
    """Run the backtest over the file; return its seconds and this process's memory in MB."""
    source = {"files": path, "kind": "quotes", "instrument": INSTRUMENT.partition(":")[2]}
    seconds = run_simulated(lambda: _run(settings_for(Counter, INSTRUMENT, source=source)))
    return {"seconds": seconds, "megabytes": peak_memory_mb()}


def peak_memory_mb() -> float:
    """Return this process's greatest resident size (Linux); `ru_maxrss` keeps the parent's."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1_024 / 1e6


async def _run(settings: Settings) -> float:
    async with Runtime(settings) as runtime:
        started = perf_counter()
        await runtime.wait()
        return perf_counter() - started


def measure() -> list[dict[str, object]]:
    """Return one row; medians of three."""
    columns = make_columns()
    in_memory = median(run_engine(Counter, quotes(columns), INSTRUMENT)[0] for _ in range(3))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "quotes.parquet"
        write_file(path)
        command = [sys.executable, "-m", "benchmarks.replay", str(path)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(3)]
    seconds = median(run["seconds"] for run in runs)
    return [
        {
            "workload": "replay",
            "rate": round(QUOTES / seconds),
            "unit": "quotes/s",
            "floor_rate": round(QUOTES / in_memory),
            "ratio": round(in_memory / seconds, 3),
            "megabytes": round(max(run["megabytes"] for run in runs), 1),
        }
    ]


if __name__ == "__main__":
    print(json.dumps(play(sys.argv[1])))
