"""Workload `import`: what `import framework` costs in a fresh process."""

import subprocess
import sys

import msgspec

ROUNDS = 7  # the best one counts

PROGRAM = """
import sys, time
start_s = time.perf_counter()
import framework
import_s = time.perf_counter() - start_s
heavy = [name for name in ("aiohttp", "numpy") if name in sys.modules]
print(f'{{"import_s": {import_s}, "heavy": "{" ".join(heavy)}", "modules": {len(sys.modules)}}}')
"""


class Report(msgspec.Struct):
    """What a fresh process says about its import."""

    import_s: float
    heavy: str
    modules: int


def fresh_import() -> Report:
    """Return what a new process measured."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, timeout=60
    )
    return msgspec.json.decode(finished.stdout, type=Report)


def measure() -> list[dict[str, object]]:
    """Return one row; the goal is 0.12 s, with neither aiohttp nor numpy imported."""
    reports = [fresh_import() for _ in range(ROUNDS)]
    return [
        {
            "import_s": round(min(report.import_s for report in reports), 4),
            "aiohttp_imported": "aiohttp" in reports[0].heavy,
            "numpy_imported": "numpy" in reports[0].heavy,
            "module_count": reports[0].modules,
        }
    ]
