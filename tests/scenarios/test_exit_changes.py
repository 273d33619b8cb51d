"""Exits, trails and groups changed while they work: at the simulated venue, restarted, replayed.

What the core offers to whoever trades from outside a strategy, through the desk that is recorded.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import anyio
import msgspec
import pytest

from framework import OrderStatus
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.inputs import CommandIssued
from framework.model.market_data import Quote
from framework.model.orders import AtPrice, Exits, Offset, Order, OrderIntent, OrderType, Side
from framework.model.records import ExitsReplaced, OrderTrailed
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import InstrumentSettings
from tests.recorded_session import record, verify
from tests.scenarios.stage import (
    BOTH,
    Act,
    Actor,
    by_key,
    logged,
    make,
    most_at_venue,
    perform,
    staged,
    states,
    statuses,
)
from tests.scenarios.test_paper_restarts import Life
from tests.scripted_venue import (
    BTC,
    cash_of,
    entries,
    position_of,
    quote,
    strategy_of,
)

D = Decimal
CANCELLED, FILLED, HELD = OrderStatus.CANCELLED, OrderStatus.FILLED, OrderStatus.HELD
CORE = ExitRules(protection=ProtectionMode.CORE)
EITHER = [ProtectionMode.CORE, ProtectionMode.PREFER_NATIVE]
both_modes = pytest.mark.parametrize("mode", BOTH)
either = pytest.mark.parametrize("protection", EITHER)
TINY = "x:TINY"
FLAT = [quote(second, 100, 101) for second in range(6)]


def replace(name: str, exits: Exits) -> Act:
    """Return an act that gives the order made under `name` other exits."""

    def act(strategy: Any) -> None:
        order_id = strategy.made[name].order_id
        strategy.heard.append(strategy.context.desk.modify_exits(order_id, exits))

    return act


def send(**wishes: Any) -> Act:
    """Return an act that submits an intent with options, which no strategy's call has."""

    def act(strategy: Any) -> None:
        strategy.context.desk.submit(OrderIntent("run", instrument=BTC, **wishes))

    return act


@pytest.fixture(params=["snapshot", "log"])
def life(tmp_path: Path, request: pytest.FixtureRequest) -> Life:
    """Sessions that begin from the snapshot, or from the log alone."""
    return Life(tmp_path / "paper.db", with_snapshots=request.param == "snapshot")


@both_modes
@either
def test_r31_tranches_follow_the_exits_of_now_and_are_there_before_the_fill_is_told_of(
    mode: Mode, protection: ProtectionMode
) -> None:
    """Quantities that no lot rounds, in tranches of a tenth of what is on offer."""
    seen: list[list[tuple[str, Decimal, Decimal | None]]] = []
    moved = Exits(stop_loss=AtPrice(D("98.5")), take_profit=Offset(D(20)))

    class Filled(Actor):
        plan: ClassVar[Mapping[int, Act]] = {
            1: make("entry", "buy", TINY, D("0.0000003"), price=101, stop_loss=Offset(D(2))),
            3: replace("entry", moved),
        }

        def on_fill(self, fill: Any) -> None:
            exits = [order for order in self.orders(TINY) if order.parent]
            names = [(o.key.rpartition("/")[2], o.remaining, o.stop_price) for o in exits]
            seen.append(sorted(names, key=str))

    Filled.watched = [TINY]
    thin = [_sized(second, 1e-6, at=TINY) for second in range(7)]
    venue = {
        "fills": {"model": "volume_share", "share": D("0.1")},
        "instruments": [InstrumentSettings(symbol="TINY", tick=D("0.01"))],
    }

    runtime = perform(
        staged(Filled, thin, mode, exits=ExitRules(protection=protection), venue=venue)
    )

    assert len(seen) == 3
    assert [[name for name, _, _ in held] for held in seen] == [
        ["stop"],
        ["stop"],
        ["stop", "target"],
    ]
    target = by_key(runtime, "/target")
    assert (target.quantity, target.price) == (D("0.0000003"), D(121))
    stop = by_key(runtime, "/stop")
    assert (stop.quantity, stop.stop_price) == (D("0.0000003"), D("98.5"))
    assert not stop.is_closed
    assert most_at_venue(runtime) <= 0


def _sized(second: int, size: float, *, at: str = BTC) -> Quote:
    return msgspec.structs.replace(quote(second, 100, 101, at=at), bid_size=size, ask_size=size)


@both_modes
@either
def test_a_resting_stop_is_moved_and_ends_the_position_there(
    mode: Mode, protection: ProtectionMode
) -> None:
    plan = {
        1: make("entry", "buy", BTC, 1, stop_loss="10%", take_profit="10%"),
        3: replace("entry", Exits(stop_loss=AtPrice(D(98)), take_profit=AtPrice(D(120)))),
    }
    market = [*FLAT[:4], quote(4, 97, 98), quote(5, 97, 98)]

    runtime = perform(staged(plan, market, mode, exits=ExitRules(protection=protection)))

    assert strategy_of(runtime).heard.count(None) == 1
    assert statuses(runtime)["stop"] is FILLED
    assert statuses(runtime)["target"] is CANCELLED
    assert position_of(runtime) == 0
    assert cash_of(runtime) == 1_000_000 - 101 + 97
    assert most_at_venue(runtime) <= 0


@both_modes
def test_a_cancelled_entry_drops_its_exits_and_keeps_those_of_what_it_filled(mode: Mode) -> None:
    plan = {
        1: make("entry", "buy", BTC, 10, price=101, stop_loss=Offset(D(2))),
        2: replace("entry", Exits(stop_loss=AtPrice(D(97)))),
        3: lambda strategy: strategy.cancel(strategy.made["entry"]),
    }
    thin = [_sized(second, 10.0) for second in range(6)]
    venue = {"fills": {"model": "volume_share", "share": D("0.1")}}

    runtime = perform(staged(plan, thin, mode, exits=CORE, venue=venue))

    stop, held = by_key(runtime, "/stop"), position_of(runtime)
    assert 0 < held < 10
    assert (stop.status, stop.quantity, stop.stop_price) == (HELD, held, D(97))


@both_modes
def test_a_closed_position_takes_its_own_exits_and_no_others(mode: Mode) -> None:
    """A second entry that waits in the same instrument keeps its own (by position, then entry)."""
    plan = {
        1: make("entry", "buy", BTC, 1, stop_loss="10%", take_profit="10%"),
        2: make("waiting", "buy", BTC, 1, price=90, stop_loss="10%"),
        3: lambda strategy: (
            strategy.close(BTC, cancel_entries=False) if False else strategy.sell(BTC, 1)
        ),
    }
    market = [*FLAT[:4], quote(4, 89, 90), quote(5, 89, 90), quote(6, 89, 90)]

    runtime = perform(staged(plan, market, mode, exits=CORE))

    orders = states(runtime)
    own = [order for order in orders if order.parent == orders[0].order_id]
    assert [order.status for order in own] == [CANCELLED, CANCELLED]
    others = [order for order in orders if order.parent and order not in own]
    assert [(order.status, order.stop_price) for order in others] == [(HELD, D(81))]


@both_modes
def test_a_trail_of_its_own_is_given_another_distance(mode: Mode) -> None:
    def closer(strategy: Any) -> None:
        order_id = strategy.made["trail"].order_id
        strategy.heard.append(strategy.context.desk.modify(order_id, trail=Offset(D(1))))

    plan = {
        1: make("entry", "buy", BTC, 1),
        2: make("trail", "sell", BTC, 1, trail=Offset(D(20))),
        4: closer,
    }
    market = [*FLAT[:3], quote(3, 110, 111), quote(4, 109.5, 110), quote(5, 109, 110)]
    market += [quote(6, 109, 110)]

    runtime = perform(staged(plan, market, mode))

    order = states(runtime)[1]
    assert (order.status, order.trail) == (FILLED, Offset(D(1)))
    assert [mark.stop_price for mark in entries(runtime, OrderTrailed)] == [80, 90, 109]
    assert cash_of(runtime) == 1_000_000 - 101 + 109


@both_modes
def test_a_whole_group_is_won_by_a_whole_fill_alone(mode: Mode) -> None:
    group: dict[str, Any] = {"oco_group": "g", "options": (("oco", "whole"),)}
    plan = {
        1: send(key="a", side=Side.BUY, quantity=D(3), type=OrderType.LIMIT, price=D(101), **group),
        2: send(key="b", side=Side.BUY, quantity=D(5), type=OrderType.LIMIT, price=D(90), **group),
    }
    sizes: list[tuple[Decimal, Decimal]] = []

    class Group(Actor):
        def on_order(self, order: Order) -> None:
            open_ = {one.key: one for one in self.orders(BTC)}
            if "a" in open_ and "b" in open_:
                sizes.append((open_["a"].filled, open_["b"].quantity))

    Group.plan = plan
    thin = [_sized(second, 10.0) for second in range(7)]
    venue = {"fills": {"model": "volume_share", "share": D("0.1")}}

    runtime = perform(staged(Group, thin, mode, venue=venue))

    found = {order.key: order.status for order in states(runtime)}
    assert found == {"a": FILLED, "b": CANCELLED}
    assert (D(2), D(5)) in sizes


# -- over restarts


def test_changed_exits_hold_after_a_restart_before_and_after_the_fill(life: Life) -> None:
    moved = Exits(stop_loss=AtPrice(D(95)), take_profit=AtPrice(D(130)))
    plan = {
        1: make("entry", "buy", BTC, 1, stop_loss="10%", take_profit="10%"),
        2: make("rest", "buy", BTC, 1, price=99, stop_loss="10%"),
        3: replace("entry", moved),
        4: replace("rest", moved),
    }
    life.session(plan, FLAT)

    runtime = life.session({}, [quote(0, 98, 99), quote(1, 98, 99), quote(2, 98, 99)])

    open_ = [order for order in states(runtime) if order.parent and not order.is_closed]
    found = sorted(
        (order.key.rpartition("/")[2], order.price or order.stop_price) for order in open_
    )
    assert found == [("stop", D(95))] * 2 + [("target", D(130))] * 2
    assert len(logged(life.journal, ExitsReplaced)) == 2

    runtime = life.session({}, [quote(0, 94, 95), quote(1, 94, 95), quote(2, 94, 95)])
    assert position_of(runtime) == 0
    assert not [order for order in states(runtime) if not order.is_closed]


def test_a_changed_trail_goes_on_after_a_restart(life: Life) -> None:
    def closer(strategy: Any) -> None:
        strategy.context.desk.modify(strategy.made["trail"].order_id, trail=Offset(D(2)))

    plan = {
        1: make("entry", "buy", BTC, 1),
        2: make("trail", "sell", BTC, 1, trail=Offset(D(20))),
        4: closer,
    }
    life.session(plan, FLAT)

    runtime = life.session({}, [quote(0, 104, 105), quote(1, 104, 105)])

    (order,) = [order for order in states(runtime) if order.trail is not None]
    assert (order.status, order.stop_price, order.trail) == (HELD, D(102), Offset(D(2)))


# -- replayed


class Changing(Actor):
    """Enters, changes and moves exits, trails and groups, and asks for what is refused."""

    plan: ClassVar[Mapping[int, Act]] = {
        1: make("entry", "buy", BTC, 1, stop_loss="10%", take_profit="10%"),
        2: replace("entry", Exits(stop_loss=AtPrice(D(95)), take_profit=Offset(D(30)))),
        3: make("trail", "sell", BTC, 1, trail=Offset(D(20)), key="own"),
        4: replace("entry", Exits(stop_loss=AtPrice(D(105)))),  # beyond the market: refused
        5: lambda strategy: strategy.heard.append(
            strategy.context.desk.modify(
                strategy.made["trail"].order_id, quantity=D("0.5"), trail=Offset(D(9))
            )
        ),
        6: replace("entry", Exits(trail=Offset(D(3)), trail_activation=Offset(D(1)))),
        7: lambda strategy: strategy.heard.append(strategy.context.desk.reset_exits("run")),
        8: replace("trail", Exits(stop_loss=Offset(D(1)))),
        9: make("pair", "buy", BTC, 1, price=90, oco_group="g", stop_loss="1%"),
        10: replace("pair", Exits()),
    }


@pytest.mark.parametrize("protection", EITHER)
def test_r74_changed_exits_and_trails_are_the_same_in_a_replay(protection: ProtectionMode) -> None:
    market = [quote(second, 100 + second % 3, 101 + second % 3) for second in range(14)]
    market += [quote(14, 104, 105), quote(15, 101, 102), quote(16, 88, 89), quote(17, 88, 89)]
    chosen = staged(Changing, market, exits=ExitRules(protection=protection))

    runtime, sink = record(chosen)

    verdict = verify(chosen, sink)
    assert verdict.difference is None, verdict.difference
    assert (verdict.unverifiable, verdict.lost) == ({}, "")
    names = [command.name for command in sink.of(CommandIssued)]
    assert verdict.command_count == len(names)
    assert names.count("modify_exits") == 5
    assert "reset_exits" in names
    assert len(entries(runtime, ExitsReplaced)) == 4


def test_exits_changed_from_outside_are_carried_out_in_the_replay(tmp_path: Path) -> None:
    """As a front door does it: no strategy gives the command."""

    async def during(runtime: Runtime) -> None:
        await anyio.sleep(2.5)
        desk = runtime.engine.desk
        (entry,) = [order for order in runtime.engine.registry if not order.parent]
        moved = Exits(stop_loss=AtPrice(D(96)), take_profit=Offset(D(9)))
        assert desk.modify_exits(entry.order_id, moved) is None
        assert desk.modify_exits("nobody", moved) is not None
        assert desk.reset_exits("run") == 0

    plan = {1: make("entry", "buy", BTC, 1, stop_loss="10%", take_profit="10%")}
    chosen = staged(plan, FLAT, Mode.PAPER, journal=tmp_path / "it.db")

    runtime, sink = record(chosen, during=during)

    assert by_key(runtime, "/stop").stop_price == 96
    verdict = verify(chosen, sink)
    assert verdict.difference is None, verdict.difference
    assert "modify_exits" in [command.name for command in sink.of(CommandIssued)]
