"""The simulated venue under the control of the adapter kit, on a simulated loop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from adapters.kalshi.simulated import faults as stream_faults
from adapters.kalshi.simulated.activity import TAKER, ActivitySettings
from adapters.kalshi.simulated.auth import SIGNATURE
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR, NewOrder, Order
from adapters.kalshi.simulated.emitted import ExchangeEvent, LevelChanged
from adapters.kalshi.simulated.exchange_settings import ExchangeSettings
from adapters.kalshi.simulated.http import RestSettings
from adapters.kalshi.simulated.http_event_orders import PATH as ORDERS
from adapters.kalshi.simulated.rest_faults import RestFault
from adapters.kalshi.simulated.streams import PATH as STREAMS
from adapters.kalshi.simulated.venue_settings import KeySettings, VenueSettings
from framework.adapter_kit.rig import Fault, Terms, VenueOrder
from framework.clock.clock import LiveClock
from framework.errors import SimulationError
from framework.model.market_data import Level
from framework.model.orders import Side
from framework.simulation.link import LinkFaults
from framework.simulation.loop import SimulatedLoop

if TYPE_CHECKING:
    from adapters.kalshi.venue import KalshiVenue

ADDRESS = ("kalshi", 8080)
KEY_ID = "rig-key"
QUANTITY = 10 * CONTRACT
CENT = DOLLAR // 100
AWAY = 2 * CENT  # passive orders lie so close to the end of the grid
THROUGH = 2 * CENT  # marketable ones so far beyond the best price
WALL = 100 * QUANTITY  # what stands behind a marketable order, for so long:
WALL_NS = 5_000_000_000
PAST_MINUTES = 2_600
MARKET_DATA = ("orderbook_snapshot", "orderbook_delta", "trade", "ticker")
FRAME_FAULTS = {
    Fault.LOSE: stream_faults.Lose,
    Fault.REPEAT: stream_faults.Duplicate,
    Fault.SWAP: stream_faults.Swap,
    Fault.GARBLE: stream_faults.Garble,
}

OnChange = Callable[[Sequence[Level], Sequence[Level]], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KalshiRig:
    """One account on a busy venue, which verifies signatures and enforces its limits.

    The second market has prices of a tenth of a cent near the ends.
    """

    venue = "kalshi"  # in a configuration
    account = "main"
    heartbeat_s = 10.0
    faults = frozenset(Fault)

    def __init__(self, seed: int) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            raise SimulationError("the rig stands on a simulated loop only")
        self._loop = loop
        self._random = Random(seed)
        self._clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self._clock.start()
        self._watchers: dict[str, list[OnChange]] = {}
        self._logins: list[str] = []
        self._refusals = 0
        self._foreign = 0
        self.kalshi = self._venue()
        markets = self.kalshi.exchange.data.markets()
        self.symbols: Sequence[str] = tuple(market.ticker for market in markets)
        self.kalshi.exchange.listen(self._on_event)
        self.kalshi.app.middlewares.append(self._note_login)

    def _venue(self) -> "KalshiVenue":
        from adapters.kalshi.venue import KalshiVenue  # which offers this rig

        public_key, _ = rig_key()
        settings = VenueSettings(
            keys=(KeySettings(key_id=KEY_ID, public_key=public_key, account=self.account),),
            exchange=_exchange(self._clock.now_ns),
            activity=ActivitySettings(news_s=20.0),
            rest=RestSettings(enforces_limits=True),
        )
        return KalshiVenue(settings, self._clock, self._random)

    async def start(self) -> Mapping[str, object]:
        """Listen, let the market move, and return the section for `build`."""
        await self.kalshi.start(*ADDRESS)
        return {
            "settings": {
                "account": self.account,
                "markets": list(self.symbols),
                "rest_url": self.kalshi.rest_url,
                "stream_url": self.kalshi.ws_url,
                "key_id": KEY_ID,
                "private_key": rig_key()[1],
            }
        }

    async def aclose(self) -> None:
        """Stop everything."""
        await self.kalshi.aclose()
        self._clock.stop()

    # -- faults ----------------------------------------------------------------------------------

    def inflict(self, fault: Fault, *, count: int = 1, duration_s: float = 0.0) -> None:
        """Break something."""
        control, rest = self.kalshi.control, self.kalshi.rest.faults
        if fault in FRAME_FAULTS:
            control.inject(FRAME_FAULTS[fault](types=MARKET_DATA, count=count))
        elif fault is Fault.CUT:
            self._loop.network.cut(ADDRESS)
        elif fault is Fault.REFUSE:
            self._refuse(duration_s)
        elif fault is Fault.MUTE:
            control.inject(stream_faults.HalfOpen(for_s=duration_s))
        elif fault is Fault.LOSE_ANSWER:
            rest.add(RestFault(kind="lose_answer", method="POST", path=ORDERS, count=count))
        elif fault is Fault.NO_SNAPSHOT:
            control.inject(stream_faults.WithholdSnapshots(for_s=duration_s))
        else:
            rest.add(RestFault(kind="refuse", status=429, count=count))

    def _refuse(self, duration_s: float) -> None:
        """Refuse connections: in turn by an answer of the venue, or before there is any."""
        self._refusals += 1
        if self._refusals % 2:
            self.kalshi.control.inject(stream_faults.RefuseHandshakes(for_s=duration_s))
            self.kalshi.rest.faults.add(RestFault(kind="lose_request", for_s=duration_s))
        else:
            self._loop.network.set_faults(ADDRESS, LinkFaults(refuse=True))
            self._loop.call_later(duration_s, self._loop.network.set_faults, ADDRESS, LinkFaults())

    def heal(self) -> None:
        """End every fault."""
        self.kalshi.control.heal()
        self.kalshi.rest.faults.clear()
        self._loop.network.set_faults(ADDRESS, LinkFaults())

    # -- the market ------------------------------------------------------------------------------

    def watch_book(self, symbol: str, on_change: OnChange) -> None:
        """Call `on_change(bids, asks)` now and whenever the public gets to see the book."""
        self._watchers.setdefault(symbol, []).append(on_change)
        on_change(*self._book(symbol))

    def _on_event(self, event: ExchangeEvent) -> None:
        if isinstance(event, LevelChanged) and event.ticker in self._watchers:
            book = self._book(event.ticker)
            for on_change in self._watchers[event.ticker]:
                on_change(*book)

    def _book(self, symbol: str) -> tuple[list[Level], list[Level]]:
        book = self.kalshi.exchange.data.book(symbol)
        bids = [(price / DOLLAR, count / CONTRACT) for price, count in reversed(book.yes)]
        asks = [((DOLLAR - price) / DOLLAR, count / CONTRACT) for price, count in reversed(book.no)]
        return bids, asks

    def passive(self, side: Side) -> Terms:
        """Return an order for the first symbol that rests."""
        return _terms(side, AWAY if side is Side.BUY else DOLLAR - AWAY)

    def marketable(self, side: Side) -> Terms:
        """Return an order that fills at once; there is more than enough behind it."""
        ticker = self.kalshi.exchange.data.ticker(self.symbols[0])
        is_bid = side is Side.BUY
        price = ticker.yes_ask + THROUGH if is_bid else ticker.yes_bid - THROUGH
        price = min(max(price, CENT), DOLLAR - CENT)
        self._background(
            is_bid=not is_bid,
            price=price,
            count=WALL,
            expiration_ns=self._clock.now_ns + WALL_NS,
        )
        return _terms(side, price)

    def _background(self, *, is_bid: bool, price: int, count: int, **terms: object) -> None:
        self.kalshi.exchange.orders.submit(TAKER, self._order(is_bid, price, count, **terms))

    def _order(self, is_bid: bool, price: int, count: int, **terms: object) -> NewOrder:
        order = NewOrder(
            ticker=self.symbols[0],
            side="yes" if is_bid else "no",
            action="buy",
            price=price,
            count=count,
        )
        return msgspec.structs.replace(order, **terms)

    # -- the account -----------------------------------------------------------------------------

    def trade_against(self, client_id: str, quantity: Decimal) -> None:
        """Have the background take all that stands before our order, and so much of it."""
        exchange = self.kalshi.exchange
        order = exchange.portfolio.order_by_client_id(self.account, client_id)
        assert order is not None
        book = exchange.data.book(order.ticker)
        leg_price = order.yes_price if order.is_bid else DOLLAR - order.yes_price
        ladder = book.yes if order.is_bid else book.no
        better = sum(count for price, count in ladder if price > leg_price)
        queues = exchange.portfolio.queue_positions(self.account, (order.ticker,))
        queue = next(ahead for queued, ahead in queues if queued.order_id == order.order_id)
        self._background(
            is_bid=not order.is_bid,
            price=order.yes_price,
            count=better + queue + int(quantity * CONTRACT),
            time_in_force="immediate_or_cancel",
        )

    def place_foreign(self, terms: Terms) -> str:
        """Give an order in our account under an id that is not ours."""
        self._foreign += 1
        request = self._order(
            terms.side is Side.BUY,
            int(terms.price * DOLLAR),
            int(terms.quantity * CONTRACT),
            client_order_id=f"web-{self._foreign}",
        )
        return self.kalshi.exchange.orders.submit(self.account, request).order_id

    def orders(self) -> Sequence[VenueOrder]:
        """Return every order of our account."""
        return [_told(order) for order in self.kalshi.exchange.portfolio.orders(self.account)]

    def position(self, symbol: str) -> Decimal:
        """Return the yes contracts that our account holds; no contracts are negative."""
        position = self.kalshi.exchange.portfolio.position(self.account, symbol)
        return Decimal(position.position) / CONTRACT

    def taken_count(self, client_id: str) -> int:
        """Return how often an order with an id arrived; the venue takes none twice (409)."""
        return sum(
            received.method == "POST"
            and received.path.endswith(ORDERS)
            and received.status in (201, 409)
            and f'"{client_id}"' in received.body
            for received in self.kalshi.rest.received
        )

    async def _note_login(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == STREAMS:
            self._logins.append(request.headers.get(SIGNATURE, ""))
        return await handler(request)

    _note_login.__middleware_version__ = 1  # type: ignore[attr-defined] # as `web.middleware` does

    def logins(self) -> Sequence[str]:
        """Return the signature of every handshake that came to the venue."""
        return self._logins

    def too_many_count(self) -> int:
        """Return how many requests were beyond the venue's limits."""
        return self.kalshi.rest.throttle.refused_count

    @property
    def connection_count(self) -> int:
        """Open connections to streams."""
        return self.kalshi.control.statistics()["connections"]


@cache
def rig_key() -> tuple[str, str]:
    """Return the public and the private half of a key in PEM, made when first asked for."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return public.decode(), private.decode()


def _exchange(now_ns: int) -> ExchangeSettings:
    demo = demo_settings(now_ns, market_count=2, accounts=())
    first, second = demo.markets
    second = msgspec.structs.replace(second, price_level_structure="tapered_deci_cent")
    return msgspec.structs.replace(demo, markets=(first, second), past_minutes=PAST_MINUTES)


def _terms(side: Side, price: int) -> Terms:
    return Terms(side, Decimal(price) / DOLLAR, Decimal(QUANTITY) / CONTRACT)


def _told(order: Order) -> VenueOrder:
    return VenueOrder(
        order.client_order_id,
        order.ticker,
        Side.BUY if order.is_bid else Side.SELL,
        Decimal(order.initial_count) / CONTRACT,
        Decimal(order.fill_count) / CONTRACT,
        order.status == "resting",
    )
