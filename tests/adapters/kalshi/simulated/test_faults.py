"""Everything that can be made to go wrong, by count, by time and on demand (S14)."""

from typing import Any

import msgspec
import pytest

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.fault_injection import Faults
from adapters.kalshi.simulated.faults import (
    Abort,
    Action,
    AddFields,
    AnyFault,
    Close,
    DeferSnapshots,
    Delay,
    Duplicate,
    FaultPlan,
    FaultRates,
    Flood,
    Garble,
    HalfOpen,
    Inject,
    Lose,
    PushSnapshot,
    RefuseCommands,
    RefuseHandshakes,
    RestartSequence,
    SendError,
    SlowCommands,
    Swap,
    WithholdSnapshots,
    malformed,
    oversized,
    unknown_sid,
    unknown_type,
)
from adapters.kalshi.simulated.frames import Binary, Ending, Frame
from tests.adapters.kalshi.simulated.stream_rig import (
    BOS,
    NYC,
    SEA,
    Peer,
    Rig,
    ToldBook,
    numbers,
    true_sides,
    types,
)

BOOKS = "orderbook_delta"
UPDATE = "update_subscription"


def rig_with(*faults: AnyFault, rates: FaultRates | None = None) -> Rig:
    """Return streams that begin with faults."""
    return Rig(faults=FaultPlan(faults=faults, rates=rates or FaultRates()))


def reader(rig: Rig, *channels: str, **params: Any) -> Peer:
    """Return a subscribed peer that has read what came first."""
    peer = rig.peer()
    peer.subscribe(*(channels or (BOOKS,)), **params)
    peer.heard()
    return peer


def tick(rig: Rig, count: int = 1, ticker: str = BOS) -> None:
    """Change a book some times."""
    for _ in range(count):
        rig.exchange.change(ticker, "yes", 3600, 100)


# -- frames on their way --------------------------------------------------------------------------


def test_lost_frames_leave_a_gap() -> None:
    """S14: by frame count, from the third frame on, twice."""
    rig = rig_with(Lose(after=2, count=2, types=("orderbook_delta",)))
    peer = reader(rig)

    tick(rig, 6)

    assert numbers(peer.heard()) == [2, 3, 6, 7]
    assert rig.control.connections()[0].lost == 2


def test_frames_are_lost_for_a_time() -> None:
    """S14: by time, however many there are; then nothing is left of the fault."""
    rig = rig_with(Lose(after_s=1, for_s=2, count=None))
    peer = reader(rig)

    for _ in range(5):
        tick(rig)
        rig.after(0.99)

    assert numbers(peer.heard()) == [2, 3, 6]
    assert rig.control.faults() == []


def test_a_silent_subscription_is_silent_alone() -> None:
    """S14: the other one of the same connection goes on, and so do other connections."""
    rig = Rig()
    peer, other = reader(rig, BOOKS, "ticker"), reader(rig)
    rig.control.inject(Lose(connection=1, sid=1, count=None))

    tick(rig, 3)
    rig.exchange.quote(BOS)

    assert types(peer.heard()) == ["ticker"]
    assert len(other.heard()) == 3
    rig.control.heal()
    tick(rig)
    assert numbers(peer.heard()) == [5]


def test_faults_keep_to_their_market_and_channel() -> None:
    rig = rig_with(Lose(channel=BOOKS, market_ticker=NYC, count=None))
    peer = reader(rig, market_tickers=[BOS, NYC])

    tick(rig, 2, NYC)
    tick(rig, 1, BOS)

    assert numbers(peer.heard()) == [5]


def test_duplicates_come_at_once() -> None:
    """S14."""
    rig = rig_with(Duplicate(after=1, copies=2, types=("orderbook_delta",)))
    peer = reader(rig)

    tick(rig, 3)

    assert numbers(peer.heard()) == [2, 3, 3, 3, 4]


def test_swapped_frames_come_after_those_that_follow() -> None:
    """S14: nothing is lost, and healing lets go what still waits."""
    rig = rig_with(Swap(types=("orderbook_delta",), distance=2, count=1))
    peer = reader(rig)

    tick(rig, 4)
    assert numbers(peer.heard()) == [3, 4, 2, 5]

    rig.control.inject(Swap())
    tick(rig)
    assert peer.heard() == []
    rig.control.heal()
    assert numbers(peer.heard()) == [6]


def test_delayed_frames_are_overtaken() -> None:
    """S14."""
    rig = rig_with(Delay(types=("orderbook_delta",), delay_s=0.5))
    peer = reader(rig)

    tick(rig, 2)
    assert numbers(peer.heard()) == [3]
    rig.after(0.6)
    assert numbers(peer.heard()) == [2]


def test_a_delayed_frame_of_a_closed_connection_is_lost() -> None:
    rig = rig_with(Delay(types=("orderbook_delta",)))
    peer = reader(rig)
    tick(rig)

    rig.control.inject(Abort())
    rig.after(2)

    assert peer.items() == []


def test_frames_get_fields_that_nobody_knows() -> None:
    """S14: in the envelope and in the message; a reply without `msg` has one place only."""
    rig = rig_with(AddFields(fields={"shade": "blue"}, types=("ticker", "unsubscribed"), count=2))
    peer = reader(rig, "ticker")

    rig.exchange.quote(BOS)
    peer.say("unsubscribe", sids=[1])

    ticker, gone = peer.heard()
    assert ticker["shade"] == ticker["msg"]["shade"] == "blue"
    assert ticker["msg"]["market_ticker"] == BOS
    assert gone["shade"] == "blue"


def test_garbled_frames_are_no_json() -> None:
    """S14."""
    rig = rig_with(Garble(types=("orderbook_delta",)))
    peer = reader(rig)

    tick(rig, 2)

    broken, whole = peer.raw()
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(broken)
    assert msgspec.json.decode(whole)["seq"] == 3


def test_an_acknowledgement_is_lost() -> None:
    """S14: the subscription is there all the same."""
    rig = rig_with(Lose(types=("subscribed",)))
    peer = rig.peer()

    peer.subscribe(BOOKS)

    assert types(peer.heard()) == ["orderbook_snapshot"]


def test_data_comes_before_the_acknowledgement() -> None:
    """S14."""
    rig = rig_with(Swap(types=("subscribed",)))
    peer = rig.peer()

    peer.subscribe(BOOKS)

    assert types(peer.heard()) == ["orderbook_snapshot", "subscribed"]


def test_a_slow_acknowledgement_still_precedes_its_data() -> None:
    """S14: the command is carried out later; a connection that is gone by then is left alone."""
    rig = rig_with(SlowCommands(cmd="subscribe", delay_s=2))
    peer, gone = rig.peer(), rig.peer()

    peer.subscribe(BOOKS)
    gone.subscribe(BOOKS)
    peer.say("list_subscriptions")
    rig.hub.close(gone.session)
    rig.after(1.9)
    assert types(peer.heard()) == ["ok"]
    rig.after(0.2)
    assert types(peer.heard()) == ["subscribed", "orderbook_snapshot"]
    assert gone.heard() == []


# -- snapshots ------------------------------------------------------------------------------------


def test_deltas_come_before_the_snapshot_that_contains_them() -> None:
    """S14, S8: those that follow it add up to the true book."""
    rig = rig_with(DeferSnapshots(deltas=2, count=1))
    peer = rig.peer()
    peer.subscribe(BOOKS, market_tickers=[BOS, NYC])

    tick(rig, 1, NYC)
    tick(rig, 3)

    heard = peer.heard()[1:]
    kinds = [(m["msg"]["market_ticker"], m["type"].removeprefix("orderbook_")) for m in heard]
    assert kinds == [
        (NYC, "snapshot"),
        (NYC, "delta"),
        (BOS, "delta"),
        (BOS, "delta"),
        (BOS, "snapshot"),
        (BOS, "delta"),
    ]
    assert numbers(heard) == [1, 2, 3, 4, 5, 6]
    told = ToldBook()
    for message in heard[4:]:
        told.take(message)
    assert told.sides == true_sides(rig.control.book(BOS))


def test_deferred_snapshots_are_forgotten_with_their_market_and_come_when_healed() -> None:
    rig = rig_with(DeferSnapshots(deltas=5))
    peer = reader(rig, market_tickers=[BOS, NYC])

    peer.say(UPDATE, sid=1, action="delete_markets", market_ticker=BOS)
    peer.say(UPDATE, 9, sid=1, action="get_snapshot", market_ticker=NYC)
    rig.control.heal()

    okay, snapshot = peer.heard()
    assert okay["type"] == "ok"
    assert (snapshot["msg"]["market_ticker"], snapshot["id"]) == (NYC, 9)


def test_snapshots_are_missing_for_good() -> None:
    """S14: neither first nor asked for; no number is used up."""
    rig = rig_with(WithholdSnapshots(market_ticker=BOS))
    peer = rig.peer()
    peer.subscribe(BOOKS, market_tickers=[BOS, NYC])
    peer.say(UPDATE, sid=1, action="get_snapshot", market_tickers=[BOS])
    tick(rig)

    heard = peer.heard()[1:]
    assert [m["msg"]["market_ticker"] for m in heard] == [NYC, BOS]
    assert numbers(heard) == [1, 2]


def test_a_snapshot_that_nobody_asked_for() -> None:
    """S14: with the next number; other channels have none."""
    rig = Rig()
    peer = reader(rig, BOOKS, "ticker", market_tickers=[BOS, NYC])

    rig.control.inject(PushSnapshot(market_ticker=NYC))
    rig.control.inject(PushSnapshot())

    heard = peer.heard()
    assert [m["msg"]["market_ticker"] for m in heard] == [NYC, BOS, NYC]
    assert numbers(heard) == [3, 4, 5]


# -- what is done to connections ------------------------------------------------------------------


def ending(peer: Peer) -> Ending | None:
    """Return how a connection ends."""
    return peer.session.outbox.ending


def test_the_connection_is_cut_after_some_frames() -> None:
    """S14: by frame count, on the connection that has them, and again after as many more."""
    rig = rig_with(Abort(after=3, count=2, types=("orderbook_delta",)))
    peer, other = reader(rig), reader(rig, market_ticker=NYC)

    tick(rig, 2)
    assert ending(peer) is None
    tick(rig, 1)
    assert ending(peer) == Ending(None, "aborted")
    assert ending(other) is None
    tick(rig, 3, NYC)
    assert ending(other) is not None


def test_an_action_by_count_heeds_its_time() -> None:
    rig = rig_with(Abort(after=1, for_s=1))
    peer = reader(rig, "trade")

    rig.after(2)
    rig.exchange.trade(BOS)

    assert ending(peer) is None


def test_connections_are_closed_with_any_code() -> None:
    """S14: on demand, one connection or all; what is queued goes first."""
    rig = Rig()
    first, second = reader(rig), reader(rig)
    tick(rig)

    rig.control.inject(Close(connection=2, code=4321, reason="enough"))

    assert ending(first) is None
    assert ending(second) == Ending(4321, "enough")
    assert len(second.heard()) == 1
    rig.control.inject(Abort())
    rig.control.inject(Close(code=1000))
    assert (ending(first), ending(second)) == (Ending(None, "aborted"),) * 2


def test_actions_come_back_at_an_interval() -> None:
    """S14: by time: 360 cuts an hour are a plan of one line."""
    rig = rig_with(Abort(after_s=5, every_s=10, count=3))
    cut_at = []

    for second in range(40):
        rig.after(1)
        peer = next(iter(rig.hub.sessions.values()), None)
        if peer is not None and peer.outbox.ending is not None:
            cut_at.append(second + 1)
            rig.hub.close(peer)
        if not rig.hub.sessions:
            rig.peer()

    assert cut_at == [5, 15, 25]


def test_interval_actions_end_with_their_time_and_when_removed() -> None:
    rig = rig_with(Close(after_s=1, every_s=1, count=None, for_s=2.5))
    number = rig.control.inject(Abort(after_s=1))

    assert rig.control.heal(number)
    assert not rig.control.heal(number)
    rig.after(1.5)
    assert len(rig.control.faults()) == 1
    rig.after(10)

    assert rig.clock.pending_count == 0


def test_a_half_open_connection_neither_speaks_nor_hears() -> None:
    """S14: pings and pongs included; afterwards the frames in between are missing."""
    rig = Rig(pong_s=5)
    peer, other = reader(rig), reader(rig)

    rig.control.inject(HalfOpen(connection=1, for_s=30))
    tick(rig, 3)
    peer.say("list_subscriptions")
    peer.session.receive_ping(b"?")
    peer.session.receive_pong()
    peer.session.receive_binary(b"?")
    rig.after(11)
    other.session.receive_pong()
    rig.after(9)
    assert (peer.items(), len(other.heard())) == ([], 3)
    assert rig.control.commands(cmd="list_subscriptions") == []
    assert rig.control.connections()[0].is_half_open
    assert (ending(peer), ending(other)) == (None, None)

    rig.after(10.5)
    tick(rig)
    assert numbers(peer.heard()) == [5]


def test_healing_ends_a_half_open_time() -> None:
    rig = Rig()
    peer = reader(rig)
    rig.control.inject(HalfOpen(after=1))

    tick(rig, 2)
    rig.control.heal()
    tick(rig, 1)

    assert numbers(peer.heard()) == [2, 4]


@pytest.mark.parametrize("code", [10, 25])
def test_terminal_errors_end_the_subscription(code: int) -> None:
    """S14: with sid and number, without id; nothing ever comes on the sid again."""
    rig = Rig()
    peer = reader(rig, BOOKS, "ticker")

    rig.control.inject(SendError(code=code, channel=BOOKS))
    tick(rig)
    peer.say("unsubscribe", sids=[1])

    error, unknown = peer.heard()
    assert (error["sid"], error["seq"], error["msg"]["code"]) == (1, 2, code)
    assert "id" not in error
    assert unknown["msg"]["code"] == 7


def test_other_errors_end_nothing() -> None:
    """S14: about a subscription they take a number, about the connection they have no sid."""
    rig = Rig()
    peer = reader(rig)

    rig.control.inject(SendError(code=17, sid=1))
    rig.control.inject(SendError(code=99, text="who knows"))
    rig.control.inject(SendError(code=25, sid=1, is_terminal=False))
    tick(rig)

    heard = peer.heard()
    assert numbers(heard) == [2, None, 3, 4]
    assert heard[1] == {"type": "error", "msg": {"code": 99, "msg": "who knows"}}


def test_actions_on_a_subscription_leave_other_connections_alone() -> None:
    rig = Rig()
    with_trades, without = reader(rig, "trade"), reader(rig, market_ticker=NYC)

    rig.control.inject(Abort(channel="trade"))
    rig.control.inject(SendError(code=10, market_ticker=SEA))

    assert (ending(with_trades) is None, ending(without)) == (False, None)
    assert without.heard() == []


def test_strange_frames_are_sent_as_they_are() -> None:
    """S14: malformed, binary, oversized, of unknown types and sids."""
    rig = Rig()
    peer = reader(rig)

    rig.control.inject(malformed())
    rig.control.inject(oversized(100_000))
    rig.control.inject(unknown_type())
    rig.control.inject(unknown_sid(77))
    rig.control.inject(Inject(binary=b"\x00\xff"))

    items = peer.items()
    assert items[-1] == Binary(b"\x00\xff")
    texts = [item.data for item in items[:-1] if isinstance(item, Frame)]
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(texts[0])
    assert len(texts[1]) == 100_000
    assert [msgspec.json.decode(text).get("sid") for text in texts[1:]] == [None, None, 77]


def test_injected_frames_may_be_numbered() -> None:
    """S14: an unknown type on a known sid takes the next number of it."""
    rig = Rig()
    peer = reader(rig, BOOKS, "ticker")

    rig.control.inject(unknown_type(BOOKS))
    rig.control.inject(Inject(channel="ticker", text='{"type":"x","sid":{sid},"seq":{seq}}'))
    rig.control.inject(Inject(channel=BOOKS, text='{"type":"x","sid":{sid}}'))
    tick(rig)

    heard = peer.heard()
    assert [(m["sid"], m.get("seq")) for m in heard] == [(1, 2), (2, 0), (1, None), (1, 3)]


def test_a_flood_keeps_the_book_true() -> None:
    """S14: many deltas at once that take each other back; or the ticker over and over."""
    rig = Rig()
    rig.exchange.change(BOS, "yes", 100, 700)
    peer = rig.peer()
    peer.subscribe(BOOKS, "ticker", "trade", market_tickers=[BOS, NYC])
    told = ToldBook()

    rig.control.inject(Flood(channel=BOOKS, frames=100))
    rig.control.inject(Flood(channel="ticker", frames=3))
    rig.control.inject(Flood(channel="trade", frames=3))

    heard = peer.heard()
    assert types(heard).count("orderbook_delta") == 100
    assert types(heard).count("ticker") == 3
    for message in heard:
        if message["type"].startswith("orderbook") and message["msg"]["market_ticker"] == BOS:
            told.take(message)
    assert told.sides == true_sides(rig.control.book(BOS))


def test_a_flood_concerns_all_markets_where_no_filter_is() -> None:
    rig = Rig()
    peer = rig.peer()
    peer.say("subscribe", channels=["ticker"])
    peer.heard()

    rig.control.inject(Flood(frames=4))
    rig.control.inject(Flood(frames=1, market_ticker=SEA))

    assert [m["msg"]["market_ticker"] for m in peer.heard()] == [BOS, NYC, SEA, BOS, SEA]


def test_a_flood_overflows_a_slow_reader() -> None:
    """S14: slow-reader overflow on demand, and nothing more on that sid."""
    rig = Rig(outbox_frames=10)
    peer = reader(rig, BOOKS, "ticker")

    rig.control.inject(Flood(frames=100))

    heard = peer.heard()
    assert types(heard) == ["orderbook_delta"] * 10 + ["error", "error"]
    assert [m["msg"]["code"] for m in heard[10:]] == [25, 25]
    assert peer.session.subscriptions == {}


def test_a_counter_restarts_on_a_living_sid() -> None:
    """S14, B27."""
    rig = Rig()
    peer = reader(rig)
    tick(rig, 2)

    rig.control.inject(RestartSequence(sid=1))
    tick(rig, 2)
    rig.control.inject(RestartSequence(sid=1, first=50))
    tick(rig, 1)

    assert numbers(peer.heard()) == [2, 3, 1, 2, 50]


# -- commands -------------------------------------------------------------------------------------


def test_a_resubscription_is_refused() -> None:
    """S14: the first subscribe is taken, the next two are not; then all is well."""
    rig = rig_with(RefuseCommands(cmd="subscribe", channel=BOOKS, after=1, count=2, code=18))
    peer = rig.peer()

    for _ in range(4):
        peer.say("subscribe", channels=[BOOKS, "trade"], market_ticker=BOS)

    kinds = types(peer.heard())
    taken, refused = ["subscribed", "orderbook_snapshot", "subscribed"], ["error", "subscribed"]
    assert kinds == [*taken, *refused, *refused, *taken]


def test_any_command_can_be_refused_with_any_code() -> None:
    """S14: non-terminal errors; code and text as wanted, whatever the profile."""
    rig = Rig(profile=Profile.LEGACY)
    peer = reader(rig)
    for cmd in ("list_subscriptions", UPDATE, "unsubscribe"):
        rig.control.inject(RefuseCommands(cmd=cmd, code=27, text="calm down"))

    peer.say("list_subscriptions")
    peer.say(UPDATE, sid=1, action="add_markets", market_ticker=NYC)
    peer.say("unsubscribe", sids=[1])
    peer.say("list_subscriptions")

    heard = peer.heard()
    assert [m["msg"] for m in heard[:3]] == [{"code": 27, "msg": "calm down"}] * 3
    assert heard[3]["subscriptions"] == [{"channel": BOOKS, "sid": 1}]


# -- the engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rates", "check"),
    [
        (FaultRates(drop_rate=0.2), lambda seen: len(set(seen)) < 900 and seen == sorted(seen)),
        (FaultRates(duplicate_rate=0.2), lambda seen: len(seen) > 1100),
        (FaultRates(swap_rate=0.2), lambda seen: seen != sorted(seen) and len(seen) >= 999),
        (FaultRates(delay_rate=0.2, delay_s=0.5), lambda seen: len(seen) < 900),
    ],
)
def test_chance_strikes_at_its_rate(rates: FaultRates, check: Any) -> None:
    """S14: seeded rates, for frames of data only; setting others ends them."""
    rig = rig_with(rates=rates)
    peer = reader(rig)

    tick(rig, 1000)
    seen = [n for n in numbers(peer.heard()) if n]
    assert check(seen)

    rig.control.set_rates(FaultRates())
    rig.after(1)
    tick(rig, 1)
    peer.heard()
    tick(rig, 10)
    assert len(peer.heard()) == 10


def test_the_oldest_fault_wins_and_the_others_keep_counting() -> None:
    rig = rig_with(
        Lose(types=("orderbook_delta",), count=1),
        Duplicate(types=("orderbook_delta",), after=1, count=1),
    )
    peer = reader(rig)

    tick(rig, 3)

    assert numbers(peer.heard()) == [3, 4, 4]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lose(count=-1),
        lambda: Abort(after_s=-1),
        lambda: FaultRates(drop_rate=0.6, swap_rate=0.6),
        lambda: FaultRates(drop_rate=-0.1),
    ],
)
def test_impossible_faults_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()


@pytest.mark.parametrize(
    "fault",
    [
        Lose(count=None),
        AddFields(),
        Inject(binary=b"\x00"),
        RefuseHandshakes(answer="hang"),
        RefuseHandshakes(answer=429, for_s=3),
        SendError(code=10),
    ],
)
def test_faults_survive_json(fault: AnyFault) -> None:
    """S15: they travel over the control interface, and stand in configurations."""
    encoded = msgspec.json.encode(fault)

    assert msgspec.json.decode(encoded, type=AnyFault) == fault


def test_spent_faults_are_forgotten() -> None:
    """A day of faults, one by one, leaves nothing behind."""
    rig = Rig()
    peer = reader(rig)
    numbers_given = []

    for _ in range(50):
        numbers_given.append(rig.control.inject(Lose()))
        rig.control.inject(HalfOpen(for_s=0.1))
        rig.after(0.2)
        tick(rig)

    assert [rig.control.heal(number) for number in numbers_given] == [False] * 49 + [True]
    assert peer.heard() == []


def test_faults_without_anybody_to_act_do_nothing() -> None:
    rig = Rig()
    faults = Faults(rig.clock, rig.hub.faults._random)
    acted: list[Action] = []

    faults.add(Abort())
    faults.on_action = lambda action, connection: acted.append(action)
    faults.add(Abort())

    assert acted == [Abort()]
