"""A strategy on the relative strength index for the client `tektii`, in its synchronous form.

Buys when the index is oversold and sells what it holds when it is overbought, with limit orders
that cross the spread. Start a gateway first (README.md beside this file), then:

    python examples/external/rsi.py --symbol AAPL --quantity 10
"""

import argparse
from datetime import timedelta
from decimal import Decimal

from tektii import (
    CandleEvent,
    ConnectionEvent,
    ConnectionEventType,
    OrderEvent,
    OrderEventType,
    TradingGateway,
)


class RelativeStrength:
    """Wilder's index of closes."""

    def __init__(self, period: int) -> None:
        self.period = period
        self.count = 0
        self.last: Decimal | None = None
        self.gain = self.loss = Decimal(0)

    def update(self, close: Decimal) -> Decimal | None:
        """Take one close; return the index, 0 to 100, or None while it warms up."""
        if self.last is None:
            self.last = close
            return None
        change, self.last = close - self.last, close
        self.count += 1
        weight = min(self.count, self.period)
        self.gain += (max(change, Decimal(0)) - self.gain) / weight
        self.loss += (max(-change, Decimal(0)) - self.loss) / weight
        if self.count < self.period:
            return None
        total = self.gain + self.loss
        return Decimal(50) if not total else 100 * self.gain / total


def trade(options: argparse.Namespace) -> None:
    """Follow the stream until the gateway says goodbye."""
    index = RelativeStrength(options.period)
    with TradingGateway(options.url) as gateway, gateway.stream() as events:
        for event in events:
            match event:
                case CandleEvent(bar=bar) if bar.symbol == options.symbol and is_closed(event):
                    value = index.update(Decimal(bar.close))
                    if value is not None:
                        decide(gateway, options, value, Decimal(bar.close))
                case OrderEvent(event=OrderEventType.ORDER_FILLED, order=order):
                    print(
                        f"{order.updated_at:%Y-%m-%d %H:%M:%S} {order.side.value:4} "
                        f"{order.filled_quantity} {order.symbol} at {order.average_fill_price}"
                    )
                case ConnectionEvent(event=ConnectionEventType.DISCONNECTING):
                    break


def is_closed(event: CandleEvent) -> bool:
    """Tell a whole one-minute bar from one that still forms: gateways may send both."""
    return event.timestamp >= event.bar.timestamp + timedelta(minutes=1)


def decide(
    gateway: TradingGateway, options: argparse.Namespace, index: Decimal, close: Decimal
) -> None:
    """Enter low, leave high; one order at a time."""
    if gateway.list_orders(symbol=options.symbol):
        return
    positions = gateway.list_positions(symbol=options.symbol)
    if index < options.low and not positions:
        limit = (close * Decimal("1.001")).quantize(options.tick)
        gateway.submit_order(options.symbol, "buy", options.quantity, "limit", limit_price=limit)
    elif index > options.high and positions:
        gateway.close_position(positions[0].id)


def main() -> None:
    """Read the options and trade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=None, help="default: $TRADING_GATEWAY_URL or port 8080")
    parser.add_argument("--symbol", default="AAPL")
    parser.add_argument("--period", type=int, default=14, help="bars")
    parser.add_argument("--low", type=Decimal, default=Decimal(30))
    parser.add_argument("--high", type=Decimal, default=Decimal(70))
    parser.add_argument("--quantity", type=Decimal, default=Decimal(10))
    parser.add_argument("--tick", type=Decimal, default=Decimal("0.01"), help="of limit prices")
    trade(parser.parse_args())


if __name__ == "__main__":
    main()
