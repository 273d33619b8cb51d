"""Does what action faults say, to the connections and subscriptions they concern."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from adapters.kalshi.simulated.domain import CONTRACT
from adapters.kalshi.simulated.emitted import LevelChanged
from adapters.kalshi.simulated.fan_out import FanOut
from adapters.kalshi.simulated.faults import (
    Abort,
    Action,
    Close,
    Flood,
    HalfOpen,
    Inject,
    PushSnapshot,
    RestartSequence,
    SendError,
)
from adapters.kalshi.simulated.frames import Ending
from adapters.kalshi.simulated.stream_context import StreamContext
from adapters.kalshi.simulated.stream_session import StreamSession
from adapters.kalshi.simulated.subscriptions import Subscription
from adapters.kalshi.simulated.wire_units import NS_PER_S

BOOKS = "orderbook_delta"
FLOOD_PRICE = 100  # of the yes leg: far from where anybody trades


class FaultActions:
    """Knows the living sessions; `perform` is what `Faults` calls."""

    def __init__(
        self, context: StreamContext, sessions: Mapping[int, StreamSession], fan_out: FanOut
    ) -> None:
        self._context = context
        self._sessions = sessions
        self._fan_out = fan_out

    def perform(self, action: Action, connection: int | None) -> None:
        """Do an action to all that it concerns, or on one connection alone."""
        sessions = [
            session
            for number, session in list(self._sessions.items())
            if connection in (None, number) and action.connection in (None, number)
        ]
        for session in sessions:
            if _names_subscriptions(action) and not any(_matching(action, session)):
                continue
            self._perform_on(session, action)

    def _perform_on(self, session: StreamSession, action: Action) -> None:
        match action:
            case Abort():
                session.end(Ending(None, "aborted"))
            case Close(code=code, reason=reason):
                session.end(Ending(code, reason))
            case HalfOpen(for_s=for_s):
                self._cut_half(session, for_s)
            case SendError():
                _send_error(session, action)
            case Inject():
                _inject(session, action)
            case _:
                for subscription in _matching(action, session):
                    self._perform_on_subscription(subscription, action)

    def _perform_on_subscription(self, subscription: Subscription, action: Action) -> None:
        match action:
            case RestartSequence(first=first):
                subscription.seq = first - 1
            case PushSnapshot(market_ticker=ticker):
                if subscription.channel.name == BOOKS:
                    for market in _markets(subscription, ticker):
                        subscription.session.send_book(subscription, market)
            case Flood(frames=frames, market_ticker=ticker):
                markets = _markets(subscription, ticker) or self._all_markets(ticker)
                if subscription.channel.name == BOOKS:
                    self._flood_books(subscription, markets, frames)
                elif subscription.channel.name == "ticker":
                    self._flood_tickers(subscription, markets, frames)

    def _cut_half(self, session: StreamSession, for_s: float | None) -> None:
        session.is_half_open = True
        if for_s is not None:
            due_ns = self._context.clock.now_ns + round(for_s * NS_PER_S)
            self._context.clock.call_at(due_ns, session.restore)

    def _flood_books(self, subscription: Subscription, markets: Sequence[str], frames: int) -> None:
        """Send changes in pairs, each taking itself back, so that the book stays true."""
        for _, ticker in zip(range(0, frames, 2), itertools.cycle(markets), strict=False):
            for change in (CONTRACT, -CONTRACT):
                self._fan_out.send_level(self._ripple(ticker, change), [subscription])

    def _flood_tickers(
        self, subscription: Subscription, markets: Sequence[str], frames: int
    ) -> None:
        for _, ticker in zip(range(frames), itertools.cycle(markets), strict=False):
            if subscription.is_open:
                body = self._context.ticker_body(self._context.exchange.data.ticker(ticker))
                subscription.session.deliver(subscription, "ticker", body, ticker=ticker)

    def _all_markets(self, ticker: str) -> list[str]:
        return [ticker] if ticker else [m.ticker for m in self._context.exchange.data.markets()]

    def _ripple(self, ticker: str, change: int) -> LevelChanged:
        market = self._context.exchange.data.market(ticker)
        return LevelChanged(
            ticker=ticker,
            market_id=market.market_id,
            side="yes",
            price=FLOOD_PRICE,
            change=change,
            size=0,
            owner="",
            client_order_id="",
            subaccount=0,
            time_ns=self._context.clock.now_ns,
        )


def _names_subscriptions(action: Action) -> bool:
    return action.sid is not None or bool(action.channel) or bool(action.market_ticker)


def _matching(action: Action, session: StreamSession) -> Iterable[Subscription]:
    for subscription in list(session.subscriptions.values()):
        tickers = subscription.tickers
        has_market = not action.market_ticker or tickers is None or action.market_ticker in tickers
        if (
            has_market
            and action.sid in (None, subscription.sid)
            and action.channel in ("", subscription.channel.name)
        ):
            yield subscription


def _markets(subscription: Subscription, ticker: str) -> list[str]:
    return [market for market in subscription.tickers or () if ticker in ("", market)]


def _send_error(session: StreamSession, action: SendError) -> None:
    if not _names_subscriptions(action):
        session.send_error(action.code, text=action.text)
        return
    for subscription in _matching(action, session):
        session.fail(subscription, action.code, text=action.text, is_terminal=action.is_terminal)


def _inject(session: StreamSession, action: Inject) -> None:
    if not action.text:
        session.inject(action.binary, is_binary=True)
    elif "{sid}" not in action.text and "{seq}" not in action.text:
        session.inject(action.text.encode(), is_binary=False)
    else:
        for subscription in _matching(action, session):
            text = action.text.replace("{sid}", str(subscription.sid))
            if "{seq}" in text:
                text = text.replace("{seq}", str(subscription.next_seq() or 0))
            session.inject(text.encode(), is_binary=False)
