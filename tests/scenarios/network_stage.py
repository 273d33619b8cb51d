"""Live sessions against a simulated venue over the in-memory network, on one simulated loop.

The venue outlives every session; a session can be crashed, and the next one finds its log. What
the venue has is told in the words of `tests.crash.check`, which compare it with what we believe.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

import msgspec
from aiohttp.web_protocol import RequestHandler

from framework import Order, Position, Strategy
from framework.adapter_kit.rig import VenueRig
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import OrderIntent, OrderType, Side
from framework.model.records import AlertRaised
from framework.orders.order_state import OrderState
from framework.runtime import adapters
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.risk_limits import RiskSettings
from framework.settings.structs import (
    AccountSettings,
    InstrumentSettings,
    Settings,
    StopPolicy,
    StrategySettings,
    VenueSettings,
)
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop
from tests.crash.check import agreement, state_of
from tests.crash.crashable_log import CrashableLog
from tests.crash.world import bury

START_NS = 1_780_000_000_000_000_000
RUN, ACCOUNT = "maker", "main"
NS = 1_000_000_000
NO_LIMITS = RiskSettings()
D = Decimal

Truth = dict[str, Any]


class Desk(Protocol):
    """What a stage needs of its venue: a rig, and what the rig does not tell.

    Attributes:
        strategy, strategy_settings: what trades.
        currency: what the account's cash is counted in.
        opening: what the account has of it, and nothing else, before anybody trades.
    """

    strategy: str
    strategy_settings: dict[str, Any]
    currency: str
    opening: Decimal
    address: tuple[str, int]
    rig: Any

    def truth(self) -> Truth:
        """Return orders, executions, positions and cash in the words of `tests.crash.check`."""

    def hit(self, random: Random) -> None:
        """Have another member trade against a random resting order of ours."""

    def received(self) -> Counter[str]:
        """Return how many requests for a new order may have been carried out, by client id."""

    def harm(self, random: Random) -> str:
        """Do harm that is this venue's own; return what it was."""

    def rest(self) -> None:
        """Let nobody else trade any more."""


class Listener(Strategy):
    """Watches everything and gives no orders; they come through the desk, as from any door."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What to watch."""

        instruments: tuple[str, ...]

    settings: Settings

    def on_start(self) -> None:
        """Begin to listen."""
        self.heard: list[Any] = []
        for instrument in self.settings.instruments:
            self.watch_book(instrument)
            self.watch_market(instrument)

    def on_market(self, event: Any) -> None:
        """Keep it."""
        self.heard.append(event)

    def on_order(self, order: Order) -> None:
        """Keep it."""
        self.heard.append(order)

    def on_position(self, position: Position) -> None:
        """Keep it."""
        self.heard.append(position)

    def on_account(self, account: Any) -> None:
        """Keep it."""
        self.heard.append(account)


class NetworkStage:
    """One venue, and the sessions in front of it, one at a time.

    Attributes:
        log: the order log of the newest session.
        harms: what was done to the sessions, in order.
    """

    def __init__(
        self,
        make_desk: Callable[[int], Desk],
        *,
        seed: int = 0,
        mode: Mode = Mode.LIVE,
        risk: RiskSettings = NO_LIMITS,
        strategy: str | None = None,
    ) -> None:
        self.loop = SimulatedLoop(seed=seed, start_ns=START_NS)
        self.chance = Random(f"harm {seed}")
        self.desk: Desk = self.ask(lambda: make_desk(seed))
        self.rig: VenueRig = self.desk.rig
        self.log = CrashableLog()
        self.harms: list[str] = []
        section = self.loop.run_until_complete(self.rig.start())
        self._before = self._tasks()
        self._environment, self._settings = _live(section, self.rig, seed, mode, risk)
        run = StrategySettings(
            id=RUN,
            class_=strategy or self.desk.strategy,
            account=ACCOUNT,
            settings=self.desk.strategy_settings if strategy is None else self._watched(),
            on_stop=StopPolicy.CANCEL_ALL,
        )
        self._settings = msgspec.structs.replace(self._settings, strategies=[run])
        self._session: _Session | None = None
        self._key_count = 0

    # -- time ------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def wait_until(
        self, condition: Callable[[], object], limit_s: float, step_s: float = 0.05
    ) -> float:
        """Let time pass until `condition` holds; return how long that took.

        Raises:
            AssertionError: it did not come to hold within `limit_s`.
        """
        began_ns = self.loop.now_ns
        while not condition():
            took_s = (self.loop.now_ns - began_ns) / NS
            assert took_s <= limit_s, f"not within {limit_s} s"
            self.wait(step_s)
        return (self.loop.now_ns - began_ns) / NS

    def ask(self, call: Callable[[], Any]) -> Any:
        """Call something inside the running loop."""

        async def calling() -> Any:
            return call()

        return self.loop.run_until_complete(calling())

    # -- sessions --------------------------------------------------------------------------------

    @property
    def session(self) -> "_Session":
        """The session that runs."""
        assert self._session is not None
        return self._session

    @property
    def engine(self) -> Any:
        """Its core."""
        return self.session.runtime.engine

    @property
    def strategy(self) -> Any:
        """Its strategy."""
        return self.session.runtime.system.runs[0].strategy

    @property
    def is_started(self) -> bool:
        """Whether the session's start is over."""
        return self._session is not None and self._session.is_started

    def begin(self) -> None:
        """Begin a session without waiting for anything."""
        runtime = Runtime(self._settings, order_log=self.log, journal_id=self.log.journal_id)
        self._session = self.ask(lambda: _Session(runtime, self._environment))

    def start(self) -> "NetworkStage":
        """Begin a session and wait until it trades."""
        self.begin()
        self.loop.run_until_complete(self.session.started())
        return self

    def stop(self) -> None:
        """Stop the session in order.

        Raises:
            Exception: a part of the system had failed.
        """
        session, self._session = self.session, None
        self.loop.run_until_complete(session.stop())
        if session.runtime.failure is not None:
            raise session.runtime.failure

    def crash(self) -> None:
        """Kill the session. What the venue has received it carries out, answers reach nobody."""
        log, session, network = self.log, self.session, self.loop.network
        log.die()
        network.set_faults(self.desk.address, LinkFaults(refuse=True))
        network.cut(self.desk.address)
        bury(self.loop, spares=_is_of_the_venue)
        network.set_faults(self.desk.address, LinkFaults())
        self.loop.run_until_complete(session.let_go())
        self.log = log.survivor(self.chance.randint(0, log.volatile_count), lambda name: None)
        self._session = None

    def close(self) -> None:
        """End everything; a session that still runs is killed."""
        if self._session is not None:
            self.crash()
        self.loop.run_until_complete(self.rig.aclose())
        self.wait(2)
        self.loop.end_tasks()
        self.loop.close()

    def left_tasks(self) -> list[str]:
        """Return the tasks that the sessions have left behind."""
        return sorted(task.get_name() for task in self._tasks() - self._before if not task.done())

    def _tasks(self) -> set[asyncio.Task[Any]]:
        tasks: set[asyncio.Task[Any]] = self.ask(asyncio.all_tasks)
        return {task for task in tasks if not task.done()}

    # -- trading ---------------------------------------------------------------------------------

    def trade(self, seconds: float, *, every_s: float = 2.0, harm_s: float | None = None) -> None:
        """Let members hit our quotes, and do harm about every `harm_s`, for so long."""
        next_harm_s = self.chance.uniform(0, harm_s) if harm_s is not None else seconds
        elapsed_s = 0.0
        while elapsed_s < seconds:
            self.wait(every_s)
            elapsed_s += every_s
            self.ask(lambda: self.desk.hit(self.chance))
            if harm_s is not None and elapsed_s >= next_harm_s:
                next_harm_s += self.chance.uniform(0.5, 1.5) * harm_s
                self.harms.append(f"{elapsed_s:g} s: {self.ask(self._harm)}")

    def _harm(self) -> str:
        random = self.chance
        if random.random() < 0.4:
            return self.desk.harm(random)
        fault = random.choice(sorted(self.rig.faults, key=lambda one: one.value))
        count, duration_s = random.randint(1, 4), random.uniform(1, 30)
        self.rig.inflict(fault, count=count, duration_s=duration_s)
        return f"{fault.value} x {count}, {duration_s:.1f} s"

    def heal(self) -> None:
        """End all harm, wait until all is known again, and let nobody else trade any more."""
        self.ask(self.rig.heal)
        self.trade(40)
        self.ask(self.desk.rest)
        self.wait(5)

    def submit(
        self, side: Side, quantity: Decimal, price: Decimal, *, index: int = 0
    ) -> OrderState:
        """Submit an order of the run as a door would."""
        self._key_count += 1
        intent = OrderIntent(
            RUN,
            f"door {self._key_count} {self.loop.now_ns}",
            self.instrument(index),
            side,
            quantity,
            OrderType.LIMIT,
            price,
        )
        order: OrderState = self.ask(lambda: self.engine.desk.submit(intent))
        return order

    def instrument(self, index: int = 0) -> str:
        """Return the id of one of the rig's instruments."""
        return f"{self.rig.venue}:{self.rig.symbols[index]}"

    def _watched(self) -> dict[str, Any]:
        return {"instruments": [self.instrument(index) for index in range(2)]}

    # -- what is and what should be --------------------------------------------------------------

    def differences(self) -> list[str]:
        """Return where the session and the venue disagree, each order sent twice included."""
        state = state_of(
            self.engine, ACCOUNT, opening=self.desk.opening, currency=self.desk.currency
        )
        wrong = agreement(self.desk.truth(), state)
        received = self.desk.received()
        wrong += [f"{one} was sent {count} times" for one, count in received.items() if count > 1]
        failure = self.session.runtime.failure
        if failure is not None:
            wrong.append(f"the runtime failed: {failure!r}")
        return wrong

    def open_orders(self) -> list[OrderState]:
        """Return the working orders that the session knows of, whoever gave them."""
        registry = self.engine.registry
        orders: list[OrderState] = [*registry.open_orders(RUN), *registry.open_orders(EXTERNAL_RUN)]
        return orders

    def alerts(self) -> list[str]:
        """Return the names of the alerts of all sessions on this log, oldest first."""
        return [record.name for _, record in self.log.read() if isinstance(record, AlertRaised)]


def _live(
    section: Mapping[str, Any], rig: VenueRig, seed: int, mode: Mode, risk: RiskSettings
) -> tuple[dict[str, str], Settings]:
    """Return a configuration without strategies, and the environment with its secrets."""
    settings = dict(section["settings"])
    environment = {}
    for name in ("key_id", "private_key", "api_key", "secret"):
        if name in settings:
            environment[f"RIG_{name}"] = settings[name]
            settings[name] = f"env:RIG_{name}"
    instruments = msgspec.convert(
        section.get("instruments", []), list[InstrumentSettings], strict=False
    )
    venue = VenueSettings(adapter=rig.venue, settings=settings, instruments=instruments)
    account = AccountSettings(venue=rig.venue, currency="USD", balances={"USD": D(10_000)})
    return environment, Settings(
        mode=mode,
        seed=seed,
        venues={rig.venue: venue},
        accounts={ACCOUNT: account},
        risk=risk,
    )


def _is_of_the_venue(task: asyncio.Task[Any]) -> bool:
    """Whether a task serves a connection of the venue's."""
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", "") == RequestHandler.start.__qualname__


class _Session:
    """One process of ours; its task is the one that enters the runtime and leaves it."""

    def __init__(self, runtime: Runtime, environment: Mapping[str, str]) -> None:
        self.runtime = runtime
        self.is_started = False
        self._environment = environment
        self._started, self._stopping = asyncio.Event(), asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._live())

    async def started(self) -> None:
        """Return when the start is over. Raises what it failed of."""
        starting = asyncio.ensure_future(self._started.wait())
        await asyncio.wait({starting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop in order."""
        self._stopping.set()
        await self._task

    async def let_go(self) -> None:
        """Close what the dead held open: the system does that for a process that was killed."""
        for venue in self.runtime.system.venues if self.is_started else ():
            if venue.adapter.close is not None:
                await venue.adapter.close()

    async def _live(self) -> None:
        """Live until the stop; a death in between leaves without a word."""
        no_entry_points = patch.object(adapters, "entry_points", lambda **_: ())  # it is slow
        with no_entry_points, patch.dict(os.environ, self._environment):
            await self.runtime.__aenter__()
        self.is_started = True
        self._started.set()
        await self._stopping.wait()
        await self.runtime.__aexit__(None, None, None)


@contextmanager
def network_stage(*args: Any, is_live: bool = True, **more: Any) -> Iterator[NetworkStage]:
    """Open a stage, with a session on it if `is_live`."""
    made = NetworkStage(*args, **more)
    try:
        yield made.start() if is_live else made
    finally:
        made.close()
