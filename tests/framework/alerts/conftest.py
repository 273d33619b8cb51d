"""Log lines are caught, and known secrets are those of one test."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from framework.settings import secrets


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Catch every log line instead of printing it."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no secret of another test."""
    monkeypatch.setattr(secrets, "_known", [])
