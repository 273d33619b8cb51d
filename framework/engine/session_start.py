"""What the input log says about a process start: what a replay must have equal, and what it had."""

import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from framework.engine.recorded_run import RecordedRun
from framework.engine.values import path_of
from framework.model.inputs import RunCode, SessionStarted

PACKAGE = "framework"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RANDOM = "random"


def session_start(
    runs: Sequence[RecordedRun],
    settings: msgspec.Struct,
    *,
    journal_id: str,
    epoch: int,
    time_ns: int,
    seed: int,
    environment: Mapping[str, str],
    config: str = "",
    order_position: int = 0,
    is_pumped: bool = False,
) -> SessionStarted:
    """Return the first record of a session."""
    return SessionStarted(
        journal_id=journal_id,
        epoch=epoch,
        time_ns=time_ns,
        runs=tuple(
            RunCode(
                run.context.run,
                run.context.session,
                path_of(type(run.strategy)),
                code_hash(type(run.strategy)),
            )
            for run in runs
        ),
        order_position=order_position,
        seed=seed,
        config=config,
        config_hash=config_hash(settings),
        version=framework_version(),
        python=PYTHON,
        hash_seed=hash_seed(environment),
        is_pumped=is_pumped,
    )


def changed_code(start: SessionStarted, runs: Sequence[RecordedRun]) -> tuple[str, ...]:
    """Return the runs whose code is not what it was."""
    recorded = {code.run: code.code_hash for code in start.runs}
    return tuple(
        run.context.run
        for run in runs
        if recorded.get(run.context.run) != code_hash(type(run.strategy))
    )


def code_hash(kind: type) -> str:
    """Return the hash of the modules that a class and its bases outside the framework are in."""
    digest = sha256()
    for module in dict.fromkeys(base.__module__ for base in kind.__mro__):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None and module.partition(".")[0] != PACKAGE:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def config_hash(settings: msgspec.Struct) -> str:
    """Return the hash of a decoded configuration."""
    return sha256(msgspec.json.encode(settings, enc_hook=_type_name, order="sorted")).hexdigest()


def framework_version() -> str:
    """Return the installed version, "" for a checkout that is not installed."""
    try:
        return version("headrace")
    except PackageNotFoundError:
        return ""


def hash_seed(environment: Mapping[str, str]) -> str:
    """Return what PYTHONHASHSEED makes of the order of sets: a number, or `random`."""
    return environment.get("PYTHONHASHSEED", "") or RANDOM


def obstacle(start: SessionStarted, environment: Mapping[str, str]) -> str:
    """Return why a session cannot be verified in this process, "" if it can."""
    if start.python != PYTHON:
        return f"recorded with Python {start.python}, this is {PYTHON}"
    if start.hash_seed == RANDOM:
        return "recorded with a random hash seed: start with PYTHONHASHSEED set to verify it later"
    here = hash_seed(environment)
    if start.hash_seed != here:
        return f"recorded with PYTHONHASHSEED={start.hash_seed}, here it is {here}"
    return ""


def _type_name(value: Any) -> str:
    """Stand in for what only code can put into settings."""
    return path_of(type(value))
