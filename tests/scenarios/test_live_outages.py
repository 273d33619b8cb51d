"""Links, journals and brokers that are away, and what must not leave meanwhile."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest
from structlog.testing import capture_logs

from framework.model.events import OperatorAsked
from framework.model.orders import OrderStatus, Side
from framework.orders.order_state import OrderState
from framework.risk.kill_switch import GateState
from framework.runtime.operator_requests import Kill, Request
from framework.runtime.services import Asked
from tests.broker.script import CALM, Script
from tests.crash.trading import ACCOUNT
from tests.scenarios.live_stage import BTC, RUN, Listener, Stage, stage

D = Decimal
DENIED, REJECTED, EXPIRED = OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.EXPIRED
FILLED, CANCELLED = OrderStatus.FILLED, OrderStatus.CANCELLED
OUTAGES = [1.0, 4.0, 6.0, 60.0, 600.0]


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


def submits(live: Stage) -> int:
    return sum(note.verb == "submit" for note in live.server.books.received)


def exit_(live: Stage, quantity: str = "1") -> OrderState:
    """Submit a market order that shrinks a long position."""
    return live.submit(quantity, side=Side.SELL, reduce_only=True)


# -- R-30, F-15: nothing goes out late -------------------------------------------------------------


@pytest.mark.parametrize("seconds", OUTAGES)
def test_r30_f15_nothing_asked_for_during_an_outage_goes_out_after_it(seconds: float) -> None:
    with stage() as live:
        live.submit("3")
        live.wait(1)
        live.take_down(seconds)
        live.wait(0.1)
        before = submits(live)
        entry, way_out = live.submit("1"), exit_(live)
        live.wait(seconds + 20)

        assert entry.status is DENIED
        assert way_out.status is REJECTED  # it was certain that nothing had left
        assert "not connected" in way_out.facts.reason
        assert submits(live) == before
        assert live.differences() == []
        late = live.submit("1")
        live.wait(1)
        assert late.status is FILLED


@pytest.mark.parametrize("seconds", OUTAGES)
def test_r30_what_was_in_the_pipe_when_the_link_broke_is_not_sent_again(seconds: float) -> None:
    with stage() as live:
        live.server.script = Script(lose_request=1)
        order = live.submit("1")
        live.take_down(seconds)
        live.server.script = CALM
        live.wait(seconds + 20)

        assert order.status is REJECTED
        assert live.received("submit", order) <= 1
        assert live.differences() == []


@pytest.mark.parametrize("seconds", [1.0, 4.5, 5.5, 30.0, 600.0])
def test_r30_an_order_that_its_journal_delays_too_long_expires(seconds: float) -> None:
    with stage() as live:
        resting = live.submit("1", price="90")
        live.wait(1)
        live.log.commit_s = seconds
        order = live.submit("1")
        live.cancel(resting)
        live.wait(seconds / 2)
        assert live.received("submit", order) == 0
        live.log.commit_s = 0.0005
        live.wait(seconds / 2 + 2)

        assert order.status is (FILLED if seconds < 5 else EXPIRED)
        assert live.received("submit", order) == (1 if seconds < 5 else 0)
        assert resting.status is CANCELLED  # requests about orders are never too late
        assert live.differences() == []


def test_r30_an_order_may_say_itself_when_it_is_too_late() -> None:
    with stage() as live:
        live.log.commit_s = 0.5
        now_ns = live.loop.now_ns
        short = live.submit("1", send_by_ns=now_ns + 300_000_000)
        long = live.submit("1", send_by_ns=now_ns + 900_000_000)
        live.wait(2)

        assert (short.status, long.status) == (EXPIRED, FILLED)
        assert live.received("submit", short) == 0


# -- first know, then trade ------------------------------------------------------------


class Eager(Listener):
    """Sends an order at the first chance."""

    def on_start(self) -> None:
        """Send at once."""
        super().on_start()
        self.buy(BTC, D(1))


EAGER = f"{__name__}:Eager"


def leave_orders(live: Stage, count: int) -> None:
    """Leave limit orders of others on the account, far from the market."""

    def leave() -> None:
        for number in range(count):
            price = D(40) - D("0.5") * (number % 40)
            live.server.trading.trade_as_somebody(ACCOUNT, "BTC", "buy", D("0.01"), price)

    live.ask(leave)


def test_r35_f14_nobody_trades_before_a_broker_with_10_000_orders_has_answered() -> None:
    live = Stage(Script(delay_ms=(2_000, 3_000)), strategy=EAGER, answer_s=30)
    try:
        leave_orders(live, 10_000)
        live.begin()
        live.wait(0.1)
        while not live.is_started:
            assert not hasattr(live.listener, "heard")
            assert submits(live) == 0
            live.wait(0.25)

        assert len(live.engine.registry.open_orders("external")) == 10_000
        answered_ns = live.server.books.orders["V1"].created_ns + round(8 * 1e9)
        assert live.listener.started_ns >= answered_ns  # four questions, 2 s each at least
        live.wait(10)
        assert submits(live) == 1
    finally:
        live.close()


@pytest.mark.parametrize("fault", ["refuse_questions", "ignore_questions"])
def test_r34_r35_a_question_without_an_answer_is_never_nothing_there(fault: str) -> None:
    with stage() as live:
        held, resting = live.submit("2"), live.submit("1", price="90")
        live.wait(1)
        live.crash()
        live.server.script = msgspec.convert({fault: 1}, Script)
        live.begin()
        live.wait(40)
        assert not live.is_started
        assert live.alerts().count("reconcile_failing") == 1
        assert live.engine.ledger.net_quantity(RUN, BTC) == 2
        assert not live.engine.registry.get(resting.order_id).facts.is_closed

        live.server.script = CALM
        live.wait_until(lambda: live.is_started, 35)

        assert live.differences() == []
        assert live.engine.registry.find(held.order_id).status is FILLED


def test_r35_after_a_reconnect_only_what_shrinks_leaves_until_all_is_known_again() -> None:
    with stage() as live:
        live.submit("3")
        resting = live.submit("1", price="90")
        live.wait(1)
        live.server.script = Script(ignore_questions=1)
        live.take_down(0.5)
        live.wait_until(lambda: bool(live.server.sessions) and not live.server.is_down, 5)
        live.wait(1)

        entry = live.submit("1")
        assert live.cancel(resting) is None
        way_out = exit_(live)
        live.wait(0.5)

        assert entry.status is DENIED
        assert "reconcil" in entry.facts.reason
        assert (resting.status, way_out.status) == (CANCELLED, FILLED)
        live.server.script = CALM
        live.wait(35)
        again = live.submit("1")
        live.wait(0.5)
        assert again.status is FILLED
        assert live.differences() == []


def test_f03_one_lost_message_on_a_healthy_link_is_found_by_the_next_look() -> None:
    with stage() as live:
        resting = live.submit("1", price="90")
        live.wait(1)
        live.server.script = Script(lose_push=1)
        live.ask(lambda: live.server.trading.set_price("BTC", D(89), D(90)))
        live.wait(31)

        assert resting.status is FILLED
        assert live.differences() == []


# -- stopped ---------------------------------------------------------------------------


def kill(live: Stage) -> None:
    """Have an operator halt everything."""
    request = Request("00000000000000000001-0000000000000001", "1 (ada)", 1, Kill("drill"))
    text = msgspec.json.encode(Asked(request, False)).decode()
    live.ask(lambda: live.engine.bus.publish(OperatorAsked(text, live.loop.now_ns)))


def test_r64_a_kill_stops_what_waits_for_the_journal_and_cancels_what_works() -> None:
    with stage() as live:
        live.submit("3")
        resting = [live.submit("1", price="90") for _ in range(20)]
        live.wait(1)
        live.log.commit_s = 0.4
        entry, way_out = live.submit("1"), exit_(live)
        live.wait(0.1)
        kill(live)
        live.wait(1.0)

        assert live.received("submit", entry) == 0
        assert entry.status in (REJECTED, CANCELLED)
        assert way_out.status is FILLED
        assert all(live.received("cancel", order) == 1 for order in resting)
        assert all(order.status is CANCELLED for order in resting)
        assert live.submit("1").status is DENIED

        live.crash()
        live.start()
        assert live.submit("1").status is DENIED  # it outlives a restart
        live.take_down(1)
        live.wait(10)
        assert live.submit("1").status is DENIED  # and a reconnect
        assert live.differences() == []


def test_r64_a_switch_that_is_thrown_behind_the_core_s_back_stops_what_waits() -> None:
    """From the kill file's thread: no step, no record, only the flag."""
    with stage() as live:
        live.log.commit_s = 0.4
        entry = live.submit("1")
        live.runtime.system.safeguards.kill_switch.trip("file", "gone", live.loop.now_ns)
        live.wait(1)

        assert entry.status is REJECTED
        assert "halted" in entry.facts.reason
        assert submits(live) == 0


def test_r06_with_a_journal_that_fails_only_cancels_and_exits_leave() -> None:
    with stage() as live:
        live.submit("3")
        resting = live.submit("1", price="90")
        changing = live.submit("1", price="91")
        live.wait(1)
        live.log.commit_s = 10
        entry, way_out = live.submit("1"), exit_(live)
        live.cancel(resting)
        live.modify(changing, price=D(92))
        live.wait(0.1)
        live.ask(lambda: live.log.fail("disk full"))
        live.wait(0.5)

        assert live.received("submit", entry) == 0
        assert entry.status is REJECTED
        assert live.received("modify", changing) == 0
        assert changing.facts.price == D(91)
        assert (resting.status, way_out.status) == (CANCELLED, FILLED)
        state = live.runtime.system.safeguards.kill_switch.state
        assert state is GateState.HALTED
        assert "journal_failed" in live.alerts()

        assert live.submit("1").status is DENIED
        live.cancel(changing)
        more = exit_(live)
        live.wait(0.5)
        assert (changing.status, more.status) == (CANCELLED, FILLED)
        assert live.differences() == []
