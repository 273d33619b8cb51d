"""Indicators, one value at a time; their numpy twins are in `framework.indicators.batch`."""

from framework.indicators.averages import EMA, SMA, WMA
from framework.indicators.momentum import MACD, ROC, RSI, MACDValue
from framework.indicators.streaming import Indicator
from framework.indicators.volatility import ATR, Bollinger, BollingerBands, ZScore

__all__ = [
    "ATR",
    "EMA",
    "MACD",
    "ROC",
    "RSI",
    "SMA",
    "WMA",
    "Bollinger",
    "BollingerBands",
    "Indicator",
    "MACDValue",
    "ZScore",
]
