"""Finds an adapter's rig by name: `adapters.<name>.venue:rig`, others by entry point."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from framework.adapter_kit.scoring import MakeRig
from framework.errors import ConfigError

GROUP = "headrace.rigs"


def find_rig(name: str) -> MakeRig:
    """Return the function that makes the rig of the adapter `name`.

    Raises:
        ConfigError: it has none, or it cannot be imported.
    """
    place = f"adapters.{name}.venue"
    found: Any = None
    try:
        for entry_point in entry_points(group=GROUP, name=name):
            found = entry_point.load()
        if found is None:
            found = getattr(import_module(place), "rig", None)
    except ModuleNotFoundError as error:
        if error.name not in ("adapters", f"adapters.{name}", place):
            raise ConfigError(f"the rig of {name!r} needs {error.name!r}") from error
    except Exception as error:  # a package may fail with anything while it is imported
        raise ConfigError(f"the rig of {name!r} cannot be imported: {error!r}") from error
    if found is None:
        raise ConfigError(
            f"adapter {name!r} has no simulated venue: no {place}:rig, no entry point in {GROUP}"
        )
    return found  # type: ignore[no-any-return] # the contract of both places
