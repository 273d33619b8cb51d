"""What a gateway can truthfully say of itself: asset classes, order types, features, limits.

The core keeps what a venue lacks (stops, trailing stops, brackets, one-cancels-other), so order
types and exits are the same everywhere. What depends on a venue and is not known is not claimed.
"""

import re
from collections.abc import Iterable

from adapters.tektii import wire
from adapters.tektii.server_settings import Place
from framework.model.identity import symbol_of
from framework.model.instrument import Instrument, InstrumentKind
from framework.settings.server import LimitSettings

STOCK, FOREX, CRYPTO, FUTURES = "STOCK", "FOREX", "CRYPTO", "FUTURES"
CLASSES = (STOCK, FOREX, CRYPTO, FUTURES)
MOCK = "mock"  # takes any symbol (spec 16.2), so it is not asked what it has
MOCK_CLASSES = [STOCK, CRYPTO, FOREX]
FEATURES = ["bracket_orders", "oco", "trailing_stop", "reduce_only", "post_only", "get_quote"]
SHORT_SELLING = "short_selling"
SHORTABLE = frozenset({InstrumentKind.FUTURE, InstrumentKind.PERPETUAL})
LOOKED_AT = 10_000  # instruments of a venue; one with more has every class it has among these


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


FIAT = words(
    "AUD BRL CAD CHF CNH CNY CZK DKK EUR GBP HKD HUF INR JPY KRW MXN NOK NZD PLN SEK SGD THB TRY "
    "TWD USD ZAR"
)
COINS = words(
    "ADA ATOM AVAX BCH BNB BTC BUSD DAI DOGE DOT ETC ETH FDUSD LINK LTC NEAR SHIB SOL TRX UNI USDC "
    "USDT XBT XLM XMR XRP"
)
METALS = words("XAU XAG XPT XPD")
_SEPARATORS = re.compile(r"[/_\-.:]")


def capabilities_of(place: Place) -> wire.Capabilities:
    """Return what the venues of a gateway can do together."""
    instruments: list[Instrument] = []
    classes: set[str] = set()
    for venue in place.venues:
        known = place.desk.instruments(venue)[:LOOKED_AT]
        is_mock = place.platform(venue) == MOCK
        classes.update(MOCK_CLASSES if is_mock else asset_classes(known))
        instruments += known
    features = list(FEATURES)
    can_short = any(one.kind in SHORTABLE for one in instruments)
    if can_short or all(place.is_simulated(venue) for venue in place.venues):
        features.append(SHORT_SELLING)
    return wire.Capabilities(
        [one for one in CLASSES if one in classes],
        list(wire.OrderType),
        "NETTING",
        features,
        rate_limits=rate_limits(place.context.limits),
    )


def asset_classes(instruments: Iterable[Instrument]) -> set[str]:
    """Return the classes of some instruments; options and bets on events have none of the four."""
    found = set()
    for instrument in instruments:
        if instrument.kind in SHORTABLE:
            found.add(FUTURES)
        elif instrument.kind is InstrumentKind.SPOT:
            found.add(spot_class(instrument))
    return found


def spot_class(instrument: Instrument) -> str:
    """Return what is bought and sold: coins, one currency for another, or else shares."""
    base, quoted = instrument.base.upper(), instrument.currency.upper()
    symbol = _SEPARATORS.sub("", symbol_of(instrument.id).upper())
    if not base or base == symbol:  # the definition does not say; a pair names its currency last
        base, quoted = next(
            ((symbol[:-n], symbol[-n:]) for n in (3, 4, 5) if symbol[-n:] in FIAT | COINS),
            (symbol, quoted),
        )
    if base in COINS or quoted in COINS:
        return CRYPTO
    if base in FIAT | METALS and quoted in FIAT:
        return FOREX
    return STOCK


def rate_limits(limits: LimitSettings) -> wire.RateLimits:
    """Return what one token may ask for; an order is a request like any other."""
    per_second = max(1, int(limits.requests_per_s))
    return wire.RateLimits(max(1, int(limits.requests_per_s * 60)), per_second)
