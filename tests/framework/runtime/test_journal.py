"""Which start may go on with a journal, and which is refused (R-67)."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from framework.engine.session_start import config_hash, framework_version
from framework.errors import JournalError
from framework.model.records import AccountPlace, JournalOpened
from framework.model.runs import Execution
from framework.runtime import journal as journals
from framework.runtime.journal import why_refused, with_places_of
from framework.settings.modes import Mode
from framework.settings.structs import AccountSettings, Settings
from tests.scenarios.stage import logged, perform, staged
from tests.scripted_venue import BTC, START_NS, quote

QUOTES = [quote(0, 100, 101), quote(1, 100, 101)]
PLACE = AccountPlace("main", "x", "mock", "USD", Execution.LIVE)
OPENED = JournalOpened("j", 1, 0, "0.1.0", "live", ("main",), places=(PLACE,))
OTHER = AccountPlace("other", "x", "mock", "USD", Execution.LIVE)


def chosen(journal: Path, *, buys: bool = False) -> Settings:
    plan = {1: lambda strategy: strategy.buy(BTC, 1)} if buys else {}
    return staged(plan, QUOTES, Mode.PAPER, journal=journal)


def start(settings: Settings, number: int) -> None:
    """Play one session, later than the one before."""
    perform(settings, start_ns=START_NS + number * 10**12)


def test_r67_a_start_records_build_mode_configuration_and_what_its_accounts_are(
    tmp_path: Path,
) -> None:
    settings = chosen(tmp_path / "j.db")

    start(settings, 0)

    (opened,) = logged(tmp_path / "j.db", JournalOpened)
    assert (opened.build, opened.mode) == (framework_version(), "paper")
    assert opened.config_hash == config_hash(settings)
    (name,) = settings.accounts
    account = settings.accounts[name]
    adapter = settings.venues[account.venue].adapter
    expected = AccountPlace(name, account.venue, adapter, account.currency, Execution.SIMULATED)
    assert opened.places == (expected,)


def test_r67_a_restart_with_another_build_or_configuration_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "j.db"
    start(chosen(journal, buys=True), 0)
    monkeypatch.setattr(journals, "framework_version", lambda: "9.9.9")

    start(replace(chosen(journal), seed=5), 1)

    opened = logged(journal, JournalOpened)
    assert [one.build for one in opened] == [opened[0].build, "9.9.9"]
    assert opened[0].config_hash != opened[1].config_hash


def test_r67_an_account_in_another_currency_is_another_account(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    start(chosen(journal), 0)
    settings = chosen(journal)
    (name,) = settings.accounts
    changed = {name: replace(settings.accounts[name], currency="EUR")}

    with pytest.raises(JournalError, match=rf"account '{name}' was .* in USD\) .* in EUR\) now"):
        start(replace(settings, accounts=changed), 1)

    assert len(logged(journal, JournalOpened)) == 1
    start(settings, 2)


@pytest.mark.parametrize(
    "now",
    [
        replace(PLACE, venue="y"),
        replace(PLACE, adapter="binance"),
        replace(PLACE, currency="EUR"),
        replace(PLACE, execution=Execution.SIMULATED),
    ],
)
def test_r67_an_account_that_is_another_one_under_the_same_name_is_refused(
    now: AccountPlace,
) -> None:
    assert "account 'main' was at venue 'x' (mock, live, in USD) in this journal" in why_refused(
        OPENED, replace(OPENED, places=(now,))
    )


def test_r67_where_a_simulated_accounts_prices_come_from_may_change() -> None:
    simulated = replace(PLACE, execution=Execution.SIMULATED)
    before, now = (
        replace(OPENED, places=(replace(simulated, adapter=adapter),))
        for adapter in ("mock", "replay")
    )

    assert why_refused(before, now) == ""


def test_r67_another_mode_is_refused_and_an_older_journal_names_no_places() -> None:
    assert "give each mode a journal" in why_refused(OPENED, replace(OPENED, mode="paper"))
    assert why_refused(replace(OPENED, places=()), OPENED) == ""
    assert why_refused(OPENED, replace(OPENED, places=(OTHER, PLACE))) == ""


def test_r67_an_account_that_was_away_for_a_while_is_still_known() -> None:
    without = with_places_of(OPENED, replace(OPENED, places=(OTHER,)))

    assert without.places == (OTHER, PLACE)
    assert why_refused(without, replace(OPENED, places=(replace(PLACE, venue="y"),)))


def test_r67_an_account_with_a_position_cannot_leave_the_configuration(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    start(chosen(journal, buys=True), 0)
    settings = chosen(journal)
    ((name, account),) = settings.accounts.items()
    (run,) = settings.strategies
    renamed: dict[str, AccountSettings] = {"new": account}
    moved = replace(settings, accounts=renamed, strategies=[replace(run, id="r", account="new")])

    reason = rf"account '{name}' has open orders or positions in this journal and is not in"
    with pytest.raises(JournalError, match=reason):
        start(moved, 1)

    assert len(logged(journal, JournalOpened)) == 1


def test_r67_an_account_that_holds_nothing_may_leave_the_configuration(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    start(chosen(journal), 0)
    settings = chosen(journal)
    ((name, account),) = settings.accounts.items()
    (run,) = settings.strategies
    moved = replace(
        settings, accounts={"new": account}, strategies=[replace(run, id="r", account="new")]
    )

    start(moved, 1)

    assert [one.account for one in logged(journal, JournalOpened)[1].places] == ["new", name]
