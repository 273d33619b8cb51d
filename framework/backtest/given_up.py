"""The end of a backtest that those who drive it from outside have left."""

from typing import TYPE_CHECKING

from framework.errors import StrategyError

if TYPE_CHECKING:
    from framework.backtest.result import BacktestArtifacts, BacktestResult


class GivenUp(StrategyError):
    """Those who drive a backtest from outside have left it.

    Attributes:
        result, artifacts: what it had come to; a warning in it says that this is not the end.
    """

    def __init__(
        self, reason: str, result: "BacktestResult", artifacts: "BacktestArtifacts"
    ) -> None:
        super().__init__(reason)
        self.result = result
        self.artifacts = artifacts
