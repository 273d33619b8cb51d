"""Fill models: what a trade, a quote or a candle gives to a resting order."""

from decimal import Decimal

import pytest

from framework.errors import ConfigError
from framework.model.market_data import Aggressor, Candle
from framework.simulation.fills import (
    CandlePath,
    FillSettings,
    QueuePosition,
    Through,
    Touch,
    VolumeShare,
    fill_model,
    turning_points,
)

from .venue_rig import VenueRig


def candle(opened: float, close: float) -> Candle:
    return Candle("sim:ABC", 60, 60, "1m", 0, 60, opened, 12.0, 8.0, close)


@pytest.mark.parametrize(
    ("path", "close", "points"),
    [
        ("by_direction", 11.0, (8.0, 12.0, 11.0)),
        ("by_direction", 10.0, (8.0, 12.0, 10.0)),
        ("by_direction", 9.0, (12.0, 8.0, 9.0)),
        ("ohlc", 11.0, (12.0, 8.0, 11.0)),
        ("olhc", 9.0, (8.0, 12.0, 9.0)),
    ],
)
def test_the_path_in_a_candle_is_as_stated(
    path: CandlePath, close: float, points: tuple[float, float, float]
) -> None:
    assert turning_points(candle(10.0, close), path) == points


def test_the_default_does_not_flatter() -> None:
    assert isinstance(fill_model(FillSettings()), Through)


@pytest.mark.parametrize("name", ["through", "touch", "volume_share", "queue_position"])
def test_each_model_describes_itself(name: str) -> None:
    model = fill_model(FillSettings(model=name))  # type: ignore[arg-type]  # a table of names
    assert model.describe().startswith("fills: limits ")


@pytest.mark.parametrize("share", ["0", "-0.1", "1.1"])
def test_a_share_outside_its_range_is_a_configuration_error(share: str) -> None:
    with pytest.raises(ConfigError, match="share"):
        fill_model(FillSettings(model="volume_share", share=Decimal(share)))


def test_through_needs_a_trade_beyond_the_limit() -> None:
    rig = VenueRig(fills=Through())
    rig.trade(11.0)
    rig.buy("1", price="10")
    rig.trade(11.0)
    rig.trade(10.0)
    assert rig.told() == ["o1 accepted"]
    rig.trade(9.99)
    assert rig.told() == ["o1 filled 1 @ 10 maker"]


def test_touch_needs_a_trade_at_the_limit() -> None:
    rig = VenueRig(fills=Touch())
    rig.trade(11.0)
    rig.sell("1", price="12")
    rig.trade(11.0)
    rig.trade(12.0)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 12 maker"]


def test_a_share_of_the_volume_is_split_by_price_and_time_in_whole_lots() -> None:
    rig = VenueRig(fills=VolumeShare(Decimal("0.1")))
    rig.buy("1", price="10")
    rig.buy("1", price="10.1")
    rig.candle(11.0, 11.0, 9.0, 9.5, volume=13.7)  # 1.37, so 1.3 in lots
    assert rig.told() == [
        "o1 accepted",
        "o2 accepted",
        "o2 filled 1 @ 10.1 maker",
        "o1 filled 0.3 @ 10 maker",
    ]


def test_a_candle_without_volume_gives_no_share() -> None:
    rig = VenueRig(fills=VolumeShare())
    rig.buy("1")
    rig.candle(11.0, 11.0, 9.0, 9.5, volume=0.0)
    rig.candle(9.0, 11.0, 9.0, 9.5, volume=10.0)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 9 taker"]


def test_the_queue_before_an_order_trades_first() -> None:
    rig = VenueRig(fills=QueuePosition())
    rig.book([(10.0, 5.0)], [(10.02, 5.0)])
    rig.buy("2", price="10")
    rig.trade(10.0, 3.0, Aggressor.SELLER)
    assert rig.told() == ["o1 accepted"]

    rig.trade(10.0, 3.0, Aggressor.SELLER)
    rig.trade(10.0, 9.0, Aggressor.BUYER)
    assert rig.told() == ["o1 filled 1 @ 10 maker"]

    rig.trade(10.0, 9.0, Aggressor.UNKNOWN)
    assert rig.told() == ["o1 filled 1 @ 10 maker"]


def test_our_own_orders_share_a_trade_behind_the_queue() -> None:
    rig = VenueRig(fills=QueuePosition())
    rig.quote(10.0, 10.02, 4.0, 4.0)
    rig.buy("2", price="10")
    rig.buy("2", price="10")
    rig.trade(10.0, 7.0, Aggressor.SELLER)
    assert rig.told() == [
        "o1 accepted",
        "o2 accepted",
        "o1 filled 2 @ 10 maker",
        "o2 filled 1 @ 10 maker",
    ]


def test_a_shrinking_level_shortens_the_queue() -> None:
    rig = VenueRig(fills=QueuePosition())
    rig.book([(10.0, 5.0)], [(10.02, 5.0)])
    rig.buy("2", price="10")
    rig.book([(10.0, 1.0)], [(10.02, 5.0)])
    rig.trade(10.0, 2.0, Aggressor.SELLER)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 10 maker"]


def test_an_order_that_improves_the_market_is_first_in_its_queue() -> None:
    rig = VenueRig(fills=QueuePosition())
    rig.quote(10.0, 10.05, 4.0, 4.0)
    rig.sell("1", price="10.03")
    rig.trade(10.03, 1.0, Aggressor.BUYER)
    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 10.03 maker"]


def test_an_unknown_queue_is_passed_only_by_trading_through() -> None:
    rig = VenueRig(fills=QueuePosition())
    rig.quote(10.0, 10.05)
    rig.buy("1", price="9.9")
    rig.trade(9.9, 100.0)
    assert rig.told() == ["o1 accepted"]
    rig.trade(9.89, 1.0)
    assert rig.told() == ["o1 filled 1 @ 9.9 maker"]
