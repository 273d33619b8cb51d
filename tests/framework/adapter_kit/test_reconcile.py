"""Every check of the area *reconcile* has an adapter that fails it."""

from decimal import Decimal
from typing import Any

import pytest

from framework.adapter_kit import reconcile as area
from framework.model.events import ConnectionChanged, ConnectionState
from framework.model.orders import OrderStatus, Side
from framework.model.reports import OrderAccepted, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderReport
from tests.framework.adapter_kit.sabotage import (
    Case,
    Sabotage,
    Scene,
    answering,
    changing,
    dropping,
    guessing,
    named,
    repeating,
    replace,
    require_all_proven,
    require_failure,
)
from tests.framework.adapter_kit.test_connection import keeps_streaming


def turned(report: Any) -> Any:
    return replace(report, side=Side.SELL if report.side is Side.BUY else Side.BUY)


def listing(question: str, alter: Any, name: str) -> Sabotage:
    """Give another list of reports."""
    return named(name, answering(question, alter))


def each(**changes: Any) -> Any:
    """Return what changes every report of a list."""
    return lambda reports: [replace(report, **changes) for report in reports]


def opens(alter: Any, name: str, says: str = r"open_orders\(\) says") -> Case:
    return Case(area.finds_orders, listing("open_orders", alter, name), says)


def executes(alter: Any, name: str, says: str) -> Case:
    return Case(area.tells_executions, listing("executions", alter, name), says)


def as_ours(report: OrderReport) -> OrderAccepted:
    return OrderAccepted(report.venue_order_id, report.time_ns, report.venue_order_id)


def makes_it_up(scene: Scene) -> None:
    """Tell of a fill as soon as the link is back, without having asked."""

    def change(event: Any) -> Any:
        if isinstance(event, ConnectionChanged) and event.state is ConnectionState.RECONNECTING:
            fill = OrderFilled("KIT00000000000000001", "x", Decimal(1), Decimal(1), event.time_ns)
            return event, fill
        return (event,)

    scene.change = change


def remembers(scene: Scene) -> None:
    """List what was open at any time."""
    ask, seen = scene.broker.open_orders, dict[str, OrderReport]()

    async def ask_and_add(account: str) -> Any:
        seen.update({report.venue_order_id: report for report in await ask(account)})
        return list(seen.values())

    send = scene.broker.send

    def look_first(command: Any) -> None:
        async def look_and_send() -> None:
            await ask_and_add(command.account)
            send(command)

        scene.stage.loop.create_task(look_and_send())

    scene.broker.send, scene.broker.open_orders = look_first, ask_and_add


OUTAGE = "in an outage was answered"
CASES = (
    opens(lambda reports: [], "nothing"),
    opens(lambda reports: [r for r in reports if r.order_id.startswith("KIT")], "ours_only"),
    opens(lambda reports: [r for r in reports if r.side is Side.SELL], "others_only"),
    opens(each(order_id=""), "no_ids"),
    opens(lambda reports: [turned(r) for r in reports], "turned", "not what was ordered"),
    opens(each(quantity=Decimal(1)), "another_quantity", "not what was ordered"),
    opens(each(filled=Decimal("0.001")), "filled", "not what was ordered"),
    opens(each(instrument="binance:ETHUSDT"), "another_instrument", "not of binance:BTCUSDT"),
    opens(each(account="other"), "another_account", "not of binance:BTCUSDT in main"),
    Case(area.finds_orders, remembers, r"open_orders\(\) says"),
    Case(
        area.finds_orders,
        named("forgets", answering("order", lambda report: None)),
        r"order\(KIT.*\) says None",
    ),
    Case(
        area.finds_orders,
        named("all_open", answering("order", lambda r: replace(r, status=OrderStatus.ACCEPTED))),
        r"order\(KIT.*\) says",
    ),
    Case(
        area.knows_nothing_of_what_never_was,
        named(
            "invents",
            answering(
                "order",
                lambda r: OrderReport(
                    "main",
                    "1",
                    "binance:BTCUSDT",
                    Side.BUY,
                    Decimal(1),
                    Decimal(0),
                    OrderStatus.ACCEPTED,
                    1,
                ),
            ),
        ),
        "an order that never was is there",
    ),
    Case(
        area.knows_nothing_of_what_never_was,
        named("no_order", guessing("order", None)),
        f"order {OUTAGE}: None",
    ),
    *(
        Case(
            area.knows_nothing_of_what_never_was,
            named(f"no_{question}", guessing(question, [])),
            f"{question} {OUTAGE}",
        )
        for question in ("open_orders", "executions", "positions", "balances")
    ),
    executes(lambda found: [*found, found[-1]], "twice", "listed twice"),
    executes(lambda found: found[::-1], "newest_first", "not oldest first"),
    executes(lambda found: found[1:], "loses_one", "the stream said"),
    executes(
        lambda found: [replace(e, execution_id=f"x{e.execution_id}") for e in found],
        "other_ids",
        "the stream said",
    ),
    executes(each(price=Decimal(1)), "other_prices", "the stream said"),
    executes(each(order_id=""), "no_orders", "the stream said"),
    executes(lambda found: [turned(e) for e in found], "turned", "was a buy|was a sell"),
    Case(
        area.reports_what_others_do,
        named("loses_orders", dropping(OrderReport)),
        "an OrderReport of .*: not within",
    ),
    Case(
        area.reports_what_others_do,
        named("loses_fills", dropping(ExecutionReport)),
        "executions of .*: not within",
    ),
    Case(
        area.reports_what_others_do,
        named("turned_fills", changing(ExecutionReport, turned)),
        "was a sell",
    ),
    Case(
        area.reports_what_others_do,
        named("turned_orders", changing(OrderReport, turned)),
        "was a buy of",
    ),
    Case(
        area.reports_what_others_do,
        named("takes_them_for_ours", repeating(OrderReport, as_ours)),
        "told as if it were ours",
    ),
    Case(
        area.finds_what_was_missed,
        named("loses_them", answering("executions", lambda found: [])),
        r"filled in the outage, executions\(\) says \[\]",
    ),
    Case(
        area.finds_what_was_missed,
        named("lists_twice", answering("executions", lambda found: [*found, *found])),
        "filled in the outage",
    ),
    Case(area.finds_what_was_missed, makes_it_up, "told as .*, and listed as"),
    Case(area.finds_what_was_missed, keeps_streaming, "are told as lost: not within"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-22, R-26, R-34, R-43: no check of answers passes an adapter that breaks its promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
