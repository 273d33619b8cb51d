"""S5: background members keep every market moving, and every channel has something to tell."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from adapters.kalshi.simulated.activity import Activity, ActivitySettings
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR_OF_MONEY, NewOrder
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    ExchangeEvent,
    Filled,
    GroupChanged,
    LevelChanged,
    MarketChanged,
    MultivariateLookedUp,
    OrderChanged,
    PositionChanged,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    TickerChanged,
    Traded,
)
from adapters.kalshi.simulated.exchange import Exchange
from tests.adapters.kalshi.simulated.exchange_rig import SECOND_NS, START_NS
from tests.fakes import ManualClock


class Scene:
    """A demo exchange with its activity, and what it emitted."""

    def __init__(self, *, seed: int = 3, market_count: int = 4, **settings: Any) -> None:
        self.clock = ManualClock(START_NS)
        demo = demo_settings(START_NS, market_count=market_count)
        self.exchange = Exchange(self.clock, Random(seed), demo)
        self.events: list[ExchangeEvent] = []
        self.exchange.listen(self.events.append)
        self.activity = Activity(self.exchange, Random(seed), ActivitySettings(**settings))

    def pass_by(self, seconds: float) -> Counter[type]:
        """Let time pass; return how much was emitted of each kind."""
        self.events.clear()
        self.clock.advance_to(self.clock.now_ns + round(seconds * SECOND_NS))
        return Counter(type(event) for event in self.events)

    @property
    def tickers(self) -> list[str]:
        return [
            m.ticker for m in self.exchange.data.markets() if not m.ticker.startswith("KXPULSE")
        ]


def test_every_public_channel_tells_something_within_two_seconds() -> None:
    scene = Scene()
    scene.activity.start()

    for _ in range(5):
        kinds = scene.pass_by(2)
        expected = {LevelChanged, Traded, TickerChanged, MarketChanged, MultivariateLookedUp}
        assert expected | {RfqCreated, RfqDeleted} <= set(kinds)
        changed = [event.market for event in scene.events if isinstance(event, MarketChanged)]
        assert {market.is_multivariate for market in changed} == {False, True}
        traded = {event.trade.ticker for event in scene.events if isinstance(event, Traded)}
        assert traded == set(scene.tickers)


def test_every_market_stays_two_sided_and_changes_several_times_a_second() -> None:
    scene = Scene()
    scene.activity.start()
    shown = set()

    for _ in range(60):
        scene.pass_by(1)
        changes = Counter(e.ticker for e in scene.events if isinstance(e, LevelChanged))
        for ticker in scene.tickers:
            state = scene.exchange.data.ticker(ticker)
            shown.add((ticker, state.yes_bid))
            assert changes[ticker] >= 3
            assert 0 < state.yes_bid < state.yes_ask < 10_000

    assert len(shown) > 3 * len(scene.tickers)


def test_the_whole_life_of_a_market_is_told_again_and_again() -> None:
    scene = Scene()
    scene.activity.start()

    kinds = scene.pass_by(10)

    steps = {event.event_type for event in scene.events if isinstance(event, MarketChanged)}
    assert steps == {
        *("created", "activated", "deactivated", "close_date_updated", "determined", "settled"),
        *("price_level_structure_updated", "metadata_updated"),
    }
    assert kinds[EventCreated] >= 2
    assert kinds[EventFeeChanged] >= 2


def test_markets_of_the_past_do_not_pile_up() -> None:
    scene = Scene(steps_per_s=0.5)
    scene.activity.start()

    scene.pass_by(300)

    assert len(scene.exchange.data.markets()) < 40
    assert len(scene.exchange.data.events()) < 40
    assert len(scene.exchange.communications.rfqs()) <= 1_001
    for name in ("background-maker-1", "background-taker"):
        assert len(scene.exchange.accounts[name].orders) < 60


def test_a_stopped_activity_leaves_the_books_alone() -> None:
    scene = Scene()
    scene.activity.start()
    scene.pass_by(1)

    scene.activity.stop()

    scene.pass_by(10)
    assert not [event for event in scene.events if isinstance(event, LevelChanged | Traded)]
    assert all(scene.exchange.data.book(ticker).yes for ticker in scene.tickers)


def test_a_burst_changes_as_many_levels_as_asked_at_once() -> None:
    scene = Scene()

    changed = scene.activity.burst(500)

    assert 500 <= changed < 600
    assert changed == sum(isinstance(event, LevelChanged) for event in scene.events)
    assert scene.activity.level_changes == changed


def test_a_burst_where_nothing_trades_changes_nothing() -> None:
    scene = Scene()
    scene.exchange.lifecycle.set_trading(is_exchange_active=True, is_trading_active=False)

    assert scene.activity.burst(500) == 0
    assert Scene(market_count=0).activity.burst(5) == 0


def test_the_same_seed_gives_the_same_activity() -> None:
    """S16."""
    scenes = [Scene(hit_s=0.3, members=("demo",)) for _ in range(2)]
    for scene in scenes:
        scene.activity.start()
        scene.pass_by(5)
    other = Scene(seed=4)
    other.activity.start()
    other.pass_by(5)

    assert scenes[0].events == scenes[1].events
    assert scenes[0].events != other.events


def test_an_account_it_acts_for_hears_something_on_every_private_channel() -> None:
    scene = Scene(members=("demo",))
    scene.activity.start()

    for _ in range(4):
        kinds = scene.pass_by(2)
        assert {OrderChanged, Filled, PositionChanged, GroupChanged} <= set(kinds)
    private = (OrderChanged, Filled, PositionChanged, GroupChanged)
    assert {e.account for e in scene.events if isinstance(e, private)} == {"demo"}


def test_it_acts_on_when_the_user_deletes_the_group() -> None:
    scene = Scene(members=("demo",))
    scene.activity.start()
    groups = scene.exchange.groups
    groups.delete("demo", groups.list("demo")[0].group_id)

    scene.pass_by(2)

    assert len(groups.list("demo")) == 1


def test_nothing_private_is_told_of_background_members() -> None:
    scene = Scene()
    scene.activity.start()

    kinds = scene.pass_by(5)

    assert not {OrderChanged, Filled, PositionChanged} & set(kinds)


@pytest.mark.parametrize(("side", "price"), [("yes", 100), ("no", 9_900), ("yes", None)])
def test_a_resting_order_is_hit_now_and_then(side: Any, price: int | None) -> None:
    scene = Scene(hit_s=1.0, market_count=1)
    scene.activity.start()
    ticker = scene.tickers[0]
    request = NewOrder(
        ticker=ticker,
        side=side,
        action="buy",
        price=price or scene.exchange.data.ticker(ticker).yes_bid,
        count=10 * CONTRACT,
    )
    order = scene.exchange.orders.submit("demo", request)

    scene.pass_by(1)

    assert [event.account for event in scene.events if isinstance(event, Filled)] == ["demo"]
    assert scene.exchange.portfolio.order("demo", order.order_id).fill_count > 0


def test_a_users_rfq_is_quoted_and_an_accepted_quote_traded() -> None:
    scene = Scene()
    scene.activity.start()
    communications = scene.exchange.communications
    rfq = communications.create_rfq("demo", scene.tickers[0], contracts=5 * CONTRACT)
    poor = communications.create_rfq(
        "second", scene.tickers[0], target_cost=50_000 * DOLLAR_OF_MONEY
    )
    scene.pass_by(1)
    quotes = [event.quote for event in scene.events if isinstance(event, QuoteCreated)]
    assert [quote.rfq_id for quote in quotes] == [rfq.rfq_id, poor.rfq_id]

    for quote in quotes:
        communications.accept_quote(quote.rfq_account, quote.quote_id, "yes")
    scene.pass_by(1)

    executed = [event.quote.rfq_id for event in scene.events if isinstance(event, QuoteExecuted)]
    assert executed == [rfq.rfq_id] * 2


def test_it_goes_on_whatever_users_do_to_the_markets() -> None:
    """Halts, ends, a new grid, a new market: never an exception, and never a quote off the grid."""
    scene = Scene(members=("demo",), hit_s=0.2)
    scene.activity.start()
    lifecycle, data = scene.exchange.lifecycle, scene.exchange.data
    first, second, third, fourth = scene.tickers
    scene.pass_by(1)

    lifecycle.change_price_structure(first, "deci_cent")
    lifecycle.pause(second)
    lifecycle.determine(third, "yes")
    lifecycle.settle(third)
    lifecycle.forget(third)
    lifecycle.determine("KXPULSEPAIR-E-1", "yes")
    pulse = [m.ticker for m in data.markets() if m.ticker.startswith("KXPULSE-")]
    if data.market(pulse[-1]).status in {"active", "inactive"}:
        lifecycle.determine(pulse[-1], "no")
    new = data.market(fourth)
    market = type(new)(ticker="KXNEW-1", event_ticker=new.event_ticker)
    lifecycle.create_market(market)
    scene.pass_by(2)
    lifecycle.set_trading(is_exchange_active=True, is_trading_active=False)
    assert not scene.pass_by(3)[LevelChanged]
    lifecycle.set_trading(is_exchange_active=True, is_trading_active=True)
    lifecycle.activate(second)

    assert scene.pass_by(10)[LevelChanged]
    changed = {event.ticker for event in scene.events if isinstance(event, LevelChanged)}
    assert changed == {first, second, fourth, "KXNEW-1"}


def test_without_news_the_quieter_channels_stay_quiet() -> None:
    scene = Scene(news_s=None)
    scene.activity.start()

    kinds = scene.pass_by(3)

    assert set(kinds) == {LevelChanged, Traded, TickerChanged}


def test_a_demo_has_many_markets_on_every_kind_of_grid() -> None:
    """S20: a thousand markets with names of their own."""
    settings = demo_settings(START_NS, market_count=1_000)

    tickers = [market.ticker for market in settings.markets]
    assert tickers[0] == "KXRAIN-26FEB03-BOS"
    assert len(set(tickers)) == 1_000
    assert {market.price_level_structure for market in settings.markets} == {
        *("linear_cent", "tapered_deci_cent", "deci_cent"),
    }
    assert all(market.close_ns > START_NS for market in settings.markets)
