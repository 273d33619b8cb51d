"""S4, S18: RFQs for everyone, quotes for their two parties, and the block trade at the end."""

import pytest

from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR_OF_MONEY, Refusal, RfqQuote, Side
from adapters.kalshi.simulated.emitted import (
    Filled,
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    Traded,
)
from tests.adapters.kalshi.simulated.exchange_rig import BOS, Rig


def quoted(rig: Rig, *, yes_bid: int = 3_700, no_bid: int = 6_000) -> RfqQuote:
    """`ann` asks for 10 contracts, `ben` quotes."""
    communications = rig.exchange.communications
    rfq = communications.create_rfq("ann", BOS, contracts=10 * CONTRACT)
    return communications.create_quote("ben", rfq.rfq_id, yes_bid=yes_bid, no_bid=no_bid)


@pytest.mark.parametrize(
    ("side", "yes_price", "ben_position"), [("yes", 3_700, 1_000), ("no", 4_000, -1_000)]
)
def test_the_quoter_buys_the_side_that_is_accepted(
    side: Side, yes_price: int, ben_position: int
) -> None:
    rig = Rig()
    communications = rig.exchange.communications
    quote = quoted(rig)

    accepted = communications.accept_quote("ann", quote.quote_id, side)
    executed = communications.confirm_quote("ben", quote.quote_id)

    assert (accepted.status, accepted.contracts_accepted) == ("accepted", 1_000)
    assert executed.status == "executed"
    trade = rig.of(Traded)[0].trade
    assert (trade.yes_price, trade.count, trade.is_block_trade) == (yes_price, 1_000, True)
    assert rig.position("ben").position == ben_position
    assert rig.position("ann").position == -ben_position
    assert [event.fill.is_taker for event in rig.of(Filled)] == [False, True]
    assert [event.account for event in rig.of(QuoteExecuted)] == ["ben", "ann"]
    assert rig.levels() == ([], [])
    told = [type(event) for event in rig.events]
    expected = [RfqCreated, QuoteCreated, QuoteAccepted, QuoteExecuted, RfqDeleted]
    assert [kind for kind in expected if kind in told] == expected
    assert not communications.rfq(quote.rfq_id).is_open


def test_a_target_cost_becomes_whole_contracts_at_the_quoted_price() -> None:
    rig = Rig()
    communications = rig.exchange.communications
    rfq = communications.create_rfq("ann", BOS, target_cost=10 * DOLLAR_OF_MONEY)

    quote = communications.create_quote("ben", rfq.rfq_id, yes_bid=3_700, no_bid=0)

    assert (quote.yes_contracts_offered, quote.no_contracts_offered) == (15 * CONTRACT, 0)
    with pytest.raises(Refusal, match="no bid for no"):
        communications.accept_quote("ann", quote.quote_id, "no")


def test_both_parties_must_be_able_to_pay() -> None:
    rig = Rig()
    communications = rig.exchange.communications
    rfq = communications.create_rfq("ann", BOS, contracts=5_000 * CONTRACT)
    quote = communications.create_quote("ben", rfq.rfq_id, yes_bid=1_000, no_bid=0)
    communications.accept_quote("ann", quote.quote_id, "yes")

    with pytest.raises(Refusal, match="insufficient_balance"):
        communications.confirm_quote("ben", quote.quote_id)

    assert rig.of(Traded) == []


def test_a_deleted_rfq_takes_its_quotes_along() -> None:
    rig = Rig()
    communications = rig.exchange.communications
    quote = quoted(rig)

    communications.delete_rfq("ann", quote.rfq_id)

    assert communications.quote("ben", quote.quote_id).status == "cancelled"
    with pytest.raises(Refusal, match="no open RFQ"):
        communications.delete_rfq("ann", quote.rfq_id)
    with pytest.raises(Refusal, match="closed or one's own"):
        communications.create_quote("ben", quote.rfq_id, yes_bid=100, no_bid=0)


def test_a_quote_is_its_makers_to_withdraw() -> None:
    rig = Rig()
    communications = rig.exchange.communications
    quote = quoted(rig)

    with pytest.raises(Refusal, match="no open quote"):
        communications.delete_quote("ann", quote.quote_id)
    communications.delete_quote("ben", quote.quote_id)

    with pytest.raises(Refusal, match="no open quote"):
        communications.accept_quote("ann", quote.quote_id, "yes")
    with pytest.raises(Refusal, match="no accepted quote"):
        communications.confirm_quote("ben", quote.quote_id)


def test_quotes_are_for_their_parties_only() -> None:
    rig = Rig()
    communications = rig.exchange.communications
    quote = quoted(rig)

    assert communications.quotes("ann") == communications.quotes("ben") == [quote]
    assert communications.quotes("cy") == []
    with pytest.raises(Refusal, match="no quote"):
        communications.quote("cy", quote.quote_id)


@pytest.mark.parametrize(("yes_bid", "no_bid"), [(0, 0), (3_750, 0), (5_000, 5_100), (0, 9_950)])
def test_quoted_bids_are_prices_that_fit_together(yes_bid: int, no_bid: int) -> None:
    rig = Rig()

    with pytest.raises(Refusal, match="invalid_price"):
        quoted(rig, yes_bid=yes_bid, no_bid=no_bid)


@pytest.mark.parametrize(
    "amounts", [{}, {"contracts": 1, "target_cost": 1}, {"contracts": 0}, {"target_cost": -1}]
)
def test_an_rfq_names_one_amount(amounts: dict[str, int]) -> None:
    rig = Rig()

    with pytest.raises(Refusal, match="give contracts or a target cost"):
        rig.exchange.communications.create_rfq("ann", BOS, **amounts)


def test_only_the_newest_closed_rfqs_are_kept() -> None:
    rig = Rig(rfqs_kept=1)
    communications = rig.exchange.communications
    quotes = [quoted(rig), quoted(rig)]

    for quote in quotes:
        communications.delete_rfq("ann", quote.rfq_id)

    assert [rfq.rfq_id for rfq in communications.rfqs()] == [quotes[1].rfq_id]
    assert communications.quotes("ann") == [communications.quote("ann", quotes[1].quote_id)]
    with pytest.raises(Refusal, match="no RFQ"):
        communications.rfq(quotes[0].rfq_id)
