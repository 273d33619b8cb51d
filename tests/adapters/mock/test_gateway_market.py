"""The mock mode of the gateway, as its protocol wants it (spec 16.2), below the door."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from adapters.mock.any_symbol import AnySymbolFeed
from framework.model.market_data import Candle, Quote
from framework.model.orders import Offset, OrderStatus, OrderType, Percent, TimeInForce
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.adapters.mock.gateway_stage import (
    BUY,
    CLIENT,
    SECOND_NS,
    SELL,
    START_NS,
    fills,
    gateway_settings,
    now,
    play,
    send,
)
from tests.source_code import ROOT

D = Decimal
OPEN, FILLED = OrderStatus.ACCEPTED, OrderStatus.FILLED
DAY_NS = 86_400 * SECOND_NS


@pytest.mark.parametrize(
    ("symbol", "price"),
    [("AAPL", 150), ("aapl", 150), ("BTC/USD", 50_000), ("eurusd", 1.08), ("XYZ.N:1", 100)],
)
def test_every_symbol_has_a_quote_at_its_start_price(symbol: str, price: float) -> None:
    async def act(runtime: Runtime) -> None:
        quote = await runtime.desk.quote(CLIENT, f"mock:{symbol}")
        assert quote is not None
        assert (quote.bid + quote.ask) / 2 == pytest.approx(price, rel=0.001)
        half = max(0.01, price * 0.0001)
        assert (quote.ask - quote.bid) / 2 == pytest.approx(half, rel=0.01)
        assert (quote.bid_size, quote.ask_size) == (100, 100)

    play(act)


def test_prices_move_with_time_and_not_with_reads() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        first = await desk.quote(CLIENT, "mock:AAPL")
        for _ in range(20):
            assert await desk.quote(CLIENT, "mock:AAPL") == first
        seen = set()
        for _ in range(10):
            await anyio.sleep(1)
            seen.add(await desk.quote(CLIENT, "mock:AAPL"))
        assert len(seen) == 10
        assert len({quote.bid for quote in seen if quote is not None}) > 5

    play(act)


def test_one_seed_is_one_market_from_the_start_on_and_another_seed_another() -> None:
    """Whatever the time of day is, and however late a symbol is asked for."""

    async def act(runtime: Runtime) -> list[tuple[float, float]]:
        seen = []
        for symbol in ("AAPL", "ZZZ"):
            for _ in range(3):
                quote = await runtime.desk.quote(CLIENT, f"mock:{symbol}")
                assert quote is not None
                seen.append((quote.bid, quote.ask))
                await anyio.sleep(1.3)
        return seen

    first = play(act, {"MOCK_SEED": "5"})
    assert play(act, {"MOCK_SEED": "5"}, start_ns=START_NS + 7_777_777_777_777) == first
    assert play(act, {"MOCK_SEED": "6"}) != first

    async def late(runtime: Runtime) -> tuple[float, float]:
        await anyio.sleep(3 * 1.3)
        quote = await runtime.desk.quote(CLIENT, "mock:zzz")
        assert quote is not None
        return quote.bid, quote.ask

    assert play(late, {"MOCK_SEED": "5"}) == first[3]


def test_the_same_seed_gives_the_same_orders_fills_and_ids() -> None:
    async def act(runtime: Runtime) -> list[Any]:
        heard = fills(runtime)
        for number in range(5):
            await send(runtime, BUY if number % 2 else SELL, "AAPL", "3", f"c.{number}")
            await send(runtime, BUY, "MSFT", "1", f"c.l{number}", price="399.99")
            await anyio.sleep(2)
        return [(f.execution_id, f.order_id, f.price, f.quantity, f.time_ns) for f in heard]

    settings = {"MOCK_SEED": "9", "MOCK_PARTIAL_FILL_RATIO": "0.3"}
    first = play(act, settings)
    assert len(first) >= 10
    assert play(act, settings) == first


def test_quotes_and_candles_come_within_two_seconds_and_every_second_then() -> None:
    async def act(runtime: Runtime) -> None:
        heard: list[Any] = []
        desk = runtime.desk
        desk.listen("test", {Quote: heard.append, Candle: heard.append})
        for symbol in ("AAPL", "BTCUSD"):
            await desk.instrument(CLIENT, f"mock:{symbol}")
            desk.watch(f"mock:{symbol}", "quotes")
            for interval in ("1m", "5m", "1w"):
                desk.watch(f"mock:{symbol}", "candles", interval)
        await anyio.sleep(0.01)
        assert {(type(e), getattr(e, "interval", "")) for e in heard} == {
            (Quote, ""), (Candle, "1m"), (Candle, "5m"), (Candle, "1w")
        }  # fmt: skip
        heard.clear()
        await anyio.sleep(10)
        assert len([e for e in heard if isinstance(e, Quote)]) == 40
        assert len([e for e in heard if isinstance(e, Candle) and e.interval == "5m"]) >= 40

    play(act)


@pytest.mark.parametrize("quantity", ["1", "25000", "0.0000001"])
def test_a_market_order_of_any_size_fills_at_once(quantity: str) -> None:
    async def act(runtime: Runtime) -> None:
        quote = await runtime.desk.quote(CLIENT, "mock:EURUSD")
        done = await send(runtime, BUY, "EURUSD", quantity)
        assert done.order.status is FILLED
        assert done.order.filled == D(quantity)
        assert quote is not None
        assert done.order.average_price == D(repr(quote.ask))

    play(act)


def test_limits_far_from_the_market_and_off_every_grid_rest() -> None:
    async def act(runtime: Runtime) -> None:
        orders = [
            await send(runtime, BUY, "AAPL", "1", price="50"),
            await send(runtime, SELL, "AAPL", "1", price="300"),
            await send(runtime, BUY, "AAPL", "0.0000001", price="123.12345678"),
            await send(runtime, BUY, "AAPL", "1", price="49.9", stop_price="301"),
            await send(runtime, SELL, "AAPL", "1", stop_price="75"),
            await send(runtime, SELL, "AAPL", "1", type=OrderType.TRAILING_STOP,
                       trail=Percent(D(10))),
        ]  # fmt: skip
        await anyio.sleep(60)
        for order in orders:
            status = (await now(runtime, order)).order.status
            assert status in (OPEN, OrderStatus.HELD), (order, status)

    play(act)


def test_a_limit_that_is_moved_through_the_market_fills_and_never_beyond_its_limit() -> None:
    async def act(runtime: Runtime) -> None:
        desk = runtime.desk
        order = await send(runtime, BUY, "AAPL", "2", price="50")
        moved = await desk.modify(CLIENT, order.order.order_id, price=D(300))
        assert moved.order.status is FILLED
        assert moved.order.average_price is not None
        assert moved.order.average_price < D(151)
        heard = fills(runtime)
        quote = await desk.quote(CLIENT, "mock:AAPL")
        assert quote is not None
        near = D(repr(quote.bid)) + D("0.00012345")
        waiting = await send(runtime, BUY, "AAPL", "1", price=str(near))
        for _ in range(7_200):
            await anyio.sleep(1)
            if heard:
                break
        assert [(fill.order_id, fill.price) for fill in heard] == [(waiting.order.order_id, near)]

    play(act)


def test_stops_and_trailing_stops_rest_until_they_are_triggered() -> None:
    async def act(runtime: Runtime) -> None:
        await send(runtime, BUY, "AAPL", "10")
        quote = await runtime.desk.quote(CLIENT, "mock:AAPL")
        assert quote is not None
        bid, ask = D(repr(quote.bid)), D(repr(quote.ask))
        kinds: list[dict[str, Any]] = [
            {"stop_price": str(bid - D("0.05"))},
            {"stop_price": str(bid - D("0.05")), "price": "149"},
            {"type": OrderType.TRAILING_STOP, "trail": Offset(D("0.05"))},
        ]
        orders = [await send(runtime, SELL, "AAPL", "1", **kind) for kind in kinds]
        orders.append(await send(runtime, BUY, "AAPL", "1", stop_price=str(ask + D("0.05"))))
        assert not [o for o in orders if o.order.filled]
        for _ in range(3_600):
            await anyio.sleep(1)
            orders = [await now(runtime, order) for order in orders]
            if all(order.order.filled for order in orders):
                break
        assert [order.order.status for order in orders] == [FILLED] * 4

    play(act)


def test_immediate_orders_never_rest() -> None:
    async def act(runtime: Runtime) -> None:
        for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            order = await send(runtime, BUY, "AAPL", "1", price="50", time_in_force=time_in_force)
            assert order.order.status is OrderStatus.CANCELLED
            taken = await send(runtime, BUY, "AAPL", "1", time_in_force=time_in_force)
            assert taken.order.status is FILLED

    play(act)


def test_a_day_order_ends_with_its_day() -> None:
    async def act(runtime: Runtime) -> None:
        order = await send(runtime, BUY, "AAPL", "1", price="50", time_in_force=TimeInForce.DAY)
        good = await send(runtime, BUY, "AAPL", "1", price="50")
        left_ns = DAY_NS - runtime.engine.clock.now_ns % DAY_NS
        await anyio.sleep(left_ns / SECOND_NS - 1)
        assert (await now(runtime, order)).order.status is OPEN
        await anyio.sleep(2)
        assert (await now(runtime, order)).order.status is OrderStatus.EXPIRED
        assert (await now(runtime, good)).order.status is OPEN

    play(act, start_ns=START_NS // DAY_NS * DAY_NS + 86_390 * SECOND_NS)


def test_what_the_account_cannot_carry_is_refused_with_both_numbers() -> None:
    async def act(runtime: Runtime) -> None:
        done = await send(runtime, BUY, "AAPL", "1000")
        assert done.order.status is OrderStatus.DENIED
        words = done.order.reason.split()
        assert words[:3] == ["the", "order", "needs"]
        assert float(words[3]) == pytest.approx(150_000, rel=0.001)
        assert "of margin and account 'main' has 100000" in done.order.reason
        assert (await send(runtime, SELL, "AAPL", "660")).order.status is FILLED  # short
        money = await runtime.desk.money(CLIENT)
        assert money.equity == money.balance + money.unrealised
        assert money.bound == pytest.approx(D(99_000), rel=D("0.001"))
        assert (await send(runtime, SELL, "AAPL", "10")).order.status is OrderStatus.DENIED
        assert (await send(runtime, SELL, "MSFT", "10", price="800")).order.reason
        assert (await send(runtime, BUY, "AAPL", "1300")).order.status is FILLED  # turns it
        flat = await send(runtime, SELL, "AAPL", "640", reduce_only=True)
        assert flat.order.status is FILLED
        assert await runtime.desk.positions(CLIENT) == []

    play(act)


def test_the_balance_at_the_start_is_the_environments() -> None:
    async def act(runtime: Runtime) -> Decimal:
        return (await runtime.desk.money(CLIENT)).balance

    assert play(act) == 100_000
    assert play(act, {"MOCK_INITIAL_BALANCE": "2500.50"}) == D("2500.50")


def test_reduce_only_that_opens_and_post_only_that_crosses_are_refused_recognisably() -> None:
    async def act(runtime: Runtime) -> None:
        opening = await send(runtime, SELL, "AAPL", "1", reduce_only=True)
        assert opening.order.status is OrderStatus.DENIED
        assert "reduce-only" in opening.order.reason
        await send(runtime, BUY, "AAPL", "1")
        flipping = await send(runtime, SELL, "AAPL", "2", reduce_only=True)
        assert "reduce-only" in flipping.order.reason
        crossing = await send(runtime, BUY, "AAPL", "1", price="151", post_only=True)
        assert crossing.order.status is OrderStatus.REJECTED
        assert "post-only" in crossing.order.reason

    play(act)


def test_fifty_orders_at_once_are_taken() -> None:
    async def act(runtime: Runtime) -> None:
        found: list[Any] = []

        async def one(number: int) -> None:
            found.append(await send(runtime, BUY, "AAPL", "1", f"c.{number}"))

        before_ns = runtime.engine.clock.now_ns
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
        assert len({order.order.order_id for order in found}) == 50
        assert {order.order.status for order in found} == {FILLED}
        assert runtime.engine.clock.now_ns - before_ns < SECOND_NS // 2

    play(act)


def test_many_refusals_do_not_stop_the_client() -> None:
    """R-62: a client that tries its errors out is no runaway; one that loops is."""

    async def act(runtime: Runtime) -> None:
        for _ in range(50):
            assert (await send(runtime, BUY, "AAPL", "1e6")).order.status is OrderStatus.DENIED
            crossing = await send(runtime, BUY, "AAPL", "1", price="151", post_only=True)
            assert crossing.order.status is OrderStatus.REJECTED
        assert (await send(runtime, BUY, "AAPL", "1")).order.status is FILLED
        for _ in range(600):
            await send(runtime, BUY, "AAPL", "1e6")
        assert "runaway" in (await send(runtime, BUY, "AAPL", "1")).order.reason

    play(act)


# -- partial fills -------------------------------------------------------------------------------


def test_a_partial_ratio_fills_in_two_trades_half_a_second_apart() -> None:
    async def act(runtime: Runtime) -> None:
        heard = fills(runtime)
        order = await send(runtime, BUY, "AAPL", "10")
        assert order.order.status is OrderStatus.PARTIALLY_FILLED
        await anyio.sleep(0.49)
        assert [fill.quantity for fill in heard] == [D(3)]
        await anyio.sleep(0.02)
        assert [fill.quantity for fill in heard] == [D(3), D(7)]
        quote = await runtime.desk.quote(CLIENT, "mock:AAPL")
        assert quote is not None
        assert heard[1].price == D(repr(quote.ask))
        assert heard[1].time_ns - heard[0].time_ns == SECOND_NS // 2
        assert (await now(runtime, order)).order.status is FILLED

    play(act, {"MOCK_PARTIAL_FILL_RATIO": "0.3"})


def test_a_cancel_between_the_parts_keeps_the_first() -> None:
    async def act(runtime: Runtime) -> None:
        order = await send(runtime, BUY, "AAPL", "10")
        ended = await runtime.desk.cancel(CLIENT, order.order.order_id)
        await anyio.sleep(2)
        ended = await now(runtime, ended)
        assert (ended.order.status, ended.order.filled) == (OrderStatus.CANCELLED, D("2.5"))
        (position,) = await runtime.desk.positions(CLIENT)
        assert position.quantity == D("2.5")

    play(act, {"MOCK_PARTIAL_FILL_RATIO": "0.25"})


@pytest.mark.parametrize(
    "ratio", ["", "0", "1", "-0.5", "1.5", "half", "true", "NaN", "1e999999999"]
)
def test_another_ratio_is_ignored(ratio: str) -> None:
    async def act(runtime: Runtime) -> None:
        assert (await send(runtime, BUY, "AAPL", "10")).order.status is FILLED

    play(act, {"MOCK_PARTIAL_FILL_RATIO": ratio})


# -- a restart -----------------------------------------------------------------------------------


def test_with_a_journal_orders_and_positions_survive_a_restart(tmp_path: Path) -> None:
    chosen = replace(gateway_settings(), journal=f"sqlite:///{tmp_path}/gateway.db")
    kept: list[str] = []

    async def before() -> None:
        async with Runtime(chosen) as runtime:
            await send(runtime, BUY, "AAPL", "5")
            resting = await send(runtime, BUY, "AAPL", "1", price="50")
            kept.append(resting.order.order_id)

    async def after() -> None:
        async with Runtime(chosen) as runtime:
            await anyio.sleep(1)
            (position,) = await runtime.desk.positions(CLIENT)
            assert (position.instrument, position.quantity) == ("mock:AAPL", D(5))
            order = await runtime.desk.order(CLIENT, kept[0])
            assert order is not None
            assert order.order.status is OPEN
            moved = await runtime.desk.modify(CLIENT, kept[0], price=D(160))
            assert moved.order.status is FILLED
            closed = await send(runtime, SELL, "AAPL", "6", reduce_only=True)
            assert closed.order.status is FILLED

    run_simulated(before, seed=1, start_ns=START_NS)
    run_simulated(after, seed=1, start_ns=START_NS + 10 * DAY_NS)


# -- the configuration ---------------------------------------------------------------------------


def test_the_environment_is_a_gateways() -> None:
    subscriptions = '[{"platform": "mock", "instrument": "AAPL", "events": ["quote", "bar"]}]'
    chosen = load(
        ROOT / "config" / "tektii_gateway.yaml",
        environment={
            "GATEWAY_HOST": "127.0.0.2",
            "GATEWAY_PORT": "9999",
            "SUBSCRIPTIONS": subscriptions,
            "MOCK_SEED": "77",
            "ENABLE_SWAGGER": "1",
            "GIT_SHA": "1234567",
            "SL_TP_TTL_HOURS": "0",
        },
    )

    (listener,) = chosen.server
    assert listener.address == ("127.0.0.2", 9999)
    door = listener.doors[0].settings
    assert door["subscriptions"] == subscriptions
    assert (door["swagger"], door["git_sha"], door["exit_ttl_hours"]) == ("1", "1234567", "0")
    assert chosen.seed == 77
    plain = gateway_settings()
    assert plain.seed == 54
    assert plain.accounts["main"].balances == {"USD": D(100_000)}


# -- speed ---------------------------------------------------------------------------------------


def test_a_thousand_symbols_cost_little() -> None:
    """A ceiling against quadratic work; the figure itself is a few times smaller."""

    async def act(runtime: Runtime) -> float:
        feed = runtime.system.venues[0].adapter.feed
        assert isinstance(feed, AnySymbolFeed)
        for number in range(1_000):
            name = f"mock:S{number}"
            await runtime.desk.instrument(CLIENT, name)
            runtime.desk.watch(name, "quotes")
            runtime.desk.watch(name, "candles", "1m")
        await anyio.sleep(2)
        begun, before = time.process_time(), feed.statistics()["published"]
        await anyio.sleep(5)
        assert feed.statistics()["published"] - before == 10 * 2_000
        return (time.process_time() - begun) / 5

    assert play(act) < 0.5  # seconds of work per second
