"""`python -m benchmarks [WORKLOAD ...]`: one JSON line per measured row."""

import sys
from importlib import import_module

import msgspec

WORKLOADS = {  # name -> module with `measure() -> list[dict[str, object]]`, imported when asked for
    "bars": "benchmarks.bars",
    "record": "benchmarks.recording",
    "quotes": "benchmarks.quotes",
    "bus": "benchmarks.bus",
    "book": "benchmarks.book",
    "replay": "benchmarks.replay",
    "decode": "benchmarks.decode",
    "import": "benchmarks.imports",
    "journal": "benchmarks.journal",
    "orders": "benchmarks.orders",
    "tick_to_order": "benchmarks.tick_to_order",
    "ws": "benchmarks.ws_ingest",
    "kalshi_book": "benchmarks.kalshi_book",
    "gateway_orders": "benchmarks.gateway_orders",
    "gateway_stream": "benchmarks.gateway_stream",
}


def main(names: list[str]) -> int:
    """Run the workloads called `names`, all of them by default; return the exit code."""
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        known = ", ".join(WORKLOADS)
        print(f"benchmarks: no workload {unknown[0]!r}; there are: {known}", file=sys.stderr)
        return 2
    for name in names or WORKLOADS:
        for row in import_module(WORKLOADS[name]).measure():
            print(msgspec.json.encode({"workload": name, **row}).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
