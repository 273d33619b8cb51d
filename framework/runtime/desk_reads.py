"""The reading half of the trading desk: plain values of what is and was, no I/O of its own."""

from collections.abc import Mapping

from framework.runtime.desk_holdings import DeskHoldings
from framework.runtime.desk_lists import DeskLists
from framework.runtime.system import System


class DeskReads(DeskLists, DeskHoldings):
    """Shows orders, executions, positions and money, each principal its own."""

    def __init__(self, system: System, currencies: Mapping[str, str]) -> None:
        """`currencies` are the accounts'."""
        DeskLists.__init__(self, system)
        DeskHoldings.__init__(self, system, currencies)
