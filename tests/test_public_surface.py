"""What strategy authors and embedding services import, and what that import costs."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import framework
import framework.indicators
from tests.source_code import ROOT

STATED = ("Strategy", "Runtime", "Candle", "Quote", "Order", "Position", "Fill")


@pytest.mark.parametrize("name", STATED)
def test_the_package_offers(name: str) -> None:
    assert name in framework.__all__
    assert getattr(framework, name).__name__ == name


@pytest.mark.parametrize("name", ["SMA", "ZScore"])
def test_the_indicators_offer(name: str) -> None:
    assert isinstance(getattr(framework.indicators, name), type)


def test_every_public_name_exists() -> None:
    assert [name for name in framework.__all__ if not hasattr(framework, name)] == []


def test_importing_it_imports_neither_aiohttp_nor_numpy() -> None:
    program = "import framework, sys; print({'aiohttp', 'numpy'} & set(sys.modules))"

    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (finished.stdout, finished.stderr) == ("set()\n", "")


def test_adapters_are_found_by_their_entry_points() -> None:
    found = {point.name: point.load() for point in entry_points(group="headrace.adapters")}

    assert set(found) >= {"mock", "replay"}
    assert all(callable(build) for build in found.values())


@pytest.mark.parametrize("command", [["-m", "framework"], ["-m", "framework", "run"]])
def test_the_package_runs_as_a_module(command: list[str]) -> None:
    finished = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert finished.returncode == 0
    assert "usage" in finished.stdout.lower()
