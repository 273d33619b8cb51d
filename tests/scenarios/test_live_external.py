"""What others do on the account, and what a venue takes back (R-26, F-18)."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random

import pytest
from structlog.testing import capture_logs

from framework.model.account import CashBooked, CashReason
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import Fill, FillCorrected, OrderStatus, Side
from tests.broker.script import CALM, Script
from tests.crash.check import State, state_of
from tests.crash.trading import ACCOUNT, CASH
from tests.scenarios.live_stage import BTC, RUN, Stage, stage

D = Decimal
LOOK_S = 70.0  # two looks: a difference that no execution explains has to be seen twice


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


def differences(live: Stage) -> list[str]:
    """Return where the session differs from the broker; what is `external` is right here."""
    known = ("without an execution", "unknown there")  # orders of others carry no id of ours
    wrong = [line for line in live.differences() if not any(text in line for text in known)]
    working = {order.venue_order_id for order in live.server.books.working_orders(ACCOUNT)}
    ours = {
        name
        for order in live.engine.registry
        if not order.facts.is_closed
        for name in order.facts.venue_order_ids
    }
    return wrong + [f"{name} is open on one side only" for name in sorted(working ^ ours)]


def held(live: Stage, run: str) -> Decimal:
    quantity: Decimal = live.engine.ledger.net_quantity(run, BTC)
    return quantity


def trade_by_hand(live: Stage, side: str, quantity: str, price: str | None = None) -> str:
    """Trade on the account past this process, as a person or a liquidation does."""
    limit = None if price is None else D(price)
    trade = live.server.trading.trade_as_somebody
    name: str = live.ask(lambda: trade(ACCOUNT, "BTC", side, D(quantity), limit))
    return name


def last_execution(live: Stage) -> str:
    return list(live.server.books.executions)[-1]


def offline(live: Stage, work: Callable[[], object], seconds: float = 2.0) -> None:
    """Do something at the broker while nobody is connected."""
    live.take_down(seconds)
    live.wait(0.1)
    live.ask(work)
    live.wait(seconds + 6)


# -- others on the account -------------------------------------------------------------------------


@pytest.mark.parametrize("is_pushed", [True, False], ids=["pushed", "missed"])
def test_r26_f18_a_manual_trade_is_booked_as_external(is_pushed: bool) -> None:
    with stage() as live:
        live.submit("2")
        live.wait(0.5)
        work = lambda: live.server.trading.trade_as_somebody(ACCOUNT, "BTC", "buy", D("0.5"))  # noqa: E731
        if is_pushed:
            live.ask(work)
            live.wait(0.5)
        else:
            offline(live, work)

        assert (held(live, RUN), held(live, EXTERNAL_RUN)) == (D(2), D("0.5"))
        assert differences(live) == []
        assert "external_order" in live.alerts()
        assert all(fill.run == RUN for fill in live.listener.fills())


def test_r26_a_resting_order_of_others_is_followed_to_its_end_and_is_none_of_the_runs() -> None:
    with stage() as live:
        name = trade_by_hand(live, "buy", "3", "95")
        live.wait(0.5)
        order = live.engine.registry.by_venue_id(ACCOUNT, name)
        assert order is not None
        assert (order.run, order.status) == (EXTERNAL_RUN, OrderStatus.ACCEPTED)

        live.ask(lambda: live.server.trading.set_price("BTC", D(94), D(95)))
        live.wait(0.5)

        assert order.status is OrderStatus.FILLED
        assert (held(live, RUN), held(live, EXTERNAL_RUN)) == (D(0), D(3))
        assert live.engine.desk.position_view(RUN, BTC).is_flat
        assert differences(live) == []


def test_r26_f18_a_liquidation_leaves_the_run_unbacked_until_a_person_looks() -> None:
    with stage() as live:
        live.submit("2")
        live.wait(0.5)
        assert not live.runtime.system.book.get(RUN).is_unbacked

        trade_by_hand(live, "sell", "2")
        live.wait(LOOK_S)

        assert live.runtime.system.book.get(RUN).is_unbacked
        assert (held(live, RUN), held(live, EXTERNAL_RUN)) == (D(2), D(-2))
        assert differences(live) == []

        trade_by_hand(live, "buy", "2")
        live.wait(LOOK_S)

        assert not live.runtime.system.book.get(RUN).is_unbacked


def test_r26_whatever_others_do_the_account_is_right_at_the_end() -> None:
    """Foreign trades and orders, crashes of ours in between, and never a guess at an owner."""
    for seed in range(4):
        chance = Random(seed)
        with stage(Script(foreign=1), seed=seed) as live:
            ours = D(0)
            for _ in range(12):
                side = chance.choice((Side.BUY, Side.SELL))
                live.submit("0.25", side=side)
                ours += D("0.25") if side is Side.BUY else D("-0.25")
                live.ask(live.server.trading.move_price)
                live.wait(chance.choice((0.0, 0.01, 0.5)))
                if chance.random() < 0.15:
                    live.wait(0.5)
                    live.crash()
                    live.start()
            live.server.script = CALM
            live.wait(LOOK_S)

            assert held(live, RUN) == ours
            assert differences(live) == []


def test_r26_money_that_was_paid_in_is_booked_once() -> None:
    with stage() as live:
        live.server.books._cash[ACCOUNT] += 500
        live.wait(LOOK_S)

        external = live.engine.ledger.cash(ACCOUNT, EXTERNAL_RUN)["USD"]
        assert external == CASH + 500
        assert live.alerts().count("cash_corrected") == 1
        live.server.books._cash[ACCOUNT] -= 500  # the books' own audit knows of no payments


def test_f18_what_the_account_held_at_first_is_its_opening_and_a_change_while_down_is_told() -> (
    None
):
    """F-18: quiet at the first start and at a restart; an alert for what changed meanwhile."""

    def bookings(live: Stage) -> list[tuple[CashReason, Decimal]]:
        booked = [one for _, one in live.log.read() if isinstance(one, CashBooked)]
        return [(one.reason, one.amount) for one in booked if one.run == EXTERNAL_RUN]

    with stage() as live:
        live.wait(LOOK_S)
        first, opening = live.alerts(), bookings(live)
        live.crash()
        live.start()
        live.wait(LOOK_S)
        after_restart = live.alerts()
        live.crash()
        live.server.books._cash[ACCOUNT] += 500
        live.start()
        live.wait(LOOK_S)
        live.server.books._cash[ACCOUNT] -= 500

        assert first == after_restart == []
        assert opening == [(CashReason.DEPOSIT, CASH)]
        assert live.alerts() == ["cash_corrected"]
        assert bookings(live) == [*opening, (CashReason.CORRECTION, D(500))]


# -- what a venue takes back -----------------------------------------------------------------------


def bust(live: Stage) -> Callable[[], object]:
    name = last_execution(live)
    return lambda: live.server.trading.bust(name)


def correct(live: Stage, quantity: str, price: str) -> Callable[[], object]:
    name = last_execution(live)
    return lambda: live.server.trading.correct(name, D(quantity), D(price))


@pytest.mark.parametrize("is_pushed", [True, False], ids=["pushed", "missed"])
@pytest.mark.parametrize("quantity", ["0", "1.5", "2"], ids=["bust", "less", "price"])
def test_r26_a_corrected_execution_is_corrected_here(quantity: str, is_pushed: bool) -> None:
    with stage() as live:
        order = live.submit("2")
        live.wait(0.5)
        work = bust(live) if quantity == "0" else correct(live, quantity, "99")
        if is_pushed:
            live.ask(work)
            live.wait(6)
        else:
            offline(live, work)

        assert order.facts.filled == D(quantity)
        assert held(live, RUN) == D(quantity)
        heard = [one for one in live.listener.heard if isinstance(one, FillCorrected)]
        assert [one.quantity for one in heard] == [D(quantity)]
        assert live.differences() == []
        assert state(live).corrections == []


def test_r26_a_bust_of_an_order_that_left_memory_is_found_after_a_restart() -> None:
    with stage() as live:
        order = live.submit("2")
        live.wait(1)
        live.crash()
        live.ask(bust(live))
        live.start()
        live.wait(8)

        assert held(live, RUN) == 0
        assert live.engine.registry.find(order.order_id).facts.filled == 0
        assert live.differences() == []
        live.wait(60)
        live.crash()
        live.start()
        assert live.differences() == []


def test_r26_an_execution_that_was_made_and_busted_unheard_leaves_nothing() -> None:
    with stage() as live:
        order = live.submit("2", price="90")
        live.wait(0.5)

        def work() -> None:
            live.server.trading.set_price("BTC", D(89), D(90))
            live.server.trading.bust(last_execution(live))

        offline(live, work)

        assert order.facts.filled == 0
        assert order.status is OrderStatus.CANCELLED
        assert [one for one in live.listener.heard if isinstance(one, Fill)] == []
        assert live.differences() == []


def test_r26_a_bust_of_somebody_elses_execution_is_booked_too() -> None:
    with stage() as live:
        trade_by_hand(live, "buy", "1")
        live.wait(0.5)
        offline(live, bust(live))
        live.wait(LOOK_S)

        assert held(live, EXTERNAL_RUN) == 0
        assert differences(live) == []


def state(live: Stage) -> State:
    return state_of(live.engine, ACCOUNT, opening=CASH)
