"""The strategy that trades while it is being killed, and the configuration it runs in."""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any, ClassVar

from framework import Fill, Order, Quote, Strategy
from framework.model.orders import AtPrice, ExitPrice, Exits, OrderStatus, Percent
from framework.settings.modes import Mode
from framework.settings.risk_limits import RiskSettings, RunawaySettings
from framework.settings.structs import (
    AccountSettings,
    InstrumentSettings,
    Settings,
    StopPolicy,
    StrategySettings,
    VenueSettings,
)

RUN, ACCOUNT, VENUE = "trader", "main", "x"
SYMBOLS = ("BTC", "ETH")
CASH = Decimal(1_000_000)
TICK = Decimal("0.5")
LOT = Decimal("0.01")
MOST_OPEN = 12
PATIENCE_NS = 100_000_000  # after a refusal, such as that of a broken link
ACKNOWLEDGED = frozenset(
    {
        OrderStatus.ACCEPTED,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
    }
)


class RandomTrader(Strategy):
    """Buys, sells, cancels and changes orders at random, differently in each session.

    `hear` is told of its start (after which it may trade: R-35), of each order that the venue is
    known to have, and of each fill: what a user would have seen on a screen, and what must
    therefore never be lost. With `is_quiet` it only listens.
    """

    is_quiet: ClassVar[bool] = False

    @staticmethod
    def hear(line: Mapping[str, Any]) -> None:
        """Be told what was seen; replaced by whoever wants to know."""

    def on_start(self) -> None:
        """Watch everything."""
        self.chance = Random(f"{self.random.random()} {self.now_ns}")
        self.patient_until_ns = 0
        for symbol in SYMBOLS:
            self.watch_quotes(f"{VENUE}:{symbol}")
        self.hear({"started": self.now_ns})

    def on_quote(self, quote: Quote) -> None:
        """Do one thing at random."""
        if self.is_quiet:
            return
        working = [order for order in self.orders(quote.instrument) if not order.parent]
        draw = self.chance.random()
        if working and draw < 0.2:
            self.cancel(self.chance.choice(working).order_id)
        elif working and draw < 0.4:
            self._change(self.chance.choice(working), quote)
        elif len(working) < MOST_OPEN and self.now_ns >= self.patient_until_ns:
            self._send_one(quote)

    def on_order(self, order: Order) -> None:
        """Tell what the venue has said about an order."""
        is_at_venue = not order.parent or bool(order.venue_order_ids)
        if order.status in ACKNOWLEDGED and is_at_venue:
            self.hear({"order": order.order_id, "status": order.status.value})

    def on_fill(self, fill: Any) -> None:
        """Tell of a fill."""
        if isinstance(fill, Fill):
            self.hear({"fill": fill.execution_id, "order": fill.order_id})

    def _send_one(self, quote: Quote) -> None:
        side = self.buy if self._wants_to_buy(quote.instrument) else self.sell
        quantity = LOT * self.chance.randint(1, 40)
        price = None if self.chance.random() < 0.5 else self._near(quote)
        if side(quote.instrument, quantity, price=price).status is OrderStatus.DENIED:
            self.patient_until_ns = self.now_ns + PATIENCE_NS  # not a runaway

    def _wants_to_buy(self, instrument: str) -> bool:
        """Prefer the side that leads back to flat."""
        held = self.position(instrument).quantity
        return self.chance.random() < (0.5 if not held else 0.3 if held > 0 else 0.7)

    def _change(self, order: Order, quote: Quote) -> None:
        if order.price is None:
            return
        quantity = order.filled + LOT * self.chance.randint(1, 40)
        self.modify(order.order_id, quantity=quantity, price=self._near(quote))

    def _near(self, quote: Quote) -> Decimal:
        return Decimal(str(quote.bid)) + TICK * self.chance.randint(-3, 3)


class BracketTrader(RandomTrader):
    """Trades by entries with a stop and a target alone, always the same way in one symbol.

    So what an entry has filled and its exits have not is all that there is of a position.
    """

    def _send_one(self, quote: Quote) -> None:
        side = self.buy if quote.instrument.endswith(SYMBOLS[0]) else self.sell
        price = None if self.chance.random() < 0.5 else self._near(quote)
        order = side(
            quote.instrument,
            LOT * self.chance.randint(1, 40),
            price=price,
            stop_loss=self._distance(),
            take_profit=self._distance(),
        )
        if order.status is OrderStatus.DENIED:
            self.patient_until_ns = self.now_ns + PATIENCE_NS

    def _distance(self) -> str:
        return f"{self.chance.choice(('0.5', '1', '2'))}%"


class ExitMover(BracketTrader):
    """Moves its stops and targets as well, and adds and takes away targets; a stop there always is.

    Of entries that wait, of those partly filled, and of those whose exits are all that is left.
    """

    def on_quote(self, quote: Quote) -> None:
        """Move exits half of the time."""
        entries = {order.parent or order.order_id for order in self.orders(quote.instrument)}
        if self.is_quiet or not entries or self.chance.random() < 0.5:
            super().on_quote(quote)
            return
        entry = self.chance.choice(sorted(entries))
        target = self._target(quote) if self.chance.random() < 0.7 else None
        desk: Any = getattr(self.context, "desk")  # noqa: B009 - doors have it, strategies do not
        desk.modify_exits(entry, Exits(self._stop(quote), target))

    def _stop(self, quote: Quote) -> ExitPrice:
        if self.chance.random() < 0.4:
            return Percent(Decimal(self.chance.choice(("0.5", "1", "2"))))
        return self._beside(quote, is_above=not self._buys(quote))

    def _target(self, quote: Quote) -> ExitPrice:
        if self.chance.random() < 0.4:
            return Percent(Decimal(self.chance.choice(("0.5", "1", "2"))))
        return self._beside(quote, is_above=self._buys(quote))

    def _buys(self, quote: Quote) -> bool:
        return quote.instrument.endswith(SYMBOLS[0])

    def _beside(self, quote: Quote, *, is_above: bool) -> ExitPrice:
        gap = TICK * self.chance.randint(1, 12)
        return AtPrice(Decimal(str(quote.ask)) + gap if is_above else Decimal(str(quote.bid)) - gap)


def trader_settings(
    *,
    seed: int,
    host: str = "broker",
    port: int = 7000,
    journal: str | None = None,
    trader: type[RandomTrader] = RandomTrader,
    **link: Any,
) -> Settings:
    """Return the configuration: one venue behind the wire adapter, one account, one run."""
    instruments = [InstrumentSettings(symbol=name, tick=TICK, lot=LOT) for name in SYMBOLS]
    section = {"host": host, "port": port, "account": ACCOUNT, **link}
    return Settings(
        mode=Mode.LIVE,
        seed=seed,
        venues={VENUE: VenueSettings(adapter="wire", settings=section, instruments=instruments)},
        accounts={ACCOUNT: AccountSettings(venue=VENUE, currency="USD", balances={"USD": CASH})},
        strategies=[
            StrategySettings(
                id=RUN,
                class_=f"{__name__}:{trader.__name__}",
                account=ACCOUNT,
                on_stop=StopPolicy.LEAVE,
            )
        ],
        risk=RiskSettings(runaway=RunawaySettings(None, None, None)),  # it is one
        journal=journal,
    )
