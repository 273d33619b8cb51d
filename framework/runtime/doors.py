"""The front doors of one system: opened once it trades, closed before anything else stops."""

import os
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from framework.engine.driver import Driver
from framework.errors import ConfigError
from framework.interfaces import TradingDesk
from framework.model.records import OperatorAction
from framework.runtime.system import Seams, System
from framework.server.door import Build, Door, DoorContext, Pacer
from framework.server.serving import Server, Surroundings
from framework.settings.modes import Mode
from framework.settings.secrets import Secret, redact, resolve_secret
from framework.settings.server import DoorSettings
from framework.settings.structs import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = structlog.get_logger("doors")

GROUP = "headrace.doors"
TURN = 64  # steps of a paced run between two turns of the loop, where nobody listens
SETTLING_TURNS = 64  # of the loop, for handlers that wait for something of this process
SETTLING_ROUNDS = 64  # of all doors, for clients that answer each other at one instant


def find_door(name: str, *, key: str) -> Build:
    """Return the `build` function of the front door `name`: ours, or by entry point.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            found: Any = entry_point.load()
        except Exception as error:  # a third party's package failed while it was imported
            raise ConfigError(f"door {name!r} cannot be imported: {error!r}", key=key) from error
        return found  # type: ignore[no-any-return] # the entry point's contract
    place = f"adapters.{name}.server"
    try:
        module = import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not place.startswith(error.name):
            raise ConfigError(f"door {name!r} needs {error.name!r}", key=key) from error
        raise ConfigError(f"there is no front door {name!r}", key=key) from error
    return module.build  # type: ignore[no-any-return] # the entry point's contract


def build_door(settings: DoorSettings, context: DoorContext) -> Door:
    """Return a door by its protocol's name.

    Raises:
        ConfigError: there is none of that name, or its settings make no sense.
    """
    return find_door(settings.door, key=f"{context.key}.door")(settings.settings, context)


def new_registry() -> "CollectorRegistry":
    """Return where this system's doors count.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
    except ModuleNotFoundError as error:
        reason = "front doors count with prometheus-client: install headrace[metrics]"
        raise ConfigError(reason, key="server") from error
    return CollectorRegistry()


class FrontDoors:
    """Every listening address of a configuration, with its doors."""

    def __init__(self, settings: Settings, system: System, desk: TradingDesk, seams: Seams) -> None:
        """Build the doors; nothing listens yet.

        Raises:
            ConfigError: a door or its settings do not fit; names the key.
        """
        self.addresses: list[str] = []
        self._system = system
        self._allows_literals = settings.mode is not Mode.LIVE
        engine, registry = system.engine, new_registry()
        self.server = Server(
            settings.server,
            Surroundings(
                desk=desk,
                venue_of_account={name: one.venue for name, one in settings.accounts.items()},
                build_door=build_door,
                registry=registry,
                random_for=lambda name: seams.random_for(f"doors/{name}"),
                secret=self._secret,
                now_ns=seams.wall_ns or (lambda: seams.clock.now_ns),
                audit=self._audit,
                version=version("headrace"),
                session=f"{engine.log.journal_id[:8]}-{engine.log.epoch}",
            ),
        )
        from framework.server.metrics import runtime_metrics  # needs what `new_registry` asks for

        runtime_metrics(
            registry, engine.bus.statistics, self.server.links, self.server.refused_counts
        )

    async def open(self) -> None:
        """Listen on every address.

        Raises:
            ConfigError: an address is taken, or may not be used like this.
        """
        self.addresses = await self.server.start()

    async def run(self) -> None:
        """Serve until cancelled; a failure here does not stop trading (T-07)."""
        try:
            await self.server.run()
        except Exception as error:
            log.critical("front_doors_failed", error=repr(error), exc_info=error)
            self._system.alert("front_doors_failed", repr(error), level="critical")

    async def close(self) -> None:
        """Refuse what is new, tell who listens, let open requests end, close the addresses."""
        try:
            await self.server.stop()
        except Exception as error:  # the rest of the system still has to stop in order
            log.error("front_doors_not_closed", error=repr(error), exc_info=error)

    async def pace(self, driver: Driver) -> None:
        """Step recorded data as those outside keep up: one timer or event, then their answers.

        What the clients of one door do may be news for those of another, and theirs for the first:
        time moves on once all of them have heard everything of this instant.
        """
        pacers: list[Pacer] = self.server.pacers
        for pacer in pacers:
            await pacer.ready()
        count = 0
        while driver.step():
            count += 1
            if not count % TURN:
                await anyio.lowlevel.checkpoint()
            await self._settled()
            for _ in range(SETTLING_ROUNDS):
                for pacer in pacers:
                    await pacer.settled()
                await self._settled()  # what their calls caused
                if all(pacer.is_settled for pacer in pacers):
                    break
        for pacer in pacers:
            await pacer.completed()
        driver.finish()

    async def _settled(self) -> None:
        """Let strategies in this process end their handlers, unless they wait for market time.

        And let what these caused be delivered, before market time moves.
        """
        runs, bus = self._system.runs, self._system.engine.bus
        for _ in range(SETTLING_TURNS):
            if not bus.is_turn_due and not any(run.subscriber.is_busy for run in runs):
                return
            await anyio.lowlevel.checkpoint()

    def _secret(self, reference: str) -> Secret:
        try:
            return resolve_secret(reference, os.environ, allows_literal=self._allows_literals)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _audit(self, by: str, correlation_id: str, method: str, path: str, status: int) -> None:
        """Write down who changed what through a door (T-05)."""
        engine = self._system.engine
        engine.record(
            OperatorAction(
                correlation_id, by, method, redact(path), engine.clock.now_ns, str(status)
            )
        )
