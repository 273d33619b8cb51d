"""Every start is a crash recovery: snapshot and tail, or the whole log, give the state back."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.engine.archive import Archive
from framework.engine.restore import restore, unanswered
from framework.engine.snapshots import state_hash, state_of
from framework.errors import JournalError, OrderError
from framework.model.commands import SubmitOrder
from framework.model.orders import OrderStatus, RequestState
from framework.model.records import AdoptOrder
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    RequestKind,
)
from framework.orders.external import external_intent
from framework.orders.registry import OrderRegistry
from framework.store.memory import MemoryLog
from tests.framework.engine.restored_world import (
    KINDS,
    Step,
    hold,
    keep_snapshot,
    play,
    reborn,
    steps,
    without_snapshot,
)
from tests.framework.orders.venue_world import PERPETUAL, SELL, VenueWorld


@given(steps)
def test_snapshot_and_tail_the_log_alone_and_memory_are_one_state(history: list[Step]) -> None:
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)

    from_snapshot, _ = reborn(world.log)
    from_log, restored = reborn(without_snapshot(world.log))

    assert state_of(from_snapshot.parts) == state_of(from_log.parts)
    assert state_of(from_log.parts) == state_of(world.parts)
    assert restored.snapshot_position == 0
    assert restored.entry_count == world.log.position


@pytest.mark.parametrize("seed", range(60))
def test_long_sessions_come_back_as_they_were(seed: int) -> None:
    random = Random(seed)
    history = [
        (random.choice(KINDS), random.randint(0, 5), random.randint(1, 4))
        for _ in range(random.randint(10, 80))
    ]
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)

    states = [state_of(reborn(log)[0].parts) for log in (world.log, without_snapshot(world.log))]
    assert states == [state_of(world.parts)] * 2


@given(steps, steps)
def test_a_session_goes_on_after_a_restart_as_if_there_had_been_none(
    first: list[Step], second: list[Step]
) -> None:
    world = VenueWorld()
    play(world, first)
    keep_snapshot(world)
    reborn_world, _ = reborn(world.log)
    reborn_world.manual.advance_to(world.clock.now_ns)
    play(reborn_world, second)

    from_snapshot, _ = reborn(world.log)
    from_log, _ = reborn(without_snapshot(world.log))
    assert (
        state_hash(from_snapshot.parts)
        == state_hash(from_log.parts)
        == state_hash(reborn_world.parts)
    )


@given(steps, st.data())
def test_any_prefix_of_a_log_is_a_state_r_04(history: list[Step], data: st.DataObject) -> None:
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)
    kept = data.draw(st.integers(0, world.log.position))
    cut = MemoryLog(journal_id="test")
    for position, entry in world.log.read():
        if position <= kept:
            cut.append(entry)

    restored_world, restored = reborn(cut)

    assert restored.position == kept
    for holding in restored_world.ledger.holdings(instrument=PERPETUAL):
        assert holding.quantity.is_finite()


def test_requests_without_an_answer_are_in_doubt_after_a_restart_f_05() -> None:
    world = VenueWorld()
    lost, open_order, done = world.submit(), world.submit(), world.submit()
    now_ns = world.clock.now_ns
    for order in (open_order, done):
        world.publish(OrderAccepted(order.order_id, now_ns, f"V{order.intent.key}"))
    world.publish(OrderEnded(done.order_id, EndKind.CANCELLED, now_ns))
    world.desk.cancel(open_order.order_id)
    world.desk.modify(open_order.order_id, price=Decimal(99))

    again, _ = reborn(world.log)
    doubts = unanswered(again.registry, now_ns)
    for fact in doubts:
        again.publish(fact)

    assert [(fact.order_id, fact.request) for fact in doubts] == [  # type: ignore[union-attr]
        (lost.order_id, RequestKind.SUBMIT),
        (open_order.order_id, RequestKind.CANCEL),
        (open_order.order_id, RequestKind.MODIFY),
    ]
    assert again.registry.orders[lost.order_id].facts.submit_state is RequestState.IN_DOUBT
    assert len(again.doubts) == 2
    assert again.sent == []
    assert unanswered(again.registry, now_ns) == []


def test_a_repeated_key_is_answered_over_a_restart_and_not_sent_again_r_29() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), 5))
    denied = world.desk.deny(world.submit().intent, "late")
    again, _ = reborn(world.log)

    assert len(again.registry) == 1  # the order without an answer
    answered = again.desk.submit(order.intent)
    assert answered.order_id == order.order_id
    assert answered.status is OrderStatus.FILLED
    assert again.sent == []
    assert denied.order_id in again.registry.orders


def test_a_denied_key_stays_denied_over_a_restart() -> None:
    world = VenueWorld()
    intent = world.submit().intent
    key = "denied"
    intent = type(intent)("r", key, PERPETUAL, intent.side, Decimal(1))
    world.desk.deny(intent, "because")
    again, _ = reborn(world.log)

    answered = again.desk.submit(intent)
    assert (answered.status, answered.reason) == (OrderStatus.DENIED, "because")
    assert again.sent == []


def test_a_fill_that_comes_again_after_a_restart_is_booked_once_r_24() -> None:
    world = VenueWorld()
    order = world.submit(quantity="2")
    fills = [OrderFilled(order.order_id, f"E{n}", Decimal(1), Decimal(100), 5) for n in range(2)]
    for fill in fills:
        world.publish(fill)
    keep_snapshot(world)
    for _ in range(3):
        again, _ = reborn(world.log)
        for fill in fills:
            again.publish(fill)
        again.publish(again.execution(order, "E1"))
        assert again.held("r") == Decimal(2)


def test_a_late_fill_of_an_order_in_no_snapshot_is_booked_r_23() -> None:
    world = VenueWorld()
    order = world.submit(quantity="2")
    now_ns = world.clock.now_ns
    world.publish(OrderAccepted(order.order_id, now_ns, "V1"))
    world.publish(OrderEnded(order.order_id, EndKind.CANCELLED, now_ns))
    keep_snapshot(world)
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), now_ns))

    from_snapshot, _ = reborn(world.log)
    assert from_snapshot.held("r") == Decimal(1)
    from_snapshot.publish(from_snapshot.execution(None, "E2"))  # by the venue's id alone
    assert from_snapshot.held("r") == Decimal(2)
    assert from_snapshot.held("external") == Decimal(0)


def test_an_adopted_order_needs_no_answer() -> None:
    world = VenueWorld()
    world.publish(world.order_report(None))
    again, _ = reborn(world.log)

    assert unanswered(again.registry, 1) == []
    (order,) = list(again.registry)
    assert order.status is OrderStatus.ACCEPTED
    assert again.registry.by_venue_id("main", "V1") is order


def test_the_record_of_an_adoption_takes_the_facts_kept_before_it() -> None:
    log = MemoryLog(journal_id="test")
    world = VenueWorld()
    intent = external_intent(world.execution(None, "E1"))
    log.append(OrderFilled("foreign", "E1", Decimal(1), Decimal(100), 5))
    log.append(AdoptOrder("foreign", "main", intent, Decimal(1), 6))
    again, _ = reborn(log)

    assert again.held("external") == Decimal(1)


def test_a_snapshot_that_cannot_be_used_is_told_and_the_log_is_read_r_05() -> None:
    world = VenueWorld()
    world.submit()
    for position, state in ((1, b"damaged"), (1, b"")):
        world.log.save_snapshot(position, state)
        again, restored = reborn(world.log)
        assert len(again.registry) == 1
        assert restored.snapshot_position == 0
        assert "the whole log was read" in restored.notes[0]


def test_a_snapshot_of_another_journal_or_ahead_of_the_log_is_not_used() -> None:
    world = VenueWorld()
    world.submit()
    keep_snapshot(world)
    newest = world.log.newest_snapshot()
    assert newest is not None
    for log in (MemoryLog(journal_id="other"), MemoryLog(journal_id="test")):
        log.save_snapshot(*newest)
        again, restored = reborn(log)
        assert len(again.registry) == 0
        assert len(restored.notes) == 1


def test_an_instrument_nobody_knows_stops_the_start_by_name() -> None:
    world = VenueWorld()
    world.submit()
    stranger = VenueWorld()
    del stranger.instruments[PERPETUAL]

    with pytest.raises(JournalError, match=r"entry 1 .*'v:BTC-PERP'"):
        restore(world.log, stranger.parts, ids=stranger.ids, instruments=stranger.instruments)


def test_an_instrument_that_only_the_snapshot_knows_is_taken_from_it() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), 5))
    keep_snapshot(world)
    stranger = VenueWorld(log=world.log)
    del stranger.instruments[PERPETUAL]
    restore(world.log, stranger.parts, ids=stranger.ids, instruments=stranger.instruments)

    assert stranger.held("r") == Decimal(1)
    assert stranger.instruments[PERPETUAL].multiplier == Decimal(10)


def test_marks_of_reconciliations_are_taken_up() -> None:
    world = VenueWorld()
    world.look()
    again, _ = reborn(world.log)

    assert again.reconciliation.reconciled_ns == {"main": world.clock.now_ns}


def test_runs_and_what_stands_now_are_taken_up() -> None:
    world = VenueWorld()
    play(
        world, [("run", 0, 1), ("gate", 0, 1), ("gate", 0, 1), ("state", 0, 1), ("snapshot", 0, 1)]
    )
    again, _ = reborn(world.log)

    assert [run.session for run in again.runs] == [1]
    assert sorted(again.parts.newest) == sorted(world.parts.newest)
    assert len(again.parts.newest) == 3
    with pytest.raises(OrderError):
        again.runs.get("nobody")


def test_closed_orders_leave_memory_while_a_long_log_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framework.engine.restore.KEPT_CLOSED", 3)
    world = VenueWorld()
    parent = world.submit()
    play_exit(world, parent.order_id)
    for number in range(20):
        order = world.submit()
        world.publish(OrderFilled(order.order_id, f"E{number}", Decimal(1), Decimal(100), 5))
    again, _ = reborn(world.log)

    assert again.held("r") == Decimal(21)
    assert [order.order_id for order in again.registry if order.is_closed] == [parent.order_id]


def play_exit(world: VenueWorld, parent: str) -> None:
    """Fill an entry and hold an exit for it."""
    world.publish(OrderFilled(parent, "E", Decimal(1), Decimal(100), 5))
    hold(world, SELL, Decimal(1), 1, parent=parent, run="r")


def test_the_archive_knows_what_the_log_has_and_no_more() -> None:
    world = VenueWorld()
    order = world.submit()
    world.publish(OrderFilled(order.order_id, "E1", Decimal(1), Decimal(100), 5))
    archive = Archive(world.log, world.ids, world.instrument)

    assert archive.read(OrderRegistry(), "nobody") is None
    assert archive.lookup_closed("r", "never") is None
    closed = archive.lookup_closed("r", order.intent.key)
    assert closed is not None
    assert (closed.order_id, closed.status) == (order.order_id, OrderStatus.FILLED)
    archive.before = 2
    before = archive.read(OrderRegistry(), order.order_id)
    assert before is not None
    assert before.filled == 0
    assert any(isinstance(entry, SubmitOrder) for _, entry in world.log.read())
