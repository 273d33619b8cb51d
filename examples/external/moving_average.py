"""A moving-average strategy for the public client `tektii`: it knows nothing of Headrace.

Long with a stop-loss and a take-profit when the fast average rises above the slow one, flat when it
falls below. Start a gateway first (README.md beside this file), then:

    python examples/external/moving_average.py --symbol AAPL --fast 5 --slow 20 --quantity 10
"""

import argparse
import asyncio
from collections import deque
from datetime import timedelta
from decimal import Decimal

from tektii import (
    AsyncTradingGateway,
    Bar,
    CandleEvent,
    ConnectionEvent,
    ConnectionEventType,
    OrderEvent,
    OrderEventType,
)


class MovingAverage:
    """Decides at each bar; asks the gateway how things stand instead of remembering it."""

    def __init__(self, gateway: AsyncTradingGateway, options: argparse.Namespace) -> None:
        self.gateway = gateway
        self.options = options
        self.closes: deque[Decimal] = deque(maxlen=options.slow)

    async def on_bar(self, bar: Bar) -> None:
        """Enter, leave, or wait."""
        options = self.options
        self.closes.append(Decimal(bar.close))
        if len(self.closes) < options.slow:
            return
        newest = list(self.closes)[-options.fast :]
        fast, slow = sum(newest) / options.fast, sum(self.closes) / options.slow
        positions = await self.gateway.list_positions(symbol=bar.symbol)
        if fast < slow and positions:
            await self.gateway.close_position(positions[0].id)
        elif fast > slow and not positions:
            if await self.gateway.list_orders(symbol=bar.symbol):
                return  # the last entry, or what is left of it, is still on its way
            close = Decimal(bar.close)
            await self.gateway.submit_order(
                bar.symbol,
                "buy",
                options.quantity,
                stop_loss=(close * Decimal("0.99")).quantize(options.tick),
                take_profit=(close * Decimal("1.02")).quantize(options.tick),
                client_order_id=f"ma-{bar.timestamp:%Y%m%dT%H%M%S}",
            )


def is_closed(event: CandleEvent) -> bool:
    """Tell a whole one-minute bar from one that still forms: gateways may send both."""
    return event.timestamp >= event.bar.timestamp + timedelta(minutes=1)


async def trade(options: argparse.Namespace) -> None:
    """Follow the stream until the gateway says goodbye."""
    async with AsyncTradingGateway(options.url) as gateway, gateway.stream() as events:
        strategy = MovingAverage(gateway, options)
        async for event in events:
            match event:
                case CandleEvent(bar=bar) if bar.symbol == options.symbol and is_closed(event):
                    await strategy.on_bar(bar)
                case OrderEvent(event=OrderEventType.ORDER_FILLED, order=order):
                    print(
                        f"{order.updated_at:%Y-%m-%d %H:%M:%S} {order.side.value:4} "
                        f"{order.filled_quantity} {order.symbol} at {order.average_fill_price} "
                        f"({order.client_order_id or order.id})"
                    )
                case ConnectionEvent(event=ConnectionEventType.DISCONNECTING):
                    break
        account = await _last_account(gateway)
        print(account)


async def _last_account(gateway: AsyncTradingGateway) -> str:
    try:
        account = await gateway.get_account()
    except Exception as error:  # the gateway may be gone by now
        return f"no last word on the account: {error}"
    return f"balance {account.balance} {account.currency}, equity {account.equity}"


def main() -> None:
    """Read the options and trade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=None, help="default: $TRADING_GATEWAY_URL or port 8080")
    parser.add_argument("--symbol", default="AAPL")
    parser.add_argument("--fast", type=int, default=5, help="bars")
    parser.add_argument("--slow", type=int, default=20, help="bars")
    parser.add_argument("--quantity", type=Decimal, default=Decimal(10))
    parser.add_argument("--tick", type=Decimal, default=Decimal("0.01"), help="of the exits")
    asyncio.run(trade(parser.parse_args()))


if __name__ == "__main__":
    main()
