"""A strategy trades through the wire adapter with the whole runtime, on the simulated network."""

import asyncio
from typing import Any

import pytest

from framework.runtime.runner import Runtime
from framework.simulation.link import LinkFaults
from tests.broker.adapter import install
from tests.broker.rig import ADDRESS, play, simulated_loop, started_server
from tests.broker.script import CALM, STORM, Script
from tests.broker.server import Server
from tests.crash.check import agreement, state_of
from tests.crash.trading import ACCOUNT, CASH, RUN, trader_settings

ROUGH = Script(  # everything that a broker may do without ever losing a word
    delay_ms=(0, 30),
    repeat_push=0.2,
    reorder_push=0.2,
    reject=0.05,
    refuse_cancel=0.1,
    refuse_change=0.1,
    partial=0.5,
    late=0.3,
    cancel_race=0.3,
    accept_last=0.2,
)


def trade(script: Script, seed: int, *, faults: LinkFaults | None = None) -> tuple[Server, Runtime]:
    """Trade for ten seconds under a script, then let everything come to rest."""
    install()

    async def main() -> tuple[Server, Runtime]:
        server = await started_server(script, seed=seed, tick_ms=20)
        if faults is not None:
            simulated_loop().network.set_faults(ADDRESS, faults)
        async with Runtime(trader_settings(seed=seed), journal_id="wire") as runtime:
            await asyncio.sleep(10)
            server.script = CALM
            runtime.system.runs[0].context.block("enough")
            runtime.engine.desk.cancel_all(RUN)
            await asyncio.sleep(5)
            assert runtime.failure is None
        server.close()
        server.books.audit()
        return server, runtime

    return play(main, seed=seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("script", [CALM, ROUGH], ids=["calm", "rough"])
def test_r25_r27_books_agree_to_the_last_digit_whatever_the_order_of_reports(
    script: Script, seed: int
) -> None:
    server, runtime = trade(script, seed)

    state = state_of(runtime.engine, ACCOUNT, opening=CASH)
    assert len(server.books.orders) > 100
    assert len(state.fills) > 50
    assert agreement(server.dump(), state) == []


@pytest.mark.parametrize("seed", range(5))
def test_r20_r30_in_a_storm_nothing_is_sent_twice_and_nothing_is_made_up(seed: int) -> None:
    faults = LinkFaults(latency_ms_low=1, latency_ms_high=20, split_max_bytes=40, drop_rate=0.002)
    server, runtime = trade(STORM, seed, faults=faults)

    books, state = server.books, state_of(runtime.engine, ACCOUNT, opening=CASH)
    assert len(books.received) > 30
    assert books.sent_twice() == []
    assert set(state.fills) <= set(books.executions)
    assert state.twice == []
    for order_id, (_, filled) in state.orders.items():
        true = books.find(ACCOUNT, order_id)
        assert filled <= (true.filled if true is not None else 0)


def test_r90_one_seed_is_one_storm() -> None:
    def received(seed: int) -> list[Any]:
        return trade(STORM, seed)[0].books.received

    assert received(3) == received(3)
    assert received(3) != received(4)
