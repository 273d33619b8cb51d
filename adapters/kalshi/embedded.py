"""A simulated venue in this process, for a configuration that names nothing but its markets."""

from adapters.kalshi.settings import KalshiSettings
from adapters.kalshi.simulated.activity import ActivitySettings
from adapters.kalshi.simulated.auth import NOBODY, AuthMode
from adapters.kalshi.simulated.domain import DOLLAR_OF_MONEY, EventInfo, Market, SeriesInfo
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from adapters.kalshi.venue import KalshiVenue, VenueSettings
from framework.interfaces import AdapterContext

OPEN_NS = 30 * 86_400_000_000_000  # how long its markets are open
PAST_MINUTES = 1_500  # of candles, for strategies that look back before they begin


def embedded_venue(settings: KalshiSettings, context: AdapterContext) -> KalshiVenue:
    """Return a venue with the configured markets, in which somebody trades all the time."""
    chosen = settings.simulated
    close_ns = context.clock.now_ns + OPEN_NS
    exchange = ExchangeSettings(
        accounts=(AccountSettings(name=NOBODY, cash=chosen.cash * DOLLAR_OF_MONEY),),
        series=_series(settings.markets),
        events=_events(settings.markets),
        markets=tuple(
            Market(ticker=ticker, event_ticker=_event_of(ticker), title=ticker, close_ns=close_ns)
            for ticker in settings.markets
        ),
        past_minutes=PAST_MINUTES,
    )
    activity = (
        ActivitySettings(steps_per_s=chosen.rate, hit_s=chosen.hit_s) if chosen.rate else None
    )
    return KalshiVenue(
        VenueSettings(auth=AuthMode.OFF, exchange=exchange, activity=activity),
        context.clock,
        context.random_for(f"embedded venue {chosen.seed}"),
    )


def _series(tickers: tuple[str, ...]) -> tuple[SeriesInfo, ...]:
    names = dict.fromkeys(_series_of(ticker) for ticker in tickers)
    return tuple(SeriesInfo(ticker=name, title=name) for name in names)


def _events(tickers: tuple[str, ...]) -> tuple[EventInfo, ...]:
    events = {_event_of(ticker): _series_of(ticker) for ticker in tickers}
    return tuple(
        EventInfo(event_ticker=event, series_ticker=series, title=event)
        for event, series in events.items()
    )


def _event_of(ticker: str) -> str:
    """Return the event of a market: its ticker without the last part."""
    return ticker.rpartition("-")[0] or ticker


def _series_of(ticker: str) -> str:
    return ticker.partition("-")[0]
