"""The whole system live on a gateway of our own: two of us, one behind the other."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.tektii.simulated.rig import ADDRESS, TektiiRig
from adapters.tektii.words import client_order_id_of
from framework.model.orders import Side
from framework.orders.order_state import OrderState
from tests.scenarios.network_stage import ACCOUNT, NetworkStage, Truth, network_stage

SEEDS = int(os.environ.get("HEADRACE_LIVE_SEEDS", "2"))
D = Decimal
KEPT_S = 100  # for which the line in front of the gateway keeps its idle connections


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


class GatewayDesk:
    """A gateway's rig with fees, and what it does to a live session."""

    strategy = "tests.scenarios.quote_maker:QuoteMaker"
    currency = "USD"
    address = ADDRESS
    opening = D(1_000_000)

    def __init__(self, seed: int) -> None:
        self.rig = TektiiRig(seed, fee_bps=10)
        self.hosted = self.rig.hosted
        self.strategy_settings: dict[str, Any] = {
            "instrument": "tektii:AAPL",
            "quantity": "0.037",
            "maximum_position": "0.4",
            "spread": "0.6",
        }

    def truth(self) -> Truth:
        """Return what the gateway's own core has."""
        return {
            "orders": [
                {
                    "client_id": client_order_id_of(order.key) or "",
                    "filled": str(order.filled),
                    "status": order.status.value if order.is_closed else "working",
                }
                for order in self.hosted.orders.values()
            ],
            "executions": [
                {"execution_id": fill.execution_id, "quantity": str(fill.quantity)}
                for fill in self.hosted.fills
            ],
            "positions": {
                ACCOUNT: [
                    {"symbol": symbol, "quantity": str(self.rig.position(symbol))}
                    for symbol in self.rig.symbols
                    if self.rig.position(symbol)
                ]
            },
            "balances": {ACCOUNT: [{"total": str(self.hosted.engine.ledger.cash(ACCOUNT)["USD"])}]},
        }

    def hit(self, random: Random) -> None:
        """Have the tape trade a part of a random quote of ours."""
        orders = [one for one in self.rig.orders() if one.is_open and one.client_id]
        if orders:
            order = random.choice(orders)
            part = D(random.randint(1, 37)) / D(1_000)
            self.rig.trade_against(order.client_id, min(part, order.quantity - order.filled))

    def received(self) -> Counter[str]:
        """Count new orders by client id, as they passed the line."""
        return Counter(self.rig.line.taken)

    def harm(self, random: Random) -> str:
        """Lose answers, or have the gateway ask for a pause."""
        faults = self.rig.line.faults
        name = random.choice(["lose_answer", "too_many"])
        setattr(faults, name, getattr(faults, name) + 2)
        return name

    def rest(self) -> None:
        """Nothing: nobody trades against us but by `hit`, and quotes that cross ours."""


def live(seed: int = 0, **more: Any) -> AbstractContextManager[NetworkStage]:
    """Open a stage with a maker of quotes."""
    return network_stage(GatewayDesk, seed=seed, **more)


def is_closed(order: OrderState) -> bool:
    return order.is_closed


def test_fills_agree_on_both_sides_to_the_last_digit() -> None:
    """R-24, R-34: orders given as from a door, on a session that only watches."""
    with live(1, strategy="tests.scenarios.quote_maker:Watcher") as stage:
        orders = []
        for number in range(1, 8):
            side = Side.BUY if number % 2 else Side.SELL
            terms = stage.ask(partial(stage.rig.marketable, side))
            order = stage.submit(side, terms.quantity * number, terms.price)
            stage.wait_until(partial(is_closed, order), 10)
            assert order.filled == terms.quantity * number
            orders.append(order)
        stage.wait(40)

        assert stage.differences() == []
        theirs = {
            one.execution_id: (one.quantity, one.price, one.fees)
            for one in stage.desk.hosted.fills  # type: ignore[attr-defined] # of this desk
        }
        ours = {
            name: (one.quantity, one.price, one.fees)
            for order in orders
            for name, one in order.facts.executions.items()
        }
        assert ours == theirs
        assert len(ours) >= 7
        stage.stop()
        stage.wait(KEPT_S)
        assert stage.left_tasks() == []
        assert stage.rig.connection_count == 0


def test_a_calm_minute_leaves_nothing_to_wonder_about() -> None:
    with live(1) as stage:
        stage.trade(30, every_s=1)
        stage.heal()
        stage.stop()
        stage.wait(KEPT_S)

        assert stage.rig.orders()
        assert [one for one in stage.rig.orders() if one.is_open] == []
        assert "order_anomaly" not in stage.alerts()
        assert stage.left_tasks() == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_maker_of_quotes_survives_bad_minutes(seed: int) -> None:
    """R-20, R-24, R-34, R-43 over the network: afterwards both sides say the same."""
    with live(seed) as stage:
        stage.trade(90, every_s=1, harm_s=8)
        stage.heal()

        told = (seed, stage.harms)
        assert stage.desk.truth()["executions"], told
        wrong = stage.differences()
        assert wrong == [], told
        stage.stop()
        assert [one for one in stage.rig.orders() if one.is_open] == [], told
