"""Rigs by name: of our own packages, of others by entry point, and what is said without one."""

import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.binance.venue import rig as binance_rig
from framework.adapter_kit import finding
from framework.adapter_kit.finding import find_rig
from framework.errors import ConfigError


class Entry:
    """An entry point of somebody else's package."""

    def __init__(self, found: object) -> None:
        self._found = found

    def load(self) -> object:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def offer(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """Let an entry point called `elsewhere` load this."""

    def entry_points(group: str, name: str) -> list[Entry]:
        return [Entry(found)] if (group, name) == ("headrace.rigs", "elsewhere") else []

    monkeypatch.setattr(finding, "entry_points", entry_points)


def failing_import(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.setattr(finding, "import_module", fail)


def test_a_rig_of_ours_is_found_by_the_name_of_its_adapter() -> None:
    assert find_rig("binance") is binance_rig


def test_a_rig_of_another_package_is_found_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer(monkeypatch, binance_rig)

    assert find_rig("elsewhere") is binance_rig


@pytest.mark.parametrize("name", ["nowhere", "mock", "replay"])
def test_an_adapter_without_a_rig_says_where_one_was_looked_for(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        find_rig(name)

    said = str(refused.value)
    assert said.startswith(f"adapter '{name}' has no simulated venue: ")
    assert f"adapters.{name}.venue:rig" in said
    assert "headrace.rigs" in said


def test_a_venue_without_a_rig_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adapters.binance.venue", ModuleType("venue"))

    with pytest.raises(ConfigError, match="has no simulated venue"):
        find_rig("binance")


def test_a_rig_whose_library_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_import(monkeypatch, ModuleNotFoundError("no", name="cryptography"))

    with pytest.raises(ConfigError, match="rig of 'kalshi' needs 'cryptography'"):
        find_rig("kalshi")


@pytest.mark.parametrize("error", [AttributeError("a typo"), SyntaxError("a bracket"), OSError()])
def test_a_venue_that_fails_while_it_is_imported_is_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing_import(monkeypatch, error)

    with pytest.raises(ConfigError, match=f"'kalshi' cannot be imported: {type(error).__name__}"):
        find_rig("kalshi")


@pytest.mark.parametrize("error", [ImportError("no wheel"), ValueError("no wheel")])
def test_a_package_that_fails_while_it_is_imported_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    offer(monkeypatch, error)

    with pytest.raises(ConfigError, match=r"'elsewhere' cannot be imported: .*no wheel"):
        find_rig("elsewhere")
