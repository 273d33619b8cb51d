"""The wire adapter: doubt instead of guesses, and never anything sent by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from framework.errors import UnknownInstrument, VenueError, VenueUnavailable
from framework.interfaces import Broker, MarketFeed, VenueQueries
from framework.model.decimals import ONE, ZERO
from framework.model.events import ConnectionChanged
from framework.model.market_data import Quote
from framework.model.orders import OrderStatus
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
from framework.model.venue_state import ExecutionReport, OrderReport
from framework.simulation.link import LinkFaults
from tests.broker.adapter import WireBroker, build
from tests.broker.rig import (
    ADDRESS,
    BTC,
    RigContext,
    cancel,
    modify,
    play,
    simulated_loop,
    started_server,
    submit,
    wire_broker,
)
from tests.broker.script import CALM, Script
from tests.broker.server import Server

FACTS = (
    OrderAccepted,
    OrderFilled,
    OrderEnded,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
    FillCorrection,
)
REPORTS = (OrderReport, ExecutionReport)
Work = Callable[[Server, WireBroker, RigContext], Awaitable[None]]


def scene(work: Work, script: Script = CALM, **settings: Any) -> None:
    """Run `work` with a broker and the adapter's connected end of it."""

    async def main() -> None:
        server = await started_server(script)
        async with wire_broker(**settings) as (broker, context):
            await work(server, broker, context)
        server.books.audit()
        server.close()

    play(main)


def test_an_order_is_told_as_facts_with_the_venues_ids() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a"))
        await asyncio.sleep(0.1)
        facts = context.take(*FACTS)
        assert [type(fact) for fact in facts if not isinstance(fact, OrderAccepted)] == [
            OrderFilled
        ]
        assert {fact.venue_order_id for fact in facts if isinstance(fact, OrderAccepted)} == {"V1"}
        (fill,) = (fact for fact in facts if isinstance(fact, OrderFilled))
        assert (fill.order_id, fill.execution_id, fill.price) == ("a", "E1", Decimal(101))
        assert [(fee.currency, fee.amount) for fee in fill.fees] == [("USD", Decimal("0.101"))]

    scene(work)


def test_a_change_is_told_once_and_a_cancel_ends_the_order() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a", price="90"))
        broker.send(modify("a", 1, quantity=Decimal(2), price=Decimal(91)))
        broker.send(cancel("a"))
        await asyncio.sleep(0.1)
        facts = context.take(OrderReplaced, OrderEnded)
        replaced = [fact for fact in facts if isinstance(fact, OrderReplaced)]
        assert [(fact.revision, fact.quantity, fact.price) for fact in replaced] == [
            (1, Decimal(2), Decimal(91))
        ]
        assert {fact.kind for fact in facts if isinstance(fact, OrderEnded)} == {EndKind.CANCELLED}

    scene(work)


def test_a_refusal_is_a_rejection_or_leaves_the_order_as_it_was() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a", price="90"))
        await asyncio.sleep(0.1)
        context.take()
        server.script = Script(reject=1, refuse_cancel=1, refuse_change=1)
        for command in (submit("b"), cancel("a"), modify("a", 1, quantity=Decimal(2))):
            broker.send(command)
        await asyncio.sleep(0.1)
        ended, *refused = context.take(*FACTS)
        assert (ended.order_id, ended.kind, ended.evidence) == ("b", EndKind.REJECTED, "venue")
        kinds = [RequestKind.CANCEL, RequestKind.MODIFY]
        assert [(fact.order_id, fact.request) for fact in refused] == [("a", k) for k in kinds]

    scene(work)


@pytest.mark.parametrize("arrives", [False, True], ids=["before delivery", "after delivery"])
def test_r20_a_lost_answer_is_doubt_and_nothing_is_sent_again(arrives: bool) -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a"))
        broker.send(cancel("a"))
        broker.send(modify("a", 1, quantity=Decimal(2)))
        await asyncio.sleep(0.9)
        assert context.take(RequestInDoubt) == []
        await asyncio.sleep(60)
        doubts = context.take(*FACTS)
        assert [type(doubt) for doubt in doubts] == [RequestInDoubt] * 3
        assert [doubt.request for doubt in doubts] == list(RequestKind)
        assert len(server.books.received) == 3
        assert len(server.books.orders) == int(arrives)

    lost = Script(lose_answer=1, lose_push=1) if arrives else Script(lose_request=1)
    scene(work, lost)


def test_a_late_answer_still_counts() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        server.script = Script(delay_ms=(2_000, 2_000))
        broker.send(submit("a", price="90"))
        await asyncio.sleep(1.5)
        assert [type(fact) for fact in context.take(*FACTS)] == [RequestInDoubt]
        await asyncio.sleep(1)
        assert {type(fact) for fact in context.take(*FACTS)} == {OrderAccepted}

    scene(work)


def test_a_lost_connection_leaves_every_open_request_in_doubt_at_once() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a"))
        broker.send(cancel("a"))
        await asyncio.sleep(0.01)
        server.break_sessions()
        await asyncio.sleep(0.001)
        assert [fact.request for fact in context.take(RequestInDoubt)] == [
            RequestKind.SUBMIT,
            RequestKind.CANCEL,
        ]
        await asyncio.sleep(30)
        assert context.take(*FACTS) == []
        assert len(server.books.received) == 2

    scene(work, Script(lose_answer=1, lose_push=1))


def test_r30_nothing_asked_for_during_an_outage_goes_out_by_itself() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        server.restart(2_000)
        await asyncio.sleep(0.1)
        context.take()
        for command in (submit("a"), cancel("a"), modify("a", 1, quantity=Decimal(2))):
            broker.send(command)
        ended, *refused = context.take(*FACTS)
        assert (ended.kind, ended.evidence) == (EndKind.REJECTED, "core")
        assert [fact.request for fact in refused] == [RequestKind.CANCEL, RequestKind.MODIFY]
        await asyncio.sleep(60)
        assert context.take(ConnectionChanged)[-1].state.value == "streaming"
        assert server.books.received == []

    scene(work)


def test_r43_it_reconnects_until_the_broker_is_back_at_growing_intervals() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        server.is_down = True
        server.break_sessions()
        await asyncio.sleep(120)
        changes = context.take(ConnectionChanged)
        tried = [change.time_ns for change in changes if change.state.value == "connecting"]
        pauses_s = [(later - earlier) / 1e9 for earlier, later in pairwise(tried)]
        assert 20 < len(tried) < 120
        assert min(pauses_s) >= 0.05
        assert 1 < max(pauses_s) <= 5.5
        server.is_down = False
        await asyncio.sleep(6)
        assert context.take(ConnectionChanged)[-1].state.value == "streaming"
        broker.send(submit("a"))
        await asyncio.sleep(0.1)
        assert context.take(OrderFilled)

    scene(work)


def test_a_link_that_falls_silent_is_given_up() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        network = simulated_loop().network
        network.set_faults(ADDRESS, LinkFaults(half_open=True))
        broker.send(submit("a"))
        await asyncio.sleep(10)
        reasons = {change.reason for change in context.events if hasattr(change, "link")}
        assert "silence" in reasons
        assert [fact.request for fact in context.take(RequestInDoubt)] == [RequestKind.SUBMIT]
        network.set_faults(ADDRESS, LinkFaults())
        network.cut(ADDRESS)
        await asyncio.sleep(10)
        assert context.take(ConnectionChanged)[-1].state.value == "streaming"

    scene(work)


def test_a_broker_that_talks_nonsense_is_left() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        for session in server.sessions:
            assert session._transport is not None
            session._transport.write(b"<html>\n")
        await asyncio.sleep(1)
        changes = context.take(ConnectionChanged)
        assert any("BadLine" in change.reason for change in changes)
        assert changes[-1].state.value == "streaming"

    scene(work)


def test_r26_what_this_process_did_not_send_is_told_as_reports() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        for name in ("", "somebody", "an earlier process"):
            server.trading.trade_as_somebody("main", "BTC", "buy", Decimal(1), None, name)
        await asyncio.sleep(0.1)
        reports = context.take(*REPORTS, *FACTS)
        assert {type(report) for report in reports} == {OrderReport, ExecutionReport}
        executed = [report for report in reports if isinstance(report, ExecutionReport)]
        assert [report.order_id for report in executed] == ["", "somebody", "an earlier process"]
        assert {report.instrument for report in reports} == {BTC}

    scene(work)


def test_a_bust_is_a_correction_to_nothing() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a"))
        await asyncio.sleep(0.3)
        (correction,) = context.take(FillCorrection)
        assert (correction.execution_id, correction.quantity) == ("E1", 0)
        (report,) = await broker.executions("main", 0)
        assert (report.execution_id, report.quantity, report.fees[0].amount) == (
            "E1",
            ZERO,
            ZERO,
        )

    scene(work, Script(bust=1))


def test_questions_get_the_brokers_word() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        broker.send(submit("a"))
        broker.send(submit("b", "3", price="90"))
        await asyncio.sleep(0.1)
        filled, working = await broker.order("main", "a"), await broker.order("main", "b")
        assert filled is not None
        assert (filled.status, filled.filled) == (OrderStatus.FILLED, ONE)
        assert working is not None
        assert (working.status, working.price) == (OrderStatus.ACCEPTED, Decimal(90))
        assert await broker.order("main", "c") is None
        assert await broker.open_orders("main") == [working]
        assert [fill.order_id for fill in await broker.executions("main", 0)] == ["a"]
        assert [(p.instrument, p.quantity) for p in await broker.positions("main")] == [(BTC, ONE)]
        cash = Decimal(1_000_000) - Decimal("101.101")
        assert [(b.currency, b.total) for b in await broker.balances("main")] == [("USD", cash)]

    scene(work)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(ignore_questions=1), "no answer within"),
        (Script(refuse_questions=1), "too busy"),
        (Script(disconnect=1), "the connection was lost"),
    ],
)
def test_r34_a_question_without_an_answer_raises_and_is_never_nothing(
    script: Script, reason: str
) -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        server.script = script
        with pytest.raises(VenueUnavailable, match=reason):
            await broker.open_orders("main")

    scene(work)


def test_a_question_without_a_connection_or_of_another_account_raises() -> None:
    async def work(server: Server, broker: WireBroker, context: RigContext) -> None:
        with pytest.raises(VenueError, match="account 'main'"):
            await broker.positions("other")
        server.restart(1_000)
        await asyncio.sleep(0.1)
        with pytest.raises(VenueUnavailable, match="not connected"):
            await broker.balances("main")

    scene(work)


def section() -> dict[str, Any]:
    return {"settings": {"account": "main"}, "instruments": [{"symbol": "BTC"}]}


def test_the_adapter_has_a_feed_and_a_broker_that_can_be_asked() -> None:
    async def main() -> None:
        adapter = build(section(), RigContext(simulated_loop()))
        feed: MarketFeed | None = adapter.feed
        broker: Broker | None = adapter.broker
        assert feed is not None
        assert isinstance(broker, VenueQueries)
        assert await feed.history(BTC, "1m", end_ns=0, limit=5) == []
        with pytest.raises(UnknownInstrument):
            feed.subscribe("x:GOLD", "quotes")
        with pytest.raises(VenueError, match="no channel 'book'"):
            feed.subscribe(BTC, "book")

    play(main)


def test_the_feed_publishes_what_is_subscribed() -> None:
    async def main() -> None:
        server = await started_server(tick_ms=10)
        context = RigContext(simulated_loop())
        adapter = build(section(), context)
        assert adapter.feed is not None
        assert adapter.close is not None
        adapter.feed.subscribe(BTC, "quotes")
        running = simulated_loop().create_task(adapter.feed.run())
        await asyncio.sleep(1)
        quotes = context.take(Quote)
        assert len(quotes) > 20
        assert {quote.instrument for quote in quotes} == {BTC}
        adapter.feed.unsubscribe(BTC, "quotes")
        await asyncio.sleep(1)
        assert context.take(Quote) == []
        await adapter.close()
        running.cancel()
        await asyncio.wait([running])
        server.close()

    play(main)
