"""Paper trading over restarts: what the journal holds goes on, and nothing happens twice."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework import OrderStatus, TimeInForce
from framework.model.commands import SubmitOrder
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.orders import Offset, Order
from framework.model.records import OrderTrailed
from framework.model.reports import OrderAccepted, OrderFilled
from framework.orders.eviction import ClosedOrders
from framework.runtime import keeping
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import RiskSettings
from tests.scenarios.stage import Act, Actor, by_key, logged, make, perform, staged, states
from tests.scripted_venue import (
    BTC,
    SECOND_NS,
    START_NS,
    cash_of,
    position_of,
    quote,
    strategy_of,
)

D = Decimal
CORE = ExitRules(protection=ProtectionMode.CORE)
CANCELLED, EXPIRED, FILLED = (
    OrderStatus.CANCELLED,
    OrderStatus.EXPIRED,
    OrderStatus.FILLED,
)
LATER_S = 1_000  # how long after the first session the next begins
FLAT = [quote(second, 100, 101) for second in range(3)]


@dataclass
class Life:
    """Sessions on one journal, one after the other."""

    journal: Path
    sessions: int = 0
    with_snapshots: bool = True

    def session(
        self,
        plan: Mapping[int, Act] | type[Actor],
        market: Sequence[Any],
        during: Callable[[Runtime], Any] | None = None,
        **fields: Any,
    ) -> Runtime:
        """Play one session; the market's seconds count from its own start."""
        shift_ns = self.sessions * LATER_S * SECOND_NS
        moved = [_moved(event, shift_ns) for event in market]
        if not self.with_snapshots and self.sessions:
            forget_snapshots(self.journal)
        self.sessions += 1
        chosen = staged(plan, moved, Mode.PAPER, journal=self.journal, **fields)
        return perform(chosen, start_ns=START_NS + shift_ns, during=during)


def _moved(event: Any, shift_ns: int) -> Any:
    return msgspec.structs.replace(
        event, time_ns=event.time_ns + shift_ns, received_ns=event.received_ns + shift_ns
    )


def forget_snapshots(journal: Path) -> None:
    """Let the next start read the whole log."""
    with sqlite3.connect(journal) as connection:
        connection.execute("DELETE FROM snapshots")


@pytest.fixture(params=["snapshot", "log"])
def life(tmp_path: Path, request: pytest.FixtureRequest) -> Life:
    """Sessions that begin from the snapshot, or from the log alone."""
    return Life(tmp_path / "paper.db", with_snapshots=request.param == "snapshot")


def test_what_was_is_again(life: Life) -> None:
    plan = {
        1: make("entry", "buy", BTC, 2, stop_loss="5%", take_profit="5%"),
        2: make("rest", "buy", BTC, 1, price=90),
    }
    first = life.session(plan, FLAT)
    second = life.session({}, [])

    assert position_of(second) == position_of(first) == 2
    assert cash_of(second) == cash_of(first)
    assert strategy_of(second).context.session == 2
    before = {order.key: (order.quantity, order.price, order.stop_price) for order in open_(first)}
    after = {order.key: (order.quantity, order.price, order.stop_price) for order in open_(second)}
    assert before == after
    assert len(after) == 3


def test_orders_put_back_go_on_and_ids_are_never_used_again(life: Life) -> None:
    plan = {2: make("rest", "buy", BTC, 1, price=99), 1: make("entry", "buy", BTC, 1)}
    falls = [quote(0, 100, 101), quote(1, 98, 98.5), quote(2, 98, 98.5)]

    life.session(plan, FLAT)
    runtime = life.session({1: make("more", "buy", BTC, 1)}, falls)
    runtime = life.session({1: make("more", "buy", BTC, 1)}, falls)

    fills = logged(life.journal, OrderFilled)
    assert len({fill.execution_id for fill in fills}) == len(fills) == 4
    names = [fact.venue_order_id for fact in logged(life.journal, OrderAccepted)]
    assert len(set(names)) == len(names)
    keys = [command.intent.key for command in logged(life.journal, SubmitOrder)]
    assert len(set(keys)) == len(keys) == 4
    assert [key.partition(".")[0] for key in keys] == ["1", "1", "2", "3"]
    assert position_of(runtime) == 4


@pytest.mark.parametrize("protection", [ProtectionMode.CORE, ProtectionMode.PREFER_NATIVE])
def test_a_stop_goes_at_the_first_fresh_price_after_the_restart(
    life: Life, protection: ProtectionMode
) -> None:
    rules = ExitRules(protection=protection)
    plan = {1: make("entry", "buy", BTC, 1, stop_loss="5%", take_profit="5%")}

    life.session(plan, FLAT, exits=rules)
    runtime = life.session({}, [quote(0, 90, 91), quote(1, 90, 91)], exits=rules)

    assert position_of(runtime) == 0
    assert cash_of(runtime) == 1_000_000 - 101 + 90
    assert by_key(runtime, "/target").status is CANCELLED


def test_a_trail_goes_on_from_the_best_price_in_the_journal(life: Life) -> None:
    plan = {1: make("entry", "buy", BTC, 1, trailing_stop=Offset(D(5)))}

    life.session(plan, [quote(0, 100, 101), quote(1, 120, 121), quote(2, 118, 119)])
    runtime = life.session({}, [quote(0, 117, 118), quote(1, 116, 117)])
    assert position_of(runtime) == 1
    assert by_key(runtime, "/trail").stop_price == 115

    runtime = life.session({}, [quote(0, 115, 116), quote(1, 115, 116)])
    assert position_of(runtime) == 0
    assert cash_of(runtime) == 1_000_000 - 101 + 115
    assert max(mark.extreme for mark in logged(life.journal, OrderTrailed)) == 120


def test_a_partly_filled_order_goes_on_with_what_is_left(life: Life) -> None:
    """Changed after the restart, too: the venue knows what it had traded before."""
    thin = [_sized(second, 100, 101, 10.0) for second in range(4)]
    fills = {"fills": {"model": "volume_share", "share": D("0.1")}}

    first = life.session({1: make("it", "buy", BTC, 10, price=101)}, thin, venue=fills)
    assert states(first)[0].filled == 4

    def change(strategy: Any) -> None:
        (order,) = strategy.orders(BTC)
        assert strategy.modify(order.order_id, quantity=8, price=102) is None

    more = [_sized(second, 100, 102, 10.0) for second in range(8)]
    second = life.session({1: change}, more, venue=fills)

    assert position_of(second) == 8
    (order,) = [order for order in states(second) if order.filled]
    assert (order.status, order.quantity, order.filled) == (FILLED, D(8), D(8))


def _sized(second: float, bid: float, ask: float, size: float) -> Any:
    return msgspec.structs.replace(quote(second, bid, ask), bid_size=size, ask_size=size)


def test_what_expired_meanwhile_is_expired(life: Life) -> None:
    at_ns = START_NS + 100 * SECOND_NS
    gtd: dict[str, Any] = {"time_in_force": TimeInForce.GTD, "expire_ns": at_ns}
    plan = {
        1: make("venue", "buy", BTC, 1, price=90, key="venue", **gtd),
        2: make("held", "buy", BTC, 1, trail=Offset(D(50)), key="held", **gtd),
        3: make("day", "buy", BTC, 1, price=90, key="day", time_in_force=TimeInForce.DAY),
    }

    life.session(plan, FLAT)
    runtime = life.session({}, FLAT)
    found = {order.key: order.status for order in closed_now(runtime)}
    assert found == {"venue": EXPIRED, "held": EXPIRED}
    assert [order.key for order in open_(runtime)] == ["day"]

    life.sessions = 100  # more than a day later
    runtime = life.session({}, FLAT)
    assert {order.key: order.status for order in closed_now(runtime)} == {"day": EXPIRED}


def test_a_closing_order_of_before_is_still_the_one(life: Life) -> None:
    """A market that has gone leaves it waiting; closing again must not sell twice."""
    fills = {"fills": {"model": "volume_share", "share": D("0.1")}}
    thin = [_sized(0, 100, 101, 100.0), _sized(1, 100, 101, 100.0), _sized(2, 100, 101, 0.01)]
    handles: list[Any] = []
    plan = {1: make("entry", "buy", BTC, 1), 3: lambda strategy: strategy.close(BTC)}

    first = life.session(plan, thin, venue=fills)
    assert position_of(first) == 1
    again = {1: lambda strategy: handles.append(strategy.close(BTC))}
    second = life.session(again, [_sized(0, 100, 101, 0.01), *FLAT[1:]], venue=fills)

    assert position_of(second) == 0
    sells = [one for one in logged(life.journal, SubmitOrder) if one.intent.reduce_only]
    assert len(sells) == 1
    assert handles[0].order_id == sells[0].order_id


def test_r29_a_repeated_key_is_the_same_order_after_a_restart(life: Life) -> None:
    plan = {1: make("it", "buy", BTC, 1, key="once")}

    life.session(plan, FLAT)
    life.session(plan, FLAT)
    runtime = life.session(plan, FLAT)

    assert position_of(runtime) == 1
    assert len(logged(life.journal, SubmitOrder)) == 1


def test_exits_that_were_given_up_on_are_known_after_a_restart(life: Life) -> None:
    """A tripped exit has no open order left to be seen by: its entry and failures must stay."""
    plan = {1: make("entry", "buy", BTC, 1, stop_loss="5%"), 3: _refuse_exits}
    falls = [*FLAT, *(quote(second, 90, 91) for second in range(3, 9))]

    first = life.session(plan, falls, exits=CORE)
    second = life.session({}, [quote(0, 90, 91)], exits=CORE)

    assert position_of(first) == position_of(second) == 1
    tripped = [name for name, _ in first.system.care.emulation.tripped()]
    assert [name for name, _ in second.system.care.emulation.tripped()] == tripped
    assert len(tripped) == 1

    async def reset(runtime: Runtime) -> None:
        assert runtime.system.care.emulation.reset(tripped[0]) is None

    third = life.session({}, [quote(0, 90, 91), quote(1, 90, 91)], exits=CORE, during=reset)
    assert position_of(third) == 0


def _refuse_exits(strategy: Any) -> None:
    """Have the venue reject everything that reduces from now on."""
    venue = strategy.context._engine.brokers["main"]
    submit = venue._submit

    def refuse(command: SubmitOrder) -> None:
        if command.intent.reduce_only:
            venue.executions.rejected(command.order_id, "no exits today")
        else:
            submit(command)

    venue._submit = refuse


def open_(runtime: Runtime) -> list[Order]:
    """Return the run's open orders."""
    return [order for order in states(runtime) if not order.is_closed]


def closed_now(runtime: Runtime) -> list[Order]:
    """Return the run's closed orders that this session still knows."""
    return [order for order in states(runtime) if order.is_closed]


# -- many orders


class Churning(Actor):
    """Takes and gives back one unit with each quote, so that orders close by the thousand."""

    def on_quote(self, quote: Any) -> None:
        self.count += 1
        if self.count <= ORDERS:
            side = self.buy if self.count % 2 else self.sell
            side(BTC, 1, key=f"k{self.count}")
        elif self.count == ORDERS + 1:
            self.again = self.buy(BTC, 1, key="k1")
            self.publish(
                OrderFilled(self.again.order_id, "late", D(1), D(50), self.now_ns)
            )  # as a venue may, long after


ORDERS = 300


def test_r53_closed_orders_leave_memory_and_the_journal_answers_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-29, R-23, R-24: a repeated key, and a late fill, of an order that left memory."""
    monkeypatch.setattr(keeping, "ClosedOrders", partial(ClosedOrders, kept=20))
    sizes: list[int] = []

    class Watching(Churning):
        def on_quote(self, quote: Any) -> None:
            super().on_quote(quote)
            sizes.append(len(self.context._engine.registry))  # type: ignore[attr-defined]

    life = Life(tmp_path / "paper.db")
    market = [quote(second / 5, 100, 101) for second in range(ORDERS + 5)]

    runtime = life.session(Watching, market, risk=RiskSettings(max_orders_per_second=1_000))

    assert max(sizes) <= 30
    sent = logged(life.journal, SubmitOrder)
    assert len(sent) == ORDERS
    first = next(command for command in sent if command.intent.key == "k1")
    assert strategy_of(runtime).again.order_id == first.order_id
    late = [fill for fill in logged(life.journal, OrderFilled) if fill.execution_id == "late"]
    assert len(late) == 1
    assert position_of(runtime) == 1  # the late fill is booked, whatever it was ordered for
    again = life.session({}, [])
    assert position_of(again) == 1
    assert cash_of(again) == cash_of(runtime)
    assert len(again.engine.registry) == 0
