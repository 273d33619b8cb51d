"""What every test shares: hypothesis profiles, the loop, and the way to recorded data."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.real_data import real_data_directory

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
_DEFAULT_PROFILE = "ci" if "CI" in os.environ else "default"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", _DEFAULT_PROFILE))


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests marked `anyio` on asyncio, the only loop the framework supports."""
    return "asyncio"


@pytest.fixture
def real_data() -> Path:
    """Return the directory of recorded data; skips the test where there is none."""
    return real_data_directory()
