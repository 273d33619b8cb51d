"""Live trading from end to end: the real runtime, its log, and a broker with a will of its own."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from framework.errors import KeyConflict
from framework.model.commands import VenueCommand
from framework.model.exits import ExitRules, ProtectionMode, Unprotected
from framework.model.orders import (
    AtPrice,
    Exits,
    OrderIntent,
    OrderStatus,
    OrderType,
    RequestState,
    Side,
)
from framework.model.records import HoldOrder
from framework.model.reports import EndKind, OrderEnded, OrderFilled, RequestInDoubt, RequestKind
from framework.orders.order_state import OrderState
from tests.broker import words
from tests.broker.adapter import WireBroker
from tests.broker.script import CALM, Script
from tests.broker.truth import TrueOrder
from tests.crash.trading import ACCOUNT
from tests.scenarios.live_stage import BTC, RUN, Stage, stage

D = Decimal
IN_DOUBT = RequestState.IN_DOUBT
WAY = 3.0  # seconds until a doubted request is known to be one: the adapter gives it 1


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


def is_in_doubt(order: OrderState) -> bool:
    return order.facts.submit_state is IN_DOUBT and not order.facts.is_closed


# -- R-20, F-01: lost answers ----------------------------------------------------------------------


class Loss(msgspec.Struct):
    """One order whose answer does not come, drawn from a seed."""

    arrives: bool
    visible_s: float  # how long the broker hides the order
    down_s: float  # how long it cannot be asked
    is_filled: bool

    @classmethod
    def drawn(cls, seed: int) -> "Loss":
        """Draw one."""
        chance = Random(f"loss {seed}")
        return cls(
            arrives=chance.random() < 0.5,
            visible_s=chance.choice([0.0, 0.0, 0.5, 2.0, 8.0]),
            down_s=chance.choice([0.0, 0.0, 0.0, 1.0, 20.0]),
            is_filled=chance.random() < 0.3,
        )

    def script(self) -> Script:
        """Return the broker's script while the order is sent: it is mute."""
        return Script(
            lose_request=0 if self.arrives else 1,
            lose_answer=1,
            lose_push=1,
            ignore_questions=1,
        )


def lose(live: Stage, loss: Loss) -> OrderState:
    """Send an order whose answer is lost, and wait until that is noticed."""
    live.server.script = loss.script()
    order = live.submit("2", price=None if loss.is_filled else "90")
    if loss.down_s:
        live.wait(0.01)
        live.take_down(loss.down_s)
    live.wait_until(lambda: is_in_doubt(order), WAY)
    live.server.script = Script(visible_after_ms=loss.visible_s * 1_000)
    return order


def judge(live: Stage, seed: int) -> None:
    """Play one loss to its end."""
    loss = Loss.drawn(seed)
    order = lose(live, loss)
    assert live.engine.registry.working(RUN, BTC).open_buy == 2, (seed, loss)
    assert not live.engine.desk.position_view(RUN, BTC).is_flat
    live.wait_until(lambda: not live.server.is_down, loss.down_s + 1)
    back_off_s = min(loss.down_s, 5.0)  # of the link: until then the broker cannot be asked
    live.wait_until(lambda: not is_in_doubt(order), loss.visible_s + 5 + back_off_s)
    expected = OrderStatus.REJECTED
    if loss.arrives:
        expected = OrderStatus.FILLED if loss.is_filled else OrderStatus.ACCEPTED
    live.wait_until(lambda: order.status is expected, loss.visible_s + 3)
    assert live.received("submit", order) == 1
    assert live.differences() == []


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_r20_f01_an_order_without_an_answer_is_found_or_given_up_in_time(first: int) -> None:
    for seed in range(first, first + 20):
        visibility_ms = round(Loss.drawn(seed).visible_s * 1_000)
        with stage(seed=seed, visibility_delay_ms=visibility_ms) as live:
            judge(live, seed)


# -- requests that cross with fills ----------------------------------------------------

CROSSING = Script(delay_ms=(0, 30), partial=0.8, late=0.5, cancel_race=0.7, accept_last=0.3)
FORGETFUL = msgspec.structs.replace(CROSSING, lose_answer=0.3, lose_push=0.2, refuse_cancel=0.3)


@pytest.mark.parametrize("script", [CROSSING, FORGETFUL], ids=["crossing", "forgetful"])
@pytest.mark.parametrize("first", [0, 15])
def test_r27_f10_requests_that_cross_with_fills_never_trade_more_than_was_asked_for(
    first: int, script: Script
) -> None:
    for seed in range(first, first + 15):
        chance = Random(f"crossing {seed}")
        with stage(script, seed=seed) as live:
            orders = []
            for _ in range(4):
                price = chance.choice(["99.5", "101", "101.5"])
                order = live.submit("2", price=price)
                orders.append(order)
                live.wait(chance.choice([0.0, 0.01, 0.03, 0.06]))
                if chance.random() < 0.6:
                    live.modify(order, quantity=D(chance.choice(["1", "3"])), price=D(101))
                    live.wait(chance.choice([0.0, 0.02, 0.05]))
                live.cancel(order)
                live.wait(chance.choice([0.0, 0.1]))
            live.wait(2)
            live.server.script = CALM
            live.wait(15)
            for order in orders:
                live.cancel(order)
            live.wait(35)

            assert all(order.status.value in ("filled", "cancelled") for order in orders), seed
            truths = {order.client_id: order for order in live.server.books}
            for order in orders:
                assert order.filled <= order.quantity <= 3
                assert truths[order.order_id].filled == order.filled
            assert live.differences() == []


def test_r28_a_refused_cancel_is_followed_by_a_question_and_by_nothing_else() -> None:
    with stage() as live:
        order = live.submit("1", price="90")
        live.wait(1)
        live.server.script = Script(refuse_cancel=1)
        before = live.server.question_count
        live.cancel(order)
        live.wait(1)

        assert live.server.question_count > before
        assert not order.is_closed
        assert not live.engine.desk.position_view(RUN, BTC).is_flat
        assert live.server.books.find(ACCOUNT, order.order_id).is_working  # type: ignore[union-attr]
        live.server.script = CALM
        live.cancel(order)
        live.wait(1)
        assert order.status is OrderStatus.CANCELLED


def test_r28_a_cancel_refused_as_the_order_was_gone_finds_out_how_it_went() -> None:
    with stage() as live:
        order = live.submit("1", price="90")
        live.wait(1)
        live.server.script = Script(lose_push=1)
        live.ask(lambda: live.server.trading.set_price("BTC", D(89), D(90)))
        live.cancel(order)
        live.wait(3)

        assert order.status is OrderStatus.FILLED
        assert live.differences() == []


# -- one intent is one order -----------------------------------------------------------------


def wish(key: str, quantity: str = "1") -> OrderIntent:
    return OrderIntent(RUN, key, BTC, Side.BUY, D(quantity), OrderType.LIMIT, D(90))


async def together(live: Stage, intents: list[OrderIntent]) -> list[OrderState | KeyConflict]:
    """Submit all of them from tasks of their own."""

    async def one(intent: OrderIntent) -> Any:
        try:
            return live.engine.desk.submit(intent)
        except KeyConflict as error:
            return error

    return list(await asyncio.gather(*(one(intent) for intent in intents)))


@pytest.mark.parametrize(
    ("seconds", "keeps", "count"),
    [(0.0, 0, 5), (0.0, None, 0), (0.5, 0, 5)],
    ids=["forgotten", "not sent", "sent"],
)
def test_r29_the_same_intent_a_thousand_times_over_a_crash_is_one_order(
    seconds: float, keeps: int | None, count: int
) -> None:
    keys = [f"wish {number}" for number in range(5)]
    with stage() as live:
        ids: dict[str, set[str]] = {key: set() for key in keys}
        for life in range(2):
            intents = [wish(key) for key in keys for _ in range(100)]
            Random(life).shuffle(intents)
            answers = live.loop.run_until_complete(together(live, intents))
            for intent, answer in zip(intents, answers, strict=True):
                assert isinstance(answer, OrderState)
                ids[intent.key].add(answer.order_id)
            if life == 0:
                live.wait(seconds)
                live.crash(keeps=keeps)
                live.start()
        live.wait(5)

        assert [len(names) for names in ids.values()] == [1] * 5
        assert live.server.books.sent_twice() == []
        assert len(live.server.books.working_orders(ACCOUNT)) == count
        others = live.loop.run_until_complete(together(live, [wish(key, "2") for key in keys]))
        assert all(isinstance(one, KeyConflict) for one in others)
        assert live.differences() == []


# -- what is filled is protected -------------------------------------------------------------

STOP, TARGET = AtPrice(D(98)), AtPrice(D(105))
GUARDED = Exits(STOP, TARGET)
NATIVE = pytest.mark.parametrize("has_stops", [True, False], ids=["native", "core"])


def stops_at_broker(live: Stage) -> list[TrueOrder]:
    working = live.server.books.working_orders(ACCOUNT)
    return [order for order in working if order.stop_price is not None]


def move(live: Stage, bid: int) -> None:
    live.ask(lambda: live.server.trading.set_price("BTC", D(bid), D(bid + 1)))


def drop_orders_link(live: Stage, seconds: float) -> None:
    """Break the link of orders for so long; prices go on."""
    broker = live.broker
    assert broker is not None
    login = broker._link._login
    until_ns = live.loop.now_ns + round(seconds * 1e9)

    def refused() -> Any:
        if live.loop.now_ns < until_ns:
            raise OSError("refused")
        return login()

    broker._link._login = refused
    live.ask(broker.close)


def held(live: Stage) -> Decimal:
    quantity: Decimal = live.engine.ledger.net_quantity(RUN, BTC)
    return quantity


def test_r31_f11_the_stop_is_at_the_broker_within_a_second_and_grows_with_the_fills() -> None:
    script = Script(partial=1, most_parts=3, part_ms=300, delay_ms=(0, 100))
    for seed in range(5):
        with stage(script, seed=seed) as live:
            live.submit("3", exits=GUARDED)
            for _ in range(40):
                live.wait(0.05)
                due = sum(
                    one.quantity
                    for one in live.server.books.executions.values()
                    if one.time_ns <= live.loop.now_ns - 1_000_000_000
                )
                covered = sum(order.remaining for order in stops_at_broker(live))
                assert due <= covered <= 3, seed

            assert [(one.remaining, one.stop_price) for one in stops_at_broker(live)] == [
                (D(3), D(98))
            ]


def test_r31_f11_where_the_broker_has_no_stops_one_is_held_in_the_commit_of_the_fill() -> None:
    with stage(Script(partial=1, late=1), has_stops=False) as live:
        entry = live.submit("3", exits=GUARDED)
        live.wait(1)

        assert stops_at_broker(live) == []
        records = list(live.log.read())
        fill = next(at for at, one in records if isinstance(one, OrderFilled))
        hold = next(
            at for at, one in records if isinstance(one, HoldOrder) and one.parent == entry.order_id
        )
        assert fill < hold
        assert not any(fill <= last < hold for last in live.log.commits)


@NATIVE
def test_r31_a_stop_survives_a_crash_and_does_its_work(has_stops: bool) -> None:
    for moment in (0.0, 0.0006, 0.5):
        with stage(has_stops=has_stops) as live:
            live.submit("3", exits=GUARDED)
            live.wait(moment)
            live.crash(keeps=0)
            live.start()
            live.wait(5)
            bought = sum(one.quantity for one in live.server.books.executions.values())
            assert held(live) == bought
            covered = sum(order.remaining for order in stops_at_broker(live))
            assert covered == (bought if has_stops else 0)

            move(live, 97)
            live.wait(2)

            assert held(live) == 0
            assert live.server.books.positions(ACCOUNT) == ()
            assert live.engine.registry.open_orders(RUN) == []
            assert live.differences() == []


@NATIVE
@pytest.mark.parametrize("exits", [GUARDED, Exits(STOP)], ids=["bracket", "stop"])
def test_r31_f11_a_price_that_falls_around_an_outage_closes_the_position_all_the_same(
    exits: Exits, has_stops: bool
) -> None:
    """What could not leave as there was no link counts as no refusal once there is one."""
    for seed in range(8):
        with stage(has_stops=has_stops, seed=seed) as live:
            live.submit("3", exits=exits)
            live.wait(1)
            if seed % 2:
                drop_orders_link(live, 2)
            else:
                live.take_down(2)
            live.wait(0.1)
            move(live, 97)
            live.wait(0.5)
            if seed >= 4:
                live.crash()
                live.start()
            live.wait(15)

            assert held(live) == 0, seed
            assert live.server.books.positions(ACCOUNT) == ()
            assert live.engine.registry.open_orders(RUN) == []
            assert live.differences() == []


def test_r31_a_stop_that_the_broker_refuses_is_kept_in_the_core() -> None:
    with stage(Script(reject_stops=1)) as live:
        live.submit("3", exits=GUARDED)
        live.wait(1)

        assert stops_at_broker(live) == []
        assert "exit_refused" in live.alerts()
        move(live, 97)
        live.wait(1)
        assert held(live) == 0
        assert live.differences() == []


def test_r31_a_position_whose_stop_keeps_being_refused_is_closed_where_the_rules_say_so() -> None:
    rules = ExitRules(ProtectionMode.NATIVE_ONLY, when_unprotected=Unprotected.CLOSE)
    with stage(Script(reject_stops=1), exits=rules) as live:
        entry = live.submit("3", exits=Exits(STOP))
        live.wait(1)

        assert entry.filled == 3
        assert live.alerts().count("exit_tripped") == 1
        refused = [one for one in live.server.books if one.status == "rejected"]
        assert len(refused) == rules.refused_limit
        assert held(live) == 0
        assert live.differences() == []


# -- batches ---------------------------------------------------------------------------------


class BatchingBroker:
    """Gathers what is sent in one turn of the loop into one request, whose answer never comes.

    Only the first `arriving` items get through. As `Broker` asks for, every item is in doubt then.
    """

    def __init__(self, broker: WireBroker, context: Any, arriving: int) -> None:
        self.broker = broker
        self.batches: list[list[VenueCommand]] = []
        self._context = context
        self._arriving = arriving
        self._waiting: list[VenueCommand] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.broker, name)

    def send(self, command: VenueCommand) -> None:
        """Keep it for the request that leaves at the end of the turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._leave)
        self._waiting.append(command)

    def _leave(self) -> None:
        batch, self._waiting = self._waiting, []
        self.batches.append(batch)
        for number, command in enumerate(batch[: self._arriving]):
            self.broker._link.write(words.request_of(command, 10_000 + number))
        asyncio.get_running_loop().call_later(0.5, self._fail, batch)

    def _fail(self, batch: list[VenueCommand]) -> None:
        for command in batch:
            now_ns = self._context.clock.now_ns
            doubt = RequestInDoubt(command.order_id, RequestKind.SUBMIT, "HTTP 502", now_ns)
            self._context.publish(doubt)


@pytest.mark.parametrize("arriving", [0, 3, 5])
def test_r33_a_batch_that_fails_as_a_whole_leaves_every_item_in_doubt(arriving: int) -> None:
    live = Stage(Script(lose_push=1, ignore_questions=0))
    live.make_broker = lambda broker, context: BatchingBroker(broker, context, arriving)
    try:
        live.start()
        desk = live.engine.desk
        orders = live.ask(lambda: [desk.submit(wish(f"item {number}")) for number in range(5)])
        live.wait(0.4)
        live.server.script = Script(ignore_questions=1)
        live.wait(0.2)
        assert all(is_in_doubt(order) for order in orders)
        assert live.engine.registry.working(RUN, BTC).open_buy == 5

        live.server.script = CALM
        live.wait(10)

        found = [order.status for order in orders]
        missing = 5 - arriving
        assert found == [OrderStatus.ACCEPTED] * arriving + [OrderStatus.REJECTED] * missing
        assert live.server.books.sent_twice() == []
        assert live.differences() == []
    finally:
        live.close()


# -- after the end ---------------------------------------------------------------------------


def test_r23_a_fill_of_an_order_that_was_given_up_is_booked_and_a_person_is_told() -> None:
    with stage() as live:
        order = live.submit("1", price="90")
        live.wait(1)
        now_ns = live.loop.now_ns
        gone = OrderEnded(order.order_id, EndKind.CANCELLED, now_ns, "a venue's mistake")
        live.ask(lambda: live.engine.bus.publish(gone))
        assert order.facts.is_closed

        live.ask(lambda: live.server.trading.set_price("BTC", D(89), D(90)))
        live.wait(1)

        assert order.status is OrderStatus.FILLED
        assert live.alerts().count("order_anomaly") == 1
        assert live.differences() == []
