"""A process start on a journal: whose it is, which session this is, what accounts begin with."""

from pathlib import Path
from typing import Any

import pytest

from framework.errors import ConfigError, JournalError
from framework.model.account import CashBooked
from framework.model.records import GateSet, JournalOpened
from framework.risk.kill_switch import GateState
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from tests.scenarios.stage import Actor, logged, perform, staged, states
from tests.scripted_venue import BTC, START_NS, cash_of, quote, strategy_of

QUOTES = [quote(0, 100, 101)]


def start(journal: Path, number: int, plan: Any = None, **fields: Any) -> Runtime:
    """Play one session, later than the one before."""
    chosen = staged(plan or {}, [], Mode.PAPER, journal=journal, **fields)
    return perform(chosen, start_ns=START_NS + number * 10**12)


def test_sessions_are_numbered_and_accounts_opened_once(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"

    sessions = [strategy_of(start(journal, number)).context.session for number in range(3)]

    assert sessions == [1, 2, 3]
    assert len(logged(journal, CashBooked)) == 1
    opened = logged(journal, JournalOpened)
    assert [record.epoch for record in opened] == [1, 2, 3]
    assert {(record.mode, record.journal_id) for record in opened} == {
        ("paper", opened[0].journal_id)
    }


def test_a_journal_of_another_mode_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"
    start(journal, 0)
    chosen = staged({}, [], Mode.DRY_RUN, journal=journal)

    with pytest.raises((JournalError, ConfigError)):
        perform(chosen, start_ns=START_NS + 10**12)


def test_a_gate_that_was_held_is_held_after_a_restart_r64(tmp_path: Path) -> None:
    journal = tmp_path / "paper.db"

    async def halt(runtime: Runtime) -> None:
        runtime.system.safeguards.set_gate(GateState.HALTED, "a person said so", "ada")

    first = perform(staged({}, [], Mode.PAPER, journal=journal), during=halt)
    assert logged(journal, GateSet)
    second = perform(
        staged(
            {1: lambda strategy: strategy.buy(BTC, 1)},
            [quote(2_000, 100, 101)],
            Mode.PAPER,
            journal=journal,
        ),
        start_ns=START_NS + 10**12,
    )

    assert first.system.safeguards.kill_switch.state is GateState.HALTED
    (order,) = states(second)
    assert "a person said so" in order.reason
    assert cash_of(second) == 1_000_000


def test_a_backtest_counts_sessions_too_and_needs_no_journal() -> None:
    runtime = perform(staged(Actor, QUOTES))

    assert strategy_of(runtime).context.session == 1
    assert runtime.engine.registry.fresh_keys == {"run": "1."}
