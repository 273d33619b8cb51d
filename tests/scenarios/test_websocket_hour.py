import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def play(*arguments: str, hash_seed: str) -> dict[str, Any]:
    """Play a session in a fresh process and return the figures that it prints."""
    command = [sys.executable, "-W", "error", "-m", "benchmarks.websocket_hour", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_r90_one_seed_is_one_hour_of_messages_in_every_process() -> None:
    hours = [play("--seed", "7", hash_seed=hash_seed) for hash_seed in ("0", "1", "4242")]

    assert len({hour["log_sha256"] for hour in hours}) == 1
    assert {(hour["workload"], hour["seed"]) for hour in hours} == {("websocket_hour", 7)}
    assert 16_000 < hours[0]["messages"] < 18_000  # 5 a second, less what fell into drops
    assert 10 < hours[0]["drops"] < 200


def test_r90_another_seed_is_another_log() -> None:
    logs = [play("--seed", seed, "--minutes", "5", hash_seed="0") for seed in ("7", "8")]

    assert logs[0]["log_sha256"] != logs[1]["log_sha256"]
    assert logs[0]["messages"] > 1_000
