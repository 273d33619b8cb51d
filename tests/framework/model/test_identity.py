"""Names of instruments, and order ids that a restart finds again."""

from hypothesis import given
from hypothesis import strategies as st

from framework.model.identity import OrderIds, instrument_id, symbol_of, venue_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=160)
CALLERS = st.tuples(NAMES, NAMES)  # run, key


def test_an_instrument_is_split_at_the_first_colon() -> None:
    instrument = instrument_id("kite", "NSE:INFY")

    assert instrument == "kite:NSE:INFY"
    assert venue_of(instrument) == "kite"
    assert symbol_of(instrument) == "NSE:INFY"


def test_an_order_id_is_twenty_characters_every_venue_takes() -> None:
    order_id = OrderIds("journal").order_id("cross", "1.2.3")

    assert len(order_id) == 20
    assert set(order_id) <= set("0123456789abcdef")


def test_order_ids_are_the_same_in_every_release() -> None:
    """R-21, R-67: an id at a venue must be found again after an update of ours."""
    assert OrderIds("journal").order_id("cross", "1.2.3") == "2414e5dfe4a9c2a00876"


@given(NAMES, CALLERS)
def test_the_same_journal_run_and_key_give_the_same_id(
    journal: str, caller: tuple[str, str]
) -> None:
    before_the_restart, after_it = OrderIds(journal), OrderIds(journal)
    after_it.order_id("another", "order in between")

    assert before_the_restart.order_id(*caller) == after_it.order_id(*caller)


@given(st.sets(CALLERS, min_size=2, max_size=30))
def test_different_runs_or_keys_give_different_ids(callers: set[tuple[str, str]]) -> None:
    ids = OrderIds("journal")

    assert len({ids.order_id(*caller) for caller in callers}) == len(callers)


@given(CALLERS)
def test_different_journals_give_different_ids(caller: tuple[str, str]) -> None:
    assert OrderIds("one").order_id(*caller) != OrderIds("two").order_id(*caller)


def test_a_run_and_its_key_never_run_together() -> None:
    ids = OrderIds("journal")

    assert ids.order_id("ab", "c") != ids.order_id("a", "bc")
