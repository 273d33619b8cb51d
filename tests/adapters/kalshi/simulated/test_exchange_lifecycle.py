"""S13: markets open, pause, close, are determined and settled, by hand and by themselves."""

import pytest

from adapters.kalshi.simulated.domain import (
    CONTRACT,
    EventInfo,
    Market,
    PriceRange,
    Refusal,
    SelectedLeg,
)
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    LevelChanged,
    MarketChanged,
    MultivariateLookedUp,
    OrderChanged,
    PositionChanged,
    Settled,
)
from tests.adapters.kalshi.simulated.exchange_rig import (
    BOS,
    EVENT,
    NYC,
    SECOND_NS,
    START_NS,
    Rig,
)


def steps(rig: Rig) -> list[str]:
    return [event.event_type for event in rig.of(MarketChanged)]


def status(rig: Rig, ticker: str = BOS) -> str:
    return rig.exchange.data.market(ticker).status


def reasons(rig: Rig) -> list[str]:
    return [event.order.last_update_reason for event in rig.of(OrderChanged)]


def test_a_market_lives_by_the_clock() -> None:
    rig = Rig()
    rig.exchange.lifecycle.create_market(
        Market(
            ticker="KXTIMED",
            event_ticker=EVENT,
            open_ns=START_NS + 10 * SECOND_NS,
            close_ns=START_NS + 20 * SECOND_NS,
            settlement_timer_s=5,
        )
    )
    assert (status(rig, "KXTIMED"), steps(rig)) == ("initialized", ["created"])
    with pytest.raises(Refusal, match="market_not_open"):
        rig.buy("ann", 40, 1, ticker="KXTIMED")

    rig.advance(10)
    assert (status(rig, "KXTIMED"), steps(rig)) == ("active", ["activated"])
    rig.buy("ann", 40, 1, ticker="KXTIMED")

    rig.advance(10)
    assert (status(rig, "KXTIMED"), steps(rig)) == ("closed", [])
    assert reasons(rig) == ["CloseCancel"]

    rig.exchange.lifecycle.determine("KXTIMED", "no")
    rig.advance(5)
    assert (status(rig, "KXTIMED"), steps(rig)) == ("finalized", ["settled"])


def test_a_pause_stops_trading_and_cancels_what_asked_for_it() -> None:
    rig = Rig()
    kept = rig.buy("ann", 40, 1)
    rig.buy("ann", 40, 1, cancel_order_on_pause=True)
    rig.events.clear()

    rig.exchange.lifecycle.pause(BOS)

    assert (status(rig), steps(rig), reasons(rig)) == ("inactive", ["deactivated"], ["HaltCancel"])
    with pytest.raises(Refusal, match="trading_is_paused") as refused:
        rig.buy("ann", 41, 1)
    assert refused.value.status == 409
    rig.exchange.orders.decrease("ann", kept.order_id, to=50)
    rig.exchange.orders.cancel("ann", kept.order_id)

    rig.exchange.lifecycle.activate(BOS)
    assert rig.buy("ann", 41, 1).status == "resting"


def test_trading_can_stop_everywhere() -> None:
    rig = Rig()
    rig.exchange.lifecycle.set_trading(is_exchange_active=True, is_trading_active=False)

    assert rig.exchange.is_exchange_active
    assert not rig.exchange.is_trading_active
    with pytest.raises(Refusal, match="trading_is_paused"):
        rig.buy("ann", 41, 1)


def test_closing_early_moves_the_close_date() -> None:
    rig = Rig()
    rig.buy("ann", 40, 1)
    rig.advance(3)

    rig.exchange.lifecycle.close(BOS)

    assert steps(rig) == ["close_date_updated"]
    assert rig.exchange.data.market(BOS).close_ns == rig.clock.now_ns
    assert rig.levels() == ([], [])


def test_a_later_close_replaces_the_earlier_one() -> None:
    rig = Rig()
    rig.exchange.lifecycle.change_close(BOS, START_NS + 10 * SECOND_NS)
    rig.exchange.lifecycle.change_close(BOS, START_NS + 20 * SECOND_NS)

    rig.advance(10)
    assert status(rig) == "active"
    rig.advance(10)
    assert status(rig) == "closed"
    with pytest.raises(Refusal, match="invalid_market_status"):
        rig.exchange.lifecycle.change_close(BOS, START_NS + 30 * SECOND_NS)
    with pytest.raises(Refusal, match="lies in the past"):
        rig.exchange.lifecycle.change_close(NYC, START_NS)


@pytest.mark.parametrize(
    ("result", "value", "ann_cents", "ben_cents"),
    [("yes", None, 600, -600), ("no", None, -400, 400), ("scalar", 2_500, -150, 150)],
)
def test_settlement_pays_both_sides(
    result: str, value: int | None, ann_cents: int, ben_cents: int
) -> None:
    rig = Rig()
    rig.buy("ann", 40, 10)
    rig.sell("ben", 40, 10)
    fee_cents = 17
    rig.events.clear()

    rig.exchange.lifecycle.determine(BOS, result, value)
    rig.exchange.lifecycle.settle(BOS)

    assert (rig.cents("ann"), rig.cents("ben")) == (ann_cents, ben_cents - fee_cents)
    assert steps(rig) == ["close_date_updated", "determined", "settled"]
    market = rig.exchange.data.market(BOS)
    assert (market.result, market.status) == (result, "finalized")
    assert market.settlement_value == {"yes": 10_000, "no": 0}.get(result, value)
    paid = rig.exchange.portfolio.settlements("ann")
    assert [(s.yes_count, s.no_count, s.yes_total_cost) for s in paid] == [(1_000, 0, 4_000_000)]
    assert [event.settlement.no_count for event in rig.of(Settled)] == [0, 1_000]
    assert [event.position.position for event in rig.of(PositionChanged)] == [0, 0]
    assert rig.position("ann").realized_pnl == ann_cents * 10_000
    assert rig.exchange.data.ticker(BOS).open_interest == 0


@pytest.mark.parametrize(
    ("result", "value"), [("maybe", None), ("scalar", None), ("scalar", 10_001)]
)
def test_a_result_must_be_one(result: str, value: int | None) -> None:
    rig = Rig()

    with pytest.raises(Refusal, match="no result"):
        rig.exchange.lifecycle.determine(BOS, result, value)


def test_a_market_settles_once() -> None:
    rig = Rig()
    rig.exchange.lifecycle.determine(BOS, "yes")
    rig.exchange.lifecycle.settle(BOS)

    with pytest.raises(Refusal, match="is finalized"):
        rig.exchange.lifecycle.settle(BOS)
    with pytest.raises(Refusal, match="is finalized"):
        rig.exchange.lifecycle.determine(BOS, "no")
    rig.advance(100)
    assert rig.events == []


def test_a_finalized_market_can_be_forgotten() -> None:
    rig = Rig()
    lifecycle = rig.exchange.lifecycle
    rig.buy("ann", 40, 1)
    for ticker in (BOS, NYC):
        with pytest.raises(Refusal, match="is active"):
            lifecycle.forget(ticker)
        lifecycle.determine(ticker, "yes")
        lifecycle.settle(ticker)
        assert EVENT in [event.event_ticker for event in rig.exchange.data.events()]
        lifecycle.forget(ticker)

    assert rig.exchange.data.markets() == []
    assert rig.exchange.data.events() == []
    balance = rig.exchange.portfolio.balance("ann")
    assert balance.available == balance.cash
    rig.advance(100)
    assert rig.events == []


def test_a_new_market_needs_an_event_and_a_ticker_of_its_own() -> None:
    rig = Rig()

    with pytest.raises(Refusal, match="market_already_exists"):
        rig.exchange.lifecycle.create_market(Market(ticker=BOS, event_ticker=EVENT))
    with pytest.raises(Refusal, match="no event"):
        rig.exchange.lifecycle.create_market(Market(ticker="KXNEW", event_ticker="KXNONE"))
    with pytest.raises(Refusal, match="no series"):
        rig.exchange.lifecycle.create_event(EventInfo(event_ticker="KXE", series_ticker="KXNONE"))


def test_another_price_structure_changes_what_is_accepted() -> None:
    rig = Rig()

    rig.exchange.lifecycle.change_price_structure(BOS, "deci_cent")
    assert rig.buy("ann", 40.1, 1).yes_price == 4_010

    coarse = (PriceRange(0, 10_000, 500),)
    rig.exchange.lifecycle.change_price_structure(BOS, "nickel", coarse)
    with pytest.raises(Refusal, match="invalid_price"):
        rig.buy("ann", 41, 1)
    with pytest.raises(Refusal, match="no price structure"):
        rig.exchange.lifecycle.change_price_structure(BOS, "unknown")
    assert steps(rig) == ["price_level_structure_updated"] * 2


def test_metadata_changes_leave_the_rest_alone() -> None:
    rig = Rig()
    before = rig.exchange.data.market(BOS)

    rig.exchange.lifecycle.change_metadata(BOS, floor_strike=1.5)

    after = rig.exchange.data.market(BOS)
    assert (after.floor_strike, after.title, steps(rig)) == (
        1.5,
        before.title,
        ["metadata_updated"],
    )


def test_an_event_can_override_the_fees_and_clear_that_again() -> None:
    rig = Rig()
    change = rig.exchange.lifecycle.change_event_fee

    change(EVENT, "flat", 0.5)
    rig.sell("ben", 50, 20)
    assert rig.buy("ann", 50, 10).taker_fees == 5 * 10_000

    change(EVENT, None, None)
    assert rig.buy("ann", 50, 10).taker_fees == 18 * 10_000
    overrides = [event.event.fee_type_override for event in rig.of(EventFeeChanged)]
    assert overrides == ["flat", None]
    with pytest.raises(Refusal, match="no fee type"):
        change(EVENT, "generous", None)


def test_a_lookup_makes_the_market_that_combines_others_once() -> None:
    rig = Rig()
    rig.exchange.lifecycle.create_event(
        EventInfo(event_ticker="KXDOUBLE-1", series_ticker="KXRAIN"), is_multivariate=True
    )
    legs = (SelectedLeg(EVENT, BOS, "yes"), SelectedLeg(EVENT, NYC, "no"))

    for _ in range(2):
        market = rig.exchange.lifecycle.look_up("KXDOUBLE", "KXDOUBLE-1", "KXDOUBLE-1-A", legs)

    assert market.is_multivariate
    assert market.mve_selected_legs == legs
    assert len(rig.of(MultivariateLookedUp)) == 2
    assert steps(rig) == ["created", "activated"]
    assert [event.is_multivariate for event in rig.of(EventCreated)] == [True]


def test_levels_vanish_one_by_one_when_a_market_closes() -> None:
    rig = Rig()
    rig.buy("ann", 40, 2)
    rig.buy("ben", 40, 3)
    rig.events.clear()

    rig.exchange.lifecycle.close(BOS)

    levels = [(event.change, event.size) for event in rig.of(LevelChanged)]
    assert levels == [(-2 * CONTRACT, 3 * CONTRACT), (-3 * CONTRACT, 0)]
