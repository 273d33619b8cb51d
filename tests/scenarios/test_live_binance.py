"""The whole system live on Binance's simulated venue: what Kalshi's scenarios do, in small."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.binance.simulated.amounts import to_text, to_units
from adapters.binance.simulated.faults import RestFault
from adapters.binance.simulated.rig import ADDRESS, BinanceRig
from tests.scenarios.network_stage import ACCOUNT, NetworkStage, Truth, network_stage

SEEDS = int(os.environ.get("HEADRACE_LIVE_SEEDS", "2"))
D = Decimal


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep lost connections from being printed."""
    with capture_logs():
        yield


class BinanceDesk:
    """Binance's rig with fees, and what it does to a live session.

    Fees of purchases are taken in the base asset, so that a position is less than what was bought.
    """

    strategy = "strategies.market_maker:MarketMaker"
    currency = "USDT"
    address = ADDRESS
    opening = D(10_000_000)

    def __init__(self, seed: int) -> None:
        self.rig = BinanceRig(seed, fee_bps=10)
        self.venue = self.rig.binance
        for asset, amount in (("BTC", "10"), ("ETH", "100")):
            self.venue.exchange.deposit(ACCOUNT, asset, -to_units(amount))
        self.strategy_settings: dict[str, Any] = {
            "instrument": "binance:BTCUSDT",
            "quantity": "0.002",
            "maximum_position": "0.02",
            "spread_bps": 6,
            "requote_bps": 3,
        }

    def truth(self) -> Truth:
        """Return what the venue has."""
        exchange = self.venue.exchange
        return {
            "orders": [
                {
                    "client_id": order.client_id,
                    "filled": to_text(order.executed),
                    "status": "working" if order.is_open else order.status,
                }
                for order in exchange.orders(ACCOUNT)
            ],
            "executions": [
                {"execution_id": f"{one.symbol}:{one.trade_id}", "quantity": to_text(one.quantity)}
                for one in exchange.executions
                if one.account == ACCOUNT
            ],
            "positions": {
                ACCOUNT: [
                    {"symbol": symbol, "quantity": str(self.rig.position(symbol))}
                    for symbol in self.rig.symbols
                    if self.rig.position(symbol)
                ]
            },
            "balances": {ACCOUNT: [{"total": self._cash()}]},
        }

    def _cash(self) -> str:
        ((_, free, locked),) = self.venue.exchange.purses.rows(ACCOUNT, self.currency)
        return to_text(free + locked)

    def hit(self, random: Random) -> None:
        """Have the background trade a part of a random quote of ours."""
        orders = [one for one in self.rig.orders() if one.is_open]
        if orders:
            order = random.choice(orders)
            part = D(random.randint(1, 20)) / D(10_000)
            self.rig.trade_against(order.client_id, min(part, order.quantity - order.filled))

    def received(self) -> Counter[str]:
        """Count orders by client id; the venue takes an id again once its order has ended."""
        return Counter(order.client_id for order in self.venue.exchange.orders(ACCOUNT))

    def harm(self, random: Random) -> str:
        """Lose requests or their answers."""
        method, path = random.choice(
            [("POST", "/order"), ("DELETE", "/order"), ("GET", "/account"), ("GET", "/myTrades")]
        )
        kind = random.choice(["lose_request", "lose_answer", "answer"])
        fault = RestFault(method=method, path=path, kind=kind)  # type: ignore[arg-type] # drawn
        self.venue.faults.add(fault, fault)
        return repr(fault)

    def rest(self) -> None:
        """Let the background stand as it is."""
        self.venue.pause()


def live(seed: int = 0, **more: Any) -> AbstractContextManager[NetworkStage]:
    """Open a stage with the market maker."""
    return network_stage(BinanceDesk, seed=seed, **more)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_market_maker_survives_bad_minutes(seed: int) -> None:
    """R-20, R-24, R-34, R-43 over the network: afterwards both sides say the same."""
    with live(seed) as stage:
        stage.trade(120, every_s=1, harm_s=10)
        stage.heal()

        told = (seed, stage.harms)
        assert stage.differences() == [], told
        assert stage.desk.truth()["executions"], told
        stage.stop()
        assert [one for one in stage.rig.orders() if one.is_open] == [], told


@pytest.mark.parametrize("seed", range(SEEDS))
def test_r01_a_market_maker_dies_again_and_again(seed: int) -> None:
    """R-01, R-04, R-20, R-29: what happened meanwhile is booked once, nothing is sent twice."""
    with live(seed) as stage:
        for _ in range(3):
            stage.trade(stage.chance.uniform(2, 20), every_s=1, harm_s=6)
            stage.crash()
            for _ in range(stage.chance.randint(0, 5)):
                stage.wait(stage.chance.uniform(0, 3))
                stage.ask(lambda: stage.desk.hit(stage.chance))
            stage.start()
        stage.heal()

        assert stage.differences() == [], (seed, stage.harms)


def test_a_calm_minute_leaves_nothing_to_wonder_about() -> None:
    with live(1) as stage:
        stage.trade(60, every_s=1)
        stage.heal()

        assert stage.differences() == []
        assert "order_anomaly" not in stage.alerts()
        stage.stop()
        assert stage.left_tasks() == []
        assert stage.rig.connection_count == 0
