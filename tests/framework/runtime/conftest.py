"""Keeps logs out of the way: rendering their tracebacks takes longer than the tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Catch every log line instead of printing it."""
    with capture_logs() as lines:
        yield lines
