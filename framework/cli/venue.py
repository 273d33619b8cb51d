"""`headrace venue NAME`: the simulated counterpart of a venue, served until Ctrl-C.

A venue is a module with two functions, found by name: `adapters.NAME.venue`, or whatever an entry
point of the group `headrace.venues` names.

    add_arguments(parser)             says what may follow the name on the command line
    async serve(options, announce)    serves until cancelled; calls `announce` once it can be used

What is announced is printed as one line of JSON, for the program that started this one.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol

from framework.cli.signals import StopSignals
from framework.errors import ConfigError
from framework.runtime.adapters import built_in_names

GROUP = "headrace.venues"

Announce = Callable[[Mapping[str, object]], None]


class VenueModule(Protocol):
    """What offers a simulated venue."""

    @property
    def add_arguments(self) -> Callable[[argparse.ArgumentParser], None]: ...
    @property
    def serve(self) -> Callable[[argparse.Namespace, Announce], Awaitable[None]]:
        """Raises ConfigError for options that make no sense, and for an address in use."""


def add_parser(commands: Any) -> None:
    """Register the command; the venue itself says what follows its name."""
    text = "serve a simulated venue until Ctrl-C"
    venue = commands.add_parser("venue", help=text, description=text)
    venue.add_argument("name", help="as in `adapter:` of a configuration, e.g. kalshi")
    venue.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="of the venue: `venue NAME --help` lists them"
    )


def run(options: argparse.Namespace) -> int:
    """Serve the venue; 0 when it was stopped by a signal."""
    venue = find_venue(options.name)
    parser = argparse.ArgumentParser(prog=f"headrace venue {options.name}")
    venue.add_arguments(parser)
    chosen = parser.parse_args(options.arguments)
    signals = StopSignals()
    with signals.installed():
        asyncio.run(serve_until_stopped(venue, chosen, signals))
    return 0


async def serve_until_stopped(
    venue: VenueModule, options: argparse.Namespace, signals: StopSignals
) -> None:
    """Serve until the first signal, and let the venue close what it opened."""
    task = asyncio.current_task()
    if task is not None:
        signals.on_stop(task.cancel)
    try:
        await venue.serve(options, announce)
    except asyncio.CancelledError:
        if signals.received is None:
            raise


def announce(facts: Mapping[str, object]) -> None:
    """Print the one machine-readable line, at once even into a pipe."""
    print(json.dumps(facts), flush=True)


def find_venue(name: str) -> VenueModule:
    """Return the module of the simulated venue `name`.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            found: Any = entry_point.load()
        except Exception as error:  # a third party's package failed while it was imported
            raise ConfigError(f"venue {name!r} cannot be imported: {error!r}") from error
        return found  # type: ignore[no-any-return] # the entry point's contract
    module = f"adapters.{name}.venue"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("adapters", f"adapters.{name}", module):
            raise ConfigError(f"venue {name!r} needs {error.name!r}") from error
        known = ", ".join(known_venues()) or "none"
        raise ConfigError(f"there is no simulated venue {name!r} (known: {known})") from error


def known_venues() -> list[str]:
    """Return the names that `venue` takes."""
    built_in = {name for name in built_in_names() if find_spec(f"adapters.{name}.venue")}
    return sorted(built_in | {entry.name for entry in entry_points(group=GROUP)})
