"""A live session against the scripted broker, on one simulated loop: crashable, and looked into.

The broker outlives every session. Orders go through the desk like those of any door; the strategy
only listens.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import msgspec

from framework import Fill, Order, Quote, Strategy
from framework.interfaces import Adapter
from framework.model.events import OrderAnomaly
from framework.model.exits import ExitRules
from framework.model.orders import Exits, OrderIntent, OrderType, Side
from framework.model.records import AlertRaised
from framework.orders.order_state import OrderState
from framework.runtime import adapters
from framework.runtime.runner import Runtime
from framework.settings.risk_limits import RiskSettings, RunawaySettings
from framework.settings.structs import Settings, StrategySettings
from framework.simulation.loop import SimulatedLoop
from tests.broker import adapter
from tests.broker.adapter import WireBroker
from tests.broker.rig import START_NS, started_server
from tests.broker.script import CALM, Script
from tests.crash.check import agreement, state_of
from tests.crash.crashable_log import CrashableLog
from tests.crash.trading import ACCOUNT, CASH, trader_settings
from tests.crash.world import bury

RUN = "puppet"
BTC, ETH = "x:BTC", "x:ETH"
SECOND_NS = 1_000_000_000
D = Decimal


class Listener(Strategy):
    """Watches prices and keeps what it hears."""

    def on_start(self) -> None:
        """Begin to listen."""
        self.heard: list[Any] = []
        for name in (BTC, ETH):
            self.watch_quotes(name)
        self.started_ns = self.now_ns

    def on_quote(self, quote: Quote) -> None:
        """Keep it."""
        self.heard.append(quote)

    def on_order(self, order: Order) -> None:
        """Keep it."""
        self.heard.append(order)

    def on_fill(self, fill: Any) -> None:
        """Keep it, or its correction."""
        self.heard.append(fill)

    def fills(self) -> list[Fill]:
        """Return the fills that were told of, without corrections."""
        return [event for event in self.heard if isinstance(event, Fill)]


def live_settings(
    *, seed: int = 0, exits: ExitRules | None = None, strategy: str = "", **link: Any
) -> Settings:
    """Return a configuration with one run that only listens, and no limits of its own."""
    settings = trader_settings(seed=seed, **link)
    run = StrategySettings(
        id=RUN,
        class_=strategy or f"{__name__}:Listener",
        account=ACCOUNT,
        on_stop=settings.strategies[0].on_stop,
        exits=exits,
    )
    risk = RiskSettings(runaway=RunawaySettings(None, None, None))
    return msgspec.structs.replace(settings, strategies=[run], risk=risk)


class Stage:
    """One broker and the sessions in front of it, one at a time.

    Attributes:
        server: the broker, with the truth in its books.
        log: the order log of the newest session.
        make_broker: puts something between the core and the adapter's broker.
    """

    def __init__(
        self, script: Script = CALM, *, seed: int = 0, commit_s: float = 0.0005, **settings: Any
    ) -> None:
        self.loop = SimulatedLoop(seed=seed, start_ns=START_NS)
        self.seed = seed
        self.server = self.loop.run_until_complete(started_server(script, seed=seed))
        self.log = CrashableLog(commit_s=commit_s)
        self.broker: WireBroker | None = None
        self.make_broker: Callable[[WireBroker, Any], Any] = lambda broker, context: broker
        self._settings = settings
        self._runtime: Runtime | None = None
        self._key_count = 0

    # -- time ------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def wait_until(
        self, condition: Callable[[], bool], limit_s: float, step_s: float = 0.01
    ) -> float:
        """Let time pass until `condition` holds; return how long that took.

        Raises:
            AssertionError: it did not come to hold within `limit_s`.
        """
        began_ns = self.loop.now_ns
        while not condition():
            took_s = (self.loop.now_ns - began_ns) / SECOND_NS
            assert took_s <= limit_s, f"not within {limit_s} s"
            self.wait(step_s)
        return (self.loop.now_ns - began_ns) / SECOND_NS

    def take_down(self, seconds: float) -> None:
        """Have the broker break every connection and let nobody in for so long."""
        self.ask(lambda: self.server.restart(seconds * 1_000))

    # -- sessions --------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The newest session."""
        assert self._runtime is not None
        return self._runtime

    @property
    def engine(self) -> Any:
        """Its core."""
        return self.runtime.engine

    @property
    def listener(self) -> Listener:
        """Its strategy."""
        strategy = self.runtime.system.runs[0].strategy
        assert isinstance(strategy, Listener)
        return strategy

    def start(self, *, waits_s: float = 0.1) -> "Stage":
        """Begin a session and let it come up."""
        self.begin()
        self.loop.run_until_complete(self._starting)
        self.wait(waits_s)
        return self

    def begin(self) -> None:
        """Begin a session without waiting for anything."""
        runtime = self._runtime = Runtime(
            live_settings(seed=self.seed, **self._settings),
            order_log=self.log,
            journal_id=self.log.journal_id,
        )
        adapter.install(self._build)
        self._starting = self.loop.create_task(_enter(runtime))

    @property
    def is_started(self) -> bool:
        """Whether the session's start is over."""
        return self._starting.done()

    def crash(self, *, delivers: bool = True, keeps: int | None = None) -> None:
        """Kill the session; `keeps` of what was not durable is on the disk all the same."""
        log = self.log
        log.die()
        if self.broker is not None:
            self.broker.hang_up(delivers=delivers)
        bury(self.loop)
        kept = log.volatile_count if keeps is None else keeps
        self.log = log.survivor(kept, lambda name: None)

    def close(self) -> None:
        """End everything; nothing says goodbye."""
        self.crash()
        self.server.close()
        self.loop.end_tasks()
        self.loop.close()

    # -- orders ----------------------------------------------------------------------------------

    def submit(
        self,
        quantity: str = "1",
        *,
        side: Side = Side.BUY,
        price: str | None = None,
        key: str = "",
        instrument: str = BTC,
        reduce_only: bool = False,
        exits: Exits | None = None,
        send_by_ns: int | None = None,
    ) -> OrderState:
        """Submit an order as a door would."""
        self._key_count += 1
        intent = OrderIntent(
            RUN,
            key or f"k{self.loop.now_ns}-{self._key_count}",
            instrument,
            side,
            D(quantity),
            OrderType.MARKET if price is None else OrderType.LIMIT,
            None if price is None else D(price),
            reduce_only=reduce_only,
            exits=exits,
            send_by_ns=send_by_ns,
        )
        order: OrderState = self.ask(lambda: self.engine.desk.submit(intent))
        return order

    def cancel(self, order: OrderState) -> str | None:
        """Ask for an order's end."""
        refusal: str | None = self.ask(lambda: self.engine.desk.cancel(order.order_id))
        return refusal

    def modify(self, order: OrderState, **changes: Decimal) -> str | None:
        """Ask for another quantity or price."""
        refusal: str | None = self.ask(lambda: self.engine.desk.modify(order.order_id, **changes))
        return refusal

    def ask(self, call: Callable[[], Any]) -> Any:
        """Call something inside the running loop, as a door does."""

        async def calling() -> Any:
            return call()

        return self.loop.run_until_complete(calling())

    def _build(self, section: Any, context: Any) -> Adapter:
        made = adapter.build(section, context)
        assert isinstance(made.broker, WireBroker)
        self.broker = made.broker
        made.broker = self.make_broker(made.broker, context)
        return made

    # -- what is and what should be --------------------------------------------------------------

    def differences(self) -> list[str]:
        """Return where the session and the broker disagree."""
        self.server.books.audit()
        state = state_of(self.engine, ACCOUNT, opening=CASH)
        return agreement(self.server.dump(), state)

    def received(self, verb: str, order: OrderState) -> int:
        """Return how many requests of this kind about an order arrived at the broker."""
        return sum(
            note.verb == verb and note.client_id == order.order_id
            for note in self.server.books.received
        )

    def alerts(self) -> list[str]:
        """Return the names of the alerts of all sessions on this log, oldest first."""
        return [record.name for _, record in self.log.read() if isinstance(record, AlertRaised)]

    def anomalies(self) -> list[str]:
        """Return what the strategy was told of contradictions."""
        return [event.what for event in self.listener.heard if isinstance(event, OrderAnomaly)]


async def _enter(runtime: Runtime) -> None:
    with patch.object(adapters, "entry_points", lambda **_: ()):  # it reads the whole disk
        await runtime.__aenter__()


@contextmanager
def stage(*args: Any, **settings: Any) -> Iterator[Stage]:
    """Open a stage with a session on it."""
    made = Stage(*args, **settings)
    try:
        yield made.start()
    finally:
        made.close()
