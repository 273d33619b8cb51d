"""What every test shares: hypothesis profiles, the loop, and the way to recorded data."""

import importlib.metadata
import logging
import os
from functools import cache
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from framework.settings import secrets
from tests.real_data import real_data_directory

settings.register_profile(  # nothing that a busy machine decides
    "default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, max_examples=25)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
_DEFAULT_PROFILE = "ci" if "CI" in os.environ else "default"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", _DEFAULT_PROFILE))


_secrets_before: list[str] = []


def pytest_configure() -> None:
    """Read what is installed once: every runtime asks for it, and it reads the whole disk."""
    vars(importlib.metadata)["entry_points"] = cache(importlib.metadata.entry_points)


def pytest_runtest_setup() -> None:
    """Note which secrets this process knows before a test."""
    _secrets_before[:] = secrets._known


def pytest_runtest_teardown() -> None:
    """Undo what a test did to this process's logs and known secrets: the next test reads them.

    A secret such as "wrong" would be masked in every later text.
    """
    secrets._known[:] = _secrets_before
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in list(root.handlers):
        if type(handler).__module__.startswith("framework."):
            root.removeHandler(handler)
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests marked `anyio` on asyncio, the only loop the framework supports."""
    return "asyncio"


@pytest.fixture
def real_data() -> Path:
    """Return the directory of recorded data; skips the test where there is none."""
    return real_data_directory()
