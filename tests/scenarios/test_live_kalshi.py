"""The whole system live on Kalshi's simulated venue: a market maker, members, and trouble."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.kalshi.place import HOST
from adapters.kalshi.simulated import faults
from adapters.kalshi.simulated.activity import TAKER, Activity, ActivitySettings
from adapters.kalshi.simulated.background_member import hit_a_resting_order
from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR_OF_MONEY
from adapters.kalshi.simulated.http_event_orders import PATH as ORDERS
from adapters.kalshi.simulated.rest_faults import RestFault
from adapters.kalshi.simulated.rig import ADDRESS, KalshiRig
from adapters.kalshi.venue import KalshiVenue
from framework import MarketPhase, MarketStatus, OrderStatus, Position, Side
from framework.adapter_kit.rig import Fault
from framework.cli.main import main as command_line
from framework.model.account import Settled
from framework.model.identity import EXTERNAL_RUN
from framework.net.listening import FIRST_FREE_PORT
from framework.orders.order_state import OrderState
from framework.runtime.runner import Runtime
from framework.settings.checks import resolved
from framework.settings.loading import load
from framework.settings.modes import Mode
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.scenarios.network_stage import (
    ACCOUNT,
    NS,
    RUN,
    START_NS,
    Listener,
    NetworkStage,
    Truth,
    network_stage,
)
from tests.source_code import ROOT

SEEDS = int(os.environ.get("HEADRACE_LIVE_SEEDS", "3"))
LISTENER = f"{Listener.__module__}:{Listener.__name__}"
EXAMPLE = ROOT / "config" / "kalshi_paper.yaml"
EMBEDDED = (HOST, FIRST_FREE_PORT)
PRIVATE = ("fill", "user_order")
D = Decimal


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


class KalshiDesk:
    """Kalshi's rig, and what it does to a live session."""

    strategy = "strategies.kalshi_market_maker:KalshiMarketMaker"
    currency = "USD"
    address = ADDRESS
    opening = D(10_000)

    def __init__(self, seed: int) -> None:
        self.rig = KalshiRig(seed)
        self.venue = self.rig.kalshi
        calm = ActivitySettings(steps_per_s=1.5, news_s=60.0)  # ten minutes are to be short
        self.venue.activity = Activity(self.venue.exchange, Random(seed), calm)
        self.venue.rest.reads.lag_ms = 2_500  # it is said to be below three seconds
        self.strategy_settings = {
            "instruments": [f"kalshi:{symbol}" for symbol in self.rig.symbols],
            "quantity": "10",
            "maximum_position": "50",
            "edge": 0.01,
        }

    def truth(self) -> Truth:
        """Return what the venue has; cash as if no contracts were sold yes contracts."""
        portfolio = self.venue.exchange.portfolio
        positions = portfolio.positions(ACCOUNT)
        short = sum(-one.position for one in positions if one.position < 0)
        cash = D(portfolio.balance(ACCOUNT).cash) / DOLLAR_OF_MONEY + D(short) / CONTRACT
        return {
            "orders": [
                {
                    "client_id": order.client_order_id,
                    "filled": str(D(order.fill_count) / CONTRACT),
                    "status": "working" if order.status == "resting" else order.status,
                }
                for order in portfolio.orders(ACCOUNT)
            ],
            "executions": [
                {"execution_id": fill.trade_id, "quantity": str(D(fill.count) / CONTRACT)}
                for fill in portfolio.fills(ACCOUNT)
            ],
            "positions": {
                ACCOUNT: [
                    {"symbol": one.ticker, "quantity": str(D(one.position) / CONTRACT)}
                    for one in positions
                    if one.position
                ]
            },
            "balances": {ACCOUNT: [{"total": str(cash)}]},
        }

    def hit(self, random: Random) -> None:
        """Have a member trade a part of a random quote of ours."""
        hit_a_resting_order(self.venue.exchange, random, TAKER)

    def received(self) -> Counter[str]:
        """Count requests for new orders that were not refused for their number."""
        return Counter(
            msgspec.json.decode(request.body)["client_order_id"]
            for request in self.venue.rest.received
            if request.method == "POST" and request.path.endswith(ORDERS) and request.status != 429
        )

    def harm(self, random: Random) -> str:
        """Spoil answers, or lose and repeat what is told of our orders."""
        method, path = random.choice([("POST", ORDERS), ("", ORDERS), ("GET", "/portfolio")])
        rest = random.choice(
            [
                RestFault(kind="lose_request", count=1),
                RestFault(kind="lose_answer", count=2),
                RestFault(kind="fail_after", status=503, count=2),
                RestFault(kind="refuse", status=503, count=2),
                RestFault(kind="garble", count=2),
                RestFault(kind="delay_answer", delay_s=random.uniform(0.1, 15), count=2),
                RestFault(kind="delay_request", delay_s=random.uniform(0.1, 5), count=2),
            ]
        )
        rest = msgspec.structs.replace(rest, method=method, path=path)
        streams: list[faults.AnyFault] = [
            faults.Lose(types=PRIVATE, count=3),
            faults.Duplicate(types=PRIVATE, count=3),
            faults.Swap(types=PRIVATE, count=2),
            faults.Delay(types=PRIVATE, delay_s=random.uniform(0.1, 10), count=2),
        ]
        stream = random.choice(streams)
        if random.random() < 0.5:
            self.venue.rest.faults.add(rest)
            return repr(rest)
        self.venue.control.inject(stream)
        return repr(stream)

    def rest(self) -> None:
        """Let the background stand as it is."""
        assert self.venue.activity is not None
        self.venue.activity.stop()


def live(seed: int = 0, **more: Any) -> AbstractContextManager[NetworkStage]:
    """Open a stage with the market maker on both of the rig's markets."""
    return network_stage(KalshiDesk, seed=seed, **more)


def listening(seed: int = 0, **more: Any) -> AbstractContextManager[NetworkStage]:
    """Open a stage whose strategy only listens."""
    return live(seed, strategy=LISTENER, **more)


def venue_of(stage: NetworkStage) -> KalshiVenue:
    """Return the venue itself."""
    assert isinstance(stage.desk, KalshiDesk)
    return stage.desk.venue


def reason(order: OrderState) -> str:
    """Return why an order was refused."""
    assert order.status is OrderStatus.DENIED
    return order.facts.reason


def passive(stage: NetworkStage) -> OrderState:
    """Submit an order that rests."""
    terms = stage.rig.passive(Side.BUY)
    return stage.submit(terms.side, terms.quantity, terms.price)


def hold(stage: NetworkStage, side: Side) -> None:
    """Buy or sell ten contracts of the first market."""
    terms = stage.ask(lambda: stage.rig.marketable(side))
    order = stage.submit(terms.side, terms.quantity, terms.price)
    stage.wait(1)
    assert order.status is OrderStatus.FILLED


def held(stage: NetworkStage) -> Decimal:
    """Return what the run holds of the first market."""
    quantity: Decimal = stage.engine.ledger.net_quantity(RUN, stage.instrument())
    return quantity


# -- trouble ---------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_market_maker_survives_ten_bad_minutes(seed: int) -> None:
    """R-20, R-24, R-34, R-43 over the network: afterwards both sides say the same."""
    with live(seed) as stage:
        stage.trade(600, harm_s=15)
        stage.heal()

        told = (seed, stage.harms)
        assert stage.differences() == [], told
        assert len(stage.desk.truth()["executions"]) > 20, told
        stage.stop()
        assert [one for one in stage.rig.orders() if one.is_open] == [], told


def test_calm_minutes_leave_nothing_to_wonder_about() -> None:
    """Post-only refusals, fills and changes of quotes are no anomalies."""
    with live(3) as stage:
        stage.trade(300)
        stage.heal()

        assert stage.differences() == []
        assert stage.alerts() == []  # what was there when we came is the opening
        refused = [one for one in stage.desk.truth()["orders"] if one["status"] == "canceled"]
        assert refused
        stage.stop()
        assert stage.left_tasks() == []
        assert stage.rig.connection_count == 0


def test_r24_a_fill_that_is_read_before_it_is_pushed_is_one_fill() -> None:
    """The stream tells its time in milliseconds, reads in microseconds."""
    with listening() as stage:
        order = passive(stage)
        stage.wait(1)
        venue_of(stage).control.inject(faults.Delay(types=PRIVATE, delay_s=40, count=2))
        stage.wait(0.0001234)
        stage.ask(lambda: stage.rig.trade_against(order.order_id, D(4)))
        stage.wait(35)
        assert order.filled == 4
        stage.wait(10)

        assert order.filled == 4
        assert "order_anomaly" not in stage.alerts()
        assert stage.differences() == []


# -- death -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
def test_r01_a_market_maker_dies_again_and_again(seed: int) -> None:
    """R-01, R-04, R-20, R-29: what happened meanwhile is booked once, nothing is sent twice."""
    with live(seed) as stage:
        for _ in range(4):
            stage.trade(stage.chance.uniform(2, 60), every_s=1, harm_s=10)
            stage.crash()
            for _ in range(stage.chance.randint(0, 5)):
                stage.wait(stage.chance.uniform(0, 3))
                stage.ask(lambda: stage.desk.hit(stage.chance))
            stage.start()
        stage.heal()

        told = (seed, stage.harms)
        assert stage.differences() == [], told
        stage.stop()
        assert [one for one in stage.rig.orders() if one.is_open] == [], told


def test_r26_what_others_do_with_the_account_meanwhile_is_booked_as_external() -> None:
    with listening() as stage:
        mine = passive(stage)
        stage.wait(1)
        stage.crash()
        terms = stage.rig.passive(Side.SELL)
        stage.ask(lambda: stage.rig.place_foreign(terms))
        stage.ask(lambda: stage.rig.trade_against(mine.order_id, D(3)))
        foreign = next(one for one in stage.rig.orders() if one.side is Side.SELL)
        stage.ask(lambda: stage.rig.trade_against(foreign.client_id, D(2)))
        stage.start()
        stage.wait(4)

        assert held(stage) == 3
        ledger, name = stage.engine.ledger, stage.instrument()
        assert ledger.net_quantity(EXTERNAL_RUN, name) == -2
        assert stage.rig.position(stage.rig.symbols[0]) == 1
        (theirs,) = stage.engine.registry.open_orders(EXTERNAL_RUN)
        (ours,) = stage.engine.registry.open_orders(RUN)
        assert (theirs.facts.remaining, ours.facts.remaining) == (8, 7)
        truth = stage.desk.truth()
        assert ledger.cash(ACCOUNT)["USD"] == D(truth["balances"][ACCOUNT][0]["total"])
        assert stage.desk.received()[mine.order_id] == 1


# -- first know, then trade ------------------------------------------------------------


def test_r35_nothing_is_sent_before_a_slow_venue_has_told_everything() -> None:
    with live(is_live=False) as stage:
        slow = RestFault(kind="delay_answer", method="GET", path="/portfolio", delay_s=4)
        venue_of(stage).rest.faults.add(slow)
        stage.begin()
        began_ns = stage.loop.now_ns
        while not stage.is_started:
            assert not stage.desk.received()
            stage.wait(0.1)
        assert stage.loop.now_ns - began_ns > 12 * NS
        stage.wait(10)
        assert stage.desk.received()


@pytest.mark.parametrize("kind", ["refuse", "lose_request", "garble"])
def test_r34_a_venue_that_cannot_be_asked_is_never_an_empty_one(kind: Any) -> None:
    with live() as stage:
        stage.trade(20)
        stage.crash()
        venue_of(stage).rest.faults.add(RestFault(kind=kind, method="GET", path="/portfolio"))
        stage.begin()
        before = stage.desk.received()
        stage.wait(200)
        assert not stage.is_started
        assert stage.desk.received() == before
        assert "reconcile_failing" in stage.alerts()

        stage.rig.heal()
        stage.wait_until(lambda: stage.is_started, 65)
        stage.heal()
        assert stage.differences() == []


def test_r35_after_a_reconnect_only_what_shrinks_leaves_until_all_is_known_again() -> None:
    with listening() as stage:
        hold(stage, Side.BUY)
        resting = passive(stage)
        stage.wait(1)
        slow = RestFault(kind="delay_answer", method="GET", path="/portfolio", delay_s=5)
        venue_of(stage).rest.faults.add(slow)
        stage.ask(lambda: stage.rig.inflict(Fault.CUT))
        stage.wait(5)

        assert "reconcil" in reason(passive(stage))
        way_out = stage.ask(lambda: stage.rig.marketable(Side.SELL))
        exit_ = stage.submit(way_out.side, way_out.quantity, way_out.price)
        assert stage.ask(lambda: stage.engine.desk.cancel(resting.order_id)) is None
        stage.wait(1)
        assert (exit_.status, resting.status) == (OrderStatus.FILLED, OrderStatus.CANCELLED)

        stage.ask(stage.rig.heal)
        stage.wait(40)
        again = passive(stage)
        stage.wait(1)
        assert again.status is OrderStatus.ACCEPTED
        assert stage.differences() == []


# -- no orders by old prices -----------------------------------------------------------------


def feed_connection(stage: NetworkStage) -> int:
    """Return the number of the connection that carries the books."""
    subscriptions = venue_of(stage).control.subscriptions()
    return next(one.connection for one in subscriptions if one.channel == "orderbook_delta")


def test_r42_orders_on_a_book_with_a_gap_are_refused_until_it_is_whole_again() -> None:
    with listening() as stage:
        stage.wait(2)
        control = venue_of(stage).control
        control.inject(faults.WithholdSnapshots(for_s=4))
        control.inject(faults.Lose(channel="orderbook_delta"))
        stage.wait(2)

        assert "stale" in reason(passive(stage))
        stage.wait(15)
        healed = passive(stage)
        stage.wait(1)
        assert healed.status is OrderStatus.ACCEPTED


def test_r42_a_mute_feed_is_found_within_two_heartbeats() -> None:
    with listening() as stage:
        stage.wait(2)
        control = venue_of(stage).control
        control.inject(faults.HalfOpen(connection=feed_connection(stage), for_s=300))
        control.inject(faults.RefuseHandshakes(for_s=30))
        stage.wait(2 * stage.rig.heartbeat_s)

        assert "stale" in reason(passive(stage))
        stage.wait(60)
        healed = passive(stage)
        stage.wait(1)
        assert healed.status is OrderStatus.ACCEPTED


def test_r42_books_that_say_nothing_on_a_living_link_are_found_too() -> None:
    """Everything else goes on, pings and the other channels included."""
    with listening() as stage:
        stage.wait(2)
        types = ("orderbook_delta", "orderbook_snapshot")
        venue_of(stage).control.inject(faults.Lose(types=types, count=None))
        stage.wait(150)

        assert "stale" in reason(passive(stage))
        venue_of(stage).control.heal()
        stage.wait(60)
        healed = passive(stage)
        stage.wait(1)
        assert healed.status is OrderStatus.ACCEPTED


# -- settlement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["yes", "no"])
@pytest.mark.parametrize("side", list(Side))
def test_a_held_market_is_settled_by_the_venue(result: str, side: Side) -> None:
    """The position closes at 1 or 0, the cash is right, and the strategy hears of it."""
    with listening() as stage:
        hold(stage, side)
        passive(stage)
        ticker = stage.rig.symbols[0]
        lifecycle = venue_of(stage).exchange.lifecycle
        stage.ask(lambda: lifecycle.determine(ticker, result))
        stage.wait(2)
        assert "the market of" in reason(passive(stage))
        assert held(stage) == (10 if side is Side.BUY else -10)
        stage.wait(120)

        assert held(stage) == 0
        assert stage.differences() == []
        heard = stage.strategy.heard
        settled = [one for one in heard if isinstance(one, Settled)]
        assert [one.price for one in settled] == [1 if result == "yes" else 0]
        assert [one.quantity for one in heard if isinstance(one, Position)][-1] == 0
        phases = [one.phase for one in heard if isinstance(one, MarketStatus)]
        assert phases[-1] is MarketPhase.SETTLED
        assert "the market of" in reason(passive(stage))
        assert stage.open_orders() == []
        assert stage.alerts() == []


def test_a_settlement_while_the_process_is_dead_is_booked_at_the_next_start() -> None:
    with listening() as stage:
        hold(stage, Side.BUY)
        stage.crash()
        ticker = stage.rig.symbols[0]
        stage.ask(lambda: venue_of(stage).exchange.lifecycle.determine(ticker, "yes"))
        stage.wait(100)
        stage.start()

        assert held(stage) == 0
        assert stage.differences() == []


def test_a_fill_that_is_heard_of_after_its_market_was_settled_is_paid_as_well() -> None:
    with listening() as stage:
        order = passive(stage)
        stage.wait(1)
        stage.crash()
        ticker = stage.rig.symbols[0]
        lifecycle = venue_of(stage).exchange.lifecycle
        stage.ask(lambda: stage.rig.trade_against(order.order_id, D(4)))
        stage.ask(lambda: lifecycle.determine(ticker, "yes"))
        stage.wait(100)
        stage.start()
        stage.wait(40)

        assert held(stage) == 0
        assert stage.differences() == []


# -- the example, in other modes -------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.DRY_RUN, Mode.LIVE])
def test_the_example_starts_trades_and_stops_on_the_venue_in_the_process(mode: Mode) -> None:
    chosen = load(EXAMPLE, environment={})
    venue = msgspec.structs.replace(chosen.venues["kalshi"], data=None, orders=None)
    chosen = resolved(msgspec.structs.replace(chosen, mode=mode, venues={"kalshi": venue}))

    async def main() -> tuple[Runtime, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        async with Runtime(chosen) as runtime:
            await loop.sleep_until(loop.now_ns + 30 * NS)
            connections = loop.network.connection_count(EMBEDDED)
        await loop.sleep_until(loop.now_ns + 2 * NS)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert loop.network.connection_count(EMBEDDED) == 0
        return runtime, connections

    runtime, connections = run_simulated(main, seed=7, start_ns=START_NS)

    assert runtime.failure is None
    assert connections > 0
    orders = list(runtime.engine.registry)
    assert orders
    assert all(order.is_closed for order in orders)
    assert any(order.filled for order in orders) is (mode is not Mode.DRY_RUN)


def test_the_example_is_checked_without_opening_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(KalshiVenue, "start", refuse)

    assert command_line(["check", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out.endswith("no mistakes found\n")
