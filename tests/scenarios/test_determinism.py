"""One configuration is one result, byte for byte, in fresh processes with any hash seed."""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY

PROGRAM = """
import sys

import msgspec

from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated

async def main():
    async with Runtime(load(sys.argv[1])) as runtime:
        await runtime.wait()
    return runtime

runtime = run_simulated(main, seed=7)
entries = [entry for _, entry in runtime.engine.log.read()]
sys.stdout.buffer.write(b"\\n".join(msgspec.json.encode(entry) for entry in entries))
"""


def log_of(config: str, hash_seed: str) -> bytes:
    """Return the log that a fresh process writes."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, config],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    return done.stdout


@pytest.mark.kill
def test_r74_r90_three_hash_seeds_give_one_log() -> None:
    logs = [log_of("config/market_maker.yaml", seed) for seed in ("0", "1", "4242")]

    assert {hashlib.sha256(log).hexdigest() for log in logs} == {
        hashlib.sha256(logs[0]).hexdigest()
    }
    assert logs[0].count(b'"order_filled"') > 10
    assert logs[0].count(b'"submit_order"') > 10
