"""A gateway of ours under the control of the adapter kit, on a simulated loop.

A whole system is hosted: a synthetic market, orders matched on it, and the gateway's door. In front
of it is the line on which faults happen. One lot more or less is made to trade by a print of the
tape beyond a limit, of which our resting orders get all.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.tektii.simulated.line import Line
from adapters.tektii.words import client_order_id_of
from framework.adapter_kit.hosted import Hosted, settings_of
from framework.adapter_kit.rig import Fault, Terms, VenueOrder
from framework.errors import SimulationError
from framework.model.decimals import add, multiply
from framework.model.identity import symbol_of
from framework.model.market_data import Level, Trade
from framework.model.orders import Order, OrderIntent, OrderType, Side
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop

ADDRESS = ("tektii", 8080)
BEHIND = ("127.0.0.1", 8081)
VENUE, ACCOUNT, RUN = "market", "main", "gateway"
KEY = "rig-key-of-thirty-two-characters"
TICK, LOT = Decimal("0.01"), Decimal("0.001")
QUANTITY = Decimal("0.004")
PRICES = {"AAPL": 150.0, "MSFT": 400.0}
REQUESTS_PER_S, BURST = 40.0, 60
PASSIVE, MARKETABLE = Decimal("0.05"), Decimal("0.03")  # shares of the price
FRAME_FAULTS = {
    Fault.LOSE: "lose",
    Fault.REPEAT: "repeat",
    Fault.SWAP: "swap",
    Fault.GARBLE: "garble",
    Fault.LOSE_ANSWER: "lose_answer",
    Fault.TOO_MANY: "too_many",
}


def configuration(
    seed: int,
    *,
    listen: str = f"{BEHIND[0]}:{BEHIND[1]}",
    key: str = KEY,
    fee_bps: int = 0,
    **door: Any,
) -> dict[str, Any]:
    """Return the configuration of the hosted system; `door` are settings of its gateway."""
    return {
        "mode": "paper",
        "seed": seed,
        "venues": {
            VENUE: {
                "adapter": "mock",
                "settings": {
                    "interval_ms": 250,
                    "instruments": [
                        {"symbol": symbol, "start_price": price} for symbol, price in PRICES.items()
                    ],
                },
                "instruments": [
                    {"symbol": symbol, "tick": str(TICK), "lot": str(LOT)} for symbol in PRICES
                ],
                "fills": {"model": "volume_share", "share": "1"},
                "costs": {"fees_bps": fee_bps},
            }
        },
        "accounts": {ACCOUNT: {"venue": VENUE, "currency": "USD", "balances": {"USD": "1000000"}}},
        "server": [
            {
                "listen": listen,
                "doors": [
                    {
                        "door": "tektii",
                        "accounts": [ACCOUNT],
                        "run": RUN,
                        "tokens": [{"name": "rig", "secret": key, "view": "account"}],
                        "settings": {"provider": VENUE, **door},
                    }
                ],
                "limits": {"requests_per_s": REQUESTS_PER_S, "burst": BURST},
            }
        ],
    }


class TektiiRig:
    """One account behind a gateway, with fees of `fee_bps`; `door` are settings of the gateway."""

    venue = "tektii"  # in a configuration
    symbols: Sequence[str] = tuple(PRICES)
    account = ACCOUNT
    heartbeat_s = 20.0
    faults = frozenset(Fault) - {Fault.NO_SNAPSHOT}

    def __init__(self, seed: int, *, fee_bps: int = 0, **door: Any) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            raise SimulationError("the rig stands on a simulated loop only")
        self._loop = loop
        self._foreign_count = 0
        self.hosted = Hosted(settings_of(configuration(seed, fee_bps=fee_bps, **door)))
        self.line = Line(f"http://{BEHIND[0]}:{BEHIND[1]}")

    async def start(self) -> Mapping[str, object]:
        """Listen, let the market move, and return the section for `build`."""
        await self.hosted.start()
        await self.line.start(*ADDRESS)
        for symbol in self.symbols:
            self.hosted.desk.watch(self._name(symbol), "quotes")
        while any(self._price(symbol) is None for symbol in self.symbols):
            await self._loop.sleep_until(self._loop.now_ns + 100_000_000)
        return {
            "settings": {
                "url": f"http://{ADDRESS[0]}:{ADDRESS[1]}",
                "api_key": KEY,
                "account": self.account,
                "silence_s": self.heartbeat_s,
                "order_types": [kind.value for kind in OrderType],
                "requests_per_s": REQUESTS_PER_S / 4,
                "burst": BURST / 4,
                "orders_per_s": REQUESTS_PER_S / 4,
                "orders_burst": BURST / 4,
            },
            "instruments": [
                {"symbol": symbol, "tick": str(TICK), "lot": str(LOT)} for symbol in self.symbols
            ],
        }

    async def aclose(self) -> None:
        """Stop everything."""
        await self.line.aclose()
        await self.hosted.aclose()

    # -- faults ----------------------------------------------------------------------------------

    def inflict(self, fault: Fault, *, count: int = 1, duration_s: float = 0.0) -> None:
        """Break something."""
        faults, network = self.line.faults, self._loop.network
        if fault in FRAME_FAULTS:
            name = FRAME_FAULTS[fault]
            setattr(faults, name, getattr(faults, name) + count)
        elif fault is Fault.CUT:
            network.cut(ADDRESS)
        elif fault is Fault.REFUSE:
            network.set_faults(ADDRESS, LinkFaults(refuse=True))
            self._loop.call_later(duration_s, network.set_faults, ADDRESS, LinkFaults())
        else:
            faults.is_mute = True
            self._loop.call_later(duration_s, setattr, faults, "is_mute", False)

    def heal(self) -> None:
        """End every fault."""
        self.line.heal()
        self._loop.network.set_faults(ADDRESS, LinkFaults())

    # -- the market ------------------------------------------------------------------------------

    def watch_book(
        self, symbol: str, on_change: Callable[[Sequence[Level], Sequence[Level]], None]
    ) -> None:
        """Do nothing: the protocol has no books to compare."""

    def _name(self, symbol: str) -> str:
        return f"{VENUE}:{symbol}"

    def _price(self, symbol: str) -> Decimal | None:
        """Return the middle of the market, on the grid."""
        price = self.hosted.engine.market.reference_price(self._name(symbol))
        if price is None:
            return None
        return self.hosted.engine.instruments[self._name(symbol)].round_price(price)

    def _terms(self, side: Side, share: Decimal) -> Terms:
        """Return an order so far above (for a buy) the market."""
        symbol = self.symbols[0]
        price = self._price(symbol)
        assert price is not None
        away = multiply(price, share if side is Side.BUY else -share)
        instrument = self.hosted.engine.instruments[self._name(symbol)]
        return Terms(side, instrument.round_price(add(price, away)), QUANTITY)

    def passive(self, side: Side) -> Terms:
        """Return an order for the first symbol that rests."""
        return self._terms(side, -PASSIVE)

    def marketable(self, side: Side) -> Terms:
        """Return an order that fills at once; much more than that is quoted."""
        return self._terms(side, MARKETABLE)

    # -- the account -----------------------------------------------------------------------------

    def trade_against(self, client_id: str, quantity: Decimal) -> None:
        """Have the tape print so much beyond the limit of our resting order."""
        order = next(one for one in self._orders() if client_order_id_of(one.key) == client_id)
        assert order.price is not None
        beyond = -TICK if order.side is Side.BUY else TICK
        now_ns = self.hosted.engine.clock.now_ns
        price = float(add(order.price, beyond))
        self.hosted.engine.bus.publish(
            Trade(order.instrument, now_ns, now_ns, price, float(quantity))
        )

    def place_foreign(self, terms: Terms) -> str:
        """Give an order on our account that did not come by the gateway."""
        self._foreign_count += 1
        intent = OrderIntent(
            run=RUN,
            key=f"web {self._foreign_count}",
            instrument=self._name(self.symbols[0]),
            side=terms.side,
            quantity=terms.quantity,
            type=OrderType.LIMIT,
            price=terms.price,
        )
        return str(self.hosted.engine.desk.submit(intent).order_id)

    def _orders(self) -> list[Order]:
        return list(self.hosted.orders.values())

    def orders(self) -> Sequence[VenueOrder]:
        """Return every order of the account."""
        return [
            VenueOrder(
                client_order_id_of(one.key) or "",
                symbol_of(one.instrument),
                one.side,
                one.quantity,
                one.filled,
                not one.is_closed,
            )
            for one in self._orders()
        ]

    def position(self, symbol: str) -> Decimal:
        """Return what the account holds."""
        return self.hosted.position(self.account, self._name(symbol))

    def taken_count(self, client_id: str) -> int:
        """Return how often the gateway took an order with an id: it answers repeats, and counts."""
        return self.line.taken[client_id]

    def logins(self) -> Sequence[str]:
        """Return a text per stream: the key is the same for all of them."""
        return [f"stream {number}" for number in range(self.line.opened_count)]

    def too_many_count(self) -> int:
        """Return how many requests passed the gateway's limits."""
        return self.line.refused_count

    @property
    def connection_count(self) -> int:
        """Open streams."""
        return self.line.stream_count
