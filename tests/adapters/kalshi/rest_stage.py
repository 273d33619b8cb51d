"""The simulated venue's REST side, which verifies signatures, and our client in front of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import msgspec

from adapters.kalshi.account_reads import AccountReads
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.market_reads import MarketReads
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import NewOrder
from adapters.kalshi.simulated import domain
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from adapters.kalshi.simulated.http import RestSettings
from adapters.kalshi.simulated.rest_faults import RestFault
from adapters.kalshi.simulated.rig import KEY_ID, rig_key
from adapters.kalshi.venue import KalshiVenue, KeySettings, VenueSettings
from framework.errors import VenueUnavailable
from framework.settings.secrets import Secret
from tests.adapters.kalshi.simulated.rest_rig import START_NS, play, started_clock
from tests.broker.rig import RigContext, simulated_loop

T = TypeVar("T")
ADDRESS = ("venue", 8000)
OTHER = "other"  # a member to trade with
TICKERS = tuple(market.ticker for market in demo_settings(START_NS, market_count=13).markets)
CENTS, TAPERED, TENTHS = TICKERS[0], TICKERS[6], TICKERS[12]  # the last one trades fractions
CONTRACT, CENT = domain.CONTRACT, domain.DOLLAR // 100


class Stage(msgspec.Struct):
    """The venue, and an account's view of it."""

    venue: KalshiVenue
    rest: KalshiRest
    context: RigContext
    account: AccountReads
    market: MarketReads

    @property
    def exchange(self) -> Exchange:
        """What is behind the venue."""
        return self.venue.exchange

    async def buy(
        self, name: str, cents: int, contracts: int = 10, *, ticker: str = CENTS, **terms: Any
    ) -> str:
        """Bid for yes contracts by REST; return the venue's id of the order."""
        return await self._order(name, cents, contracts, is_bid=True, ticker=ticker, **terms)

    async def sell(
        self, name: str, cents: int, contracts: int = 10, *, ticker: str = CENTS, **terms: Any
    ) -> str:
        """Offer yes contracts by REST, held or not; return the venue's id of the order."""
        return await self._order(name, cents, contracts, is_bid=False, ticker=ticker, **terms)

    def meet(
        self, cents: int, contracts: int = 10, *, is_bid: bool, ticker: str = CENTS
    ) -> domain.Order:
        """Have somebody else give an order at the price of the yes leg."""
        order = domain.NewOrder(
            ticker=ticker,
            side="yes",
            action="buy" if is_bid else "sell",
            price=cents * CENT,
            count=contracts * CONTRACT,
        )
        return self.exchange.orders.submit(OTHER, order)

    def fail(self, kind: Any, method: str = "", path: str = "", **fault: Any) -> None:
        """Let a request go wrong, the next one unless told otherwise."""
        terms = {"count": 1} | fault
        self.venue.rest.faults.add(RestFault(kind=kind, method=method, path=path, **terms))

    def asked(self, method: str, path: str) -> list[str]:
        """Return the queries of the requests that the venue heard; `path` is how theirs ends."""
        return [
            heard.query
            for heard in self.venue.rest.received
            if heard.method == method and heard.path.endswith(path)
        ]

    async def _order(
        self, name: str, cents: int, contracts: int, *, is_bid: bool, ticker: str, **terms: Any
    ) -> str:
        order = NewOrder(
            ticker=ticker,
            client_order_id=name,
            is_bid=is_bid,
            count=contracts * CONTRACT,
            price=cents * CENT,
            **terms,
        )
        return (await self.rest.create_order(order)).order_id


def exchange_settings(**more: Any) -> ExchangeSettings:
    """Return markets of every grid, and somebody to trade with."""
    settings = demo_settings(
        START_NS, market_count=13, accounts=(AccountSettings(name=OTHER, cash=10**12),)
    )
    return msgspec.structs.replace(settings, **more)


@asynccontextmanager
async def stage(
    *,
    profile: Profile = Profile.CURRENT,
    uses_first: bool = False,
    rest: RestSettings = RestSettings(),  # noqa: B008 -- it is frozen
    exchange: ExchangeSettings | None = None,
    tokens_per_s: tuple[float, float] = (1e6, 1e6),
    cash: int = 1_000 * domain.DOLLAR_OF_MONEY,
) -> AsyncIterator[Stage]:
    """Start a venue on which nothing happens by itself; `tokens_per_s` are for reads and writes."""
    clock = started_clock()
    public_key, private_key = rig_key()
    known = exchange or exchange_settings()
    member = AccountSettings(name="main", cash=cash)
    settings = VenueSettings(
        keys=(KeySettings(key_id=KEY_ID, public_key=public_key, account="main"),),
        profile=profile,
        exchange=msgspec.structs.replace(known, accounts=(*known.accounts, member)),
        activity=None,
        rest=rest,
    )
    venue = KalshiVenue(settings, clock, Random(7))
    await venue.start(*ADDRESS)
    context = RigContext(simulated_loop())
    context.clock = clock
    client = KalshiRest(
        context,
        venue.rest_url,
        KalshiKey(KEY_ID, Secret(private_key), context),
        read_tokens_per_s=tokens_per_s[0],
        write_tokens_per_s=tokens_per_s[1],
        uses_first_generation=uses_first,
    )
    try:
        yield Stage(
            venue,
            client,
            context,
            AccountReads("main", "x", client, clock),
            MarketReads(client, clock),
        )
    finally:
        await client.aclose()
        await venue.aclose()
        clock.stop()


def on_stage(scene: Callable[[Stage], Awaitable[T]], **options: Any) -> T:
    """Play a scene on a simulated loop."""

    async def main() -> T:
        async with stage(**options) as one:
            return await scene(one)

    return play(main)


async def pass_time(seconds: float) -> None:
    """Let virtual time pass."""
    loop = simulated_loop()
    await loop.sleep_until(loop.now_ns + round(seconds * 1e9))


async def in_doubt(request: Awaitable[object]) -> None:
    """Send a request of which nobody will know what became of it."""
    try:
        await request
    except VenueUnavailable:
        return
    raise AssertionError("it was answered")
