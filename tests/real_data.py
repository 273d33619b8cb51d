"""Where recorded market data for tests lives: outside the repository, present or not."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def real_data_directory() -> Path:
    """Return the directory of recorded data; skips the calling test where it is absent.

    `HEADRACE_REAL_DATA` names it; a relative path starts at the repository's root.
    """
    path = (REPOSITORY / os.environ.get("HEADRACE_REAL_DATA", "../shared/data/real")).resolve()
    if not path.is_dir():
        pytest.skip("no recorded data: set HEADRACE_REAL_DATA to its directory")
    return path


def real_data_file(name: str) -> Path:
    """Return the path of one recorded file; skips the calling test where it is absent."""
    path = real_data_directory() / name
    if not path.is_file():
        pytest.skip(f"no recorded file {name!r} in the directory of recorded data")
    return path
