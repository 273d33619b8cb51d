"""Lists and positions of the desk over a restart: they go on where they were."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from framework.errors import JournalDamaged, OrderError
from framework.model.decimals import ZERO
from framework.model.desk import Cursor, DeskOrder, FillQuery, OrderQuery, Principal
from framework.model.orders import (
    CLOSED_STATUSES,
    Exits,
    Offset,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
)
from framework.model.records import PositionAssigned
from framework.model.reports import OrderFilled
from framework.runtime.desk import Desk
from framework.runtime.desk_lists import OPEN_STATUSES
from framework.runtime.runner import Runtime
from framework.settings.structs import Settings, StopPolicy
from framework.simulation.loop import run_simulated
from tests.crash.crashable_log import CrashableLog
from tests.framework.runtime.test_desk import (
    OTHER,
    OWNER,
    WHOLE,
    at,
    chosen,
    held,
    intent,
    limit,
)
from tests.scripted_venue import BTC, ETH, START_NS

Act = Callable[[Runtime], Awaitable[Any]]

CLOSED = OrderQuery(statuses=CLOSED_STATUSES)
WAYS = pytest.mark.parametrize(
    ("is_crash", "has_snapshot"), [(True, False), (True, True), (False, True)]
)


def configuration() -> Settings:
    """Two runs whose orders stay at a stop."""
    config = chosen()
    runs = [replace(run, on_stop=StopPolicy.LEAVE) for run in config.strategies]
    return replace(config, strategies=runs)


def lives(
    *acts: Act, is_crash: bool = True, has_snapshot: bool = False, kept: int | None = None
) -> list[Any]:
    """Do something in each process start on one journal; return what each returned.

    A crash leaves what is durable, with a snapshot from before the last `tail` of an act or without
    any; an orderly end saves one.
    """

    async def main() -> list[Any]:
        log, answers = CrashableLog(), []
        for act in acts:
            async with Runtime(configuration(), order_log=log) as runtime:
                if kept is not None:
                    keep(runtime, kept)
                await anyio.sleep(1)
                answers.append(await act(runtime))
                await log.flush()
                if is_crash:
                    log.die()
            if not has_snapshot:
                log._snapshot = log._durable_snapshot = None
            log = log.survivor(0, lambda name: None)
        return answers

    return list(run_simulated(main, seed=1, start_ns=START_NS))


def keep(runtime: Runtime, count: int) -> None:
    """Have a system keep that many closed orders."""
    keeping: Any = runtime._keeping
    keeping._closed._kept = count
    desk_of(runtime)._past._kept = count


def desk_of(runtime: Runtime) -> Desk:
    assert isinstance(runtime.desk, Desk)
    return runtime.desk


def save_snapshot(runtime: Runtime) -> None:
    keeping: Any = runtime._keeping
    keeping._snapshots.save()


async def trade(runtime: Runtime) -> None:
    """Leave orders of every kind behind; half of them before a snapshot."""
    desk = runtime.desk
    await desk.submit(OWNER, intent(quantity="3", key="c.bought"))
    await desk.submit(OTHER, intent(Side.SELL, quantity="2", key="c.sold"))
    for number in range(3):  # of one instant
        wish = limit(f"{80 + number}", key=f"c.rest{number}", tags=("a",))
        resting = await desk.submit(OWNER, wish)
        if number:
            await desk.modify(OWNER, resting.order.order_id, price=Decimal(70))
            await desk.cancel(OWNER, resting.order.order_id)
    protected = limit("105", key="c.entry", exits=Exits(at("80"), Offset(Decimal(20))))
    entry = await desk.submit(OWNER, protected)
    await desk.modify(OWNER, entry.order.order_id, exits=Exits(at("82"), Offset(Decimal(20))))
    save_snapshot(runtime)
    await desk.close(OWNER, await held(runtime), quantity=Decimal(4), key="c.closing")
    await desk.submit(OWNER, intent(quantity="1", key="c.again"))
    group = replace(limit("200", key="c.denied", oco_group="g"), exits=Exits(at("300"), None))
    await desk.submit(OWNER, group)
    await desk.submit(OWNER, intent(Side.BUY, key="c.refused", reduce_only=True))
    await desk.submit(OWNER, limit("200", key="c.taking", post_only=True))
    stop = intent(type=OrderType.STOP, stop_price=Decimal(120), key="c.stop")
    await desk.cancel(OWNER, (await desk.submit(OWNER, stop)).order.order_id)
    in_eth = replace(limit("9", key="c.eth"), instrument=ETH)
    await desk.cancel(OTHER, (await desk.submit(OTHER, in_eth)).order.order_id)
    await anyio.sleep(1)


async def told(listed: Awaitable[list[DeskOrder]]) -> list[DeskOrder]:
    """Return orders without what caused them: of a refused one that is not kept."""
    return [replace(one, intent=replace(one.intent, cause_ns=0)) for one in await listed]


async def lists(runtime: Runtime) -> list[Any]:
    """Return what three principals see: theirs, and everything on the account."""
    desk, found = runtime.desk, []
    for who in (OWNER, OTHER, WHOLE):
        found += [
            await told(desk.orders(who, CLOSED)),
            await told(desk.orders(who, replace(CLOSED, by_update=True))),
            await told(desk.orders(who, replace(CLOSED, instrument=ETH))),
            await told(desk.orders(who, replace(CLOSED, limit=3))),
            [one.order.order_id for one in await desk.orders(who, OrderQuery())],
            await desk.fills(who, FillQuery()),
            await desk.fills(who, FillQuery(instrument=BTC, limit=2)),
        ]
    return found


@WAYS
def test_past_orders_and_executions_are_listed_as_before(
    is_crash: bool, has_snapshot: bool
) -> None:
    async def first(runtime: Runtime) -> list[Any]:
        await trade(runtime)
        return await lists(runtime)

    before, after, later = lives(first, lists, lists, is_crash=is_crash, has_snapshot=has_snapshot)

    assert len(before[0]) >= 10
    assert {one.order.status for one in before[0]} >= {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.DENIED,
        OrderStatus.REJECTED,
    }
    assert after == before
    assert later == before


@WAYS
def test_one_by_id_or_key_shows_what_the_list_shows(is_crash: bool, has_snapshot: bool) -> None:
    async def first(runtime: Runtime) -> list[DeskOrder]:
        await trade(runtime)
        return await told(runtime.desk.orders(OWNER, CLOSED))

    async def again(runtime: Runtime) -> list[Any]:
        desk, found = runtime.desk, []
        for one in before:
            by_id = await desk.order(OWNER, one.order.order_id)
            assert by_id is not None
            assert await desk.orders(OWNER, OrderQuery(key=one.order.key)) == [by_id]
            found.append(replace(by_id, intent=replace(by_id.intent, cause_ns=0)))
            fills = await desk.fills(OWNER, FillQuery(order_id=one.order.order_id))
            assert sum((fill.quantity for fill in fills), ZERO) == one.order.filled
            assert await desk.order(OTHER, one.order.order_id) is None
        return found

    before: list[DeskOrder] = []

    async def noted(runtime: Runtime) -> None:
        before.extend(await first(runtime))

    _, after = lives(noted, again, is_crash=is_crash, has_snapshot=has_snapshot)

    assert after == before


@WAYS
def test_a_position_is_held_since_when_it_was_opened(is_crash: bool, has_snapshot: bool) -> None:
    async def first(runtime: Runtime) -> tuple[int, int]:
        desk = runtime.desk
        await desk.submit(OWNER, intent(key="c.one"))
        await desk.close(OWNER, await held(runtime))
        await anyio.sleep(1)
        await desk.submit(OWNER, intent(key="c.two"))
        save_snapshot(runtime)
        await anyio.sleep(1)
        await desk.submit(OWNER, intent(key="c.three"))
        return await times(runtime)

    async def more(runtime: Runtime) -> tuple[int, int]:
        before = await times(runtime)
        await runtime.desk.submit(OWNER, intent(key="c.more"))
        assert await times(runtime) == (before[0], await newest_fill_ns(runtime))
        return before

    async def turned(runtime: Runtime) -> tuple[int, int]:
        before = await times(runtime)
        await runtime.desk.submit(OWNER, intent(Side.SELL, quantity="5", key="c.turn"))
        assert await times(runtime) == (await newest_fill_ns(runtime),) * 2
        return before

    (opened_ns, updated_ns), again, third = lives(
        first, more, turned, is_crash=is_crash, has_snapshot=has_snapshot
    )

    assert opened_ns < updated_ns
    assert again == (opened_ns, updated_ns)
    assert third[0] == opened_ns


async def newest_fill_ns(runtime: Runtime, who: Principal = OWNER) -> int:
    (fill,) = await runtime.desk.fills(who, FillQuery(limit=1))
    return fill.time_ns


async def times(runtime: Runtime, who: Principal = OWNER) -> tuple[int, int]:
    position = await held(runtime, who)
    return position.opened_ns, position.updated_ns


@WAYS
def test_what_a_booking_ends_or_begins_counts_too(is_crash: bool, has_snapshot: bool) -> None:
    async def first(runtime: Runtime) -> list[tuple[int, int]]:
        desk, engine = runtime.desk, runtime.engine
        await desk.submit(OWNER, intent(key="c.one"))
        await anyio.sleep(1)
        given = PositionAssigned(
            "main", BTC, "run", "other", Decimal(1), Decimal(100), desk.clock.now_ns, "a1"
        )
        engine.record(given)
        engine.ledger.assign(given)
        save_snapshot(runtime)
        await anyio.sleep(1)
        await desk.submit(OWNER, intent(key="c.two"))
        await desk.submit(OTHER, intent(key="c.three"))
        mine, theirs = await newest_fill_ns(runtime), await newest_fill_ns(runtime, OTHER)
        before = await both(runtime)
        assert before == [(mine, mine), (given.time_ns, theirs)]
        return before

    async def both(runtime: Runtime) -> list[tuple[int, int]]:
        return [await times(runtime), await times(runtime, OTHER)]

    before, after = lives(first, both, is_crash=is_crash, has_snapshot=has_snapshot)

    assert after == before


def test_there_are_as_many_as_without_a_restart_and_the_newest() -> None:
    """R-53: closed orders of earlier starts make room for those of this one."""

    async def first(runtime: Runtime) -> list[str]:
        for number in range(12):
            await runtime.desk.submit(OWNER, intent(key=f"c.{number}"))
        await anyio.sleep(1)
        return await keys(runtime)

    async def second(runtime: Runtime) -> list[list[str]]:
        found = [await keys(runtime)]
        for number in range(12, 18):
            await runtime.desk.submit(OWNER, intent(key=f"c.{number}"))
            await anyio.sleep(0.1)
            found.append(await keys(runtime))
        past = desk_of(runtime)._past
        assert not past._states
        assert not past._positions
        return found

    before, after = lives(first, second, kept=5)

    assert after[0] == before == ["c.11", "c.10", "c.9", "c.8", "c.7"]
    assert after[2] == ["c.13", "c.12", "c.11", "c.10", "c.9"]
    assert after[-1] == ["c.17", "c.16", "c.15", "c.14", "c.13"]


async def keys(runtime: Runtime, **conditions: Any) -> list[str]:
    found = await runtime.desk.orders(OWNER, replace(CLOSED, **conditions))
    return [one.order.key for one in found]


async def many(runtime: Runtime) -> None:
    """Leave orders behind, several of them of one instant; every third is another run's."""
    desk, engine = runtime.desk, runtime.engine
    for _ in range(3):
        for number in range(3):
            run = ("run", "run", "other")[number]
            wish = replace(intent(key=desk.new_key(OWNER)), run=run)
            engine.desk.submit(wish)
        await anyio.sleep(0.1)


def cursor_of(one: DeskOrder, *, by_update: bool = False) -> Cursor:
    return Cursor(one.order.time_ns if by_update else one.order.created_ns, one.order.order_id)


@pytest.mark.parametrize("by_update", [False, True])
@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_go_on_where_they_were_whatever_has_left_the_list(
    limit: int, is_restarted: bool, by_update: bool
) -> None:
    """What is closed meanwhile pushes the oldest out, perhaps the very row that a cursor names."""

    async def page_by_page(runtime: Runtime) -> None:
        if not is_restarted:
            await many(runtime)
        query = replace(CLOSED, by_update=by_update)
        before = [one.order.order_id for one in await runtime.desk.orders(WHOLE, query)]
        assert len(before) == 9
        shown: list[str] = []
        cursor: Cursor | None = None
        while True:
            page = await runtime.desk.orders(WHOLE, replace(query, limit=limit, after=cursor))
            if not page:
                break
            shown += [one.order.order_id for one in page]
            cursor = cursor_of(page[-1], by_update=by_update)
            for _ in range(2):
                await runtime.desk.submit(OWNER, intent(key=runtime.desk.new_key(OWNER)))
            left = [one.order.order_id for one in await runtime.desk.orders(WHOLE, query)]
            rest = [name for name in before if name not in shown and name in left]
            following = await runtime.desk.orders(WHOLE, replace(query, after=cursor))
            assert [one.order.order_id for one in following] == rest
        assert shown == before[: len(shown)]
        assert len(shown) < len(before)  # the last ones were pushed out before their page

    async def nothing(runtime: Runtime) -> None:
        await many(runtime)

    lives(*([nothing, page_by_page] if is_restarted else [page_by_page]), kept=9)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_pages_of_executions_go_on_where_they_were(is_restarted: bool) -> None:
    async def page_by_page(runtime: Runtime) -> None:
        if not is_restarted:
            await many(runtime)
        desk = runtime.desk
        before = await desk.fills(WHOLE, FillQuery())
        assert len(before) == 9
        for index, fill in enumerate(before):
            cursor = Cursor(fill.time_ns, fill.order_id, fill.execution_id)
            assert await desk.fills(WHOLE, FillQuery(after=cursor)) == before[index + 1 :]
        cursor = Cursor(before[4].time_ns, before[4].order_id, before[4].execution_id)
        for _ in range(4):
            await desk.submit(OWNER, intent(key=desk.new_key(OWNER)))
        assert await desk.fills(WHOLE, FillQuery(after=cursor)) == []  # four were pushed out
        oldest = before[-1]
        gone = Cursor(oldest.time_ns, oldest.order_id, oldest.execution_id)
        assert await desk.fills(WHOLE, FillQuery(after=gone)) == []
        same = [fill for fill in before if fill.time_ns == before[3].time_ns]
        assert len(same) > 1

    async def nothing(runtime: Runtime) -> None:
        await many(runtime)

    lives(*([nothing, page_by_page] if is_restarted else [page_by_page]), kept=9)


def test_a_cursor_names_an_order_that_the_principal_sees() -> None:
    """T-06."""

    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        theirs = await desk.submit(OTHER, intent(key="c.theirs"))
        for cursor in (Cursor(0, "nothing"), cursor_of(theirs)):
            with pytest.raises(OrderError, match="in no list"):
                await desk.orders(OWNER, OrderQuery(after=cursor))
            with pytest.raises(OrderError, match="in no list"):
                await desk.fills(OWNER, FillQuery(after=cursor))

    lives(act, act)


@pytest.mark.parametrize("is_read_before", [False, True])
def test_an_order_that_a_late_fact_brings_back_is_listed_once_as_it_stands(
    is_read_before: bool,
) -> None:
    """R-23, R-24."""

    async def first(runtime: Runtime) -> str:
        desk = runtime.desk
        late = await desk.submit(OWNER, limit("90", key="c.late"))
        await desk.cancel(OWNER, late.order.order_id)
        await desk.submit(OWNER, intent(key="c.other"))
        return late.order.order_id

    async def second(runtime: Runtime) -> list[tuple[str, Decimal]]:
        desk = runtime.desk
        if is_read_before:
            assert len(await desk.orders(OWNER, CLOSED)) == 2
        (order_id,) = [
            one.order.order_id for one in await desk.orders(OWNER, OrderQuery(key="c.late"))
        ]
        now_ns = desk.clock.now_ns
        runtime.engine.bus.publish(OrderFilled(order_id, "E9", Decimal(1), Decimal(90), now_ns))
        await anyio.sleep(0.1)
        listed = await desk.orders(OWNER, CLOSED)
        (fill, *_) = await desk.fills(OWNER, FillQuery())
        assert (fill.execution_id, fill.order_id) == ("E9", order_id)
        return [(one.order.key, one.order.filled) for one in listed]

    _, after = lives(first, second)

    assert after == [("c.other", Decimal(1)), ("c.late", Decimal(1))]


def test_a_log_that_cannot_be_read_any_more_leaves_what_is_in_memory() -> None:
    async def first(runtime: Runtime) -> None:
        await runtime.desk.submit(OWNER, intent(key="c.old"))
        save_snapshot(runtime)

    async def second(runtime: Runtime) -> list[str]:
        log: Any = runtime.engine.log

        def damaged(after: int = 0, limit: int | None = None) -> Any:
            raise JournalDamaged("entry 7 does not bear out its checksum")

        log.read = damaged
        await runtime.desk.submit(OWNER, intent(key="c.new"))
        with capture_logs() as logs:
            found = [await keys(runtime), await keys(runtime)]
        assert [entry["event"] for entry in logs].count("past_orders_unreadable") == 1
        assert found[0] == found[1]
        return found[0]

    assert lives(first, second, has_snapshot=True)[1] == ["c.new"]


def test_a_long_list_is_read_in_turns_and_shows_rows_as_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-84."""
    monkeypatch.setattr("framework.runtime.desk_lists.TURN", 1)

    async def act(runtime: Runtime) -> None:
        desk, registry = runtime.desk, runtime.engine.registry
        for number in range(4):
            resting = await desk.submit(OWNER, limit(f"{80 + number}", key=f"c.{number}"))
            if number < 3:
                await desk.cancel(OWNER, resting.order.order_id)
            await anyio.sleep(0.1)
        turns: list[int] = []

        async def others() -> None:
            for turn in range(6):
                turns.append(turn)
                if turn == 5:  # the open one has been looked at by now
                    runtime.engine.desk.cancel(resting.order.order_id)
                    late = registry.by_key("run", "c.0")
                    assert late is not None
                    fact = OrderFilled(
                        late.order_id, "E9", Decimal(1), Decimal(80), desk.clock.now_ns
                    )
                    runtime.engine.bus.publish(fact)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            found = await keys(runtime, by_update=True)
        assert len(turns) == 6
        assert found == ["c.0", "c.2", "c.1"]  # the late fill moved it to the top

    lives(act)


def test_whoever_gives_up_leaves_the_reading_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.runtime.desk_history.PAGE", 1)

    async def second(runtime: Runtime) -> list[str]:
        past = desk_of(runtime)._past
        turns = 0

        async def hurried() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await past.read()

        scopes: list[anyio.CancelScope] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(hurried)
            while not past._states:
                turns += 1
                await anyio.lowlevel.checkpoint()
            scopes[0].cancel()
        assert scopes[0].cancelled_caught
        assert past.is_read
        return await keys(runtime)

    async def first(runtime: Runtime) -> list[str]:
        for number in range(3):
            await runtime.desk.submit(OWNER, intent(key=f"c.{number}"))
        return await keys(runtime)

    before, after = lives(first, second)

    assert after == before


def at_once(runtime: Runtime, *wishes: OrderIntent) -> None:
    """Ask for orders in one instant."""
    for wish in wishes:
        runtime.engine.desk.submit(replace(wish, run="run"))


@pytest.mark.parametrize("has_snapshot", [False, True])
def test_of_one_instant_open_and_past_ones_keep_their_order(has_snapshot: bool) -> None:
    async def first(runtime: Runtime) -> list[str]:
        at_once(
            runtime,
            intent(key="c.1"),
            limit("80", key="c.2"),
            intent(key="c.3"),
            limit("81", key="c.4"),
            intent(key="c.5"),
        )
        await anyio.sleep(1)
        save_snapshot(runtime)
        return await all_keys(runtime)

    async def all_keys(runtime: Runtime) -> list[str]:
        return [one.order.key for one in await runtime.desk.orders(OWNER, OrderQuery())]

    before, after = lives(first, all_keys, has_snapshot=has_snapshot)

    assert after == before == ["c.5", "c.4", "c.3", "c.2", "c.1"]


def test_a_row_that_has_left_is_followed_by_what_was_made_before_it_in_its_instant() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        at_once(runtime, limit("80", key="c.1"), intent(key="c.2"), limit("81", key="c.3"))
        await anyio.sleep(1)
        (gone,) = await desk.orders(OWNER, OrderQuery(key="c.2"))
        cursor = cursor_of(gone)
        await desk.submit(OWNER, intent(key="c.4"))
        await anyio.sleep(1)
        assert runtime.engine.registry.get(gone.order.order_id) is None
        following = await desk.orders(OWNER, OrderQuery(after=cursor))
        assert [one.order.key for one in following] == ["c.1"]

    lives(act, kept=1)


@WAYS
def test_a_past_entry_shows_where_its_exits_were(is_crash: bool, has_snapshot: bool) -> None:
    """Somebody had moved its stop: the intent alone would not tell."""

    async def first(runtime: Runtime) -> None:
        desk = runtime.desk
        entry = intent(key="c.entry", exits=Exits(at("80"), at("120")))
        await desk.submit(OWNER, entry)
        await anyio.sleep(1)
        legs = await desk.orders(OWNER, OrderQuery(statuses=OPEN_STATUSES))
        (stop,) = [leg for leg in legs if leg.order.stop_price == Decimal(80)]
        await desk.modify(OWNER, stop.order.order_id, stop_price=Decimal(75))
        await desk.close(OWNER, await held(runtime))
        await anyio.sleep(1)
        assert await exits(runtime) == (Decimal(75), Decimal(120))

    async def exits(runtime: Runtime) -> tuple[Decimal | None, Decimal | None]:
        (by_key,) = await runtime.desk.orders(OWNER, OrderQuery(key="c.entry"))
        (listed,) = [
            one for one in await runtime.desk.orders(OWNER, CLOSED) if one.order.key == "c.entry"
        ]
        assert (by_key.stop_loss, by_key.take_profit) == (listed.stop_loss, listed.take_profit)
        return listed.stop_loss, listed.take_profit

    _, after = lives(first, exits, is_crash=is_crash, has_snapshot=has_snapshot)

    assert after == (Decimal(75), Decimal(120))
