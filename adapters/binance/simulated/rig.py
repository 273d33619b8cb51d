"""The simulated venue under the control of the adapter kit, on a simulated loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random

import msgspec

from adapters.binance.simulated.amounts import to_text, to_units
from adapters.binance.simulated.domain import NOBODY, Order
from adapters.binance.simulated.exchange import NewOrder
from adapters.binance.simulated.faults import Fate, RestFault, StreamFaults
from adapters.binance.simulated.keys import hmac_verifier
from adapters.binance.simulated.whole import BinanceVenue, VenueOptions
from framework.adapter_kit.rig import Fault, Terms, VenueOrder
from framework.errors import SimulationError
from framework.model.market_data import Level
from framework.model.orders import Side
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop

ADDRESS = ("binance", 8090)
KEY, SECRET = "rig-key", "rig-secret"
QUANTITY = to_units("0.002")
AWAY = 100  # passive orders lie a hundredth of the price away
TOO_MANY = msgspec.json.encode({"code": -1003, "msg": "Too many requests."})
FATES = {
    Fault.LOSE: Fate.LOST,
    Fault.REPEAT: Fate.REPEATED,
    Fault.SWAP: Fate.LATE,
    Fault.GARBLE: Fate.GARBLED,
}

OnChange = Callable[[Sequence[Level], Sequence[Level]], None]


class BinanceRig:
    """One account on a busy venue; without fees positions move by just what is traded.

    `longest_s` is how long the venue keeps a connection, `ahead_s` how far its clock is ahead.
    """

    venue = "binance"  # in a configuration
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT")
    account = "main"
    heartbeat_s = 20.0
    faults = frozenset(Fault)

    def __init__(
        self, seed: int, *, fee_bps: int = 0, longest_s: float = 86_400.0, ahead_s: float = 0.0
    ) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            raise SimulationError("the rig stands on a simulated loop only")
        self._loop = loop
        self._random = Random(seed)
        self._watchers: dict[str, list[OnChange]] = {symbol: [] for symbol in self.symbols}
        options = VenueOptions(
            balances={self.account: {"USDT": "10000000", "BTC": "10", "ETH": "100"}},
            keys={KEY: (self.account, hmac_verifier(SECRET))},
            past_minutes=3_000,
            fee_bps=fee_bps,
            longest_s=longest_s,
        )
        ahead_ns = round(ahead_s * 1e9)
        self.binance = BinanceVenue(
            options, random=self._random, now_ns=lambda: loop.now_ns + ahead_ns
        )
        self.binance.on_book = self._on_book

    async def start(self) -> Mapping[str, object]:
        """Listen, let the market move, and return the section for `build`."""
        await self.binance.start(*ADDRESS)
        place = f"{ADDRESS[0]}:{ADDRESS[1]}"
        markets = self.binance.exchange.markets.values()
        return {
            "settings": {
                "rest_url": f"http://{place}",
                "stream_url": f"ws://{place}",
                "api_url": f"ws://{place}/ws-api/v3",
                "account": self.account,
                "api_key": KEY,
                "secret": SECRET,
            },
            "instruments": [
                {
                    "symbol": market.listing.symbol,
                    "currency": market.listing.quote,
                    "base": market.listing.base,
                    "tick": to_text(market.listing.tick),
                    "lot": to_text(market.listing.step),
                }
                for market in markets
            ],
        }

    async def aclose(self) -> None:
        """Stop everything."""
        await self.binance.aclose()

    # -- faults ----------------------------------------------------------------------------------

    def inflict(self, fault: Fault, *, count: int = 1, duration_s: float = 0.0) -> None:
        """Break something."""
        faults, network = self.binance.faults, self._loop.network
        if fault in FATES:
            faults.destine(FATES[fault], count)
        elif fault is Fault.CUT:
            network.cut(ADDRESS)
        elif fault is Fault.REFUSE:
            network.set_faults(ADDRESS, LinkFaults(refuse=True))
            self._loop.call_later(duration_s, network.set_faults, ADDRESS, LinkFaults())
        elif fault is Fault.MUTE:
            faults.stream = StreamFaults(is_mute=True)
            self._loop.call_later(duration_s, faults.heal_streams)
        elif fault is Fault.LOSE_ANSWER:
            lost = RestFault(method="POST", path="/order", kind="lose_answer")
            faults.add(*[lost] * count)
        elif fault is Fault.NO_SNAPSHOT:
            faults.failing.add(("GET", "/depth"))
            self._loop.call_later(duration_s, faults.failing.discard, ("GET", "/depth"))
        else:
            many = RestFault(
                method="", path="", kind="answer", status=429, body=TOO_MANY, retry_after_s=1
            )
            faults.add(*[many] * count)

    def heal(self) -> None:
        """End every fault."""
        self.binance.heal()
        self._loop.network.set_faults(ADDRESS, LinkFaults())

    # -- the market ------------------------------------------------------------------------------

    def watch_book(self, symbol: str, on_change: OnChange) -> None:
        """Call `on_change(bids, asks)` now and whenever the public gets to see the book."""
        self._watchers[symbol].append(on_change)
        on_change(*self.binance.book(symbol))

    def _on_book(self, symbol: str, update_id: int) -> None:
        book = self.binance.book(symbol)
        for on_change in self._watchers[symbol]:
            on_change(*book)

    def passive(self, side: Side) -> Terms:
        """Return an order for the first symbol that rests."""
        market = self.binance.exchange.markets[self.symbols[0]]
        step = market.last_price // AWAY
        price = market.last_price - step if side is Side.BUY else market.last_price + step
        return self._terms(side, price - price % market.listing.tick)

    def marketable(self, side: Side) -> Terms:
        """Return an order that fills at once; there is more than enough behind it."""
        market = self.binance.exchange.markets[self.symbols[0]]
        step = market.last_price // (10 * AWAY)
        price = market.last_price + step if side is Side.BUY else market.last_price - step
        price -= price % market.listing.tick
        self._background(side is not Side.BUY, price, 100 * QUANTITY)
        return self._terms(side, price)

    def _terms(self, side: Side, price: int) -> Terms:
        return Terms(side, Decimal(to_text(price)), Decimal(to_text(QUANTITY)))

    def _background(self, is_buy: bool, price: int, quantity: int, kind: str = "GTC") -> None:
        self.binance.exchange.place(
            NewOrder(
                account=NOBODY,
                client_id="rig",
                symbol=self.symbols[0],
                is_buy=is_buy,
                type="LIMIT",
                quantity=quantity,
                price=price,
                time_in_force=kind,
            )
        )

    # -- the account -----------------------------------------------------------------------------

    def trade_against(self, client_id: str, quantity: Decimal) -> None:
        """Have the background take all that stands before our order, and so much of it."""
        order = self.binance.exchange.order(self.account, self.symbols[0], client_id)
        book = self.binance.exchange.markets[order.symbol].book
        better = sum(
            level.quantity
            for level in book.takeable(not order.is_buy, order.price)
            if level.price != order.price
        )
        wanted = better + book.queue_ahead(order.key) + to_units(str(quantity))
        self._background(not order.is_buy, order.price, wanted, "IOC")

    def place_foreign(self, terms: Terms) -> str:
        """Give an order in our account under an id that is not ours."""
        request = NewOrder(
            account=self.account,
            client_id=f"web_{self._random.getrandbits(64):016x}",
            symbol=self.symbols[0],
            is_buy=terms.side is Side.BUY,
            type="LIMIT",
            quantity=to_units(str(terms.quantity)),
            price=to_units(str(terms.price)),
        )
        order, _ = self.binance.exchange.place(request)
        return f"{order.symbol}:{order.order_id}"

    def orders(self) -> Sequence[VenueOrder]:
        """Return every order of our account."""
        return [_told(order) for order in self.binance.exchange.orders(self.account)]

    def position(self, symbol: str) -> Decimal:
        """Return what our account holds of the base asset."""
        base = self.binance.exchange.markets[symbol].listing.base
        ((_, free, locked),) = self.binance.exchange.purses.rows(self.account, base)
        return Decimal(to_text(free + locked))

    def taken_count(self, client_id: str) -> int:
        """Return how many orders with an id were ever taken."""
        return sum(order.client_id == client_id for order in self.orders())

    def logins(self) -> Sequence[str]:
        """Return the signature of each subscription, and a number for each public connection."""
        public = [f"public {number}" for number in range(self.binance.streams.opened_count)]
        return [*public, *self.binance.user_streams.logins]

    def too_many_count(self) -> int:
        """Return how many requests passed the venue's limits."""
        return self.binance.weights.refused_count

    @property
    def connection_count(self) -> int:
        """Open connections to streams."""
        return len(self.binance.streams) + len(self.binance.user_streams)


def _told(order: Order) -> VenueOrder:
    return VenueOrder(
        order.client_id,
        order.symbol,
        Side.BUY if order.is_buy else Side.SELL,
        Decimal(to_text(order.quantity)),
        Decimal(to_text(order.executed)),
        order.is_open,
    )
