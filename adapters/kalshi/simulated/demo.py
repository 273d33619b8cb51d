"""A small exchange to try things on: markets, members, and what goes on there."""

from datetime import UTC, datetime, timedelta

from adapters.kalshi.simulated.activity import BACKGROUND_ACCOUNTS
from adapters.kalshi.simulated.domain import EventInfo, Market, SeriesInfo
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings

DEMO_ACCOUNTS = (AccountSettings(name="demo"), AccountSettings(name="second"))
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_CITIES = {
    "BOS": "Boston",
    "NYC": "New York",
    "CHI": "Chicago",
    "MIA": "Miami",
    "SEA": "Seattle",
    "DEN": "Denver",
}
_SERIES = {"KXRAIN": "Rain", "KXSNOW": "Snow", "KXWIND": "A gale"}
_STRUCTURES = ("linear_cent", "tapered_deci_cent", "deci_cent")


def demo_settings(
    now_ns: int,
    *,
    market_count: int = 6,
    accounts: tuple[AccountSettings, ...] = DEMO_ACCOUNTS,
) -> ExchangeSettings:
    """Return an exchange with `market_count` open markets, and members for the activity.

    Day after day every series asks about every city; the series take the price structures in
    turn, and one in three trades fractions.
    """
    events: dict[str, EventInfo] = {}
    markets: list[Market] = []
    for number in range(market_count):
        rest, city = divmod(number, len(_CITIES))
        day, kind = divmod(rest, len(_SERIES))
        event = _event(now_ns, day, list(_SERIES)[kind])
        events[event.event_ticker] = event
        markets.append(_market(event, list(_CITIES)[city], kind))
    return ExchangeSettings(
        accounts=(*accounts, *BACKGROUND_ACCOUNTS),
        series=tuple(
            SeriesInfo(ticker=ticker, title=title, category="Climate")
            for ticker, title in _SERIES.items()
        ),
        events=tuple(events.values()),
        markets=tuple(markets),
    )


def _event(now_ns: int, day: int, series: str) -> EventInfo:
    """The event of a series on the day that ends `day` + 1 midnights (UTC) from now, or later."""
    strike_ns = (now_ns // _DAY_NS + day + 2) * _DAY_NS
    date = datetime.fromtimestamp(strike_ns // _SECOND_NS, UTC) - timedelta(days=1)
    return EventInfo(
        event_ticker=f"{series}-{date:%y%b%d}".upper(),
        series_ticker=series,
        title=f"{_SERIES[series]} on {date:%d %B}?",
        sub_title="by city",
        strike_ns=strike_ns,
        strike_period="day",
    )


def _market(event: EventInfo, city: str, kind: int) -> Market:
    close_ns = event.strike_ns or 0
    return Market(
        ticker=f"{event.event_ticker}-{city}",
        event_ticker=event.event_ticker,
        title=f"{event.title.rstrip('?')} in {_CITIES[city]}?",
        yes_sub_title=_CITIES[city],
        no_sub_title=_CITIES[city],
        close_ns=close_ns,
        expected_expiration_ns=close_ns,
        latest_expiration_ns=close_ns + 7 * _DAY_NS,
        price_level_structure=_STRUCTURES[kind],
        fractional_trading_enabled=kind == 2,
        rules_primary=f"Yes if the station of {_CITIES[city]} reports it on that day.",
    )
