"""Stand-ins for what the commands call, and the process put back as it was."""

import gc
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog

from tests.framework.settings.samples import GOOD


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A good backtest configuration."""
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """The same for paper trading."""
    path = tmp_path / "paper.yaml"
    path.write_text(GOOD.replace("mode: backtest", "mode: paper"))
    return path


@pytest.fixture
def replace_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module with the given names in the place of a real one."""

    def replace(name: str, **contents: Any) -> None:
        module = ModuleType(name)
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    return replace


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what `run` sets for a whole process."""
    handlers = list(logging.getLogger().handlers)
    level = logging.getLogger().level
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # or `run` would start this very process again
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()
