"""What a random session writes to a log, and what a new process makes of that log."""

from collections.abc import Callable
from decimal import Decimal

from hypothesis import strategies as st

from framework.engine.restore import Restored, restore
from framework.engine.snapshots import take_snapshot, to_bytes
from framework.model.account import CashBooked, CashReason, Settled
from framework.model.orders import Exits, Offset, OrderIntent, OrderStatus, OrderType, Percent, Side
from framework.model.records import (
    CoverNoted,
    ExitsReplaced,
    GateSet,
    HoldRole,
    PositionAssigned,
    StrategyState,
)
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.runs import Execution
from framework.orders.order_state import OrderState
from framework.store.memory import MemoryLog
from tests.framework.orders.venue_world import PERPETUAL, SPOT, VenueWorld

KINDS = (
    *("submit", "accept", "fill", "fill", "correct", "cancel", "modify", "replaced", "refuse"),
    *("doubt", "end", "foreign", "report", "hold", "hold_entry", "release", "change", "trail"),
    *("cash", "settle", "assign", "run", "gate", "state", "evict", "deny", "snapshot"),
    *("exits", "retrail", "note"),
)

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(1, 4)), max_size=40
)


def play(world: VenueWorld, history: list[Step]) -> None:
    """Do what the steps say; each picks one of the orders so far and a small quantity."""
    orders: list[OrderState] = []
    for number, (kind, pick, size) in enumerate(history):
        world.pass_time(1)
        order = orders[pick % len(orders)] if orders else None
        made = act(world, kind, order, size, number)
        if made is not None:
            orders.append(made)


def act(
    world: VenueWorld, kind: str, order: OrderState | None, size: int, number: int
) -> OrderState | None:
    """Do one step; return the order that it made."""
    quantity = Decimal(size)
    side = Side.BUY if number % 2 else Side.SELL
    if kind == "submit":
        instrument = SPOT if number % 3 == 0 else PERPETUAL
        return world.submit(side, str(size), run=f"r{number % 2}", instrument=instrument)
    if kind == "hold_entry":
        return hold(world, side, quantity, number, parent="")
    if kind == "hold" and order is not None and order.order_id in world.registry.orders:
        return hold(world, side, quantity, number, parent=order.order_id, run=order.run)
    if order is None or not about(world, kind, order, size, number):
        apart(world, kind, quantity, number, world.clock.now_ns)
    return None


def about(world: VenueWorld, kind: str, order: OrderState, size: int, number: int) -> bool:
    """Do a step about an order, if it is such a step."""
    name, now_ns, quantity = order.order_id, world.clock.now_ns, Decimal(size)
    is_held = order.status is OrderStatus.HELD
    facts: dict[str, object] = {
        "accept": OrderAccepted(name, now_ns, f"V{number}"),
        "fill": OrderFilled(name, f"E{number % 7}", quantity, Decimal(100 + size), now_ns),
        "correct": FillCorrection(name, f"E{number % 7}", quantity, Decimal(99), now_ns),
        "replaced": OrderReplaced(name, size, quantity, now_ns, Decimal(90 + size)),
        "refuse": RequestRefused(name, RequestKind.CANCEL, "no", now_ns),
        "doubt": RequestInDoubt(name, RequestKind.MODIFY, "timeout", now_ns),
        "end": OrderEnded(name, EndKind.CANCELLED, now_ns, "why"),
        "report": world.order_report(order, OrderStatus.ACCEPTED, name=f"V{number}"),
    }
    desk = world.desk
    calls: dict[str, Callable[[], object]] = {
        "cancel": lambda: desk.cancel(name),
        "modify": lambda: desk.modify(name, quantity=quantity, price=Decimal(100 - size)),
        "evict": lambda: evict(world, order),
        "exits": lambda: replace_exits(world, order, size),
        "note": lambda: note_cover(world, order, size),
    }
    held: dict[str, Callable[[], object]] = {
        "release": lambda: desk.release(order, order.intent),
        "change": lambda: desk.change_held(order, quantity=quantity, stop_price=Decimal(90)),
        "trail": lambda: desk.trail(order, Decimal(100 + size), Decimal(95 + size)),
        "retrail": lambda: desk.modify(name, trail=Offset(quantity)),
    }
    if kind in facts:
        world.publish(facts[kind])
    elif kind in calls:
        calls[kind]()
    elif is_held and kind in held:
        held[kind]()
    else:
        return False
    return True


def replace_exits(world: VenueWorld, order: OrderState, size: int) -> None:
    """Give an order that is in memory other exits, as its bracket would."""
    if order.order_id in world.registry.orders:
        exits = Exits(stop_loss=Offset(Decimal(size)))
        legs = ((order.order_id, size),)
        world.desk.replace_exits(
            order, ExitsReplaced(order.order_id, exits, world.clock.now_ns, legs)
        )


def note_cover(world: VenueWorld, order: OrderState, size: int) -> None:
    """Note what the exits of an order that is in memory do not show."""
    if order.order_id in world.registry.orders:
        legs = ((order.order_id, size),)
        noted = CoverNoted(order.order_id, Decimal(size), world.clock.now_ns, legs)
        world.desk.note_cover(order, noted)


def evict(world: VenueWorld, order: OrderState) -> None:
    """Let a closed order leave memory, if it is one that comes back from its facts alone."""
    is_needed = not order.is_closed or any(
        other.parent == order.order_id for other in world.registry
    )
    if not is_needed and order.role is None and not order.facts.has_requests:
        world.registry.release(order.order_id)


def hold(
    world: VenueWorld, side: Side, quantity: Decimal, number: int, *, parent: str, run: str = "r0"
) -> OrderState:
    intent = OrderIntent(
        run,
        f"held{number}.{world.log.position}",
        PERPETUAL,
        side,
        quantity,
        OrderType.STOP if number % 2 else OrderType.TRAILING_STOP,
        stop_price=Decimal(95),
        trail=None if number % 2 else Percent(Decimal(2)),
        reduce_only=bool(parent),
    )
    role = HoldRole.STOP_LOSS if number % 2 else HoldRole.TRAIL
    return world.desk.hold(intent, role=role, parent=parent)


def apart(world: VenueWorld, kind: str, quantity: Decimal, number: int, now_ns: int) -> None:
    """Do a step that is about no order."""
    if kind == "cash":
        world.publish(
            CashBooked("main", "r0", "USD", quantity, CashReason.FUNDING, now_ns, f"b{number % 5}")
        )
    elif kind == "settle":
        world.publish(Settled("main", PERPETUAL, Decimal(101), now_ns, f"s{number % 5}"))
    elif kind == "foreign":
        report = world.execution(None, f"X{number % 7}", str(quantity), name=f"X{number % 7}")
        world.publish(report)
    elif kind == "run":
        run = f"r{number % 2}"
        world.runs.open(run, "main", execution=Execution.LIVE, opened_ns=now_ns)
        world.runs.start_session(run)
    elif kind == "gate":
        world.record(GateSet("halted", f"because {number}", f"somebody {number % 2}", now_ns))
    elif kind == "state":
        world.record(StrategyState(f"r{number % 2}", 1, number, bytes([number % 256]), now_ns))
    elif kind == "deny":
        world.desk.deny(
            OrderIntent("r0", f"denied{number}", PERPETUAL, Side.BUY, quantity), "because"
        )
    elif kind == "assign":
        assign(world, number, now_ns)
    elif kind == "snapshot":
        keep_snapshot(world)


def assign(world: VenueWorld, number: int, now_ns: int) -> None:
    """Move all that one run holds to another, as a person would."""
    for holding in list(world.ledger.holdings(run="r0", instrument=PERPETUAL)):
        if holding.quantity:
            assigned = PositionAssigned(
                "main", PERPETUAL, "r0", "r1", holding.quantity, Decimal(98), now_ns, f"a{number}"
            )
            world.record(assigned)
            world.ledger.assign(assigned)
            return


def keep_snapshot(world: VenueWorld) -> None:
    log = world.log
    snapshot = take_snapshot(world.parts, journal_id=log.journal_id, position=log.position)
    log.save_snapshot(log.position, to_bytes(snapshot))


def reborn(log: MemoryLog) -> tuple[VenueWorld, Restored]:
    """Return a new process's world on this log."""
    world = VenueWorld(log=log, key_prefix=f"{log.position}-")
    restored = restore(log, world.parts, ids=world.ids, instruments=world.instruments)
    return world, restored


def without_snapshot(log: MemoryLog) -> MemoryLog:
    """Return the same log as if no snapshot had been taken."""
    bare = MemoryLog(journal_id=log.journal_id)
    for _, entry in log.read():
        bare.append(entry)
    return bare
