"""How things stand, as frames: for a client that asks for it, or cannot be given what it missed.

An extension: frames of the usual kinds with `"is_snapshot": true`, whose `seq` is that of the last
frame which they contain. Open orders, oldest first, positions, money: as far as the client's
subscriptions let them through.
"""

from adapters.tektii.server_frames import Frames
from adapters.tektii.server_position_story import side_of
from adapters.tektii.server_resume import FrameStream
from adapters.tektii.server_settings import Place
from adapters.tektii.server_subscriptions import Kind
from adapters.tektii.wire import AccountEventType, OrderEventType, PositionEventType
from framework.model.desk import OrderQuery, Principal
from framework.model.orders import CLOSED_STATUSES, OrderStatus
from framework.server.door import RefusalKind, Refused

OPEN = frozenset(OrderStatus) - CLOSED_STATUSES


async def snapshot_of(
    place: Place, frames: Frames, principal: Principal, stream: FrameStream, *, room: int
) -> list[bytes]:
    """Return the frames, as of the stream's present number.

    Raises:
        Refused: there would be more than `room`.
    """
    desk, subscriptions, seq = place.desk, stream.subscriptions, stream.seq

    def passes(instrument: str, kind: Kind) -> bool:
        platform, symbol = place.platform_of(instrument), place.symbol_of(instrument)
        return subscriptions.passes(platform, symbol, kind)

    orders = [
        entry
        for entry in reversed(await desk.orders(principal, OrderQuery(statuses=OPEN)))
        if passes(entry.order.instrument, Kind.ORDER)
    ]
    _check_room(len(orders), room)  # before the work: many may ask, again and again
    bodies = [frames.order(OrderEventType.ORDER_CREATED, entry) for entry in orders]
    bodies += [
        frames.position(PositionEventType.POSITION_OPENED, held, side_of(held.quantity))
        for held in await desk.positions(principal)
        if passes(held.instrument, Kind.POSITION)
    ]
    for one in principal.places:
        if subscriptions.passes(place.platform(one.venue), "", Kind.ACCOUNT):
            money = await desk.money(principal, one.account)
            bodies.append(frames.account(AccountEventType.BALANCE_UPDATED, money))
    _check_room(len(bodies), room)
    await desk.written()  # nobody is shown what a crash undoes; what comes meanwhile is kept
    return [stream.snapshot_frame(body, seq) for body in bodies]


def _check_room(count: int, room: int) -> None:
    if count > room:
        message = f"a snapshot would be {count} frames, more than {room}: read them by REST"
        raise Refused(RefusalKind.BUSY, message)
