"""A run whose decisions are made outside the process and come in by a front door."""

from framework.strategy.strategy import Strategy


class OutsideRun(Strategy):
    """Decides nothing: it stands for the run, so that this is started, halted and stopped."""
