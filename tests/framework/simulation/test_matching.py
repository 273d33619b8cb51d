"""How orders trade on quotes, books, trades and candles."""

from decimal import Decimal

from framework.model.market_data import Candle
from framework.model.orders import TimeInForce, TriggerBy
from framework.simulation.costs import CostSettings
from framework.simulation.fills import Through, Touch, VolumeShare

from .venue_rig import MINUTE_NS, NAME, VenueRig

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


# Quotes


def test_a_market_order_takes_the_standing_quote_at_once() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1")
    rig.sell("1")
    assert rig.told() == [
        "o1 accepted",
        "o1 filled 1 @ 10.02 taker",
        "o2 accepted",
        "o2 filled 1 @ 9.98 taker",
    ]


def test_a_market_order_without_any_market_waits_for_the_first_quote() -> None:
    rig = VenueRig()
    rig.buy("1")
    assert rig.told() == ["o1 accepted"]
    rig.quote(9.98, 10.02)
    assert rig.told() == ["o1 filled 1 @ 10.02 taker"]


def test_the_displayed_size_bounds_all_our_orders_together() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02, 5.0, 5.0)
    rig.buy("3")
    rig.buy("3")
    assert rig.told()[-1] == "o2 filled 2 @ 10.02 taker"

    rig.quote(9.98, 10.03, 5.0, 0.4)
    rig.quote(9.98, 10.04, 5.0, 5.0)

    assert rig.told() == ["o2 filled 0.4 @ 10.03 taker", "o2 filled 0.6 @ 10.04 taker"]
    rig.quote(9.98, 10.04, 5.0, 5.0)  # the venue watches until what it took is forgotten
    assert not rig.is_watched


def test_a_side_that_nobody_quotes_fills_nothing() -> None:
    rig = VenueRig()
    rig.quote(0.0, 10.0, 0.0, 5.0)
    rig.sell("1")
    rig.sell("1", tif=IOC)
    rig.sell("1", stop="9")
    assert rig.told() == [
        "o1 accepted",
        "o2 accepted",
        "o2 cancelled: nothing left to take at once",
        "o3 accepted",
    ]


def test_a_size_on_one_side_says_that_nobody_is_on_the_other() -> None:
    rig = VenueRig()
    rig.quote(9.9, 10.0, 0.0, 5.0)
    rig.sell("1", tif=IOC)
    assert rig.told() == ["o1 accepted", "o1 cancelled: nothing left to take at once"]


def test_a_resting_limit_fills_at_its_own_price_when_the_other_side_reaches_it() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", price="10")
    rig.quote(9.99, 10.01)
    assert rig.told() == ["o1 accepted"]
    rig.quote(9.97, 9.98)
    assert rig.told() == ["o1 filled 1 @ 10 maker"]


def test_a_marketable_limit_takes_and_the_rest_of_it_rests() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02, 5.0, 2.0)
    rig.buy("3", price="10.05")
    assert rig.told() == ["o1 accepted", "o1 filled 2 @ 10.02 taker"]
    rig.quote(9.98, 10.05, 5.0, 5.0)
    assert rig.told() == ["o1 filled 1 @ 10.05 maker"]


def test_better_prices_trade_first_and_earlier_orders_before_later_ones() -> None:
    rig = VenueRig()
    rig.quote(9.9, 10.1)
    rig.buy("1", price="10")
    rig.buy("1", price="10.05")
    rig.buy("1", price="10")
    rig.told()
    rig.quote(9.9, 10.0, 1.0, 2.5)
    assert rig.told() == [
        "o2 filled 1 @ 10.05 maker",
        "o1 filled 1 @ 10 maker",
        "o3 filled 0.5 @ 10 maker",
    ]


def test_less_keeps_the_place_and_more_or_another_price_loses_it() -> None:
    rig = VenueRig()
    rig.quote(9.9, 10.1)
    for _ in range(4):
        rig.buy("2", price="10")
    rig.modify("o1", quantity="1")
    rig.modify("o2", quantity="3")
    rig.modify("o3", price="9.99")
    rig.modify("o3", price="10", revision=2)
    rig.told()
    rig.quote(9.9, 10.0)
    assert [words.split()[0] for words in rig.told()] == ["o1", "o4", "o2", "o3"]


def test_a_change_to_a_marketable_price_takes_at_once() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", price="10")
    rig.told()
    rig.modify("o1", price="10.05")
    assert rig.told() == ["o1 replaced 1", "o1 filled 1 @ 10.02 taker"]


def test_ioc_takes_what_is_there_and_fok_all_or_nothing() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02, 5.0, 2.0)
    rig.buy("3", price="10.02", tif=FOK)
    rig.buy("3", tif=IOC)
    rig.quote(9.98, 10.02, 5.0, 2.0)
    rig.buy("2", price="10.02", tif=FOK)
    rig.buy("1", price="10.01", tif=IOC)
    assert rig.told() == [
        "o1 accepted",
        "o1 cancelled: cannot be filled whole at once",
        "o2 accepted",
        "o2 filled 2 @ 10.02 taker",
        "o2 cancelled: nothing left to take at once",
        "o3 accepted",
        "o3 filled 2 @ 10.02 taker",
        "o4 accepted",
        "o4 cancelled: nothing left to take at once",
    ]


def test_post_only_never_takes() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", price="10.02", post_only=True)
    rig.buy("1", price="10.01", post_only=True)
    rig.modify("o2", price="10.02")
    rig.quote(9.9, 9.95)
    assert rig.told() == [
        "o1 rejected: post-only order would take",
        "o2 accepted",
        "o2 modify refused: post-only order would take",
        "o2 filled 1 @ 10.01 maker",
    ]


def test_reduce_only_closes_and_never_opens() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("2")
    rig.sell("3", reduce_only=True)
    rig.sell("1", reduce_only=True)
    assert rig.told()[2:] == [
        "o2 accepted",
        "o2 filled 2 @ 9.98 taker",
        "o2 cancelled: nothing left to reduce",
        "o3 rejected: nothing left to reduce",
    ]


def test_a_resting_reduce_only_order_ends_when_the_position_does() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("2")
    rig.sell("2", price="11", reduce_only=True)
    rig.sell("2", stop="9", reduce_only=True)
    rig.sell("2", price="11", reduce_only=True, account="other")
    rig.told()
    rig.sell("2")
    assert rig.told() == [
        "o5 accepted",
        "o5 filled 2 @ 9.98 taker",
        "o2 cancelled: nothing left to reduce",
        "o3 cancelled: nothing left to reduce",
    ]


def test_a_stop_triggers_once_and_takes_what_stands() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02, 5.0, 5.0)
    rig.sell("6", stop="9.9")
    rig.quote(9.91, 9.95, 5.0, 5.0)
    rig.quote(9.85, 9.95, 5.0, 5.0)
    rig.quote(9.8, 9.95, 5.0, 5.0)
    assert rig.told() == [
        "o1 accepted",
        "o1 triggered",
        "o1 filled 5 @ 9.85 taker",
        "o1 filled 1 @ 9.8 taker",
    ]


def test_a_stop_past_its_trigger_acts_on_arrival() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", stop="10.02")
    assert rig.told() == ["o1 accepted", "o1 triggered", "o1 filled 1 @ 10.02 taker"]


def test_a_stop_limit_rests_at_its_limit_once_triggered() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", stop="10.1", price="10.12")
    rig.quote(10.12, 10.15)
    assert rig.told() == ["o1 accepted", "o1 triggered"]
    rig.quote(10.1, 10.12)
    assert rig.told() == ["o1 filled 1 @ 10.12 maker"]


def test_triggering_makes_a_stop_limit_later_than_what_rests_at_its_price() -> None:
    rig = VenueRig()
    rig.quote(10.08, 10.09)
    rig.buy("1", stop="10.1", price="10.05")
    rig.buy("1", price="10.05")
    rig.quote(10.1, 10.12)
    rig.told()
    rig.quote(10.0, 10.05, 1.0, 1.0)
    assert rig.told() == ["o2 filled 1 @ 10.05 maker"]


def test_a_post_only_stop_limit_that_would_take_ends() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", stop="10.1", price="10.2", post_only=True)
    rig.quote(10.12, 10.15)
    assert rig.told() == [
        "o1 accepted",
        "o1 triggered",
        "o1 cancelled: post-only order would take",
    ]


def test_a_stop_by_last_price_looks_at_trades_and_takes_the_quote() -> None:
    rig = VenueRig()
    rig.trade(10.0)
    rig.quote(9.98, 10.02)
    rig.sell("1", stop="9.9", trigger_by=TriggerBy.LAST)
    rig.quote(9.85, 9.95)
    assert rig.told() == ["o1 accepted"]
    rig.trade(9.9)
    assert rig.told() == ["o1 triggered", "o1 filled 1 @ 9.85 taker"]


def test_a_stop_by_mark_price_looks_at_nothing_else() -> None:
    rig = VenueRig()
    rig.mark(10.0)
    rig.quote(9.98, 10.02)
    rig.sell("1", stop="9.9", trigger_by=TriggerBy.MARK)
    rig.quote(9.5, 9.6)
    rig.trade(9.5)
    assert rig.told() == ["o1 accepted"]
    rig.mark(9.9)
    rig.quote(9.5, 9.6)
    assert rig.told() == ["o1 triggered", "o1 filled 1 @ 9.5 taker"]


def test_a_trade_through_a_resting_limit_fills_it_between_quotes() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.sell("1", price="10.05")
    rig.trade(10.05)
    assert rig.told() == ["o1 accepted"]
    rig.trade(10.06)
    assert rig.told() == ["o1 filled 1 @ 10.05 maker"]


def test_slippage_worsens_a_taking_fill_up_to_its_limit() -> None:
    rig = VenueRig(costs=CostSettings(slippage_ticks=Decimal(2)))
    rig.quote(9.98, 10.02)
    rig.buy("1")
    rig.buy("1", price="10.03")
    rig.sell("1", price="9.98", tif=IOC)
    assert [words for words in rig.told() if "filled" in words] == [
        "o1 filled 1 @ 10.04 taker",
        "o2 filled 1 @ 10.03 taker",
        "o3 filled 1 @ 9.98 taker",
    ]


# Books


def test_a_market_order_walks_the_displayed_levels() -> None:
    rig = VenueRig()
    rig.book([(9.9, 1.0)], [(10.0, 1.0), (10.1, 2.0), (10.2, 3.0)])
    rig.buy("4")
    assert rig.told() == [
        "o1 accepted",
        "o1 filled 1 @ 10 taker",
        "o1 filled 2 @ 10.1 taker",
        "o1 filled 1 @ 10.2 taker",
    ]


def test_taken_levels_stay_taken_until_the_book_changes() -> None:
    rig = VenueRig()
    rig.book([], [(10.0, 1.0), (10.1, 2.0)])
    rig.buy("2")
    rig.buy("5", price="10.1")
    assert rig.told()[3:] == ["o2 accepted", "o2 filled 1 @ 10.1 taker"]
    rig.book([], [(10.0, 1.0), (10.1, 2.0)])
    assert rig.told() == ["o2 filled 3 @ 10.1 maker"]


def test_levels_beyond_the_first_read_are_reached() -> None:
    rig = VenueRig()
    rig.book([], [(10.0 + number, 1.0) for number in range(200)])
    rig.buy("150", tif=FOK)
    fills = [words for words in rig.told() if "filled" in words]
    assert len(fills) == 150
    assert fills[-1] == "o1 filled 1 @ 159 taker"


def test_fok_counts_each_level_of_a_deep_book_once() -> None:
    rig = VenueRig()
    rig.book([], [(10.0 + number, 1.0) for number in range(30)])
    rig.buy("31", tif=FOK)
    assert rig.told()[1] == "o1 cancelled: cannot be filled whole at once"


def test_a_book_goes_before_a_quote_and_fills_nothing_out_of_sync() -> None:
    rig = VenueRig()
    rig.book([(9.9, 1.0)], [(10.1, 1.0)], is_synced=False)
    rig.buy("1", price="10.1")
    rig.book([(9.9, 1.0)], [(10.0, 1.0)], is_synced=False)
    assert rig.told() == ["o1 accepted"]
    rig.book([(9.9, 1.0)], [(10.0, 1.0)])
    rig.quote(1.0, 2.0)
    assert rig.told() == ["o1 filled 1 @ 10 taker"]


# Trades


def test_on_trades_alone_an_order_meets_the_next_trade() -> None:
    rig = VenueRig()
    rig.trade(10.0)
    rig.buy("1")
    rig.buy("1", price="10.2")
    rig.buy("1", price="10.05", tif=IOC)
    rig.buy("1", stop="10.1")
    assert [words.split()[1] for words in rig.told()] == ["accepted"] * 4
    rig.trade(10.1)
    assert rig.told() == [
        "o1 filled 1 @ 10.1 taker",
        "o2 filled 1 @ 10.1 taker",
        "o3 cancelled: nothing left to take at once",
        "o4 triggered",
        "o4 filled 1 @ 10.1 taker",
    ]


def test_post_only_on_trades_is_judged_by_the_last_one() -> None:
    rig = VenueRig()
    rig.trade(10.0)
    rig.buy("1", price="10.01", post_only=True)
    rig.buy("1", price="10", post_only=True)
    rig.trade(9.9)
    assert rig.told() == [
        "o1 rejected: post-only order would take",
        "o2 accepted",
        "o2 filled 1 @ 10 maker",
    ]


# Candles


def test_a_market_order_fills_at_the_next_open() -> None:
    rig = VenueRig()
    rig.candle(10.0, 11.0, 9.0, 10.5)
    rig.buy("1")
    assert rig.told() == ["o1 accepted"]
    rig.candle(10.6, 11.0, 9.0, 10.5)
    assert rig.told() == ["o1 filled 1 @ 10.6 taker"]


def test_an_order_made_inside_a_candle_waits_for_the_one_that_opens_after_it() -> None:
    rig = VenueRig()
    rig.clock.call_at(MINUTE_NS // 2, lambda: submit_two(rig))
    rig.candle(10.0, 11.0, 9.0, 10.5)
    assert rig.told() == ["o1 accepted", "o2 accepted"]
    rig.candle(10.6, 11.0, 9.0, 10.5)
    assert rig.told() == ["o1 filled 1 @ 10.6 taker", "o2 filled 1 @ 10.6 taker"]


def submit_two(rig: VenueRig) -> None:
    rig.buy("1")
    rig.buy("1", price="20")


def test_a_limit_never_fills_in_the_candle_that_caused_it() -> None:
    rig = VenueRig()
    rig.candle(10.0, 11.0, 9.0, 10.5)
    rig.buy("1", price="9.5")
    rig.candle(10.5, 11.0, 9.6, 10.5)
    assert rig.told() == ["o1 accepted"]
    rig.candle(10.5, 11.0, 9.4, 10.5)
    assert rig.told() == ["o1 filled 1 @ 9.5 maker"]


def test_a_gap_through_a_stop_fills_at_the_worse_open() -> None:
    rig = VenueRig()
    rig.sell("1", stop="9.5")
    rig.candle(9.0, 9.2, 8.9, 9.1)
    assert rig.told() == ["o1 accepted", "o1 triggered", "o1 filled 1 @ 9 taker"]


def test_a_gap_beyond_a_limit_fills_at_the_better_open() -> None:
    rig = VenueRig()
    rig.sell("1", price="11")
    rig.candle(10.0, 10.5, 9.5, 10.0)
    rig.candle(11.5, 12.0, 11.5, 11.6)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 11.5 maker"]


def test_a_post_only_order_gets_its_own_price_in_a_gap() -> None:
    rig = VenueRig()
    rig.candle(12.0, 12.0, 12.0, 12.0)
    rig.buy("1", price="11", post_only=True)
    rig.candle(10.0, 10.5, 9.5, 10.0)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 11 maker"]


def test_a_stop_inside_a_candle_fills_at_its_trigger_with_slippage() -> None:
    rig = VenueRig(costs=CostSettings(slippage_ticks=Decimal(1)))
    rig.sell("1", stop="9.5")
    rig.candle(10.0, 10.2, 9.0, 9.9)
    assert rig.told() == ["o1 accepted", "o1 triggered", "o1 filled 1 @ 9.49 taker"]


def test_a_stop_at_the_very_extreme_of_a_candle_triggers() -> None:
    rig = VenueRig()
    rig.candle(10.0, 10.0, 10.0, 10.0)
    rig.sell("1", stop="9.5")
    rig.candle(10.0, 10.2, 9.6, 10.0)
    rig.candle(10.0, 10.2, 9.5, 10.0)
    assert rig.told() == ["o1 accepted", "o1 triggered", "o1 filled 1 @ 9.5 taker"]


def test_at_one_price_of_the_path_stops_come_before_limits() -> None:
    rig = VenueRig()
    rig.sell("1", price="10.5")
    rig.buy("1", stop="10.5")
    rig.candle(10.0, 11.0, 10.0, 10.8)
    assert rig.told()[2:] == [
        "o2 triggered",
        "o2 filled 1 @ 10.5 taker",
        "o1 filled 1 @ 10.5 maker",
    ]


def test_the_path_decides_what_happens_first() -> None:
    rising = VenueRig(fills=Through("olhc"))
    rising.sell("1", stop="9.5")
    rising.sell("1", price="10.5")
    falling = VenueRig(fills=Through("ohlc"))
    falling.sell("1", stop="9.5")
    falling.sell("1", price="10.5")

    for rig in (rising, falling):
        rig.candle(10.0, 11.0, 9.0, 10.0)

    assert rising.told()[2:] == [
        "o1 triggered",
        "o1 filled 1 @ 9.5 taker",
        "o2 filled 1 @ 10.5 maker",
    ]
    assert falling.told()[2:] == [
        "o2 filled 1 @ 10.5 maker",
        "o1 triggered",
        "o1 filled 1 @ 9.5 taker",
    ]


def test_a_stop_limit_can_fill_later_on_the_same_candles_path() -> None:
    rig = VenueRig(fills=Through("olhc"))
    rig.sell("1", stop="9.5", price="9.6")
    rig.candle(10.0, 11.0, 9.0, 10.0)
    assert rig.told() == ["o1 accepted", "o1 triggered", "o1 filled 1 @ 9.6 maker"]


def test_touch_and_through_differ_at_the_very_extreme() -> None:
    for fills, count in ((Through(), 1), (Touch(), 2)):
        rig = VenueRig(fills=fills)
        rig.buy("1", price="9")
        rig.candle(10.0, 11.0, 9.0, 10.0)
        assert len(rig.told()) == count


def test_what_the_volume_leaves_over_waits_for_the_next_open() -> None:
    rig = VenueRig(fills=VolumeShare(Decimal("0.5")))
    rig.buy("3")
    rig.buy("3", tif=FOK)
    rig.buy("3", tif=IOC)
    rig.candle(10.0, 11.0, 9.0, 10.0, volume=4.0)
    rig.candle(10.1, 11.0, 9.0, 10.0, volume=4.0)
    assert rig.told()[3:] == [
        "o1 filled 2 @ 10 taker",
        "o2 cancelled: cannot be filled whole at once",
        "o3 cancelled: nothing left to take at once",
        "o1 filled 1 @ 10.1 taker",
    ]


def test_a_forming_candle_and_one_of_a_longer_interval_fill_nothing() -> None:
    rig = VenueRig()
    rig.buy("1", price="9.5")
    rig.candle(10.0, 11.0, 9.0, 10.0, is_closed=False)
    rig.candle(10.0, 11.0, 9.6, 10.0)
    longer = Candle(
        NAME, 2 * MINUTE_NS, 2 * MINUTE_NS, "2m", 0, 2 * MINUTE_NS, 10.0, 11.0, 9.0, 10.0
    )
    rig.hand_candle(longer)
    assert rig.told() == ["o1 accepted"]


def test_candles_fill_nothing_where_there_are_quotes() -> None:
    rig = VenueRig()
    rig.quote(9.98, 10.02)
    rig.buy("1", price="9.5")
    rig.candle(10.0, 11.0, 9.0, 10.0)
    assert rig.told() == ["o1 accepted"]


def test_a_mark_stop_on_candles_trades_at_the_open_after_it_was_met() -> None:
    rig = VenueRig()
    rig.mark(10.0)
    rig.sell("1", stop="9.5", trigger_by=TriggerBy.MARK)
    rig.candle(10.0, 10.2, 9.0, 10.0)
    rig.mark(9.4)
    rig.candle(10.0, 10.2, 9.9, 10.1)
    assert rig.told() == ["o1 accepted", "o1 triggered"]
    rig.candle(10.3, 10.4, 10.2, 10.3)
    assert rig.told() == ["o1 filled 1 @ 10.3 taker"]


def test_an_off_tick_price_is_rounded_against_the_taker() -> None:
    rig = VenueRig()
    rig.buy("1")
    rig.sell("1")
    rig.candle(10.005, 10.2, 9.0, 10.0)
    assert rig.told()[2:] == ["o1 filled 1 @ 10.01 taker", "o2 filled 1 @ 10 taker"]
