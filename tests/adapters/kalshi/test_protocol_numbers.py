"""The streaming session: numbers that are missing, repeated, out of order, or begin again."""

from typing import Any

import pytest

from adapters.kalshi.actions import (
    Acknowledged,
    Alarm,
    AskReconnect,
    BookApplied,
    BookInvalid,
    Deliver,
    Ended,
    Fault,
    GapFound,
    Interrupted,
    LevelApplied,
    LevelDropped,
    Reread,
    Told,
)
from adapters.kalshi.ladders import BookState
from adapters.kalshi.policy import TO_THE_LETTER, Policy
from adapters.kalshi.subscription import Subscription
from tests.adapters.kalshi.session_rig import (
    MS_NS,
    Rig,
    delta,
    frame,
    okay,
    refusal,
    snapshot,
    states,
    subscribed,
    trade,
    unsubscribed,
)

LIVE, RESYNCING, STALE = BookState.LIVE, BookState.RESYNCING, BookState.STALE


def snapshot_asks(rig: Rig) -> list[dict[str, Any]]:
    """Return the `get_snapshot` commands that were not taken yet."""
    return [
        command
        for command in rig.commands()
        if command.get("params", {}).get("action") == "get_snapshot"
    ]


def gap(rig: Rig, *, after: int, sid: int = 3) -> None:
    """Lose a number, and wait until nobody hopes for it any more."""
    rig.hear(delta(sid, after + 2, "A", 4_000, 1))
    rig.wait(0.006)


def test_each_change_tells_the_new_size() -> None:
    rig = Rig()
    subscription = rig.books("A")

    change = delta(3, 2, "A", 4_000, -200)
    rig.hear(change)

    assert rig.take() == [LevelApplied(subscription, change, 300)]


def test_repeats_are_neither_delivered_nor_applied() -> None:
    """B4, K29: silently, whether at once or a little later."""
    rig = Rig()
    subscription = rig.books("A")
    first, second = delta(3, 2, "A", 4_000, 5), delta(3, 3, "A", 4_000, 6)

    rig.hear(first, first, second, first, second)

    assert [action.count for action in rig.take() if isinstance(action, LevelApplied)] == [505, 511]
    assert subscription.statistics.duplicates == 3
    assert states(subscription) == {"A": LIVE}


def test_frames_out_of_order_are_put_in_order() -> None:
    """B5: a small reorder buffer before a gap is declared."""
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(*(delta(3, number, "A", 4_000, number) for number in (3, 4, 2, 5)))

    applied = [action for action in rig.take() if isinstance(action, LevelApplied)]
    assert [action.frame.seq for action in applied] == [2, 3, 4, 5]
    assert subscription.statistics.reorders == 2
    assert subscription.statistics.gaps == 0


def test_a_held_frame_that_comes_twice_is_one_repeat() -> None:
    rig = Rig()
    subscription = rig.books("A")
    early = delta(3, 3, "A", 4_000, 1)

    rig.hear(early, early, delta(3, 2, "A", 4_000, 1))

    assert subscription.statistics.duplicates == 1
    assert subscription.statistics.gaps == 0


def test_a_gap_makes_every_book_of_the_sid_invalid_and_asks_for_all_in_one_command() -> None:
    """B2, K27, R-41, B1; the books of other sids are untouched."""
    rig = Rig()
    subscription, other = rig.books("A", "B"), rig.books("C", sid=4)

    rig.hear(delta(3, 4, "A", 4_000, 1))
    assert states(subscription) == {"A": LIVE, "B": LIVE}
    rig.wait(0.005)

    assert rig.of(GapFound) == [GapFound(subscription, 3, 4)]
    assert [invalid.market for invalid in rig.of(BookInvalid)] == ["A", "B"]
    assert states(subscription) == {"A": RESYNCING, "B": RESYNCING}
    assert states(other) == {"C": LIVE}
    (ask,) = snapshot_asks(rig)
    assert ask["params"] == {
        "sids": [3],
        "action": "get_snapshot",
        "market_tickers": ["A", "B"],
    }
    assert subscription.books["A"].reason == "expected number 3, received 4"

    rig.hear(snapshot(3, 5, "A", {100: 1}, id=ask["id"]), delta(3, 6, "B", 100, 1))
    rig.hear(snapshot(3, 7, "B", {200: 2}, id=ask["id"]), delta(3, 8, "B", 200, 2))

    assert states(subscription) == {"A": LIVE, "B": LIVE}
    assert subscription.books["B"].bids("yes") == [(200, 4)]
    assert [dropped.frame.seq for dropped in rig.of(LevelDropped)] == [4, 6]
    assert subscription.statistics.resyncs == 4  # two of them at first
    assert rig.session.gauges()["unanswered"] == 0


def test_more_early_frames_than_the_window_holds_are_a_gap_at_once() -> None:
    rig = Rig(Policy(reorder_window=2))
    subscription = rig.books("A")

    rig.hear(*(delta(3, number, "A", 4_000, 1) for number in (3, 4, 5)))

    assert rig.of(GapFound) == [GapFound(subscription, 2, 3)]
    assert len(snapshot_asks(rig)) == 1


def test_a_second_hole_behind_the_first_is_found_too() -> None:
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(delta(3, 3, "A", 4_000, 1), delta(3, 5, "A", 4_000, 1))
    rig.wait(0.02)

    assert rig.of(GapFound) == [GapFound(subscription, 2, 3), GapFound(subscription, 4, 5)]


def test_five_hundred_gaps_at_once_make_no_storm() -> None:
    """R-41: one command per sid, and no more of them at once than the budget allows."""
    rig = Rig(Policy(recovery_burst=20, recovery_per_s=100))
    markets = [f"M{number}" for number in range(500)]
    many = rig.books(*markets, sid=1)
    sids = range(2, 92)
    for sid in sids:
        rig.books("A", sid=sid)

    rig.hear(delta(1, 502, "M7", 4_000, 1))
    for sid in sids:
        rig.hear(delta(sid, 3, "A", 4_000, 1))
    rig.wait(0.006)

    assert len(snapshot_asks(rig)) == 20
    assert max(len(ask["params"]["market_tickers"]) for ask in snapshot_asks(rig)) == 500
    assert set(states(many).values()) == {RESYNCING}
    rig.wait(1.5)
    asked = {ask["params"]["sids"][0] for ask in snapshot_asks(rig)}
    assert asked == {1, *sids}


def test_a_snapshot_that_reveals_the_gap_is_the_truth_of_its_market() -> None:
    """B27: a snapshot is always authoritative."""
    rig = Rig()
    subscription = rig.books("A", "B")

    rig.hear(snapshot(3, 5, "A", {100: 1}))
    rig.wait(0.006)

    assert states(subscription) == {"A": LIVE, "B": RESYNCING}
    assert snapshot_asks(rig)[0]["params"]["market_tickers"] == ["B"]


def test_a_late_frame_is_not_applied_after_the_gap() -> None:
    """B5: what was given up does not come back."""
    rig = Rig()
    subscription = rig.books("A")
    gap(rig, after=1)
    rig.hear(snapshot(3, 4, "A", {100: 1}))

    rig.hear(delta(3, 2, "A", 100, 5))

    assert subscription.books["A"].bids("yes") == [(100, 1)]
    assert states(subscription) == {"A": LIVE}
    assert subscription.statistics.duplicates == 1


def test_control_frames_take_their_numbers() -> None:
    """B6, section 6, 3."""
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(refusal(26, sid=3, seq=2), frame(None, type="news", sid=3, seq=3))
    rig.hear(delta(3, 4, "A", 4_000, 1))

    assert subscription.statistics.gaps == 0
    assert len(rig.of(LevelApplied)) == 1


def test_an_answer_is_heard_though_its_number_must_wait() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.hear(okay(rig.last_id, 3, 3))
    done = [type(action).__name__ for action in rig.take()]
    rig.hear(delta(3, 2, "A", 4_000, 1), snapshot(3, 4, "B"))

    assert "Done" in done
    assert states(subscription) == {"A": LIVE, "B": LIVE}
    assert subscription.statistics.gaps == 0


def test_the_end_of_a_sid_is_heard_though_its_number_must_wait() -> None:
    """B12: nothing else would come to make it wait for."""
    rig = Rig()
    rig.books("A")

    rig.hear(refusal(25, sid=3, seq=9))

    assert len(rig.of(Interrupted)) == 1


def test_a_frame_behind_the_end_of_its_sid_is_not_used() -> None:
    rig = Rig()
    rig.books("A")

    rig.hear(delta(3, 4, "A", 4_000, 1), unsubscribed(None, 3, 3), delta(3, 2, "A", 4_000, 1))

    assert len(rig.of(LevelApplied)) == 1


def test_frames_behind_a_gap_and_an_end_are_not_used() -> None:
    rig = Rig()
    rig.books("A")

    rig.hear(unsubscribed(None, 3, 3), snapshot(3, 4, "A"))
    rig.wait(0.006)

    assert not rig.of(BookApplied)


# -- counters that begin again ---------------------------------------------------------------------


def test_numbers_that_come_again_with_other_content_are_a_new_beginning() -> None:
    """B27: a run of old numbers on a living sid is no run of repeats."""
    rig = Rig()
    subscription = rig.books("A", "B")
    rig.hear(*(delta(3, number, "A", 4_000, 1) for number in range(3, 9)))
    rig.take()

    rig.hear(snapshot(3, 1, "A", {100: 9}, stamp=1))

    assert rig.of(GapFound) == [GapFound(subscription, 9, 1)]
    assert states(subscription) == {"A": LIVE, "B": RESYNCING}
    assert snapshot_asks(rig)[0]["params"]["market_tickers"] == ["B"]
    rig.hear(snapshot(3, 2, "B", stamp=1), delta(3, 3, "A", 100, 1, stamp=1))
    assert subscription.books["A"].bids("yes") == [(100, 10)]
    assert subscription.statistics.restarts == 1


def test_a_number_of_long_ago_is_suspect_and_two_in_a_row_are_a_new_beginning() -> None:
    """B27: one may simply be very late; it is not used, but the books are asked for anew."""
    rig = Rig()
    subscription = rig.books("A")
    rig.hear(*(delta(3, number, "A", 4_000, 1) for number in range(2, 60)))
    rig.take()

    rig.hear(snapshot(3, 1, "A", {100: 9}, stamp=1))
    assert states(subscription) == {"A": RESYNCING}
    rig.hear(snapshot(3, 2, "A", {100: 9}, stamp=1))

    assert states(subscription) == {"A": LIVE}
    assert subscription.statistics.restarts == 1


def test_a_frame_of_long_ago_does_not_disturb_the_count() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.hear(*(delta(3, number, "A", 4_000, 1) for number in range(2, 60)))

    rig.hear(snapshot(3, 1, "A", stamp=1), snapshot(3, 60, "A"), delta(3, 61, "A", 100, 1))

    assert states(subscription) == {"A": LIVE}
    assert subscription.statistics.restarts == 0
    assert subscription.statistics.gaps == 0


def test_to_the_letter_old_numbers_are_repeats() -> None:
    """K29, B27's counterpart."""
    rig = Rig(TO_THE_LETTER)
    subscription = rig.books("A")

    rig.hear(snapshot(3, 1, "A", {100: 9}, stamp=1))

    assert rig.take() == []
    assert subscription.statistics.duplicates == 1


def test_to_the_letter_a_gap_is_declared_and_its_frame_dropped_at_once() -> None:
    """K25, K26, K27, K28, K31: books cleared, nobody is asked, the next snapshot heals."""
    rig = Rig(TO_THE_LETTER)
    subscription = rig.books("A", "B")

    rig.hear(snapshot(3, 4, "A"))
    assert rig.of(GapFound) == [GapFound(subscription, 3, 4)]
    assert states(subscription) == {"A": RESYNCING, "B": RESYNCING}
    rig.wait(60)
    assert not rig.commands()
    rig.hear(snapshot(3, 6, "A"))

    assert states(subscription) == {"A": LIVE, "B": RESYNCING}
    assert subscription.statistics.gaps == 1


# -- books that contradict themselves --------------------------------------------------------------


def test_a_change_that_takes_from_nothing_makes_its_book_suspect() -> None:
    """Section 8, 2: counted, suspect, asked for anew; the other books are fine."""
    rig = Rig()
    subscription = rig.books("A", "B")

    rig.hear(delta(3, 3, "A", 100, -5))

    assert states(subscription) == {"A": RESYNCING, "B": LIVE}
    assert snapshot_asks(rig)[0]["params"]["market_tickers"] == ["A"]
    assert subscription.statistics.inconsistencies == 1
    assert [told.fault for told in rig.of(Told)] == [Fault.INCONSISTENT_BOOK]


def test_an_impossible_snapshot_makes_its_book_suspect() -> None:
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(snapshot(3, 2, "A", {20_000: 5}))

    assert states(subscription) == {"A": RESYNCING}
    assert subscription.statistics.inconsistencies == 1


def test_a_change_before_the_snapshot_is_dropped() -> None:
    """K34."""
    rig = Rig()
    subscription = rig.subscribe("orderbook_delta", "A")
    rig.hear(subscribed(1, "orderbook_delta", 3))

    rig.hear(delta(3, 1, "A", 100, 5))

    assert len(rig.of(LevelDropped)) == 1
    assert subscription.statistics.drops == 1
    assert subscription.books["A"].yes_leg() is None


# -- pursuit ---------------------------------------------------------------------------------------


def test_a_missing_book_is_asked_for_then_subscribed_anew_then_reconnected_then_alarmed() -> None:
    """B1: each step with its deadline."""
    rig = Rig()
    subscription = rig.books("A")
    gap(rig, after=1)

    rig.wait(2.8)
    assert [ask["params"]["market_tickers"] for ask in snapshot_asks(rig)] == [["A"]] * 3
    rig.take()
    rig.wait(0.5)
    assert [command["cmd"] for command in rig.commands()][-2:] == ["unsubscribe", "subscribe"]
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4))
    rig.take()
    rig.wait(9)
    assert not rig.of(AskReconnect)
    rig.wait(2)
    assert rig.of(AskReconnect) == [AskReconnect("no book of A came")]
    rig.wait(20)

    (alarm,) = rig.of(Alarm)
    assert alarm.markets == ("A",)
    assert states(subscription) == {"A": STALE}
    assert len(rig.of(AskReconnect)) == 1
    rig.hear(snapshot(4, 1, "A"))
    assert states(subscription) == {"A": LIVE}


def test_a_server_without_snapshots_on_demand_is_subscribed_anew_at_once() -> None:
    """Code 13; the next gap on this connection does not ask first."""
    rig = Rig()
    subscription = rig.books("A", "B")
    gap(rig, after=2)

    rig.hear(refusal(13, number=rig.last_id))
    rig.wait(0.3)

    assert [command["cmd"] for command in rig.commands()][-2:] == ["unsubscribe", "subscribe"]
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4))
    rig.hear(snapshot(4, 1, "A"), snapshot(4, 2, "B"))
    assert states(subscription) == {"A": LIVE, "B": LIVE}

    rig.take()
    rig.wait(1)
    gap(rig, after=2, sid=4)
    assert [command["cmd"] for command in rig.commands()] == ["unsubscribe", "subscribe"]


def test_a_market_that_never_had_a_book_costs_neither_sid_nor_connection() -> None:
    """The venue may not know it (section 14, 4): it is asked for, and somebody is told."""
    rig = Rig()
    subscription = rig.subscribe("orderbook_delta", "A", "TYPO")
    rig.hear(subscribed(1, "orderbook_delta", 3), snapshot(3, 1, "A"))

    rig.wait(45)

    assert {command["cmd"] for command in rig.commands()} == {"subscribe", "update_subscription"}
    assert not rig.of(AskReconnect)
    assert [alarm.markets for alarm in rig.of(Alarm)] == [("TYPO",)]
    assert states(subscription) == {"A": LIVE, "TYPO": STALE}


def test_on_a_server_without_snapshots_it_costs_the_sid_once() -> None:
    rig = Rig()
    rig.subscribe("orderbook_delta", "A", "TYPO")
    rig.hear(subscribed(1, "orderbook_delta", 3), snapshot(3, 1, "A"))
    rig.wait(1.1)
    rig.hear(refusal(13, number=rig.last_id))
    rig.wait(0.3)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4), snapshot(4, 1, "A"))
    rig.take()

    rig.wait(25)

    assert not rig.commands()
    assert not rig.of(AskReconnect)


def test_a_snapshot_asked_of_a_sid_that_the_venue_forgot_subscribes_anew() -> None:
    """Code 7."""
    rig = Rig()
    subscription = rig.books("A")
    gap(rig, after=1)

    rig.hear(refusal(7, number=rig.last_id))
    assert len(rig.of(Interrupted)) == 1
    rig.wait(1)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4), snapshot(4, 1, "A"))

    assert states(subscription) == {"A": LIVE}


def test_a_snapshot_asked_too_fast_is_asked_again_later() -> None:
    """Codes 18 and 27."""
    rig = Rig()
    rig.books("A")
    gap(rig, after=1)

    rig.hear(refusal(27, number=rig.last_id))
    rig.wait(1)

    assert len(snapshot_asks(rig)) == 2


def test_merged_subscriptions_share_one_ask() -> None:
    rig = Rig()
    first = rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "B")
    rig.hear(okay(rig.last_id, 3, 2), snapshot(3, 3, "B"))
    rig.take()

    gap(rig, after=3)

    assert [ask["params"]["market_tickers"] for ask in snapshot_asks(rig)] == [["A", "B"]]
    rig.hear(refusal(7, number=rig.last_id))
    assert [action.subscription for action in rig.of(Interrupted)] == [first, second]


def test_the_owner_may_ask_for_snapshots_and_for_a_new_sid() -> None:
    rig = Rig()
    subscription = rig.books("A")

    assert rig.session.request_snapshots(subscription, ("A",), 0)
    assert len(snapshot_asks(rig)) == 1
    assert states(subscription) == {"A": LIVE}
    rig.session.resubscribe(subscription, "it is mute", 0)
    assert [command["cmd"] for command in rig.commands()][-2:] == ["unsubscribe", "subscribe"]
    assert not rig.session.request_snapshots(subscription, ("A",), 0)
    rig.session.resubscribe(subscription, "it is mute", 0)


# -- streams without books -------------------------------------------------------------------------


def test_a_gap_in_order_groups_asks_to_read_them_by_rest() -> None:
    """B23: no snapshots exist; what came is delivered."""
    rig = Rig()
    subscription = _subscribed(rig, "order_group_updates")

    rig.hear(trade(5, 1), trade(5, 3))
    rig.wait(0.006)

    (reread,) = rig.of(Reread)
    assert reread.subscription is subscription
    assert [action.frame.seq for action in rig.of(Deliver)] == [1, 3]


def test_a_gap_in_trades_is_told_and_the_rest_delivered() -> None:
    rig = Rig()
    subscription = _subscribed(rig, "trade")

    rig.hear(trade(5, 1), trade(5, 4))
    rig.wait(0.006)

    assert rig.of(GapFound) == [GapFound(subscription, 2, 4)]
    assert not rig.of(Reread)
    assert len(rig.of(Deliver)) == 2


def test_the_first_number_of_a_sid_is_taken_whatever_it_is() -> None:
    """K25; frames without a number are simply delivered."""
    rig = Rig()
    _subscribed(rig, "trade")

    rig.hear(trade(5, 1_000), trade(5, None), trade(5, 1_001))

    assert len(rig.of(Deliver)) == 3
    assert not rig.of(GapFound)


def test_a_subscription_that_ended_wants_no_more_books() -> None:
    rig = Rig()
    subscription = rig.books("A")
    gap(rig, after=1)
    rig.session.unsubscribe(subscription, 1, rig.now_ns)
    rig.take()

    rig.wait(60)

    assert not rig.commands()
    assert subscription.books == {}
    assert not rig.of(Ended)


def test_nothing_is_asked_while_there_is_no_connection() -> None:
    rig = Rig()
    rig.books("A")
    gap(rig, after=1)
    rig.session.on_lost("cut", rig.now_ns)
    rig.take()

    rig.wait(60)
    assert not rig.take()
    rig.session.on_open(rig.now_ns)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 1), snapshot(1, 1, "A"))

    assert len(rig.of(Acknowledged)) == 1
    assert rig.session.wake_ns is None or rig.session.wake_ns > rig.now_ns


@pytest.mark.parametrize("late_ms", [1, 4])
def test_the_window_closes_after_a_few_milliseconds(late_ms: int) -> None:
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(delta(3, 3, "A", 4_000, 1))
    rig.now_ns += late_ms * MS_NS
    rig.session.on_time(rig.now_ns)
    rig.hear(delta(3, 2, "A", 4_000, 1))

    assert subscription.statistics.gaps == 0
    assert len(rig.of(LevelApplied)) == 2


def _subscribed(rig: Rig, channel: str) -> Subscription:
    subscription = rig.subscribe(channel)
    rig.hear(subscribed(1, channel, 5))
    rig.take()
    return subscription
