"""Ways to go wrong with orders, for the checks of the area *orders* to find."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from framework.errors import VenueError, VenueUnavailable
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import Side, TimeInForce
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
)
from tests.framework.adapter_kit.sabotage import Sabotage, Scene, commanding, replace

TWO = Decimal(2)


def with_intent(command: Any, **changes: Any) -> Any:
    """Return an order that asks for something else; other commands stay as they are."""
    if not isinstance(command, SubmitOrder):
        return command
    return replace(command, intent=replace(command.intent, **changes))


def asking_for(**changes: Any) -> Sabotage:
    """Send orders that ask for something else."""
    return commanding(lambda command: (with_intent(command, **changes),))


def turned(command: Any) -> Any:
    if not isinstance(command, SubmitOrder) or command.intent.price is None:
        return command
    side = Side.SELL if command.intent.side is Side.BUY else Side.BUY
    factor = Decimal("1.02") if side is Side.BUY else Decimal("0.98")
    return with_intent(
        command, side=side, price=(command.intent.price * factor).quantize(Decimal("0.01"))
    )


def telling(kind: type, fact: Any) -> Sabotage:
    """Tell a fact of a command instead of sending it."""

    def tell(scene: Scene) -> None:
        send = scene.broker.send

        def send_others(command: Any) -> None:
            if isinstance(command, kind):
                scene.stage.publish(fact(command))
            else:
                send(command)

        scene.broker.send = send_others

    return tell


def ended(command: Any, kind: EndKind = EndKind.CANCELLED) -> OrderEnded:
    return OrderEnded(command.order_id, kind, command.time_ns, "so they say")


def accepted(command: Any) -> OrderAccepted:
    return OrderAccepted(command.order_id, command.time_ns)


def replaced(command: Any) -> OrderReplaced:
    return OrderReplaced(
        command.order_id, command.revision, Decimal(10), command.time_ns, command.price
    )


def shadows(command: Any) -> Any:
    """Return the order, and another one under a new id."""
    if isinstance(command, SubmitOrder):
        return command, replace(command, order_id=f"SHADOW{command.order_id[-8:]}")
    return (command,)


def refilled(fill: OrderFilled) -> OrderFilled:
    return replace(fill, execution_id=f"{fill.execution_id}-again")


def dearer(fill: OrderFilled) -> OrderFilled:
    return replace(fill, price=fill.price * TWO)


def cheaper_and_dearer(fill: OrderFilled) -> OrderFilled:
    return replace(fill, price=fill.price + Decimal("0.01"))


def as_float(fill: OrderFilled) -> OrderFilled:
    return replace(fill, quantity=Decimal(float(fill.quantity)))


def cancels_instead(scene: Scene) -> None:
    """Answer a change that cannot be made by a cancel that nobody asked for."""
    send = scene.broker.send

    def send_others(command: Any) -> None:
        send(command)
        if isinstance(command, ModifyOrder):
            send(CancelOrder(command.order_id, command.account, command.instrument, 0))

    scene.broker.send = send_others


def claims_to_change(scene: Scene) -> None:
    scene.broker.capabilities = replace(scene.broker.capabilities, has_modify=True)


def sends_again(scene: Scene) -> None:
    """Send an order once more as soon as its answer is missing."""
    place = scene.broker._account.place

    async def place_again(command: SubmitOrder) -> Any:
        try:
            return await place(command)
        except VenueUnavailable:
            return await place(command)

    scene.broker._account.place = place_again


def sends_twice(scene: Scene) -> None:
    """Send every order twice, and tell of the first answer."""
    place = scene.broker._account.place

    async def place_twice(command: SubmitOrder) -> Any:
        answer = await place(command)
        with suppress(VenueError):
            await place(command)
        return answer

    scene.broker._account.place = place_twice


def rejected(fact: Any) -> OrderEnded:
    return OrderEnded(fact.order_id, EndKind.REJECTED, fact.time_ns, "the venue would not")


def ends_on_paper(scene: Scene) -> None:
    """Let an order rest, and tell that it has ended."""
    asking_for(time_in_force=TimeInForce.GTC)(scene)
    send = scene.broker.send

    def send_and_tell(command: Any) -> None:
        send(command)
        scene.stage.loop.call_later(1.0, scene.stage.publish, ended(command))

    scene.broker.send = send_and_tell


def accepts_what_has_ended(scene: Scene) -> None:
    """Let an order end at once, and tell that it rests."""
    asking_for(time_in_force=TimeInForce.IOC)(scene)
    send = scene.broker.send
    scene.change = lambda event: () if isinstance(event, OrderAccepted | OrderEnded) else (event,)

    def send_and_tell(command: Any) -> None:
        send(command)
        scene.stage.loop.call_later(1.0, scene.stage.publish, accepted(command))

    scene.broker.send = send_and_tell


def makes_fills_up(scene: Scene) -> None:
    """Tell of one more execution, long after the last."""

    def change(event: Any) -> Any:
        if isinstance(event, OrderFilled):
            late = replace(event, execution_id=f"{event.execution_id}-again")
            scene.stage.loop.call_later(30.0, scene.stage.publish, late)
        return (event,)

    scene.change = change


def trades_on_arrival(scene: Scene) -> None:
    """Take liquidity, and tell that the venue would not let us."""
    asking_for(post_only=False)(scene)
    scene.change = lambda e: (e, rejected(e)) if isinstance(e, OrderFilled) else (e,)


def asks_for_another_price(scene: Scene) -> None:
    """Change an order to a price that nobody asked for, and tell the one that was."""
    cent = Decimal("0.01")

    def lower(command: Any) -> Any:
        if isinstance(command, ModifyOrder) and command.price is not None:
            return (replace(command, price=command.price + cent),)
        return (command,)

    commanding(lower)(scene)
    scene.change = lambda e: (
        (replace(e, price=e.price - cent),) if isinstance(e, OrderReplaced) and e.price else (e,)
    )


def asks_for_another_quantity(scene: Scene) -> None:
    """Change an order to a quantity that nobody asked for, and tell the one that was."""
    commanding(changes_what_is_left)(scene)
    scene.change = lambda e: (
        (replace(e, quantity=e.quantity - 1),)
        if isinstance(e, OrderReplaced) and e.revision == 2
        else (e,)
    )


def changes_what_is_left(command: Any) -> Any:
    """Return a change with the new quantity taken for what is still to be filled."""
    if isinstance(command, ModifyOrder) and command.quantity is not None:
        return (replace(command, quantity=command.quantity + 1),)
    return (command,)
