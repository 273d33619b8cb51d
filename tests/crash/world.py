"""One broker, and one trader after another that dies in front of it: a world for crash points.

Everything is on one simulated loop. A death takes all that the trader had in memory and leaves
its log's durable part, with as much of the rest as a disk may have written. The broker goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import msgspec
from anyio._backends._asyncio import _task_states

from framework.interfaces import Adapter
from framework.runtime import adapters
from framework.runtime.runner import Runtime
from framework.simulation.loop import SimulatedLoop, seeded_random
from tests.broker import adapter
from tests.broker.adapter import WireBroker
from tests.broker.rig import START_NS, started_server
from tests.broker.script import CALM, Script
from tests.broker.truth import TrueOrder
from tests.crash.check import State, agreement, exits_too_large, journalled, links, safety, state_of
from tests.crash.crashable_log import CrashableLog
from tests.crash.points import Crash, MortalBroker, MortalContext, Points
from tests.crash.trading import ACCOUNT, CASH, BracketTrader, RandomTrader, trader_settings

Task = asyncio.Task[Any]

TICK_MS = 40
TRADING_S = 0.3
SETTLING_S = 6.0  # doubt ends by evidence: the visibility time and three answers


class Outcome(msgspec.Struct):
    """What became of one world: the moments of each life, and every promise that was broken."""

    moments: list[list[str]]
    wrong: list[str]
    state: State
    order_count: int

    @property
    def deaths(self) -> list[str]:
        """At which moment each life but the last ended."""
        return [moments[-1] for moments in self.moments[:-1] if moments]


class Life:
    """One process of the trader, from its start to its death."""

    def __init__(self, world: "World", log: CrashableLog | None, crash_at: int) -> None:
        self.points = Points(crash_at or None)
        self.points.on_death = self._die
        self.runtime: Runtime | None = None
        self.broker: WireBroker | None = None
        self._world = world
        if log is None:
            self.log = CrashableLog(point=self.points)
        else:
            self.log = log.survivor(world.chance.randint(0, log.volatile_count), self.points)

    async def live(self, seconds: float) -> None:
        """Start and trade; nothing is stopped at the end, so that nothing says goodbye."""
        world = self._world
        runtime = self.runtime = Runtime(
            trader_settings(seed=world.seed, trader=world.trader, **world.link),
            order_log=self.log,
            journal_id=self.log.journal_id,
        )
        adapter.install(self._build)
        with patch.object(adapters, "entry_points", lambda **_: ()):  # it reads the whole disk
            await runtime.__aenter__()
        await asyncio.sleep(seconds)

    def end(self) -> None:
        """Die now, if that has not happened yet."""
        if not self.points.is_dead:
            self.points.is_dead = True
            self._die()

    def _build(self, section: Any, context: Any) -> Adapter:
        mortal: Any = MortalContext(context, self.points)
        made = adapter.build(section, mortal)
        assert isinstance(made.broker, WireBroker)
        self.broker = made.broker
        made.broker = MortalBroker(made.broker, self.points)
        return made

    def _die(self) -> None:
        """Stop the disk; what was written to the socket arrives, or is lost with the machine."""
        self.log.die()
        delivers = self._world.chance.random() < 0.7
        if self.broker is not None:
            self.broker.hang_up(delivers=delivers)


class World:
    """A broker with a script, and the lives of its trader; `link` goes to the adapter."""

    def __init__(
        self,
        seed: int,
        script: Script,
        trader: type[RandomTrader] = RandomTrader,
        **link: Any,
    ) -> None:
        self.seed = seed
        self.trader = trader
        self.link = link
        self.chance = seeded_random(seed, "deaths")
        self.acknowledged: list[dict[str, Any]] = []
        self.lives: list[Life] = []
        self._loop = SimulatedLoop(seed=seed, start_ns=START_NS)
        self._server = self._loop.run_until_complete(
            started_server(script, seed=seed, tick_ms=TICK_MS)
        )
        self._exits: dict[str, list[TrueOrder]] = {}  # at the broker, by the entry's client id
        self._too_large: list[str] = []
        self._server.books.on_change = self._on_change

    def play(self, deaths: Sequence[int]) -> Outcome:
        """Live one life per entry of `deaths` to its n-th moment (0: to its end), then heal.

        The last life begins with a broker that has no faults and prices that stand still.
        """
        with patch.object(RandomTrader, "hear", staticmethod(self._hear)):
            for crash_at in deaths:
                self._live(crash_at, TRADING_S)
            self._server.script = CALM
            self._server.hold_prices(True)
            life = self._live(0, SETTLING_S)
        return self._judge(life)

    def close(self) -> None:
        """End whatever is left."""
        self._server.close()
        self._loop.end_tasks()
        # Task groups that were never left, as a death leaves them, would hold their world for ever.
        for task in [task for task in _task_states if task.get_loop() is self._loop]:
            del _task_states[task]
        self._loop.close()

    def _live(self, crash_at: int, seconds: float) -> Life:
        log = self.lives[-1].log if self.lives else None
        life = Life(self, log, crash_at)
        self.lives.append(life)
        with suppress(Crash):
            self._loop.run_until_complete(life.live(seconds))
        life.end()
        bury(self._loop)
        return life

    def _on_change(self, order: TrueOrder) -> None:
        """Look whether an entry's exits can trade more than it has, at any moment (R-32)."""
        runtime = self.lives[-1].runtime
        assert runtime is not None
        known = runtime.engine.registry.find(order.client_id)
        if known is None or not known.parent:
            return
        exits = self._exits.setdefault(known.parent, [])
        if order not in exits:
            exits.append(order)
        entry = self._server.books.find(ACCOUNT, known.parent)
        self._too_large += exits_too_large(entry, exits)

    def _hear(self, line: dict[str, Any]) -> None:
        if not self.lives[-1].points.is_dead:
            self.acknowledged.append(line)

    def _judge(self, life: Life) -> Outcome:
        assert life.runtime is not None
        self._server.books.audit()
        truth = self._server.dump()
        state = state_of(life.runtime.engine, ACCOUNT, opening=CASH)
        known = journalled(record for _, record in life.log.read())
        wrong = safety(truth, known, self.acknowledged)
        wrong += agreement(truth, state) + self._too_large
        if issubclass(self.trader, BracketTrader):
            wrong += links(life.runtime.engine, ACCOUNT)
        if life.runtime.failure is not None:
            wrong.append(f"the runtime failed: {life.runtime.failure!r}")
        moments = [each.points.names for each in self.lives]
        return Outcome(moments, wrong, state, len(truth["orders"]))


def play(seed: int, script: Script, deaths: Sequence[int], **more: Any) -> Outcome:
    """Play one world to its end; `more` as in `World`."""
    world = World(seed, script, **more)
    try:
        return world.play(deaths)
    finally:
        world.close()


def bury(loop: SimulatedLoop, spares: Callable[[Task], bool] = lambda task: False) -> None:
    """Run until the dead are gone; a stop that they had asked for may come first.

    `spares` tells which tasks are not of the dead.
    """
    burial = loop.create_task(_bury(spares))
    burial.add_done_callback(lambda _: loop.stop())
    while not burial.done():
        loop.run_forever()
    burial.result()


async def _bury(spares: Callable[[Task], bool]) -> None:
    """Cancel every task of a dead trader, and hear what became of it."""
    loop, mine = asyncio.get_running_loop(), asyncio.current_task()
    loop.set_exception_handler(lambda loop, context: None)  # the dead have no complaints
    left = asyncio.all_tasks()
    await asyncio.sleep(0.001)  # a task that was never started cannot be cancelled cleanly
    left |= asyncio.all_tasks()
    in_order = sorted((task for task in left if task is not mine and not spares(task)), key=hash)
    for task in in_order:
        task.cancel()
    await asyncio.gather(*in_order, return_exceptions=True)
    loop.set_exception_handler(None)
