"""Since when positions are held: whatever opens, turns or ends them, and over restarts."""

from decimal import Decimal

from hypothesis import given

from framework.engine.archive import Archive
from framework.model.account import CashBooked, CashReason, Settled
from framework.model.instrument import Instrument
from framework.model.records import PositionAssigned
from framework.model.reports import FillCorrection, OrderFilled
from framework.orders.openings import Opening, Openings
from tests.framework.engine.restored_world import (
    Step,
    keep_snapshot,
    play,
    reborn,
    steps,
    without_snapshot,
)
from tests.framework.orders.venue_world import PERPETUAL, SELL, SPOT, VenueWorld


def trade(world: VenueWorld, quantity: str, *, run: str = "r0", instrument: str = PERPETUAL) -> int:
    """Have a market order filled, a second later; return when."""
    world.pass_time(1)
    order = world.submit(quantity=quantity, run=run, instrument=instrument)
    now_ns = world.clock.now_ns
    world.publish(OrderFilled(order.order_id, "E", Decimal(quantity), Decimal(100), now_ns))
    return now_ns


def sell(world: VenueWorld, quantity: str) -> int:
    world.pass_time(1)
    order = world.submit(SELL, quantity, run="r0")
    now_ns = world.clock.now_ns
    world.publish(OrderFilled(order.order_id, "E", Decimal(quantity), Decimal(100), now_ns))
    return now_ns


def times(world: VenueWorld, run: str = "r0", instrument: str = PERPETUAL) -> tuple[int, int]:
    (holding,) = world.ledger.of_run(run, instrument)
    since = world.parts.openings.of(holding)
    assert since is not None
    return since.opened_ns, since.updated_ns


@given(steps)
def test_snapshot_and_tail_the_log_alone_and_memory_say_the_same(history: list[Step]) -> None:
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)

    from_snapshot, _ = reborn(world.log)
    from_log, _ = reborn(without_snapshot(world.log))

    found = [set(one.parts.openings.state()) for one in (world, from_snapshot, from_log)]
    assert found[0] == found[1] == found[2]
    held = [one for one in world.ledger.holdings() if one.quantity]
    assert len(found[0]) == len(held)


def test_more_of_the_same_side_changes_it_and_the_other_side_opens_anew() -> None:
    world = VenueWorld()
    opened_ns = trade(world, "2")
    assert times(world) == (opened_ns, opened_ns)
    more_ns = trade(world, "1")
    assert times(world) == (opened_ns, more_ns)
    less_ns = sell(world, "1")
    assert times(world) == (opened_ns, less_ns)
    turned_ns = sell(world, "5")
    assert times(world) == (turned_ns, turned_ns)


def test_after_a_settlement_the_next_fill_opens_anew() -> None:
    world = VenueWorld()
    opened_ns = trade(world, "2")
    world.pass_time(1)
    settled_ns = world.clock.now_ns
    world.publish(Settled("main", PERPETUAL, Decimal(101), settled_ns, "s1"))
    assert times(world) == (opened_ns, settled_ns)
    assert world.parts.openings.state() == ()

    again_ns = trade(world, "1")  # after nobody asked in between, too

    assert times(world) == (again_ns, again_ns)


def test_a_settlement_nobody_looked_behind_counts_before_the_fill_that_follows() -> None:
    world = VenueWorld()
    trade(world, "2")
    world.publish(Settled("main", PERPETUAL, Decimal(101), world.clock.now_ns, "s1"))

    again_ns = trade(world, "1")

    assert times(world) == (again_ns, again_ns)


def test_what_is_given_to_another_run_opens_there() -> None:
    world = VenueWorld()
    opened_ns = trade(world, "2")
    world.pass_time(1)
    given_ns = world.clock.now_ns
    given = PositionAssigned(
        "main", PERPETUAL, "r0", "r1", Decimal(2), Decimal(100), given_ns, "a1"
    )
    world.record(given)
    world.ledger.assign(given)

    assert times(world, "r1") == (given_ns, given_ns)
    assert times(world) == (opened_ns, given_ns)


def test_cash_in_the_base_asset_is_a_change_and_other_cash_is_none() -> None:
    world = VenueWorld()
    opened_ns = trade(world, "2", instrument=SPOT)
    world.pass_time(1)
    now_ns = world.clock.now_ns
    reason = CashReason.DEPOSIT
    world.publish(CashBooked("main", "r0", "USD", Decimal(5), reason, now_ns, "b1"))
    assert times(world, instrument=SPOT) == (opened_ns, opened_ns)

    base = world.instruments[SPOT].base
    world.publish(CashBooked("main", "r0", base, Decimal(1), reason, now_ns, "b2", SPOT))

    assert times(world, instrument=SPOT) == (opened_ns, now_ns)


def test_what_a_correction_takes_back_was_never_opened() -> None:
    world = VenueWorld()
    trade(world, "2")
    (order,) = world.registry
    world.publish(FillCorrection(order.order_id, "E", Decimal(0), Decimal(100), 7))
    assert world.parts.openings.state() == ()

    again_ns = trade(world, "1")

    assert times(world) == (again_ns, again_ns)


def test_who_was_not_told_finds_out_from_the_executions() -> None:
    world = VenueWorld()
    trade(world, "2")
    sell(world, "2")
    opened_ns = trade(world, "1")
    busted_ns = trade(world, "3")
    *_, busted = world.registry
    world.publish(FillCorrection(busted.order_id, "E", Decimal(0), Decimal(100), busted_ns))

    late = Openings(world.ledger)
    late.recall(world.registry)

    (opening,) = late.state()
    assert (opening.opened_ns, opening.updated_ns) == (opened_ns, opened_ns)


def test_a_snapshot_names_positions_of_instruments_that_only_it_knows() -> None:
    world = VenueWorld()
    opened_ns = trade(world, "2")
    keep_snapshot(world)
    again = Openings(world.ledger)

    again.load_state(
        world.parts.openings.state(), {PERPETUAL: Instrument(PERPETUAL, currency="USD")}
    )

    assert again.state() == world.parts.openings.state()
    assert isinstance(again.state()[0], Opening)
    assert again.state()[0].opened_ns == opened_ns
