"""The reader behind the architecture tests sees through aliases and relative imports."""

from pathlib import Path

import pytest

from tests import source_code
from tests.source_code import imports_of, uses_of


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return `adapters/mock/feed.py` of a made-up repository."""
    monkeypatch.setattr(source_code, "ROOT", tmp_path)
    path = tmp_path / "adapters" / "mock" / "feed.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from . import wire\n"
        "from .codec import decode\n"
        "from ..replay import feed\n"
        "import datetime as dt\n"
        "from time import monotonic as tick\n"
        "import os.path\n"
        "def now():\n"
        "    return dt.datetime.now(), tick(), hash(''), os.urandom(1), wire.time()\n"
    )
    return path.relative_to(tmp_path)


def test_relative_imports_are_written_out(module: Path) -> None:
    imported = [(found.line, found.module, found.name) for found in imports_of(module)]

    assert imported[:3] == [
        (1, "adapters.mock", "wire"),
        (2, "adapters.mock.codec", "decode"),
        (3, "adapters.replay", "feed"),
    ]


def test_aliases_are_written_out(module: Path) -> None:
    called = {use.name for use in uses_of(module) if use.line == 8 and use.call}

    assert called == {"datetime.datetime.now", "time.monotonic", "builtins.hash", "os.urandom"}
