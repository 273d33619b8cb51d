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
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            found: Any = entry_point.load()
        except Exception as error:  # a third party's package failed while it was imported
            raise ConfigError(f"the rig of {name!r} cannot be imported: {error!r}") from error
        return found  # type: ignore[no-any-return] # the entry point's contract
    place = f"adapters.{name}.venue"
    try:
        module = import_module(place)
        return module.rig  # type: ignore[no-any-return] # the module's contract
    except ModuleNotFoundError as error:
        if error.name not in ("adapters", f"adapters.{name}", place):
            raise ConfigError(f"the rig of {name!r} needs {error.name!r}") from error
    except AttributeError:
        pass
    raise ConfigError(
        f"adapter {name!r} has no simulated venue: no {place}:rig, no entry point in {GROUP}"
    )
