"""Background members who keep every market two-sided and moving (S5).

All on the clock's timers and a seeded random source: the same seed gives the same activity (S16).
"""

from collections.abc import Callable
from random import Random

import msgspec

from adapters.kalshi.simulated.background_maker import BackgroundMaker
from adapters.kalshi.simulated.background_member import BackgroundMember, hit_a_resting_order
from adapters.kalshi.simulated.background_news import BackgroundNews, is_news
from adapters.kalshi.simulated.domain import DOLLAR_OF_MONEY
from adapters.kalshi.simulated.emitted import ExchangeEvent, LevelChanged
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.exchange_settings import AccountSettings
from framework.interfaces import TimerHandle

MAKERS = ("background-maker-1", "background-maker-2")
TAKER = "background-taker"
_RICH = 1_000_000_000 * DOLLAR_OF_MONEY
BACKGROUND_ACCOUNTS = tuple(
    AccountSettings(name=name, cash=_RICH, is_background=True) for name in (*MAKERS, TAKER)
)  # the exchange must have these members

_SECOND_NS = 1_000_000_000
_TICK_S = 0.05


class ActivitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much goes on."""

    steps_per_s: float = 4.0  # per market; each changes a level or two
    most_steps_per_s: float = 2_000.0  # over all markets
    steps_per_trade: int = 3
    news_s: float | None = 0.5  # between lifecycle events, lookups and RFQs; None: no such things
    hit_s: float | None = None  # between trades against a user's resting order
    members: tuple[str, ...] = ()  # users' accounts to act for, once a second
    member_s: float = 1.0


class Activity:
    """Starts and stops the background members."""

    def __init__(self, exchange: Exchange, random: Random, settings: ActivitySettings) -> None:
        self._exchange = exchange
        self._random = random
        self._settings = settings
        self._makers: dict[str, BackgroundMaker] = {}
        self._in_turn: list[BackgroundMaker] = []
        self._turns = 0
        self._steps_due = 0.0
        self._level_changes = 0
        self._timers: dict[str, TimerHandle] = {}
        self._news = BackgroundNews(exchange, TAKER) if settings.news_s else None
        self._members = [BackgroundMember(exchange, name) for name in settings.members]
        exchange.listen(self._count)

    @property
    def level_changes(self) -> int:
        """How many level changes the exchange has emitted so far."""
        return self._level_changes

    def start(self) -> None:
        """Fill the books of the markets that are open, and go on until `stop`."""
        settings = self._settings
        self._meet_markets()
        self._every("step", _TICK_S, self._step)
        if self._news and settings.news_s:
            self._every("news", settings.news_s, self._news.beat)
        if settings.hit_s:
            self._every("hit", settings.hit_s, self._hit)
        if self._members:
            self._every("members", settings.member_s, self._act_for_members)

    def stop(self) -> None:
        """Let the books stand as they are."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def burst(self, count: int) -> int:
        """Change at least `count` levels at once, all markets in turn; return how many it were.

        Fewer where no market takes orders.
        """
        before = self._level_changes
        self._meet_markets()
        idle = 0
        while self._level_changes - before < count and idle < len(self._makers):
            changes = self._level_changes
            self._take_turn()
            idle = idle + 1 if self._level_changes == changes else 0
        return self._level_changes - before

    def _count(self, event: ExchangeEvent) -> None:
        if type(event) is LevelChanged:
            self._level_changes += 1

    def _every(self, name: str, period_s: float, act: Callable[[], None]) -> None:
        """Act now and after every period; a late timer does not make up for lost time."""

        def fire() -> None:
            due_ns = self._exchange.clock.now_ns + round(period_s * _SECOND_NS)
            self._timers[name] = self._exchange.clock.call_at(due_ns, fire)
            act()

        fire()

    def _meet_markets(self) -> None:
        """Begin to quote markets that have opened, and forget those that have ended."""
        data = self._exchange.data
        for market in data.markets():
            is_new = market.ticker not in self._makers and not is_news(market)
            if market.status == "active" and is_new:
                maker = BackgroundMaker(
                    self._exchange, self._random, market.ticker, makers=MAKERS, taker=TAKER
                )
                self._makers[market.ticker] = maker
                if maker.can_trade:
                    maker.fill_book()
        ended = [
            ticker
            for ticker in self._makers
            if not data.has_market(ticker)
            or data.market(ticker).status not in {"active", "inactive"}
        ]
        for ticker in ended:
            del self._makers[ticker]
        if len(self._in_turn) != len(self._makers) or ended:
            self._in_turn = list(self._makers.values())

    def _step(self) -> None:
        self._meet_markets()
        settings = self._settings
        rate = min(settings.steps_per_s * len(self._makers), settings.most_steps_per_s)
        self._steps_due += rate * _TICK_S
        while self._steps_due >= 1:
            self._steps_due -= 1
            self._take_turn()

    def _take_turn(self) -> None:
        """Let the next market take a step; its turns count by themselves."""
        if not self._in_turn:
            return
        turn, place = divmod(self._turns, len(self._in_turn))
        self._turns += 1
        maker = self._in_turn[place]
        if maker.can_trade:
            maker.step()
            if turn % self._settings.steps_per_trade == 0:
                maker.trade()

    def _hit(self) -> None:
        hit_a_resting_order(self._exchange, self._random, TAKER)

    def _act_for_members(self) -> None:
        for member in self._members:
            member.beat()
