"""What a strategy keeps over a restart, and what it hears again: at least once, and marked."""

import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from framework.model.account import Account, Position
from framework.model.events import ErrorRaised
from framework.model.orders import Fill, Order, OrderStatus
from framework.model.records import StrategyState
from framework.model.reports import FillCorrection
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from tests.scenarios.stage import Actor, logged, make, perform, staged
from tests.scripted_venue import BTC, MINUTE_NS, START_NS, quote, strategy_of

QUOTES = [quote(0, 100, 101), quote(1, 100, 101)]


class Keeping(Actor):
    """Counts its fills over restarts, and writes down in which order it is called."""

    plan: ClassVar[Any] = {1: make("it", "buy", BTC, 1)}

    def __init__(self, settings: Any, context: Any) -> None:
        super().__init__(settings, context)
        self.calls: list[str] = []
        self.fills = 0
        self.errors: list[ErrorRaised] = []

    def load_state(self, state: Any) -> None:
        self.calls.append("load_state")
        self.fills = state["fills"]

    def save_state(self) -> Any:
        return {"fills": self.fills}

    def on_start(self) -> None:
        self.calls.append("on_start")
        super().on_start()

    def on_fill(self, fill: Any) -> None:
        super().on_fill(fill)
        self.calls.append("fill")
        self.fills += not fill.is_redelivered

    def on_account(self, account: Any) -> None:
        self.heard.append(account)

    def on_error(self, error: ErrorRaised) -> None:
        self.errors.append(error)


def session(journal: Path, number: int, strategy: type[Actor], market: Any = ()) -> Runtime:
    """Play one session, an hour after the one before."""
    shift_ns = number * 60 * MINUTE_NS
    moved = [
        msgspec.structs.replace(
            event, time_ns=event.time_ns + shift_ns, received_ns=event.received_ns + shift_ns
        )
        for event in market
    ]
    return perform(
        staged(strategy, moved, Mode.PAPER, journal=journal), start_ns=START_NS + shift_ns
    )


def forget_states(journal: Path) -> None:
    """Let the journal be as if the process had died before any state was saved."""
    with sqlite3.connect(journal) as connection:
        connection.execute("DELETE FROM snapshots")


def test_a_state_comes_back_before_on_start(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    session(journal, 0, Keeping, QUOTES)
    second = strategy_of(session(journal, 1, Keeping))

    assert second.calls[:2] == ["load_state", "on_start"]
    assert second.fills == 1
    assert strategy_of(session(journal, 2, Keeping, QUOTES)).fills == 2


def test_what_was_heard_before_the_state_was_saved_is_not_heard_again(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    session(journal, 0, Keeping, QUOTES)

    assert strategy_of(session(journal, 1, Keeping)).heard == []
    assert {state.session for state in logged(journal, StrategyState)} == {1}


class Dying(Keeping):
    """Cannot save a state: nothing says how far it had heard."""

    def save_state(self) -> Any:
        raise RuntimeError("not now")


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_what_came_after_the_cursor_is_heard_again_marked_and_after_on_start(
    tmp_path: Path, has_snapshot: bool
) -> None:
    journal = tmp_path / "paper.db"
    first = strategy_of(session(journal, 0, Dying, QUOTES))
    if not has_snapshot:
        forget_states(journal)

    for number in (1, 2):  # and again, as long as nothing is saved
        again = strategy_of(session(journal, number, Dying))
        kinds = [type(event) for event in again.heard]
        assert kinds == [Order, Fill, Position, Account]
        order, fill, position, account = again.heard
        assert [event.is_redelivered for event in (order, fill, position)] == [True] * 3
        before = next(event for event in first.heard if isinstance(event, Fill))
        assert (fill.execution_id, fill.price) == (before.execution_id, before.price)
        assert order.status is OrderStatus.FILLED
        assert position.quantity == 1
        assert account.balances == again.context.account().balances
        assert again.calls == ["on_start", "fill"]
    assert first.errors
    assert first.errors[0].handler == "save_state"


def test_denied_orders_and_corrections_are_told_again(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"

    def correct(strategy: Any) -> None:
        fill = next(event for event in strategy.heard if isinstance(event, Fill))
        strategy.publish(
            FillCorrection(fill.order_id, fill.execution_id, fill.quantity, fill.price + 1, 1)
        )

    class Mixed(Dying):
        plan: ClassVar[Any] = {1: make("it", "buy", BTC, 1), 2: correct}

        def on_quote(self, quote: Any) -> None:
            super().on_quote(quote)
            if self.count == 1:
                self.sell(BTC, "0.001", key="off the grid")

    session(journal, 0, Mixed, QUOTES)
    again = strategy_of(session(journal, 1, Mixed))

    orders = [event for event in again.heard if isinstance(event, Order)]
    assert {order.status for order in orders} == {OrderStatus.FILLED, OrderStatus.DENIED}
    fills = [event for event in again.heard if hasattr(event, "execution_id")]
    assert [fill.price for fill in fills] == [101, 102]


def test_reading_old_orders_again_leaves_them_out_of_memory(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    session(journal, 0, Dying, QUOTES)

    again = session(journal, 1, Dying)

    assert strategy_of(again).heard
    assert len(again.engine.registry) == 0


def test_a_strategy_without_a_state_hears_nothing_twice_either(tmp_path: Path) -> None:
    class Plain(Actor):
        plan: ClassVar[Any] = {1: make("it", "buy", BTC, 1)}

    journal = tmp_path / "paper.db"
    session(journal, 0, Plain, QUOTES)

    assert strategy_of(session(journal, 1, Plain)).heard == []
