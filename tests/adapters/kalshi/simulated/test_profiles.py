"""Every frame of section 7 in the three profiles, field by field (S4)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.simulated.channels import CHANNELS, Profile
from adapters.kalshi.simulated.domain import (
    EventInfo,
    Fill,
    Market,
    Order,
    Position,
    Rfq,
    RfqQuote,
    SelectedLeg,
    Settlement,
    TickerState,
    Trade,
)
from adapters.kalshi.simulated.emitted import (
    EventCreated,
    EventFeeChanged,
    ExchangeEvent,
    Filled,
    GroupChanged,
    MarketChanged,
    MultivariateLookedUp,
    OrderChanged,
    PositionChanged,
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
    Settled,
    TickerChanged,
    Traded,
)
from adapters.kalshi.simulated.price_grid import PRICE_STRUCTURES
from adapters.kalshi.simulated.wire_units import (
    cents,
    contracts,
    dollars,
    fixed_point,
    money,
    rfc3339,
    short_money,
    ten_thousandths,
)
from tests.adapters.kalshi.simulated.stream_rig import BOS, Message, Peer, Rig, types

LEGACY, SEED, CURRENT = Profile.LEGACY, Profile.SEED, Profile.CURRENT
T_NS = 1_770_000_002_118_304_000
T_S, T_MS, T_TEXT = 1_770_000_002, 1_770_000_002_118, "2026-02-02T02:40:02.118304Z"
EVENT = "KXRAIN-26NOV21"
OLD, NEW = {LEGACY}, {CURRENT}
YOUNG, ALL = {SEED, CURRENT}, set(Profile)

Fields = list[tuple[set[Profile], Message]]


def expected(fields: Fields, profile: Profile) -> Message:
    """Return the fields that a profile has."""
    chosen: Message = {}
    for profiles, part in fields:
        if profile in profiles:
            chosen |= part
    return chosen


def told(profile: Profile, channel: str, *events: ExchangeEvent, **settings: Any) -> list[Message]:
    """Return what a subscriber is told of events, after the acknowledgement."""
    rig = Rig(profile=profile, **settings)
    peer = rig.peer("alice")
    peer.say("subscribe", channels=[channel])
    for event in events:
        rig.exchange.emit(event)
    acknowledged, *messages = peer.heard()
    assert acknowledged["type"] == "subscribed"
    return messages


TICKER = TickerState(
    market_ticker=BOS,
    market_id="m-1",
    price=3700,
    yes_bid=3600,
    yes_ask=3900,
    yes_bid_size=5500,
    yes_ask_size=12_000,
    last_trade_size=400,
    volume=184_000,
    open_interest=91_200,
    dollar_volume=702,
    dollar_open_interest=338,
    time_ns=T_NS,
)
TRADE = Trade(
    trade_id="t-1", ticker=BOS, yes_price=3900, count=1200, taker_side="yes", time_ns=T_NS
)
FILL = Fill(
    trade_id="t-1",
    order_id="o-1",
    client_order_id="strat1-000042",
    account="alice",
    ticker=BOS,
    outcome_side="no",
    action="sell",
    yes_price=3900,
    count=1200,
    is_taker=True,
    fee=200_000,
    post_position=-1250,
    subaccount=2,
    time_ns=T_NS,
)
ORDER = Order(
    order_id="o-1",
    account="alice",
    user_id="u-1",
    client_order_id="c-1",
    ticker=BOS,
    side="yes",
    action="sell",
    order_type="limit",
    status="resting",
    yes_price=3500,
    initial_count=2000,
    fill_count=500,
    remaining_count=1500,
    taker_fill_cost=0,
    maker_fill_cost=1_750_000,
    taker_fees=0,
    maker_fees=1,
    time_in_force="good_till_canceled",
    post_only=False,
    reduce_only=False,
    cancel_order_on_pause=False,
    self_trade_prevention_type="maker",
    order_group_id="g-1",
    subaccount=0,
    expiration_ns=T_NS,
    created_ns=T_NS,
    updated_ns=T_NS,
    last_update_reason="Trade",
)
POSITION = Position(
    account="alice",
    user_id="u-1",
    ticker=BOS,
    position=-1200,
    position_cost=4_680_000,
    realized_pnl=-123_456,
    fees_paid=200_000,
    position_fee_cost=200_000,
    volume=1200,
)
QUOTE = RfqQuote(
    quote_id="q-1",
    rfq_id="r-1",
    account="bob",
    quote_creator_id="c1",
    rfq_account="alice",
    rfq_creator_id="c2",
    market_ticker=BOS,
    event_ticker=EVENT,
    yes_bid=3700,
    no_bid=6000,
    yes_contracts_offered=50_000,
    no_contracts_offered=100,
    rfq_target_cost=2_000_000,
    accepted_side="yes",
    contracts_accepted=50_000,
    subaccount=1,
)
RFQ = Rfq(
    rfq_id="r-1",
    account="alice",
    creator_id="0",
    market_ticker=BOS,
    event_ticker=EVENT,
    contracts=50_000,
)
PARTIES = {
    "quote_id": "q-1",
    "rfq_id": "r-1",
    "quote_creator_id": "c1",
    "rfq_creator_id": "c2",
    "market_ticker": BOS,
    "subaccount": 1,
}
QUOTE_FIELDS: Fields = [
    (
        ALL,
        PARTIES
        | {
            "event_ticker": EVENT,
            "yes_bid_dollars": "0.3700",
            "no_bid_dollars": "0.6000",
            "yes_contracts_offered_fp": "500.00",
            "no_contracts_offered_fp": "1.00",
            "rfq_target_cost_dollars": "2.000000",
        },
    ),
    (
        OLD,
        {
            "yes_bid": 37,
            "no_bid": 60,
            "yes_contracts_offered": 500,
            "no_contracts_offered": 1,
            "rfq_target_cost": 20_000,
        },
    ),
]
RFQ_FIELDS: Fields = [
    (
        ALL,
        {
            "id": "r-1",
            "creator_id": "0",
            "market_ticker": BOS,
            "event_ticker": EVENT,
            "contracts_fp": "500.00",
        },
    ),
    (OLD, {"contracts": 500}),
]

CASES: list[tuple[str, str, ExchangeEvent, Fields]] = [
    (
        "ticker",
        "ticker",
        TickerChanged(TICKER),
        [
            (
                ALL,
                {
                    "market_ticker": BOS,
                    "market_id": "m-1",
                    "price_dollars": "0.3700",
                    "yes_bid_dollars": "0.3600",
                    "yes_ask_dollars": "0.3900",
                    "volume_fp": "1840.00",
                    "open_interest_fp": "912.00",
                    "dollar_volume": 702,
                    "dollar_open_interest": 338,
                    "ts": T_S,
                    "time": T_TEXT,
                },
            ),
            (
                OLD,
                {
                    "no_bid_dollars": "0.6100",
                    "no_ask_dollars": "0.6400",
                    "price": 37,
                    "yes_bid": 36,
                    "yes_ask": 39,
                    "volume": 1840,
                    "open_interest": 912,
                    "Clock": T_NS // 1000,
                },
            ),
            (
                YOUNG,
                {
                    "yes_bid_size_fp": "55.00",
                    "yes_ask_size_fp": "120.00",
                    "last_trade_size_fp": "4.00",
                },
            ),
            (NEW, {"ts_ms": T_MS}),
        ],
    ),
    (
        "trade",
        "trade",
        Traded(TRADE),
        [
            (
                ALL,
                {
                    "trade_id": "t-1",
                    "market_ticker": BOS,
                    "yes_price_dollars": "0.3900",
                    "no_price_dollars": "0.6100",
                    "count_fp": "12.00",
                    "taker_side": "yes",
                    "ts": T_S,
                },
            ),
            (OLD, {"yes_price": 39, "no_price": 61, "count": 12}),
            (
                NEW,
                {
                    "taker_outcome_side": "yes",
                    "taker_book_side": "bid",
                    "is_block_trade": False,
                    "ts_ms": T_MS,
                },
            ),
        ],
    ),
    (
        "fill",
        "fill",
        Filled("alice", FILL),
        [
            (
                ALL,
                {
                    "trade_id": "t-1",
                    "order_id": "o-1",
                    "client_order_id": "strat1-000042",
                    "market_ticker": BOS,
                    "is_taker": True,
                    "side": "no",
                    "action": "sell",
                    "purchased_side": "no",
                    "yes_price_dollars": "0.3900",
                    "count_fp": "12.00",
                    "fee_cost": "0.200000",
                    "post_position_fp": "-12.50",
                    "subaccount": 2,
                    "ts": T_S,
                },
            ),
            (OLD, {"yes_price": 39, "count": 12, "post_position": -12}),
            (
                NEW,
                {"outcome_side": "no", "book_side": "ask", "exchange_index": 0, "ts_ms": T_MS},
            ),
        ],
    ),
    (
        "user_orders",
        "user_order",
        OrderChanged("alice", ORDER),
        [
            (
                ALL,
                {
                    "order_id": "o-1",
                    "user_id": "u-1",
                    "client_order_id": "c-1",
                    "ticker": BOS,
                    "status": "resting",
                    "side": "no",
                    "is_yes": False,
                    "yes_price_dollars": "0.3500",
                    "initial_count_fp": "20.00",
                    "fill_count_fp": "5.00",
                    "remaining_count_fp": "15.00",
                    "taker_fill_cost_dollars": "0.000000",
                    "maker_fill_cost_dollars": "1.750000",
                    "maker_fees_dollars": "0.000001",
                    "self_trade_prevention_type": "maker",
                    "order_group_id": "g-1",
                    "expiration_time": T_TEXT,
                    "expiration_ts_ms": T_MS,
                    "created_time": T_TEXT,
                    "created_ts_ms": T_MS,
                    "last_update_time": T_TEXT,
                    "last_updated_ts_ms": T_MS,
                    "subaccount_number": 0,
                },
            ),
            (YOUNG, {"taker_fees_dollars": "0.000000"}),
            (
                NEW,
                {
                    "outcome_side": "no",
                    "book_side": "ask",
                    "exchange_index": 0,
                    "last_update_reason": "Trade",
                },
            ),
        ],
    ),
    (
        "market_positions",
        "market_position",
        PositionChanged("alice", POSITION),
        [
            (
                ALL,
                {
                    "user_id": "u-1",
                    "market_ticker": BOS,
                    "position_fp": "-12.00",
                    "position_cost_dollars": "4.6800",
                    "realized_pnl_dollars": "-0.123456",
                    "fees_paid_dollars": "0.2000",
                    "position_fee_cost_dollars": "0.2000",
                    "volume_fp": "12.00",
                },
            ),
            (
                OLD,
                {
                    "position": -12,
                    "volume": 12,
                    "position_cost": 46_800,
                    "realized_pnl": -1234,
                    "fees_paid": 2000,
                    "position_fee_cost": 2000,
                },
            ),
        ],
    ),
    (
        "order_group_updates",
        "order_group_updates",
        GroupChanged("alice", "limit_updated", "g-1", 25_000, T_NS),
        [
            (
                ALL,
                {
                    "event_type": "limit_updated",
                    "order_group_id": "g-1",
                    "contracts_limit_fp": "250.00",
                },
            ),
            (OLD, {"contracts_limit": 250}),
            (NEW, {"ts_ms": T_MS}),
        ],
    ),
    (
        "order_group_updates",
        "order_group_updates",
        GroupChanged("alice", "triggered", "g-1", 25_000, T_NS),
        [
            (ALL, {"event_type": "triggered", "order_group_id": "g-1"}),
            (NEW, {"ts_ms": T_MS}),
        ],
    ),
    (
        "market_lifecycle_v2",
        "event_lifecycle",
        EventCreated(
            EventInfo(
                event_ticker=EVENT,
                series_ticker="KXRAIN",
                title="Rain?",
                sub_title="by city",
                strike_ns=T_NS,
                strike_period="day",
            ),
            False,
            T_NS,
        ),
        [
            (
                ALL,
                {
                    "event_ticker": EVENT,
                    "title": "Rain?",
                    "collateral_return_type": "",
                    "series_ticker": "KXRAIN",
                    "strike_date": T_S,
                    "strike_period": "day",
                },
            ),
            (OLD, {"sub_title": "by city"}),
            (YOUNG, {"subtitle": "by city"}),
            (NEW, {"exchange_index": 0}),
        ],
    ),
    (
        "market_lifecycle_v2",
        "event_fee_update",
        EventFeeChanged(EventInfo(event_ticker=EVENT, series_ticker="KXRAIN"), T_NS),
        [
            (
                ALL,
                {
                    "event_ticker": EVENT,
                    "fee_type_override": None,
                    "fee_multiplier_override": None,
                },
            )
        ],
    ),
    (
        "communications",
        "rfq_created",
        RfqCreated(RFQ, T_NS),
        [*RFQ_FIELDS, (ALL, {"created_ts": T_TEXT})],
    ),
    (
        "communications",
        "rfq_deleted",
        RfqDeleted(RFQ, T_NS),
        [*RFQ_FIELDS, (ALL, {"deleted_ts": T_TEXT})],
    ),
    (
        "communications",
        "rfq_created",
        RfqCreated(
            msgspec.structs.replace(
                RFQ,
                contracts=None,
                target_cost=2_000_000,
                mve_collection_ticker="KXDOUBLE-26",
                mve_selected_legs=(SelectedLeg(EVENT, BOS, "yes"),),
            ),
            T_NS,
        ),
        [
            (
                ALL,
                {
                    "id": "r-1",
                    "creator_id": "0",
                    "market_ticker": BOS,
                    "event_ticker": EVENT,
                    "target_cost_dollars": "2.000000",
                    "mve_collection_ticker": "KXDOUBLE-26",
                    "mve_selected_legs": [
                        {"event_ticker": EVENT, "market_ticker": BOS, "side": "yes"}
                    ],
                    "created_ts": T_TEXT,
                },
            ),
            (OLD, {"target_cost": 20_000}),
        ],
    ),
    (
        "communications",
        "quote_created",
        QuoteCreated(QUOTE, T_NS),
        [*QUOTE_FIELDS, (ALL, {"created_ts": T_TEXT})],
    ),
    (
        "communications",
        "quote_accepted",
        QuoteAccepted(QUOTE, T_NS),
        [
            *QUOTE_FIELDS,
            (ALL, {"accepted_side": "yes", "contracts_accepted_fp": "500.00"}),
            (OLD, {"contracts_accepted": 500}),
        ],
    ),
    (
        "communications",
        "quote_executed",
        QuoteExecuted("alice", QUOTE, "o-9", "rfq-7", T_NS),
        [
            (
                ALL,
                PARTIES | {"order_id": "o-9", "client_order_id": "rfq-7", "executed_ts": T_TEXT},
            )
        ],
    ),
]


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize(("channel", "kind", "event", "fields"), CASES)
def test_a_frame_has_exactly_the_fields_of_its_profile(
    channel: str, kind: str, event: ExchangeEvent, fields: Fields, profile: Profile
) -> None:
    """S4."""
    (message,) = told(profile, channel, event)

    sequenced = profile in CHANNELS[profile][channel].sequenced
    envelope = {"type": kind, "sid": 1} | ({"seq": 1} if sequenced else {})
    assert message == envelope | {"msg": expected(fields, profile)}


@pytest.mark.parametrize("profile", list(Profile))
def test_books_in_each_profile(profile: Profile) -> None:
    """S4: 7.3; a side without levels is left out, a delta is a change."""
    rig = Rig(profile=profile)
    rig.exchange.change(BOS, "yes", 3500, 4000)
    rig.exchange.change(BOS, "yes", 3600, 5500)
    peer = rig.peer()
    peer.subscribe("orderbook_delta")
    rig.exchange.change(BOS, "yes", 3600, -1550)

    _, snapshot, delta = peer.heard()
    names = {"market_ticker": BOS, "market_id": f"id-{BOS}"}
    assert snapshot == {
        "type": "orderbook_snapshot",
        "sid": 1,
        "seq": 1,
        "msg": expected(
            [
                (ALL, names),
                (ALL, {"yes_dollars_fp": [["0.3500", "40.00"], ["0.3600", "55.00"]]}),
                (
                    OLD,
                    {
                        "yes": [[35, 40], [36, 55]],
                        "yes_dollars": [["0.3500", 40], ["0.3600", 55]],
                    },
                ),
            ],
            profile,
        ),
    }
    assert delta == {
        "type": "orderbook_delta",
        "sid": 1,
        "seq": 2,
        "msg": expected(
            [
                (ALL, names),
                (ALL, {"price_dollars": "0.3600", "delta_fp": "-15.50", "side": "yes"}),
                (ALL, {"ts": "2026-02-02T02:40:00.123456Z"}),
                (OLD, {"price": 36, "delta": -15}),
                (NEW, {"ts_ms": 1_770_000_000_123}),
            ],
            profile,
        ),
    }


def test_an_own_delta_names_the_subaccount() -> None:
    rig = Rig()
    peer = rig.peer("alice")
    peer.subscribe("orderbook_delta")

    rig.exchange.change(BOS, "no", 6100, 100, owner="alice", client_order_id="c-1", subaccount=3)

    assert peer.heard()[-1]["msg"]["subaccount"] == 3


MARKET = Market(
    ticker=BOS,
    event_ticker=EVENT,
    market_id="m-1",
    title="Rain in Boston?",
    yes_sub_title="Boston",
    no_sub_title="Not Boston",
    rules_primary="If it rains",
    rules_secondary="",
    open_ns=T_NS,
    close_ns=T_NS,
    expected_expiration_ns=T_NS,
    price_ranges=PRICE_STRUCTURES["linear_cent"],
    strike_type="greater",
    floor_strike=0.5,
    result="yes",
    settlement_value=10_000,
    determined_ns=T_NS,
    settled_ns=T_NS,
)
GRID = {
    "price_level_structure": "linear_cent",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}
STEPS: list[tuple[Any, Message]] = [
    (
        "created",
        {
            "open_ts": T_S,
            "close_ts": T_S,
            "additional_metadata": {
                "name": "Rain in Boston?",
                "title": "Rain in Boston?",
                "yes_sub_title": "Boston",
                "no_sub_title": "Not Boston",
                "rules_primary": "If it rains",
                "rules_secondary": "",
                "can_close_early": True,
                "event_ticker": EVENT,
                "expected_expiration_ts": T_S,
                "strike_type": "greater",
                "floor_strike": 0.5,
            },
            "exchange_index": 0,
            **GRID,
        },
    ),
    ("activated", {"is_deactivated": False}),
    ("deactivated", {"is_deactivated": True}),
    ("close_date_updated", {"close_ts": T_S}),
    (
        "determined",
        {"result": "yes", "settlement_value": "1.0000", "determination_ts": T_S},
    ),
    ("settled", {"settled_ts": T_S}),
    ("price_level_structure_updated", GRID),
    (
        "metadata_updated",
        {"strike_type": "greater", "floor_strike": 0.5, "yes_sub_title": "Boston"},
    ),
]


@pytest.mark.parametrize(("step", "fields"), STEPS)
def test_steps_in_the_life_of_a_market(step: Any, fields: Message) -> None:
    """S4, S13: 7.4."""
    (message,) = told(CURRENT, "market_lifecycle_v2", MarketChanged(step, MARKET, T_NS))

    assert message["msg"] == {"market_ticker": BOS, "event_type": step} | fields
    assert (message["type"], message["seq"]) == ("market_lifecycle_v2", 1)


def test_two_steps_came_with_the_current_profile() -> None:
    steps = [MarketChanged(step, MARKET, T_NS) for step, _ in STEPS]

    messages = told(SEED, "market_lifecycle_v2", *steps)

    assert [m["msg"]["event_type"] for m in messages] == [step for step, _ in STEPS[:-2]]
    assert "exchange_index" not in messages[0]["msg"]


def test_multivariate_markets_have_a_channel_of_their_own() -> None:
    """S4: 7.6, with the `event_lifecycle` frames of their events, and without two steps."""
    market = msgspec.structs.replace(MARKET, mve_collection_ticker="KXDOUBLE-26")
    event = EventInfo(event_ticker=EVENT, series_ticker="KXRAIN")
    events: list[ExchangeEvent] = [
        *(MarketChanged(step, market, T_NS) for step, _ in STEPS),
        EventCreated(event, True, T_NS),
    ]

    messages = told(CURRENT, "multivariate_market_lifecycle", *events)

    kinds = ["multivariate_market_lifecycle"] * 6 + ["event_lifecycle"]
    assert types(messages) == kinds
    assert told(CURRENT, "market_lifecycle_v2", *events) == []


LOOKUP = MultivariateLookedUp(
    "KXDOUBLE-26", "KXDOUBLE-26A7", "KXDOUBLE-26A7-01", (SelectedLeg(EVENT, BOS, "yes"),), T_NS
)


@pytest.mark.parametrize("profile", [LEGACY, SEED])
def test_lookups_exist_in_the_older_profiles(profile: Profile) -> None:
    """S4: 7.5."""
    (message,) = told(profile, "multivariate", LOOKUP)

    assert message == {
        "type": "multivariate_lookup",
        "sid": 1,
        "msg": {
            "collection_ticker": "KXDOUBLE-26",
            "event_ticker": "KXDOUBLE-26A7",
            "market_ticker": "KXDOUBLE-26A7-01",
            "selected_markets": [{"event_ticker": EVENT, "market_ticker": BOS, "side": "yes"}],
        },
    }


def test_the_lookup_channel_is_gone_from_the_current_profile() -> None:
    peer = Rig().peer()

    peer.say("subscribe", channels=["multivariate"])

    assert peer.heard()[0]["msg"]["code"] == 8


def test_index_channels_carry_what_is_injected() -> None:
    peer = Rig().peer()

    peer.say("subscribe", channels=["cfbenchmarks_value"], index_ids=["BRTI"])
    peer.say("subscribe", channels=["pyth_value"], underlying_tickers=["BTC"])

    assert types(peer.heard()) == ["subscribed", "subscribed"]


def test_a_market_that_never_traded_has_no_price() -> None:
    ticker = msgspec.structs.replace(TICKER, price=0)

    assert told(CURRENT, "ticker", TickerChanged(ticker))[0]["msg"]["price_dollars"] == ""


def test_optional_fields_of_private_frames_stay_away() -> None:
    order = msgspec.structs.replace(
        ORDER, order_group_id="", expiration_ns=None, last_update_reason="", taker_fees=1
    )
    fill = msgspec.structs.replace(FILL, client_order_id="", subaccount=0)

    (order_frame,) = told(LEGACY, "user_orders", OrderChanged("alice", order))
    (fill_frame,) = told(CURRENT, "fill", Filled("alice", fill))

    absent = {"order_group_id", "expiration_time", "expiration_ts_ms", "last_update_reason"}
    assert not absent & order_frame["msg"].keys()
    assert order_frame["msg"]["taker_fees_dollars"] == "0.000001"
    assert not {"client_order_id", "subaccount"} & fill_frame["msg"].keys()
    (order_frame,) = told(CURRENT, "user_orders", OrderChanged("alice", order))
    assert not absent & order_frame["msg"].keys()


def test_a_quote_without_target_and_subaccount() -> None:
    quote = msgspec.structs.replace(
        QUOTE, rfq_target_cost=None, subaccount=0, contracts_accepted=None
    )

    (message,) = told(CURRENT, "communications", QuoteAccepted(quote, T_NS))

    absent = {"rfq_target_cost_dollars", "subaccount", "contracts_accepted_fp"}
    assert not absent & message["msg"].keys()


def test_an_event_without_strike() -> None:
    event = EventInfo(event_ticker=EVENT, series_ticker="KXRAIN")

    (message,) = told(SEED, "market_lifecycle_v2", EventCreated(event, False, T_NS))

    assert not {"strike_date", "strike_period"} & message["msg"].keys()


def test_settlements_have_no_channel() -> None:
    settlement = Settlement(
        account="alice",
        ticker=BOS,
        event_ticker=EVENT,
        market_result="yes",
        yes_count=1,
        no_count=0,
        yes_total_cost=0,
        no_total_cost=0,
        revenue=0,
        fee_cost=0,
        value=10_000,
        settled_ns=T_NS,
    )

    assert told(CURRENT, "fill", Settled("alice", settlement)) == []


def test_communications_may_have_a_single_type() -> None:
    """7.11: one source shows a single type."""
    messages = told(
        CURRENT,
        "communications",
        RfqCreated(RFQ, T_NS),
        QuoteExecuted("alice", QUOTE, "o", "c", T_NS),
        has_single_communications_type=True,
    )

    assert types(messages) == ["communications"] * 2


def test_a_channel_can_be_sequenced_against_its_profile() -> None:
    """Section 1: `trade` was seen with `seq` in spring 2026."""
    (message,) = told(SEED, "trade", Traded(TRADE), also_sequenced=("trade",))

    assert message["seq"] == 1


# -- to whom (S18) --------------------------------------------------------------------------------


def reached(event: ExchangeEvent, channel: str) -> list[str | None]:
    """Return the accounts that are told of an event."""
    rig = Rig()
    peers: list[Peer] = [rig.peer(name) for name in ("alice", "bob", "carol")]
    for peer in peers:
        peer.say("subscribe", channels=[channel])
        peer.heard()
    rig.exchange.emit(event)
    return [peer.session.account for peer in peers if peer.heard()]


@pytest.mark.parametrize(
    ("channel", "event", "accounts"),
    [
        ("fill", Filled("alice", FILL), ["alice"]),
        ("user_orders", OrderChanged("alice", ORDER), ["alice"]),
        ("market_positions", PositionChanged("alice", POSITION), ["alice"]),
        ("order_group_updates", GroupChanged("alice", "reset", "g", 1, T_NS), ["alice"]),
        ("communications", RfqCreated(RFQ, T_NS), ["alice", "bob", "carol"]),
        ("communications", RfqDeleted(RFQ, T_NS), ["alice", "bob", "carol"]),
        ("communications", QuoteCreated(QUOTE, T_NS), ["alice", "bob"]),
        ("communications", QuoteAccepted(QUOTE, T_NS), ["alice", "bob"]),
        ("communications", QuoteExecuted("bob", QUOTE, "o", "c", T_NS), ["bob"]),
    ],
)
def test_private_frames_reach_their_owners_alone(
    channel: str, event: ExchangeEvent, accounts: list[str]
) -> None:
    """S18, 7.11."""
    assert reached(event, channel) == accounts


def test_each_shard_gets_its_part_of_the_rfqs() -> None:
    """4.1: `shard_factor` and `shard_key` split the RFQs without loss or overlap."""
    rig = Rig()
    peers = [rig.peer() for _ in range(3)]
    for key, peer in enumerate(peers):
        peer.say("subscribe", channels=["communications"], shard_factor=3, shard_key=key)
        peer.heard()

    for number in range(60):
        rig.exchange.emit(RfqCreated(msgspec.structs.replace(RFQ, rfq_id=f"r-{number}"), T_NS))

    parts = [{m["msg"]["id"] for m in peer.heard()} for peer in peers]
    assert sorted(map(len, parts)) != [0, 0, 60]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60


def test_a_user_filter_keeps_other_peoples_rfqs_away() -> None:
    """4.1: `user_filter`."""
    rig = Rig()
    alice, bob = rig.peer("alice"), rig.peer("bob")
    for peer in (alice, bob):
        peer.say("subscribe", channels=["communications"], user_filter="self")
        peer.heard()

    rig.exchange.emit(RfqCreated(RFQ, T_NS))

    assert types(alice.heard()) == ["rfq_created"]
    assert bob.heard() == []


# -- numbers and times ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (dollars, 0, "0.0000"),
        (dollars, 10_000, "1.0000"),
        (dollars, -5, "-0.0005"),
        (fixed_point, 1500, "15.00"),
        (fixed_point, -1, "-0.01"),
        (money, 200_000, "0.200000"),
        (money, -1_000_001, "-1.000001"),
        (short_money, 4_680_000, "4.6800"),
        (short_money, 4_680_010, "4.680010"),
        (cents, 9_950, 100),
        (cents, 3_649, 36),
        (contracts, -150, -1),
        (ten_thousandths, -199, -1),
        (rfc3339, 1_770_000_000_000_000_999, "2026-02-02T02:40:00Z"),
        (rfc3339, T_NS, T_TEXT),
    ],
)
def test_numbers_as_the_venue_writes_them(
    write: Callable[[int], Any], value: int, text: Any
) -> None:
    assert write(value) == text


@given(st.integers(-(10**12), 10**12))
def test_written_numbers_are_exact(value: int) -> None:
    """K65 begins here: no digit is lost or rounded."""
    assert int(dollars(value).replace(".", "")) == value
    assert int(fixed_point(value).replace(".", "")) == value
    assert int(money(value).replace(".", "")) == value
