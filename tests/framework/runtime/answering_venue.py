"""A venue with the truth in it, which answers late, in part or not at all; on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import anyio

from framework.clock.clock import LiveClock
from framework.errors import VenueUnavailable
from framework.interfaces import BrokerCapabilities
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.orders import OrderStatus
from framework.model.reports import OrderAccepted
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.framework.orders.venue_world import SECOND_NS, START_NS, VenueWorld

T = TypeVar("T")
HEARD = "heard"
LOST_BEFORE = "lost before it came"
LOST_AFTER = "answer lost"


class AnsweringVenue:
    """Takes orders as `fate` says and answers after `latency_s`, except during `outages`.

    `outages` are (from, until) in seconds since the start; an order shows `visible_after_s` after
    its acceptance. `failing` names the questions that always fail, `asked` counts all.
    """

    def __init__(self, clock: LiveClock, *, has_client_ids: bool = True, **fields: float) -> None:
        self.capabilities = BrokerCapabilities(
            has_client_ids=has_client_ids,
            visibility_delay_ms=round(fields.get("visibility_s", 0) * 1000),
        )
        self.clock = clock
        self.latency_s = fields.get("latency_s", 0.01)
        self.visible_after_s = fields.get("visible_after_s", 0.0)
        self.fate: Callable[[VenueCommand], str] = lambda command: HEARD
        self.outages: list[tuple[float, float]] = []
        self.failing: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.received: list[VenueCommand] = []
        self.accepted: dict[str, tuple[int, OrderReport]] = {}
        self.fills: list[ExecutionReport] = []
        self.held: tuple[PositionReport, ...] = ()
        self.cash: tuple[BalanceReport, ...] = ()
        self.publish: Callable[[object], None] = lambda event: None

    def send(self, command: VenueCommand) -> None:
        """Take a command, or lose it, or lose its answer."""
        fate = self.fate(command)
        if fate == LOST_BEFORE:
            return
        self.received.append(command)
        now_ns = self.clock.now_ns
        if isinstance(command, SubmitOrder):
            report = self.report(command, now_ns)
            self.accepted[command.order_id] = (now_ns, report)
            if fate == HEARD:
                self.publish(OrderAccepted(command.order_id, now_ns, report.venue_order_id))
        elif isinstance(command, CancelOrder) and fate == HEARD:
            self.accepted.pop(command.order_id, None)

    def report(self, command: SubmitOrder, now_ns: int) -> OrderReport:
        has_ids = self.capabilities.has_client_ids
        return OrderReport(
            command.account,
            f"V-{len(self.accepted) + 1}",
            command.intent.instrument,
            command.intent.side,
            command.quantity,
            Decimal(0),
            OrderStatus.ACCEPTED,
            now_ns,
            command.order_id if has_ids else "",
            price=command.intent.price,
        )

    async def run(self) -> None:
        await anyio.sleep_forever()

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        await self._answer("order")
        return next((one for one in self._visible() if one.order_id == order_id), None)

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        await self._answer("orders")
        return self._visible()

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        await self._answer("executions")
        return [fill for fill in self.fills if fill.time_ns >= since_ns]

    async def positions(self, account: str) -> Sequence[PositionReport]:
        await self._answer("positions")
        return self.held

    async def balances(self, account: str) -> Sequence[BalanceReport]:
        await self._answer("balances")
        return self.cash

    def count(self, what: str) -> int:
        return sum(name == what for name, _ in self.asked)

    def _visible(self) -> list[OrderReport]:
        latest_ns = self.clock.now_ns - round(self.visible_after_s * SECOND_NS)
        return [report for at_ns, report in self.accepted.values() if at_ns <= latest_ns]

    async def _answer(self, what: str) -> None:
        self.asked.append((what, self.clock.now_ns))
        await anyio.sleep(self.latency_s)
        since_s = (self.clock.now_ns - START_NS) / SECOND_NS
        if what in self.failing or any(first <= since_s < last for first, last in self.outages):
            raise VenueUnavailable(f"{what}: the link is down")


class Scene:
    """A desk and a venue on one simulated loop."""

    def __init__(self, loop: SimulatedLoop, **options: float | bool) -> None:
        has_client_ids = bool(options.pop("has_client_ids", True))
        self.loop = loop
        self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self.clock.start()
        self.venue = AnsweringVenue(self.clock, has_client_ids=has_client_ids, **options)
        self.world = VenueWorld(
            self.clock,
            has_client_ids=has_client_ids,
            visibility_s=float(options.get("visibility_s", 0)),
        )
        self.world.on_send = self.venue.send
        self.venue.publish = self.world.publish
        self.brokers = {"main": self.venue}

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return (self.loop.now_ns - START_NS) / SECOND_NS

    async def until(self, condition: Callable[[], bool], *, limit_s: float = 300) -> None:
        """Wait until something holds, looked at a hundred times a second."""
        with anyio.fail_after(limit_s):
            while not condition():  # noqa: ASYNC110 - looking costs nothing on virtual time
                await anyio.sleep(0.01)


def play(
    act: Callable[[Scene], Awaitable[T]],
    *,
    beside: Callable[[Scene], Callable[[], Coroutine[Any, Any, None]]],
    seed: int = 0,
    **options: float | bool,
) -> T:
    """Run `act` on a fresh loop, beside the shell that `beside` makes."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        scene = Scene(loop, **options)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beside(scene))
            result = await act(scene)
            tasks.cancel_scope.cancel()
        scene.clock.stop()
        return result

    return run_simulated(main, seed=seed, start_ns=START_NS)
