"""R-60: the gate says of every order what an independent oracle says, whatever raced before.

The desk is the real one: registry sums, ledger, inputs. `HEADRACE_SOAK` multiplies the long run:
50 compares 1,000,000 orders.
"""

import asyncio
import os
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.model.reports import EndKind
from tests.framework.risk.desk_rig import ASSETS, Rig, run_rig

D = Decimal
ORDERS = 20_000
ORDERS_A_RIG = 40


def test_the_gate_agrees_with_an_independent_oracle_over_a_long_run() -> None:
    """R-60, F-25."""
    total = ORDERS * max(1, int(os.environ.get("HEADRACE_SOAK", "1")))
    sent = refused = 0
    for seed in range(total // ORDERS_A_RIG):
        try:
            of_this = run_rig(Random(seed), ORDERS_A_RIG)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        sent, refused = sent + of_this[0], refused + of_this[1]

    assert sent + refused == total
    assert min(sent, refused) > total // 5  # else they would agree on little


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_the_gate_agrees_with_an_independent_oracle(random: Random, orders: int) -> None:
    """R-60: the same, with what fails made small."""
    run_rig(random, orders)


LIMITS: dict[str, Any] = {
    "max_position_notional": "500",
    "max_open_orders": 12,
    "max_orders_per_second": 20,
    "require_cash": True,
    "max_gross_notional": "900",
    "accounts": {},
    "runs": {"two": {"max_orders_per_second": 3}},
    "instruments": {},
}


def test_parallel_submits_cannot_pass_a_limit_together() -> None:
    """R-60, F-25: reserve, then send. Each task waits between looking and sending."""
    rig = Rig(LIMITS, {})

    async def trade(run: str, name: str, sign: int) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            rig.submit(
                run=run,
                name=name,
                sign=sign,
                kind="market",
                quantity=D(1),
                price=None,
                stop=None,
                reduces=False,
                is_closing=False,
            )
            await asyncio.sleep(0)

    async def race() -> None:
        async with asyncio.TaskGroup() as tasks:
            for run in ("one", "two", "three"):
                for sign in (1, -1):
                    tasks.create_task(trade(run, "v:X", sign))

    asyncio.run(race())

    oracle = rig.oracle
    assert 5 <= len(oracle.tickets) <= 12
    assert sum(ticket.run == "two" for ticket in oracle.tickets) <= 3
    for run in ("one", "two", "three"):
        for sign in (1, -1):
            assert oracle.opened(run, ASSETS["v:X"], sign) * 100 <= 500
    for account in ("main", "side"):
        assert oracle.cash(account, "USD") >= 0
        assert rig.inputs.available_cash(account, "USD") == oracle.cash(account, "USD")


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_open_orders_reserve_is_their_worst_case_and_zero_when_flat(random: Random) -> None:
    """R-77."""
    rig = Rig({"accounts": {}, "runs": {}, "instruments": {}}, {})
    for _ in range(12):
        rig.random_event(random)
        rig.random_order(random)
        for account in ("main", "side"):
            available = rig.inputs.available_cash(account, "USD")
            assert Fraction(available) == rig.oracle.cash(account, "USD")

    for order in list(rig.registry):
        ticket = next((t for t in rig.oracle.tickets if t.order_id == order.order_id), None)
        if ticket is not None and ticket.is_open:
            rig.end(ticket, random.choice(list(EndKind)))
    assert all(working.reserved == 0 for working in rig.registry.lines())
    assert rig.registry.reserved_cash("main") == {}
    assert rig.inputs.open_order_count(None, None, None) == 0
