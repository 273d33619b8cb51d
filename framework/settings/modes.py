"""The mode of a configuration, and what it means for every venue's data and orders.

mode       data of a venue        orders of a venue      where they may differ
backtest   replay                 simulated              data: synthetic; orders: none
replay     replay                 simulated              data: synthetic; orders: none
paper      live                   simulated              data: any; orders: none
dry_run    live                   none                   data: any; orders: simulated
live       live                   live                   orders: any, and with orders: live
                                                         the data must be live
"""

from enum import Enum


class Mode(Enum):
    """What a configuration is for; the default of every venue's data and orders."""

    BACKTEST = "backtest"
    REPLAY = "replay"
    PAPER = "paper"
    DRY_RUN = "dry_run"
    LIVE = "live"


class DataSource(Enum):
    """Where a venue's market data comes from."""

    LIVE = "live"
    REPLAY = "replay"
    SYNTHETIC = "synthetic"


class OrderRoute(Enum):
    """Where a venue's orders go: to the venue, to a simulated one, or nowhere."""

    LIVE = "live"
    SIMULATED = "simulated"
    NONE = "none"


_DEFAULTS = {
    Mode.BACKTEST: (DataSource.REPLAY, OrderRoute.SIMULATED),
    Mode.REPLAY: (DataSource.REPLAY, OrderRoute.SIMULATED),
    Mode.PAPER: (DataSource.LIVE, OrderRoute.SIMULATED),
    Mode.DRY_RUN: (DataSource.LIVE, OrderRoute.NONE),
    Mode.LIVE: (DataSource.LIVE, OrderRoute.LIVE),
}


def data_and_orders(
    mode: Mode, data: DataSource | None, orders: OrderRoute | None
) -> tuple[DataSource, OrderRoute]:
    """Return a venue's data source and order route: what it says, else the mode's default."""
    default_data, default_orders = _DEFAULTS[mode]
    return data or default_data, orders or default_orders


def contradiction(mode: Mode, data: DataSource, orders: OrderRoute) -> tuple[str, str] | None:
    """Return (key, reason) when a venue is more real than its mode, or None when it fits."""
    if orders is OrderRoute.LIVE and mode is not Mode.LIVE:
        return "orders", f"orders: live needs mode: live, and the mode is {mode.value}"
    if data is DataSource.LIVE and mode in (Mode.BACKTEST, Mode.REPLAY):
        return "data", f"mode: {mode.value} reads recorded or synthetic data, not live data"
    if orders is OrderRoute.LIVE and data is not DataSource.LIVE:
        return "data", f"orders: live needs data: live, and the data is {data.value}"
    return None
