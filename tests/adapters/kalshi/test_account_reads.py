"""What an account has, read from the simulated venue in all its wires and generations."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.kalshi import account_reads
from adapters.kalshi.account_reads import AccountReads
from adapters.kalshi.rest_values import Amendment
from adapters.kalshi.simulated.channels import Profile
from framework.errors import VenueUnavailable
from framework.model.orders import Fee, Liquidity, OrderStatus, Side
from framework.model.venue_state import ExecutionReport, PositionReport
from tests.adapters.kalshi.rest_stage import (
    CENT,
    CENTS,
    CONTRACT,
    OTHER,
    TENTHS,
    Stage,
    exchange_settings,
    on_stage,
    pass_time,
)
from tests.adapters.kalshi.scripted_rest import Rig, run
from tests.broker.rig import START_NS as SCRIPT_NS

SHORT_HISTORY = exchange_settings(history_after_s=60)
everywhere = pytest.mark.parametrize(
    ("profile", "uses_first"), [(profile, first) for profile in Profile for first in (True, False)]
)


@everywhere
def test_orders_as_they_stand(profile: Profile, uses_first: bool) -> None:
    """K66: side, quantity, fills and status, by our own id."""

    async def scene(one: Stage) -> None:
        await one.buy("bid", 40)
        await one.sell("ask", 60, 20)
        one.meet(60, 5, is_bid=True)
        await one.buy("gone", 10)
        gone = await one.account.find("gone")
        assert gone is not None
        await one.rest.cancel_order(gone.order_id)
        await one.sell("done", 55)
        one.meet(55, 10, is_bid=True)
        await one.buy("nothing", 45, time_in_force="immediate_or_cancel")

        working = {report.order_id: report for report in await one.account.open_orders()}

        assert sorted(working) == ["ask", "bid"]
        reports = [await one.account.order(n) for n in ("bid", "ask", "gone", "done", "nothing")]
        told: list[Any] = [
            (each.side, each.quantity, each.filled, each.price, each.status)
            for each in reports
            if each is not None
        ]
        assert told == [
            (Side.BUY, 10, 0, Decimal("0.4"), OrderStatus.ACCEPTED),
            (Side.SELL, 20, 5, Decimal("0.6"), OrderStatus.PARTIALLY_FILLED),
            (Side.BUY, 10, 0, Decimal("0.1"), OrderStatus.CANCELLED),
            (Side.SELL, 10, 10, Decimal("0.55"), OrderStatus.FILLED),
            (Side.BUY, 10, 0, Decimal("0.45"), OrderStatus.CANCELLED),
        ]
        assert reports[:2] == [working["bid"], working["ask"]]
        assert {each.instrument for each in working.values()} == {f"x:{CENTS}"}
        assert await one.account.order("unheard-of") is None

    on_stage(scene, profile=profile, uses_first=uses_first)


@everywhere
def test_a_changed_order_has_its_new_quantity(profile: Profile, uses_first: bool) -> None:
    """10.4: the count of an amendment is the total, what is filled included."""

    async def scene(one: Stage) -> Any:
        order_id = await one.buy("c", 40)
        one.meet(40, 4, is_bid=False)
        amendment = Amendment(ticker=CENTS, is_bid=True, count=12 * CONTRACT, price=41 * CENT)
        await one.rest.amend_order(order_id, amendment)
        found = [await one.account.order("c")]
        await one.rest.decrease_order(order_id, to=3 * CONTRACT)
        found.append(await one.account.order("c", order_id))
        one.meet(41, 3, is_bid=False)
        found.append(await one.account.order("c", order_id))
        return [(each.quantity, each.filled) for each in found if each is not None]

    assert on_stage(scene, profile=profile, uses_first=uses_first) == [(12, 4), (7, 4), (7, 7)]


def test_a_past_order_is_found_in_history() -> None:
    """10.3: what ended before the cutoff is in the historical list alone."""

    async def scene(one: Stage) -> None:
        order_id = await one.buy("old", 40)
        await one.rest.cancel_order(order_id)
        await pass_time(100)
        await one.buy("new", 40)

        for venue_id in ("", order_id):
            found = await one.account.order("old", venue_id)
            assert found is not None
            assert found.status is OrderStatus.CANCELLED
        assert [order.client_order_id async for order in one.rest.orders()] == ["new"]

    on_stage(scene, exchange=SHORT_HISTORY)


def test_an_order_that_the_venue_has_in_history_alone_is_found_by_either_id() -> None:
    """Some servers answer 404 for it by its id."""
    order = {
        "order_id": "o-1",
        "client_order_id": "c-1",
        "ticker": "K",
        "status": "executed",
        "side": "yes",
        "action": "buy",
        "yes_price": 40,
        "initial_count": 10,
        "fill_count": 10,
        "remaining_count": 0,
    }

    async def scene(rig: Rig) -> None:
        server, account = rig.server, AccountReads("main", "x", rig.rest, rig.context.clock)
        server.on("GET /portfolio/orders/o-1", {"code": "not_found"}, status=404)
        server.on("GET /portfolio/orders", {"orders": None})
        other = order | {"order_id": "o-2", "client_order_id": "c-2"}
        server.on("GET /historical/orders", {"orders": [other, order]})
        fill = {"trade_id": "t", "order_id": "o-1", "ticker": "K", "side": "yes", "count": 10}
        server.on("GET /portfolio/fills", {"fills": [fill | {"yes_price": 40, "ts": SCRIPT_S}]})
        server.on("GET /historical/cutoff", {})

        assert await account.find("c-1") == await account.find("c-1", "o-1") is not None
        assert await account.find("c-9", "o-1") is None
        assert [each.order_id for each in await account.executions(0)] == ["c-1"]

    run(scene)


SCRIPT_S = SCRIPT_NS // 10**9


@everywhere
def test_executions_are_told_whole_and_oldest_first(profile: Profile, uses_first: bool) -> None:
    """B11: side, price, fee and our own id, so that what a stream lost can be booked."""

    async def scene(one: Stage) -> list[ExecutionReport]:
        await one.buy("bid", 40, 5)
        one.meet(40, 3, is_bid=False)
        one.meet(40, 2, is_bid=False)
        one.meet(60, is_bid=False)
        await pass_time(1)
        since_ns = one.context.clock.now_ns
        assert len(await one.account.executions(since_ns)) == 0
        await one.buy("taker", 60)
        one.meet(30, is_bid=True)
        await one.sell("out", 30, 5)
        assert len(await one.account.executions(since_ns)) == 2
        return await one.account.executions(0)

    told = on_stage(scene, profile=profile, uses_first=uses_first)

    maker, taker = Liquidity.MAKER, Liquidity.TAKER
    rows: list[Any] = [
        (each.order_id, each.side, each.quantity, each.price, each.liquidity) for each in told
    ]
    assert rows == [
        ("bid", Side.BUY, 3, Decimal("0.4"), maker),
        ("bid", Side.BUY, 2, Decimal("0.4"), maker),
        ("taker", Side.BUY, 10, Decimal("0.6"), taker),
        ("out", Side.SELL, 5, Decimal("0.3"), taker),
    ]
    assert [each.fees for each in told] == [
        (),
        (),
        (Fee("USD", Decimal("0.17")),),  # 0.07 x 10 x 0.6 x 0.4, up to the cent
        (Fee("USD", Decimal("0.08")),),
    ]
    assert len({each.execution_id for each in told}) == 4
    assert {(each.account, each.instrument) for each in told} == {("main", f"x:{CENTS}")}


def test_executions_reach_back_into_history() -> None:
    """10.3: before the cutoff they are in another list; whoever asks since later is not told."""

    async def scene(one: Stage) -> None:
        await one.buy("bid", 40)
        one.meet(40, 3, is_bid=False)
        await pass_time(70)
        between_ns = one.context.clock.now_ns
        one.meet(40, 4, is_bid=False)

        told = await one.account.executions(0)
        assert [each.quantity for each in told] == [3, 4]
        assert [each.order_id for each in told] == ["bid", "bid"]
        assert [each.quantity for each in await one.account.executions(between_ns)] == [4]
        assert len(one.asked("GET", "/historical/fills")) == 1

    on_stage(scene, exchange=SHORT_HISTORY)


def test_a_fill_that_becomes_historical_meanwhile_is_told_once() -> None:
    fill: dict[str, object] = {
        "trade_id": "t",
        "order_id": "o",
        "client_order_id": "c",
        "ticker": "K",
        "side": "no",
    }
    fill |= {"count": 1, "yes_price": 40, "ts": SCRIPT_S}

    async def scene(rig: Rig) -> list[ExecutionReport]:
        rig.server.on("GET /portfolio/fills", {"fills": [fill]})
        rig.server.on("GET /historical/fills", {"fills": [fill]})
        rig.server.on("GET /historical/cutoff", {"trades_created_ts": "2100-01-01T00:00:00Z"})
        reads = AccountReads("main", "x", rig.rest, rig.context.clock)
        return await reads.executions(0)

    told = run(scene)

    assert [(each.execution_id, each.side) for each in told] == [("t", Side.SELL)]


def test_client_ids_that_a_fill_does_not_name_are_looked_up_once() -> None:
    """10.3: the venue's list of fills has its own order ids alone."""
    fill = {"ticker": "K", "side": "yes", "count": 1, "yes_price": 40, "ts": SCRIPT_S}
    fills = [fill | {"trade_id": f"t-{n}", "order_id": f"o-{n % 2}"} for n in range(4)]
    order: dict[str, object] = {
        "order_id": "o-0",
        "client_order_id": "c-0",
        "ticker": "K",
        "status": "executed",
    }
    order |= {"side": "yes", "action": "buy", "yes_price": 40}
    order |= {"initial_count": 2, "fill_count": 2, "remaining_count": 0}

    async def scene(rig: Rig) -> None:
        server = rig.server
        server.on("GET /portfolio/fills", {"fills": fills})
        server.on("GET /historical/cutoff", {})
        server.on("GET /historical/orders", {"orders": []})
        server.on("GET /portfolio/orders/o-0", {"order": order})
        server.on("GET /portfolio/orders/o-1", {"code": "not_found"}, status=404)
        reads = AccountReads("main", "x", rig.rest, rig.context.clock)

        for _ in range(2):
            told = await reads.executions(0)
            assert sorted(each.order_id for each in told) == ["", "", "c-0", "c-0"]
        assert reads.client_id("o-0") == "c-0"
        assert reads.client_id("o-1") == ""
        paths = [heard.path for heard in server.heard]
        assert paths.count("/portfolio/orders/o-0") == 1

    run(scene)


def test_only_so_many_client_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_reads, "REMEMBERED", 2)

    async def scene(one: Stage) -> list[str]:
        for name in ("a", "b", "c"):
            one.account.remember(f"o-{name}", name)
        return [one.account.client_id(f"o-{name}") for name in ("a", "b", "c")]

    assert on_stage(scene) == ["", "b", "c"]


@pytest.mark.parametrize("profile", Profile)
def test_positions_are_of_the_yes_contract(profile: Profile) -> None:
    """Contracts of no are less than nothing of yes; what was closed is not there."""

    async def scene(one: Stage) -> list[PositionReport]:
        for ticker, is_bid in ((CENTS, True), (TENTHS, False)):
            one.meet(50, 7, is_bid=not is_bid, ticker=ticker)
            order = one.buy if is_bid else one.sell
            await order(ticker, 50, 7, ticker=ticker)
        return await one.account.positions()

    told = on_stage(scene, profile=profile)

    assert {each.instrument: each.quantity for each in told} == {f"x:{CENTS}": 7, f"x:{TENTHS}": -7}

    async def closed(one: Stage) -> list[PositionReport]:
        for is_bid in (True, False):
            one.meet(50, is_bid=not is_bid)
            await (one.buy if is_bid else one.sell)(str(is_bid), 50)
        return await one.account.positions()

    assert on_stage(closed, profile=profile) == []


def test_no_answer_is_an_error_and_never_nothing() -> None:
    """R-34."""

    async def scene(one: Stage) -> None:
        one.fail("refuse", "GET", count=100)
        for question in (one.account.positions, one.account.balances, one.account.open_orders):
            with pytest.raises(VenueUnavailable):
                await question()
        with pytest.raises(VenueUnavailable):
            await one.account.order("c")
        with pytest.raises(VenueUnavailable):
            await one.account.executions(0)

    on_stage(scene)


def test_other_members_are_nobodys_business() -> None:
    async def scene(one: Stage) -> None:
        one.meet(50, is_bid=False)
        one.meet(50, 5, is_bid=True)
        assert one.exchange.portfolio.orders(OTHER)
        assert await one.account.open_orders() == []
        assert await one.account.executions(0) == []

    on_stage(scene)
