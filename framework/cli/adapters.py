"""`headrace adapters`: what `adapter:` in a configuration can name."""

import argparse
from importlib.metadata import entry_points

from framework.runtime.adapters import built_in_names

GROUP = "headrace.adapters"


def run(options: argparse.Namespace) -> int:
    """Print one line per adapter: its name, what builds it, and where it comes from."""
    found = adapters()
    width = max((len(name) for name in found), default=0)
    for name, (target, origin) in sorted(found.items()):
        print(f"{name:<{width}}  {target}  ({origin})")
    return 0


def adapters() -> dict[str, tuple[str, str]]:
    """Return name → (`module:function`, origin): the built-in packages, then entry points.

    Nothing is imported: an adapter whose libraries are missing is listed all the same.
    """
    found = {name: (f"adapters.{name}:build", "built in") for name in built_in_names()}
    for entry in entry_points(group=GROUP):
        origin = entry.dist.name if entry.dist is not None else "entry point"
        if found.get(entry.name, ("", ""))[0] != entry.value:
            found[entry.name] = (entry.value, origin)
    return found
