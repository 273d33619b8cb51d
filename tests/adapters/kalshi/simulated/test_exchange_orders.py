"""S9, S10, S18: orders of several accounts meet on one book, and everyone concerned is told."""

from typing import Any

import pytest

from adapters.kalshi.simulated.domain import (
    CONTRACT,
    DOLLAR_OF_MONEY,
    Amendment,
    Fill,
    Market,
    NewOrder,
    Order,
    Refusal,
)
from adapters.kalshi.simulated.emitted import (
    Filled,
    LevelChanged,
    OrderChanged,
    PositionChanged,
    TickerChanged,
    Traded,
)
from tests.adapters.kalshi.simulated.exchange_rig import BOS, EVENT, NYC, SECOND_NS, Rig


def summary(order: Order) -> tuple[str, int, int, str]:
    """Status, filled and remaining contracts, and why it changed last."""
    filled, left = order.fill_count // CONTRACT, order.remaining_count // CONTRACT
    return order.status, filled, left, order.last_update_reason


def test_buying_no_is_selling_yes_at_the_complement() -> None:
    rig = Rig()

    rig.buy("ann", 39, 5)
    rig.sell("ben", 61, 7)
    crossed = rig.sell("cy", 39, 2)

    assert rig.levels() == ([(39, 3)], [(39, 7)])
    assert summary(crossed) == ("executed", 2, 0, "Trade")
    assert rig.position("ann").position == 2 * CONTRACT
    assert rig.position("cy").position == -2 * CONTRACT


def test_both_directions_exist_with_buy_and_with_sell() -> None:
    rig = Rig()

    bid = rig.submit("ann", "no", 30, 1, action="sell")
    ask = rig.submit("ann", "yes", 70, 1, action="sell")

    assert (bid.is_bid, bid.outcome_side) == (True, "yes")
    assert (ask.is_bid, ask.outcome_side) == (False, "no")
    assert rig.levels() == ([(30, 1)], [(30, 1)])


def test_a_match_is_told_in_the_order_in_which_it_happens() -> None:
    """S10, S19: level, trade, both halves, the maker's order, then the taker's and the ticker."""
    rig = Rig()
    maker = rig.sell("ben", 40, 10)
    rig.events.clear()

    taker = rig.buy("ann", 45, 4, client_order_id="mine")

    names = [type(event).__name__ for event in rig.events]
    halves = ["Filled", "PositionChanged"]
    assert names == [
        *("LevelChanged", "Traded", *halves, *halves),
        *("OrderChanged", "OrderChanged", "TickerChanged"),
    ]
    level, trade = rig.of(LevelChanged)[0], rig.of(Traded)[0].trade
    assert (level.side, level.price, level.change, level.size) == ("no", 6_000, -400, 600)
    assert (level.owner, level.client_order_id) == ("ben", maker.client_order_id)
    assert (trade.yes_price, trade.count, trade.taker_side) == (4_000, 400, "yes")
    assert [order.account for order in rig.of(OrderChanged)] == ["ben", "ann"]
    assert [event.account for event in rig.of(PositionChanged)] == ["ben", "ann"]
    theirs, mine = (event.fill for event in rig.of(Filled))
    assert (mine.is_taker, mine.client_order_id, mine.post_position) == (True, "mine", 400)
    assert (theirs.is_taker, theirs.outcome_side, theirs.post_position) == (False, "no", -400)
    assert mine.trade_id == theirs.trade_id == trade.trade_id
    assert mine.order_id == taker.order_id


def test_a_taker_pays_the_quadratic_fee_once_and_a_maker_none() -> None:
    """0.07 · 12 · 0.39 · 0.61 is 0.1998: twenty cents, also when two makers share it."""
    rig = Rig()
    rig.sell("ben", 39, 5)
    rig.sell("cy", 39, 7)

    taker = rig.buy("ann", 39, 12)

    assert taker.taker_fees == DOLLAR_OF_MONEY // 5
    assert taker.taker_fill_cost == 12 * 39 * 10_000
    assert rig.cents("ann") == -12 * 39 - 20
    assert rig.cents("ben") == -5 * 61
    assert sum(event.fill.fee for event in rig.of(Filled)) == taker.taker_fees


@pytest.mark.parametrize(
    ("fee_type", "taker_cents", "maker_cents"),
    [("quadratic", 18, 0), ("quadratic_with_maker_fees", 18, 5), ("flat", 10, 0)],
)
def test_fees_follow_the_series(fee_type: str, taker_cents: int, maker_cents: int) -> None:
    rig = Rig(fee_type=fee_type)
    maker = rig.sell("ben", 50, 10)

    taker = rig.buy("ann", 50, 10)

    assert taker.taker_fees == taker_cents * 10_000
    assert rig.order(maker).maker_fees == maker_cents * 10_000


def test_closing_a_position_brings_back_a_dollar_for_each_pair() -> None:
    rig = Rig()
    rig.sell("ben", 40, 10)
    rig.buy("ann", 40, 10)
    rig.buy("ben", 60, 10)
    rig.events.clear()

    rig.sell("ann", 60, 4)

    position = rig.position("ann")
    assert (position.position, position.position_cost) == (600, 6 * 40 * 10_000)
    assert position.realized_pnl == 4 * 20 * 10_000
    assert position.volume == 14 * CONTRACT
    assert rig.cents("ann") == -10 * 40 - 17 + 4 * 60 - 7
    assert rig.position("ben").position == -600
    assert rig.exchange.data.ticker(BOS).open_interest == 600


def test_a_duplicate_client_order_id_is_a_conflict() -> None:
    """S11: and it says nothing of other accounts, nor of refused orders."""
    rig = Rig()
    with pytest.raises(Refusal, match="insufficient_balance"):
        rig.buy("ann", 50, 100_000, client_order_id="mine")
    rig.buy("ann", 50, 1, client_order_id="mine")
    rig.buy("ben", 50, 1, client_order_id="mine")

    with pytest.raises(Refusal, match="order_already_exists") as refused:
        rig.buy("ann", 51, 2, client_order_id="mine")

    assert refused.value.status == 409
    found = rig.exchange.portfolio.order_by_client_id("ann", "mine")
    assert found is not None
    assert found.yes_price == 5_000
    assert rig.exchange.portfolio.order_by_client_id("ann", "other") is None


@pytest.mark.parametrize(
    ("fields", "code", "status"),
    [
        ({"price": 0}, "invalid_price", 400),
        ({"price": 100}, "invalid_price", 400),
        ({"price": 50.5}, "invalid_price", 400),
        ({"contracts": 0}, "invalid_parameters", 400),
        ({"contracts": -1}, "invalid_parameters", 400),
        ({"contracts": 1.5}, "invalid_parameters", 400),
        ({"ticker": "KXNONE"}, "market_not_found", 404),
        ({"expiration_ns": 5}, "invalid_parameters", 400),
        ({"order_group_id": "none"}, "not_found", 404),
        ({"post_only": True, "time_in_force": "fill_or_kill"}, "invalid_parameters", 400),
        ({"post_only": True, "buy_max_cost": 5}, "invalid_parameters", 400),
        ({"action": "sell", "buy_max_cost": 5}, "invalid_parameters", 400),
        ({"contracts": 2_001}, "insufficient_balance", 400),
        ({"account": "nobody"}, "authentication_error", 401),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    fields: dict[str, object], code: str, status: int
) -> None:
    rig = Rig()
    asked: dict[str, object] = {"account": "ann", "side": "yes", "price": 50, "contracts": 1}

    with pytest.raises(Refusal) as refused:
        rig.submit(**{**asked, **fields})  # type: ignore[arg-type]  # of many kinds

    assert (refused.value.code, refused.value.status) == (code, status)
    assert rig.events == []
    assert rig.exchange.portfolio.orders("ann") == []


def test_open_orders_have_a_limit() -> None:
    rig = Rig(most_open_orders=1)
    first = rig.buy("ann", 10, 1)

    with pytest.raises(Refusal, match="too many open orders"):
        rig.buy("ann", 10, 1)

    rig.exchange.orders.cancel("ann", first.order_id)
    assert rig.buy("ann", 10, 1).status == "resting"


@pytest.mark.parametrize(
    ("structure", "accepted", "refused"),
    [("deci_cent", [10, 4_990], [15]), ("tapered_deci_cent", [10, 990, 1_100, 9_010], [1_110])],
)
def test_prices_lie_on_the_grid_of_the_market(
    structure: str, accepted: list[int], refused: list[int]
) -> None:
    rig = Rig()
    rig.exchange.lifecycle.create_market(
        Market(
            ticker="KXFINE",
            event_ticker=EVENT,
            price_level_structure=structure,
            fractional_trading_enabled=True,
        )
    )

    for price in accepted:
        assert rig.submit("ann", "yes", **fine(price)).remaining_count == 1
    for price in refused:
        with pytest.raises(Refusal, match="invalid_price"):
            rig.submit("ann", "yes", **fine(price))


def fine(price: int) -> dict[str, Any]:
    return {"ticker": "KXFINE", "price": price / 100, "contracts": 0.01}


def test_an_ioc_cancels_what_it_cannot_fill() -> None:
    rig = Rig()
    rig.sell("ben", 40, 3)

    order = rig.buy("ann", 45, 10, time_in_force="immediate_or_cancel")
    nothing = rig.buy("ann", 45, 10, time_in_force="immediate_or_cancel")

    assert summary(order) == ("canceled", 3, 0, "")
    assert summary(nothing) == ("canceled", 0, 0, "")
    assert rig.levels() == ([], [])


def test_a_fok_fills_whole_or_not_at_all() -> None:
    rig = Rig()
    rig.sell("ben", 40, 3)

    assert summary(rig.buy("ann", 45, 4, time_in_force="fill_or_kill")) == ("canceled", 0, 0, "")
    assert summary(rig.buy("ann", 45, 3, time_in_force="fill_or_kill"))[:2] == ("executed", 3)


@pytest.mark.parametrize(("cents", "is_filled"), [(201, True), (200, False)])
def test_buy_max_cost_fills_whole_within_the_cost_or_not_at_all(
    cents: int, is_filled: bool
) -> None:
    rig = Rig()
    rig.sell("ben", 40, 3)
    rig.sell("ben", 81, 3)

    order = rig.buy("ann", 99, 4, buy_max_cost=cents * 10_000)

    assert order.time_in_force == "fill_or_kill"
    assert order.fill_count == (4 * CONTRACT if is_filled else 0)
    assert order.status == ("executed" if is_filled else "canceled")


def test_buy_max_cost_counts_the_no_price_of_a_no_order() -> None:
    rig = Rig()
    rig.buy("ben", 60, 3)

    assert rig.sell("ann", 60, 3, buy_max_cost=119 * 10_000).status == "canceled"
    assert rig.sell("ann", 60, 3, buy_max_cost=120 * 10_000).status == "executed"


def test_a_post_only_order_that_would_take_is_canceled() -> None:
    rig = Rig()
    rig.sell("ben", 40, 3)

    order = rig.buy("ann", 40, 1, post_only=True)

    assert summary(order) == ("canceled", 0, 0, "PostOnlyCrossCancel")
    assert rig.buy("ann", 39, 1, post_only=True).status == "resting"


def test_a_reduce_only_order_is_cut_to_the_position() -> None:
    rig = Rig()
    assert summary(rig.sell("ann", 50, 5, reduce_only=True))[3] == "ReduceOnlyCancel"
    rig.sell("ben", 40, 5)
    rig.buy("ann", 40, 5)

    order = rig.sell("ann", 50, 9, reduce_only=True)

    assert (order.initial_count, order.remaining_count) == (500, 500)


def test_a_resting_reduce_only_order_shrinks_with_the_position_and_goes_with_it() -> None:
    rig = Rig()
    rig.sell("ben", 40, 5)
    rig.buy("ann", 40, 5)
    order = rig.sell("ann", 90, 5, reduce_only=True)
    rig.buy("ben", 50, 5)

    rig.sell("ann", 50, 2)
    assert summary(rig.order(order)) == ("resting", 0, 3, "ReduceOnlyCancel")
    rig.sell("ann", 50, 3)
    assert summary(rig.order(order)) == ("canceled", 0, 0, "ReduceOnlyCancel")

    rig.buy("ann", 20, 1)
    assert rig.levels() == ([(20, 1)], [])


def test_self_trade_prevention_cancels_the_taker_or_the_maker() -> None:
    rig = Rig()
    resting = rig.sell("ann", 40, 3)

    taker = rig.buy("ann", 40, 3)
    assert summary(taker) == ("canceled", 0, 0, "SelfTradeCancel")
    assert rig.order(resting).status == "resting"

    taker = rig.buy("ann", 40, 3, self_trade_prevention_type="maker")
    assert taker.status == "resting"
    assert summary(rig.order(resting)) == ("canceled", 0, 0, "SelfTradeCancel")
    assert rig.levels() == ([(40, 3)], [])


def test_a_cancelled_order_is_reduced_to_nothing_and_stays_readable() -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 3)
    rig.events.clear()

    reduction = rig.exchange.orders.cancel("ann", order.order_id)

    assert reduction.reduced_by == 3 * CONTRACT
    assert summary(rig.order(order)) == ("canceled", 0, 0, "")
    assert [event.change for event in rig.of(LevelChanged)] == [-300]
    with pytest.raises(Refusal, match="is canceled"):
        rig.exchange.orders.cancel("ann", order.order_id)
    with pytest.raises(Refusal, match="no order"):
        rig.exchange.orders.cancel("ben", order.order_id)


def test_cancel_all_spares_other_markets_when_told_to() -> None:
    rig = Rig()
    rig.buy("ann", 40, 3)
    rig.buy("ann", 40, 3, ticker=NYC)

    assert len(rig.exchange.orders.cancel_all("ann", BOS)) == 1
    assert len(rig.exchange.orders.cancel_all("ann")) == 1
    assert rig.exchange.orders.cancel_all("ann", "KXNONE") == []


def test_the_items_of_a_batch_stand_alone() -> None:
    rig = Rig()
    good = rig.buy("ann", 40, 1)
    requests = [new_order(price) for price in (10, 0, 11)]

    answers = rig.exchange.orders.submit_batch("ann", requests)
    cancelled = rig.exchange.orders.cancel_batch("ann", [good.order_id, "none"])

    assert [isinstance(answer, Refusal) for answer in answers] == [False, True, False]
    assert [isinstance(answer, Refusal) for answer in cancelled] == [False, True]


def test_a_decrease_keeps_the_place_in_the_queue() -> None:
    rig = Rig()
    first, second = rig.buy("ann", 40, 10), rig.buy("ben", 40, 10)
    queue = rig.exchange.portfolio.queue_positions

    rig.exchange.orders.decrease("ann", first.order_id, by=4 * CONTRACT)
    assert [ahead for _, ahead in queue("ben")] == [600]

    changed = rig.exchange.orders.decrease("ann", first.order_id, to=1 * CONTRACT)
    assert summary(changed) == ("resting", 0, 1, "Decrease")
    assert changed.initial_count == 1_000
    assert [ahead for _, ahead in queue("ben", (BOS,))] == [100]
    assert queue("ben", (NYC,)) == []

    gone = rig.exchange.orders.decrease("ben", second.order_id, to=0)
    assert summary(gone) == ("canceled", 0, 0, "Decrease")


@pytest.mark.parametrize(
    "arguments", [{}, {"by": 1, "to": 1}, {"by": 0}, {"by": 1_001}, {"to": -1}, {"to": 1_000}]
)
def test_a_decrease_needs_exactly_one_amount_that_makes_sense(arguments: dict[str, int]) -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 10)

    with pytest.raises(Refusal, match="invalid_parameters"):
        rig.exchange.orders.decrease("ann", order.order_id, **arguments)


def test_an_amended_count_is_the_new_total() -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 10)
    rig.sell("ben", 40, 4)
    rig.buy("cy", 40, 1)
    amend = rig.exchange.orders.amend

    old, new = amend("ann", order.order_id, Amendment(price=4_000, count=900))
    assert (old.remaining_count, new.remaining_count, new.initial_count) == (600, 500, 900)
    assert [ahead for _, ahead in rig.exchange.portfolio.queue_positions("ann")] == [0]

    amend("ann", order.order_id, Amendment(price=4_000, count=1_000))
    assert [ahead for _, ahead in rig.exchange.portfolio.queue_positions("ann")] == [100]
    assert summary(rig.order(order)) == ("resting", 4, 6, "Amend")


def test_an_amended_price_can_trade_at_once() -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 10)
    rig.sell("ben", 45, 3)
    rig.events.clear()

    amendment = Amendment(price=4_500, count=1_000, updated_client_order_id="second")
    _, new = rig.exchange.orders.amend("ann", order.order_id, amendment)

    changes = [(event.side, event.price, event.change) for event in rig.of(LevelChanged)]
    assert changes == [("yes", 4_000, -1_000), ("no", 5_500, -300), ("yes", 4_500, 700)]
    assert summary(new) == ("resting", 3, 7, "Trade")
    assert new.client_order_id == "second"
    assert rig.exchange.portfolio.order_by_client_id("ann", "second") == new
    assert rig.exchange.portfolio.order_by_client_id("ann", order.client_order_id) is None


def test_a_new_client_order_id_alone_moves_no_level() -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 10)
    rig.events.clear()

    amendment = Amendment(price=4_000, count=1_000, updated_client_order_id="second")
    rig.exchange.orders.amend("ann", order.order_id, amendment)

    assert [type(event) for event in rig.events] == [OrderChanged]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"count": 400}, "invalid_parameters"),
        ({"price": 4_050}, "invalid_price"),
        ({"ticker": NYC}, "invalid_parameters"),
        ({"side": "no"}, "invalid_parameters"),
        ({"action": "sell"}, "invalid_parameters"),
        ({"client_order_id": "other"}, "invalid_parameters"),
        ({"updated_client_order_id": "taken"}, "order_already_exists"),
        ({"count": 300_000}, "insufficient_balance"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused(fields: dict[str, object], code: str) -> None:
    rig = Rig()
    rig.buy("ann", 1, 1, client_order_id="taken")
    order = rig.buy("ann", 40, 10)
    rig.sell("ben", 40, 4)
    amendment = Amendment(**{"price": 4_000, "count": 1_000, **fields})  # type: ignore[arg-type]

    with pytest.raises(Refusal, match=code):
        rig.exchange.orders.amend("ann", order.order_id, amendment)

    assert rig.order(order).remaining_count == 600


def test_an_amended_post_only_order_that_would_take_is_canceled() -> None:
    rig = Rig()
    order = rig.buy("ann", 40, 10, post_only=True)
    rig.sell("ben", 45, 3)

    _, new = rig.exchange.orders.amend("ann", order.order_id, Amendment(price=4_500, count=1_000))

    assert summary(new) == ("canceled", 0, 0, "PostOnlyCrossCancel")
    assert rig.levels() == ([], [(55, 3)])


def test_an_order_expires_by_itself() -> None:
    rig = Rig()
    expires_ns = rig.clock.now_ns + 5 * SECOND_NS
    order = rig.buy("ann", 40, 10, expiration_ns=expires_ns)
    other = rig.buy("ann", 41, 10, expiration_ns=expires_ns)
    rig.exchange.orders.cancel("ann", other.order_id)

    rig.advance(5)

    assert summary(rig.order(order)) == ("canceled", 0, 0, "ExpiryCancel")
    assert rig.clock.pending_count == 0
    assert len(rig.of(TickerChanged)) == 1


def test_resting_orders_reserve_what_they_would_cost() -> None:
    rig = Rig()
    balance = rig.exchange.portfolio.balance

    rig.buy("ann", 40, 10)
    rig.sell("ann", 70, 10)
    assert balance("ann").available == 1_000 * DOLLAR_OF_MONEY - 10 * (40 + 30) * 10_000

    rig.exchange.orders.cancel_all("ann")
    assert balance("ann").available == 1_000 * DOLLAR_OF_MONEY


def test_a_position_covers_the_orders_that_close_it_best_price_first() -> None:
    rig = Rig()
    rig.sell("ben", 40, 10)
    rig.buy("ann", 40, 10)
    before = rig.exchange.portfolio.balance("ann")

    rig.sell("ann", 90, 10)
    assert rig.exchange.portfolio.balance("ann").available == before.cash

    rig.sell("ann", 80, 4)
    assert rig.exchange.portfolio.balance("ann").available == before.cash - 4 * 10 * 10_000


def test_who_has_no_money_left_can_still_close() -> None:
    rig = Rig()
    rig.sell("ben", 50, 1_900)
    rig.buy("ann", 50, 1_900)
    rig.buy("ann", 1, rig.exchange.portfolio.balance("ann").available // 10_000)
    rig.buy("ben", 45, 1)
    assert rig.exchange.portfolio.balance("ann").available < 10_000

    assert rig.sell("ann", 45, 1).status == "executed"


def test_a_market_order_is_judged_by_what_it_would_find() -> None:
    rig = Rig()
    rig.sell("ben", 20, 1_200)
    rig.sell("ann", 30, 1)

    order = rig.buy("ann", 99, 1_300, time_in_force="immediate_or_cancel", order_type="market")

    assert summary(order) == ("canceled", 1_200, 0, "SelfTradeCancel")


def test_own_resting_orders_are_nothing_to_find() -> None:
    rig = Rig()
    rig.sell("ben", 20, 1_200)
    rig.sell("ann", 21, 100)
    rig.sell("cy", 90, 100)

    with pytest.raises(Refusal, match="insufficient_balance"):
        rig.buy(
            "ann",
            99,
            1_300,
            time_in_force="immediate_or_cancel",
            self_trade_prevention_type="maker",
        )


def test_money_for_the_fee_must_be_there_when_an_order_takes() -> None:
    rig = Rig()
    assert rig.buy("ann", 50, 2_000).status == "resting"
    rig.sell("ben", 51, 1)

    with pytest.raises(Refusal, match="35000000 millionths"):
        rig.sell("cy", 50, 2_000)


def test_what_ended_long_ago_is_historical() -> None:
    rig = Rig(history_after_s=60)
    rig.sell("ben", 50, 1)
    rig.buy("ann", 50, 1)
    resting = rig.buy("ann", 10, 1)
    portfolio = rig.exchange.portfolio
    assert len(portfolio.orders("ann")) == 2

    rig.advance(61)

    assert portfolio.orders("ann") == [resting]
    assert [order.status for order in portfolio.orders("ann", is_historical=True)] == ["executed"]
    fills: list[Fill] = portfolio.fills("ann")
    assert fills == []
    assert len(portfolio.fills("ann", is_historical=True)) == 1


def test_what_ended_lately_is_not_historical_however_old_it_is() -> None:
    rig = Rig(history_after_s=60)
    order = rig.buy("ann", 10, 1)
    rig.advance(100)

    rig.exchange.orders.cancel("ann", order.order_id)

    assert len(rig.exchange.portfolio.orders("ann")) == 1


def test_only_the_newest_ended_orders_are_kept() -> None:
    rig = Rig(orders_kept=1)
    orders = [rig.buy("ann", 10, 1, client_order_id=name) for name in ("a", "b")]

    for order in orders:
        rig.exchange.orders.cancel("ann", order.order_id)

    assert [order.client_order_id for order in rig.exchange.portfolio.orders("ann")] == ["b"]
    assert rig.buy("ann", 10, 1, client_order_id="a").status == "resting"


def test_ids_look_like_the_venues() -> None:
    rig = Rig()

    order = rig.buy("ann", 10, 1)

    assert [len(part) for part in order.order_id.split("-")] == [8, 4, 4, 4, 12]
    assert order.order_id[14] == "4"
    assert order.order_id[19] in "89ab"
    assert order.user_id == rig.exchange.accounts["ann"].user_id
    assert rig.exchange.accounts.names() == ["ann", "ben", "cy"]


def new_order(price: int) -> NewOrder:
    return NewOrder(ticker=BOS, side="yes", action="buy", price=price * 100, count=100)
