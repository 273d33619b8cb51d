"""The streams without a network: commands, replies, numbers, books (S3, S6-S8, S10, S17-S19)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.simulated.channels import CHANNELS, Profile
from adapters.kalshi.simulated.faults import FaultPlan
from adapters.kalshi.simulated.frames import Ping, Pong
from adapters.kalshi.simulated.stream_settings import (
    Overflow,
    SecondSubscribe,
    StreamSettings,
    UnknownMarket,
)
from tests.adapters.kalshi.simulated.stream_rig import (
    BOS,
    NYC,
    SEA,
    Message,
    Peer,
    Rig,
    ToldBook,
    numbers,
    true_sides,
    types,
)

BOOKS = "orderbook_delta"


def only(messages: list[Message]) -> Message:
    """Return the one message there is."""
    (message,) = messages
    return message


def codes(messages: list[Message]) -> list[int]:
    """Return the codes of error frames, which all of them are."""
    assert set(types(messages)) <= {"error"}
    return [message["msg"]["code"] for message in messages]


# -- acknowledgements and data --------------------------------------------------------------------


def test_the_acknowledgement_precedes_the_snapshot_and_the_deltas_follow() -> None:
    """S19, S8: one counter over all markets of the sid; the acknowledgement has no number."""
    rig = Rig()
    rig.exchange.change(BOS, "yes", 3600, 5500)
    peer = rig.peer()

    sid = peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
    rig.exchange.change(NYC, "no", 6100, 12_000)
    rig.exchange.change(BOS, "yes", 3600, -1500)

    heard = peer.heard()
    assert heard[0] == {"id": 1, "type": "subscribed", "msg": {"channel": BOOKS, "sid": sid}}
    assert types(heard[1:]) == ["orderbook_snapshot"] * 2 + ["orderbook_delta"] * 2
    assert numbers(heard[1:]) == [1, 2, 3, 4]
    assert heard[1]["msg"]["yes_dollars_fp"] == [["0.3600", "55.00"]]
    assert "no_dollars_fp" not in heard[1]["msg"]
    assert heard[4]["msg"]["delta_fp"] == "-15.00"
    assert {message["sid"] for message in heard[1:]} == {sid}


def test_each_channel_of_a_command_has_its_own_sid_and_answer() -> None:
    """S3: one reply per channel, the failing one an error with the same id."""
    peer = Rig().peer()

    peer.say("subscribe", 11, channels=["trade", "nonsense", BOOKS], market_ticker=BOS)

    heard = peer.heard()
    assert types(heard) == ["subscribed", "error", "subscribed", "orderbook_snapshot"]
    assert [message.get("id") for message in heard] == [11, 11, 11, None]
    assert [heard[0]["msg"]["sid"], heard[2]["msg"]["sid"]] == [1, 2]
    assert heard[1]["msg"] == {"code": 8, "msg": "Unknown channel name"}


@pytest.mark.parametrize("number", [0, "seven", None, 1.5, True])
def test_an_id_that_is_none_is_not_echoed(number: Any) -> None:
    peer = Rig().peer()
    command = {"id": number, "cmd": "subscribe", "params": {"channels": ["trade"]}}

    peer.session.receive_text(msgspec.json.encode(command).decode())

    assert only(peer.heard()) == {"type": "subscribed", "msg": {"channel": "trade", "sid": 1}}


def test_filters_let_through_what_was_asked_for() -> None:
    rig = Rig()
    all_markets, boston = rig.peer(), rig.peer()
    all_markets.say("subscribe", channels=["trade"])
    boston.subscribe("trade", market_ticker=BOS)

    rig.exchange.trade(BOS)
    rig.exchange.trade(NYC)

    tickers = [m["msg"].get("market_ticker") for m in all_markets.heard()]
    assert tickers == [None, BOS, NYC]
    assert [m["msg"].get("market_ticker") for m in boston.heard()] == [None, BOS]


# -- errors ---------------------------------------------------------------------------------------

UPDATE = "update_subscription"
REFUSED: list[tuple[int, str, dict[str, Any] | None]] = [
    (2, "subscribe", None),
    (3, "subscribe", {}),
    (3, "subscribe", {"channels": []}),
    (4, "unsubscribe", {}),
    (4, "unsubscribe", {"sids": []}),
    (5, "shout", {}),
    (5, "", None),
    (7, "unsubscribe", {"sids": [99]}),
    (7, UPDATE, {"sid": 99, "action": "add_markets", "market_ticker": BOS}),
    (8, "subscribe", {"channels": ["nonsense"]}),
    (11, "subscribe", {"channels": "ticker"}),
    (11, "subscribe", {"channels": [1]}),
    (11, "subscribe", {"channels": ["ticker"], "market_ticker": BOS, "market_tickers": [BOS]}),
    (11, "subscribe", {"channels": ["ticker"], "market_tickers": BOS}),
    (11, "subscribe", {"channels": ["ticker"], "market_ticker": 7}),
    (11, "subscribe", {"channels": [BOOKS], "market_id": f"id-{BOS}"}),
    (11, "subscribe", {"channels": ["ticker"], "send_initial_snapshot": "yes"}),
    (11, "subscribe", {"channels": ["communications"], "user_filter": "others"}),
    (11, "subscribe", {"channels": ["communications"], "shard_factor": "2"}),
    (11, "unsubscribe", {"sids": ["1"]}),
    (11, "unsubscribe", {"sids": 1}),
    (11, UPDATE, {"sids": 1}),
    (11, UPDATE, {"sids": ["1"]}),
    (11, UPDATE, {"sid": 1, "action": 5}),
    (11, UPDATE, {"sid": 1, "action": "get_snapshot", "market_ticker": NYC}),
    (12, UPDATE, {"action": "add_markets"}),
    (12, UPDATE, {"sids": [], "action": "add_markets"}),
    (12, UPDATE, {"sids": [1, 2], "action": "add_markets"}),
    (12, UPDATE, {"sid": 1, "sids": [1], "action": "add_markets"}),
    (13, UPDATE, {"sid": 1, "action": "shuffle", "market_ticker": BOS}),
    (14, "subscribe", {"channels": [BOOKS]}),
    (14, "subscribe", {"channels": [BOOKS], "market_ticker": ""}),
    (14, UPDATE, {"sid": 1, "action": "add_markets"}),
    (15, UPDATE, {"sid": 1, "market_ticker": BOS}),
    (19, "subscribe", {"channels": ["communications"], "shard_factor": 0}),
    (20, "subscribe", {"channels": ["communications"], "shard_key": 0}),
    (21, "subscribe", {"channels": ["communications"], "shard_factor": 2, "shard_key": 2}),
    (21, "subscribe", {"channels": ["communications"], "shard_factor": 2, "shard_key": -1}),
    (22, "subscribe", {"channels": ["communications"], "shard_factor": 101}),
    (24, "subscribe", {"channels": ["cfbenchmarks_value"]}),
    (26, "subscribe", {"channels": ["ticker"], "market_tickers": [BOS, NYC, SEA]}),
    (26, UPDATE, {"sid": 1, "action": "add_markets", "market_tickers": [NYC, SEA]}),
    (28, "subscribe", {"channels": ["pyth_value"]}),
]


@pytest.mark.parametrize(("code", "cmd", "params"), REFUSED)
def test_every_error_has_its_trigger(code: int, cmd: str, params: dict[str, Any] | None) -> None:
    """S3: the refusal carries the id, no sid, and changes nothing."""
    peer = Rig(most_markets=2).peer()
    assert peer.subscribe(BOOKS) == 1
    before = len(peer.heard()), len(peer.session.subscriptions)

    peer.session.receive_text(msgspec.json.encode({"id": 5, "cmd": cmd, "params": params}))

    refusal = only(peer.heard())
    assert refusal["id"] == 5
    assert "sid" not in refusal
    assert codes([refusal]) == [code]
    assert (2, len(peer.session.subscriptions)) == before


@pytest.mark.parametrize("data", ["", "nonsense", "[]", "7", '{"id": 1', '"subscribe"', "\u0000"])
def test_what_is_no_json_object_gets_error_1(data: str) -> None:
    """S3: code 1, without an id."""
    peer = Rig().peer()

    peer.session.receive_text(data)
    peer.session.receive_binary(b"\xff\x00")

    assert peer.heard() == [{"type": "error", "msg": {"code": 1, "msg": ANY_TEXT}}] * 2


ANY_TEXT = "Unable to process message"


def test_deeply_nested_commands_are_refused() -> None:
    peer = Rig().peer()

    peer.session.receive_text("[" * 100_000)
    peer.session.receive_text('{"a":' * 50_000)

    assert codes(peer.heard()) == [1, 1]


@given(st.text() | st.binary())
def test_no_frame_breaks_a_session(data: str | bytes) -> None:
    peer = Rig().peer()

    peer.session.receive_text(data)

    assert codes(peer.heard())[0] in range(1, 29)


def test_private_channels_need_an_account() -> None:
    """S2, S3: error 9 on an anonymous socket, for every private channel."""
    peer = Rig().peer(account=None)
    private = [c.name for c in CHANNELS[Profile.CURRENT].values() if c.is_private]

    peer.say("subscribe", channels=private)
    assert codes(peer.heard()) == [9] * len(private)
    peer.subscribe(BOOKS)
    assert types(peer.heard()) == ["subscribed", "orderbook_snapshot"]


def test_books_may_be_private() -> None:
    peer = Rig(has_private_books=True).peer(account=None)

    peer.subscribe(BOOKS)

    assert codes(peer.heard()) == [9]


@pytest.mark.parametrize(
    ("profile", "code"), [(Profile.LEGACY, 11), (Profile.SEED, 19), (Profile.CURRENT, 19)]
)
def test_older_profiles_do_not_know_newer_codes(profile: Profile, code: int) -> None:
    """S4: codes 1-17 in legacy, 1-22 in seed."""
    peer = Rig(profile=profile, most_markets=1).peer()

    peer.say("subscribe", channels=["communications"], shard_factor=0)
    peer.say("subscribe", channels=["trade"], market_tickers=[BOS, NYC])

    assert codes(peer.heard()) == [code, 26 if profile is Profile.CURRENT else 1]


def test_too_many_commands_on_one_subscription() -> None:
    """S3: code 27, until the next second."""
    rig = Rig(most_commands_per_s=2)
    peer = rig.peer()
    sid = peer.subscribe("trade")
    peer.heard()

    for _ in range(3):
        peer.say(UPDATE, sid=sid, action="add_markets", market_ticker=BOS)
    rig.after(1)
    peer.say(UPDATE, sid=sid, action="add_markets", market_ticker=BOS)

    assert types(peer.heard()) == ["ok", "ok", "error", "ok"]


@pytest.mark.parametrize(
    ("policy", "profile", "expected"),
    [
        (None, Profile.LEGACY, ["error"]),
        (None, Profile.CURRENT, ["subscribed", "orderbook_snapshot"]),
        (UnknownMarket.REFUSE, Profile.CURRENT, ["error"]),
        (UnknownMarket.ACCEPT, Profile.SEED, ["subscribed", "orderbook_snapshot"]),
        (UnknownMarket.IGNORE, Profile.CURRENT, []),
    ],
)
def test_an_unknown_market(
    policy: UnknownMarket | None, profile: Profile, expected: list[str]
) -> None:
    """S3: error 16 names the market; sources disagree on what newer servers do."""
    peer = Rig(profile=profile, unknown_market=policy).peer()

    peer.subscribe(BOOKS, market_tickers=[BOS, "NOWHERE"])

    heard = peer.heard()
    assert types(heard) == expected
    if "error" in expected:
        text = "Market not found"
        assert heard[0]["msg"] == {"code": 16, "msg": text, "market_ticker": "NOWHERE"}


# -- update, unsubscribe, list --------------------------------------------------------------------


def test_added_markets_are_listed_and_get_snapshots_on_the_same_sid() -> None:
    """S7, S6: the `ok` takes a number, then the new book comes."""
    rig = Rig()
    peer = rig.peer()
    sid = peer.subscribe(BOOKS)
    peer.heard()

    peer.say(UPDATE, 15, sids=[sid], action="add_markets", market_tickers=[NYC, BOS])
    rig.exchange.change(NYC, "yes", 5000, 100)

    heard = peer.heard()
    assert heard[0] == {
        "id": 15,
        "type": "ok",
        "sid": sid,
        "seq": 2,
        "msg": {"market_tickers": [BOS, NYC]},
    }
    assert [m["msg"]["market_ticker"] for m in heard[1:]] == [NYC, NYC]
    assert types(heard[1:]) == ["orderbook_snapshot", "orderbook_delta"]
    assert numbers(heard) == [2, 3, 4]


def test_deleted_markets_fall_silent() -> None:
    """S7: the rest goes on."""
    rig = Rig()
    peer = rig.peer()
    sid = peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
    peer.heard()

    peer.say(UPDATE, sid=sid, action="delete_markets", market_tickers=[BOS, SEA])
    rig.exchange.change(BOS, "yes", 5000, 100)
    rig.exchange.change(NYC, "yes", 5000, 100)

    heard = peer.heard()
    assert heard[0]["msg"] == {"market_tickers": [NYC]}
    assert [m["msg"]["market_ticker"] for m in heard[1:]] == [NYC]
    assert numbers(heard) == [3, 4]


def test_get_snapshot_is_answered_by_snapshots_alone() -> None:
    """S7: each with the id, the sid and the next number."""
    rig = Rig()
    peer = rig.peer()
    sid = peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
    peer.heard()
    rig.exchange.change(BOS, "no", 6100, 100)

    peer.say(UPDATE, 13, sids=[sid], action="get_snapshot", market_tickers=[BOS, NYC])

    heard = peer.heard()
    assert types(heard) == ["orderbook_delta", "orderbook_snapshot", "orderbook_snapshot"]
    assert numbers(heard) == [3, 4, 5]
    assert [m.get("id") for m in heard] == [None, 13, 13]
    assert heard[1]["msg"]["no_dollars_fp"] == [["0.6100", "1.00"]]


@pytest.mark.parametrize("profile", [Profile.LEGACY, Profile.SEED])
def test_get_snapshot_came_with_the_current_profile(profile: Profile) -> None:
    peer = Rig(profile=profile).peer()
    sid = peer.subscribe(BOOKS)
    peer.heard()

    peer.say(UPDATE, sid=sid, action="get_snapshot", market_ticker=BOS)

    assert codes(peer.heard()) == [13]


def test_channels_without_filter_cannot_be_updated() -> None:
    peer = Rig().peer()
    sid = peer.subscribe("market_lifecycle_v2")
    peer.heard()

    peer.say(UPDATE, sid=sid, action="add_markets", market_ticker=BOS)

    assert codes(peer.heard()) == [13]


def test_a_subscription_to_all_markets_stays_one() -> None:
    rig = Rig()
    peer = rig.peer()
    peer.say("subscribe", channels=["ticker"])

    peer.say(UPDATE, sid=1, action="add_markets", market_ticker=BOS)
    peer.say(UPDATE, sid=1, action="delete_markets", market_ticker=BOS)
    rig.exchange.quote(BOS)

    assert types(peer.heard()) == ["subscribed", "ok", "ok", "ticker"]


def test_control_frames_need_not_be_counted() -> None:
    """S6: switchable; then they carry the sid and no number."""
    rig = Rig(counts_control_frames=False)
    peer = rig.peer()
    sid = peer.subscribe(BOOKS)
    peer.heard()

    peer.say(UPDATE, sid=sid, action="add_markets", market_ticker=NYC)
    peer.say("unsubscribe", sids=[sid])

    assert numbers(peer.heard()) == [None, 2, None]


def test_unsubscribing_answers_once_per_sid_with_the_last_number() -> None:
    """S3, S6: and nothing comes on them any more."""
    rig = Rig()
    peer = rig.peer()
    sid = peer.subscribe(BOOKS, "ticker")
    peer.heard()

    peer.say("unsubscribe", 12, sids=[1, 77, sid])
    rig.exchange.change(BOS, "yes", 3600, 100)
    rig.exchange.quote(BOS)

    assert peer.heard() == [
        {"id": 12, "type": "unsubscribed", "sid": 1, "seq": 2},
        {"id": 12, "type": "error", "msg": {"code": 7, "msg": "Unknown subscription ID"}},
        {"id": 12, "type": "unsubscribed", "sid": 2},
    ]


@pytest.mark.parametrize("profile", list(Profile))
def test_subscriptions_are_listed(profile: Profile) -> None:
    """S3: older servers have the lists at the top level."""
    peer = Rig(profile=profile).peer()
    peer.subscribe("trade", "fill")
    peer.say(UPDATE, sid=1, action="add_markets", market_ticker=NYC)
    listed = [{"channel": "trade", "sid": 1}, {"channel": "fill", "sid": 2}]
    peer.heard()

    peer.session.receive_text('{"id": 14, "cmd": "list_subscriptions"}')
    peer.say(UPDATE, 15, sid=2, action="add_markets", market_ticker=NYC)

    is_old = profile is Profile.LEGACY
    assert peer.heard() == [
        {"id": 14, "type": "ok", "subscriptions" if is_old else "msg": listed},
        {"id": 15, "type": "ok", "sid": 2}
        | ({"market_tickers": [BOS, NYC]} if is_old else {"msg": {"market_tickers": [BOS, NYC]}}),
    ]


def test_tickers_come_at_once_if_asked_for() -> None:
    """S7: `send_initial_snapshot`, also for added markets and for all."""
    peer = Rig().peer()

    peer.subscribe("ticker", send_initial_snapshot=True)
    peer.say(UPDATE, sid=1, action="add_markets", market_ticker=NYC, send_initial_snapshot=True)
    assert [m["msg"].get("market_ticker") for m in peer.heard()] == [None, BOS, None, NYC]

    peer.say("subscribe", channels=["ticker"], send_initial_snapshot=True)
    assert [m["msg"].get("market_ticker") for m in peer.heard()] == [None, BOS, NYC, SEA]


def test_market_ids_select_tickers_and_are_acknowledged() -> None:
    rig = Rig()
    peer = rig.peer()
    peer.subscribe("ticker", market_ids=[f"id-{BOS}"])

    rig.exchange.quote(BOS)
    rig.exchange.quote(NYC)
    peer.say(UPDATE, sid=1, action="add_markets", market_id=f"id-{NYC}")

    heard = peer.heard()
    assert [m["msg"].get("market_ticker") for m in heard[:2]] == [None, BOS]
    assert heard[2]["msg"] == {
        "market_tickers": [BOS, NYC],
        "market_ids": [f"id-{BOS}", f"id-{NYC}"],
    }


def test_lists_may_be_left_out_of_the_acknowledgement() -> None:
    """S7: `skip_ticker_ack`."""
    peer = Rig().peer()
    peer.subscribe("ticker", skip_ticker_ack=True)
    peer.heard()

    peer.say(UPDATE, 3, sid=1, action="add_markets", market_ticker=NYC)

    assert peer.heard() == [{"id": 3, "type": "ok", "sid": 1}]


def test_no_prices_on_the_yes_leg() -> None:
    """S7: `use_yes_price` in snapshots and deltas alike."""
    rig = Rig()
    rig.exchange.change(BOS, "no", 6000, 100)
    rig.exchange.change(BOS, "no", 6100, 200)
    peer, plain = rig.peer(), rig.peer()
    peer.subscribe(BOOKS, use_yes_price=True)
    plain.subscribe(BOOKS)

    rig.exchange.change(BOS, "no", 6100, 300)
    rig.exchange.change(BOS, "yes", 3600, 300)

    snapshot, *deltas = peer.heard()[1:]
    assert snapshot["msg"]["no_dollars_fp"] == [["0.3900", "2.00"], ["0.4000", "1.00"]]
    assert [d["msg"]["price_dollars"] for d in deltas] == ["0.3900", "0.3600"]
    assert [d["msg"]["price_dollars"] for d in plain.heard()[2:]] == ["0.6100", "0.3600"]


# -- a second subscribe (S17) ---------------------------------------------------------------------


def test_a_second_subscribe_has_a_sid_of_its_own() -> None:
    """S17: the default; both carry the same data with their own numbers."""
    rig = Rig()
    peer = rig.peer()
    peer.subscribe(BOOKS)
    peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
    peer.heard()

    rig.exchange.change(BOS, "yes", 3600, 100)

    assert [(m["sid"], m["seq"]) for m in peer.heard()] == [(1, 2), (2, 3)]


def test_a_second_subscribe_merges() -> None:
    """S17: answered by `ok` with the old sid; only the new books come."""
    rig = Rig(second_subscribe=SecondSubscribe.MERGE)
    peer = rig.peer()
    peer.subscribe(BOOKS)
    peer.heard()

    peer.say("subscribe", 9, channels=[BOOKS], market_tickers=[BOS, NYC])

    okay, snapshot = peer.heard()
    assert okay == {
        "id": 9,
        "type": "ok",
        "sid": 1,
        "seq": 2,
        "msg": {"market_tickers": [BOS, NYC]},
    }
    assert (snapshot["sid"], snapshot["seq"], snapshot["msg"]["market_ticker"]) == (1, 3, NYC)


def test_a_merge_with_all_markets_leaves_no_filter() -> None:
    """S17."""
    rig = Rig(second_subscribe=SecondSubscribe.MERGE)
    peer = rig.peer()
    peer.subscribe("trade")
    peer.say("subscribe", channels=["trade"])
    peer.say("subscribe", channels=["trade"], market_ticker=NYC)
    peer.heard()

    rig.exchange.trade(SEA)

    assert only(peer.heard())["msg"]["market_ticker"] == SEA
    peer.say("unsubscribe", sids=[1])
    assert rig.hub.context.subscribers.of("trade", SEA) == []


def test_a_second_subscribe_is_an_error() -> None:
    """S17, code 6; another channel is none."""
    peer = Rig(second_subscribe=SecondSubscribe.ERROR).peer()
    peer.subscribe(BOOKS)
    peer.heard()

    peer.subscribe(BOOKS, "ticker", market_tickers=[NYC])

    assert types(heard := peer.heard()) == ["error", "subscribed"]
    assert codes(heard[:1]) == [6]


# -- books ----------------------------------------------------------------------------------------


def test_a_market_made_later_has_a_book() -> None:
    rig = Rig()
    peer = rig.peer()
    rig.exchange.add_market("KXNEW")
    peer.subscribe(BOOKS, market_ticker="KXNEW")
    rig.exchange.change("KXNEW", "no", 100, 100)
    peer.subscribe(BOOKS, market_ticker="KXNEW")

    told = ToldBook()
    told.take(peer.heard()[-1])
    assert told.sides == {"yes": {}, "no": {"0.0100": 1.0}}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from([BOS, NYC]),
        st.sampled_from(["yes", "no"]),
        st.sampled_from([100, 3600, 6100]),
        st.integers(-3, 5),
    ),
    max_size=40,
)


@given(CHANGES, st.integers(0, 40))
def test_snapshots_and_deltas_always_add_up_to_the_true_book(
    changes: list[tuple[str, Any, int, int]], joins_at: int
) -> None:
    """S8: whenever a peer joins or asks again, and numbers never miss one (S6)."""
    rig = Rig()
    peer = rig.peer()
    sizes: dict[tuple[str, str, int], int] = {}
    for position, (ticker, side, price, wanted) in enumerate(changes):
        if position == joins_at:
            peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
        if position == joins_at + 5:
            peer.say(UPDATE, sid=1, action="get_snapshot", market_ticker=BOS)
        change = max(wanted, -sizes.get((ticker, side, price), 0))
        if change:
            sizes[ticker, side, price] = sizes.get((ticker, side, price), 0) + change
            rig.exchange.change(ticker, side, price, change * 100)

    heard = peer.heard()
    told = {BOS: ToldBook(), NYC: ToldBook()}
    for message in heard[1:]:
        told[message["msg"]["market_ticker"]].take(message)
    assert numbers(heard[1:]) == list(range(1, len(heard)))
    if heard:
        for ticker, book in told.items():
            assert book.sides == true_sides(rig.control.book(ticker))


# -- owners (S18) ---------------------------------------------------------------------------------


def test_only_the_owner_sees_the_client_order_id_of_a_change() -> None:
    """S10, S18."""
    rig = Rig()
    alice, bob, nobody = rig.peer("alice"), rig.peer("bob"), rig.peer(None)
    for peer in (alice, bob, nobody):
        peer.subscribe(BOOKS)
        peer.heard()

    rig.exchange.change(BOS, "yes", 3600, 100, owner="alice", client_order_id="a-1")

    assert only(alice.heard())["msg"]["client_order_id"] == "a-1"
    assert "client_order_id" not in only(bob.heard())["msg"]
    assert "client_order_id" not in only(nobody.heard())["msg"]


# -- the connection -------------------------------------------------------------------------------


def pings(peer: Peer) -> int:
    """Take what waits, and count the pings in it."""
    return sum(item == Ping(b"heartbeat") for item in peer.items())


def test_the_venue_pings_every_ten_seconds() -> None:
    """S12: with body `heartbeat`, until the connection is gone."""
    rig = Rig()
    peer = rig.peer()

    rig.after(9.9)
    assert pings(peer) == 0
    rig.after(20.2)
    assert pings(peer) == 3
    rig.hub.close(peer.session)
    rig.hub.close(peer.session)
    assert rig.clock.pending_count == 0


def test_pings_can_be_turned_off() -> None:
    rig = Rig(ping_s=0)
    rig.peer()

    assert rig.clock.pending_count == 0


def test_a_peer_that_answers_no_ping_is_cut() -> None:
    """S12: optional; an answer in time saves it."""
    rig = Rig(ping_s=10, pong_s=15)
    silent, lively = rig.peer(), rig.peer()

    rig.after(11)
    lively.session.receive_pong()
    rig.after(14.5)

    assert silent.session.outbox.ending is not None
    assert silent.session.outbox.ending.code is None
    assert lively.session.outbox.ending is None
    assert [report.pongs for report in rig.control.connections()] == [0, 1]


def test_pings_of_the_peer_are_answered() -> None:
    peer = Rig().peer()

    peer.session.receive_ping(b"are you there")

    assert peer.items() == [Pong(b"are you there")]


def test_a_slow_reader_loses_the_subscription_that_does_not_fit() -> None:
    """S14: error 25 with the next number, then silence on the sid; others go on."""
    rig = Rig(outbox_frames=4)
    peer = rig.peer()
    peer.subscribe(BOOKS)
    peer.subscribe("trade")
    for _ in range(3):
        rig.exchange.change(BOS, "yes", 3600, 100)

    heard = peer.heard()
    rig.exchange.change(BOS, "yes", 3600, 100)
    rig.exchange.trade(BOS)

    assert types(heard[3:]) == ["orderbook_delta", "error"]
    assert heard[4] == {
        "type": "error",
        "sid": 1,
        "seq": 4,
        "msg": {"code": 25, "msg": "Subscription buffer overflow"},
    }
    assert types(peer.heard()) == ["trade"]
    assert rig.control.connections()[0].overflows == 1


def test_a_slow_reader_may_be_cut_instead() -> None:
    """S14."""
    rig = Rig(outbox_frames=2, overflow=Overflow.CUT)
    peer = rig.peer()
    peer.subscribe(BOOKS)

    rig.exchange.change(BOS, "yes", 3600, 100)

    assert peer.session.outbox.ending is not None
    assert peer.items() == []
    assert peer.session.subscriptions == {}
    peer.say("subscribe", channels=["trade"])
    assert peer.items() == []


def test_a_peer_that_only_asks_and_never_reads_is_cut() -> None:
    peer = Rig(outbox_frames=3).peer()

    for _ in range(7):
        peer.say("shout")

    assert peer.session.outbox.ending is not None


def test_settings_must_make_sense() -> None:
    with pytest.raises(ValueError, match="ping_s"):
        StreamSettings(ping_s=-1)
    with pytest.raises(ValueError, match="at least 1"):
        StreamSettings(outbox_frames=0)


def test_the_same_seed_and_commands_give_the_same_frames() -> None:
    """S16."""

    def run() -> list[bytes]:
        rig = Rig(seed=3, faults=msgspec.convert({"rates": {"drop_rate": 0.3}}, FaultPlan))
        peer = rig.peer()
        peer.subscribe(BOOKS, "ticker", market_tickers=[BOS, NYC])
        for number in range(50):
            rig.after(0.1)
            rig.exchange.change(BOS, "yes", 100 * (number % 7), 100)
            rig.exchange.quote(NYC)
        return peer.raw()

    assert run() == run()
    assert 60 < len(run()) < 100
