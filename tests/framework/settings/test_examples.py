"""The example configurations: they load, and their sections fit what reads them."""

from pathlib import Path

import pytest

from framework.settings.decoding import decode_section
from framework.settings.loading import load
from framework.simulation.costs import CostSettings
from framework.simulation.fills import FillSettings
from framework.strategy.loader import load_class

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(path.name for path in CONFIG.glob("*.yaml"))


def test_the_examples_are_there() -> None:
    assert {"quickstart.yaml", "backtest.yaml", "paper.yaml"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_the_strategies_and_models_it_names(name: str) -> None:
    settings = load(CONFIG / name, environment={})

    for strategy in settings.strategies:
        strategy_class = load_class(strategy.class_)
        decode_section(strategy.settings, strategy_class.Settings, key=strategy.id)
    for venue in settings.venues.values():
        fills = {"model": venue.fills} if isinstance(venue.fills, str) else venue.fills
        decode_section(venue.costs, CostSettings, key="costs")
        decode_section(fills, FillSettings, key="fills")
    assert settings.strategies
