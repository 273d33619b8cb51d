"""Finds adapters by the name a configuration uses: ours in `adapters/`, others by entry point."""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from framework.errors import ConfigError
from framework.interfaces import Adapter, AdapterContext

GROUP = "headrace.adapters"
Build = Callable[[Mapping[str, object], AdapterContext], Adapter]


def find_adapter(name: str, *, key: str) -> Build:
    """Return the `build` function of the adapter `name`.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            found: Any = entry_point.load()
        except Exception as error:  # a third party's package failed while it was imported
            raise ConfigError(f"adapter {name!r} cannot be imported: {error!r}", key=key) from error
        return found  # type: ignore[no-any-return] # the entry point's contract
    try:
        module = import_module(f"adapters.{name}")
    except ModuleNotFoundError as error:
        if error.name not in ("adapters", f"adapters.{name}"):
            raise ConfigError(f"adapter {name!r} needs {error.name!r}", key=key) from error
        named = {entry.name for entry in entry_points(group=GROUP)}
        known = ", ".join(sorted(named.union(built_in_names())))
        raise ConfigError(f"there is no adapter {name!r} (known: {known})", key=key) from error
    return module.build  # type: ignore[no-any-return] # the entry point's contract


def built_in_names() -> list[str]:
    """Return the packages in `adapters`, in alphabetical order."""
    specification = find_spec("adapters")
    places = specification.submodule_search_locations if specification is not None else None
    return sorted(module.name for module in pkgutil.iter_modules(places or []) if module.ispkg)
