"""The `msg` of `communications` frames in each profile: RFQs and quotes (7.11)."""

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Rfq, RfqQuote
from adapters.kalshi.simulated.emitted import (
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
)
from adapters.kalshi.simulated.lifecycle_payloads import legs
from adapters.kalshi.simulated.market_payloads import Payload
from adapters.kalshi.simulated.wire_units import (
    cents,
    contracts,
    dollars,
    fixed_point,
    money,
    rfc3339,
    ten_thousandths,
)


def rfq_created_payload(created: RfqCreated, profile: Profile) -> Payload:
    """Return the `msg` of an `rfq_created` frame."""
    rfq = created.rfq
    payload = _rfq(rfq, profile) | {"created_ts": rfc3339(created.time_ns)}
    if rfq.mve_collection_ticker:
        payload["mve_collection_ticker"] = rfq.mve_collection_ticker
        payload["mve_selected_legs"] = legs(rfq.mve_selected_legs)
    return payload


def rfq_deleted_payload(deleted: RfqDeleted, profile: Profile) -> Payload:
    """Return the `msg` of an `rfq_deleted` frame."""
    return _rfq(deleted.rfq, profile) | {"deleted_ts": rfc3339(deleted.time_ns)}


def _rfq(rfq: Rfq, profile: Profile) -> Payload:
    payload: Payload = {
        "id": rfq.rfq_id,
        "creator_id": rfq.creator_id,
        "market_ticker": rfq.market_ticker,
        "event_ticker": rfq.event_ticker,
    }
    if rfq.contracts is not None:
        payload["contracts_fp"] = fixed_point(rfq.contracts)
        if profile is Profile.LEGACY:
            payload["contracts"] = contracts(rfq.contracts)
    if rfq.target_cost is not None:
        payload |= _cost("target_cost", rfq.target_cost, profile)
    return payload


def _cost(name: str, amount: int, profile: Profile) -> Payload:
    cost: Payload = {f"{name}_dollars": money(amount)}
    if profile is Profile.LEGACY:
        cost[name] = ten_thousandths(amount)
    return cost


def quote_created_payload(created: QuoteCreated, profile: Profile) -> Payload:
    """Return the `msg` of a `quote_created` frame."""
    return _quote(created.quote, profile) | {"created_ts": rfc3339(created.time_ns)}


def quote_accepted_payload(accepted: QuoteAccepted, profile: Profile) -> Payload:
    """Return the `msg` of a `quote_accepted` frame."""
    quote = accepted.quote
    payload = _quote(quote, profile) | {"accepted_side": quote.accepted_side}
    if quote.contracts_accepted is not None:
        payload["contracts_accepted_fp"] = fixed_point(quote.contracts_accepted)
        if profile is Profile.LEGACY:
            payload["contracts_accepted"] = contracts(quote.contracts_accepted)
    return payload


def quote_executed_payload(executed: QuoteExecuted) -> Payload:
    """Return the `msg` of a `quote_executed` frame, with the order of the account it is for."""
    return _parties(executed.quote) | {
        "order_id": executed.order_id,
        "client_order_id": executed.client_order_id,
        "executed_ts": rfc3339(executed.time_ns),
    }


def _quote(quote: RfqQuote, profile: Profile) -> Payload:
    payload = _parties(quote) | {
        "event_ticker": quote.event_ticker,
        "yes_bid_dollars": dollars(quote.yes_bid),
        "no_bid_dollars": dollars(quote.no_bid),
        "yes_contracts_offered_fp": fixed_point(quote.yes_contracts_offered),
        "no_contracts_offered_fp": fixed_point(quote.no_contracts_offered),
    }
    if profile is Profile.LEGACY:
        payload |= {
            "yes_bid": cents(quote.yes_bid),
            "no_bid": cents(quote.no_bid),
            "yes_contracts_offered": contracts(quote.yes_contracts_offered),
            "no_contracts_offered": contracts(quote.no_contracts_offered),
        }
    if quote.rfq_target_cost is not None:
        payload |= _cost("rfq_target_cost", quote.rfq_target_cost, profile)
    return payload


def _parties(quote: RfqQuote) -> Payload:
    parties: Payload = {
        "quote_id": quote.quote_id,
        "rfq_id": quote.rfq_id,
        "quote_creator_id": quote.quote_creator_id,
        "rfq_creator_id": quote.rfq_creator_id,
        "market_ticker": quote.market_ticker,
    }
    if quote.subaccount:
        parties["subaccount"] = quote.subaccount
    return parties
