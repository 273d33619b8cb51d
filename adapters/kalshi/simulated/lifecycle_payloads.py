"""The `msg` of lifecycle frames in each profile: markets, events and lookups (7.4-7.6)."""

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Market, SelectedLeg
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    MarketChanged,
    MultivariateLookedUp,
)
from adapters.kalshi.simulated.market_payloads import Payload
from adapters.kalshi.simulated.wire_units import dollars, seconds

NEWER_EVENT_TYPES = frozenset({"price_level_structure_updated", "metadata_updated"})


def has_market_event(change: MarketChanged, profile: Profile) -> bool:
    """Say whether the profile knows this step: two of them came with the current one.

    Multivariate markets never say them.
    """
    if change.event_type not in NEWER_EVENT_TYPES:
        return True
    return profile is Profile.CURRENT and not change.market.is_multivariate


def market_payload(change: MarketChanged, profile: Profile) -> Payload:
    """Return the `msg` of a `market_lifecycle_v2` or `multivariate_market_lifecycle` frame."""
    market = change.market
    payload: Payload = {"market_ticker": market.ticker, "event_type": change.event_type}
    match change.event_type:
        case "created":
            payload |= _created(market)
            if profile is Profile.CURRENT:
                payload["exchange_index"] = market.exchange_index
        case "close_date_updated":
            payload["close_ts"] = seconds(market.close_ns)
        case "activated" | "deactivated":
            payload["is_deactivated"] = change.event_type == "deactivated"
        case "determined":
            payload |= {
                "result": market.result,
                "settlement_value": dollars(market.settlement_value or 0),
                "determination_ts": seconds(market.determined_ns or change.time_ns),
            }
        case "settled":
            payload["settled_ts"] = seconds(market.settled_ns or change.time_ns)
        case "price_level_structure_updated":
            payload |= _price_grid(market)
        case "metadata_updated":
            payload |= _strikes(market) | {"yes_sub_title": market.yes_sub_title}
    return payload


def _created(market: Market) -> Payload:
    metadata: Payload = {
        "name": market.title,
        "title": market.title,
        "yes_sub_title": market.yes_sub_title,
        "no_sub_title": market.no_sub_title,
        "rules_primary": market.rules_primary,
        "rules_secondary": market.rules_secondary,
        "can_close_early": market.can_close_early,
        "event_ticker": market.event_ticker,
        "expected_expiration_ts": seconds(market.expected_expiration_ns),
    }
    return {
        "open_ts": seconds(market.open_ns),
        "close_ts": seconds(market.close_ns),
        "additional_metadata": metadata | _strikes(market),
        **_price_grid(market),
    }


def _price_grid(market: Market) -> Payload:
    return {
        "price_level_structure": market.price_level_structure,
        "price_ranges": [
            {"start": dollars(part.start), "end": dollars(part.end), "step": dollars(part.step)}
            for part in market.price_ranges
        ],
    }


def _strikes(market: Market) -> Payload:
    strikes: Payload = {
        "strike_type": market.strike_type or None,
        "floor_strike": market.floor_strike,
        "cap_strike": market.cap_strike,
        "custom_strike": market.custom_strike,
    }
    return {name: value for name, value in strikes.items() if value is not None}


def event_payload(created: EventCreated, profile: Profile) -> Payload:
    """Return the `msg` of an `event_lifecycle` frame."""
    event = created.event
    payload: Payload = {
        "event_ticker": event.event_ticker,
        "title": event.title,
        "sub_title" if profile is Profile.LEGACY else "subtitle": event.sub_title,
        "collateral_return_type": event.collateral_return_type,
        "series_ticker": event.series_ticker,
    }
    if event.strike_ns is not None:
        payload["strike_date"] = seconds(event.strike_ns)
    if event.strike_period:
        payload["strike_period"] = event.strike_period
    if profile is Profile.CURRENT:
        payload["exchange_index"] = 0
    return payload


def fee_payload(change: EventFeeChanged) -> Payload:
    """Return the `msg` of an `event_fee_update` frame; both overrides are null when cleared."""
    return {
        "event_ticker": change.event.event_ticker,
        "fee_type_override": change.event.fee_type_override,
        "fee_multiplier_override": change.event.fee_multiplier_override,
    }


def lookup_payload(lookup: MultivariateLookedUp) -> Payload:
    """Return the `msg` of a `multivariate_lookup` frame."""
    return {
        "collection_ticker": lookup.collection_ticker,
        "event_ticker": lookup.event_ticker,
        "market_ticker": lookup.market_ticker,
        "selected_markets": legs(lookup.selected),
    }


def legs(selected: tuple[SelectedLeg, ...]) -> list[dict[str, str]]:
    """Return the legs of a multivariate market as the venue writes them."""
    return [
        {"event_ticker": leg.event_ticker, "market_ticker": leg.market_ticker, "side": leg.side}
        for leg in selected
    ]
