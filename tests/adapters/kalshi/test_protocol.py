"""The streaming session, one rule at a time: subscriptions, sids, answers, connections."""

import pytest

from adapters.kalshi.actions import (
    Acknowledged,
    BookApplied,
    BookInvalid,
    Deliver,
    Done,
    Ended,
    Fault,
    Interrupted,
    LevelApplied,
    Refused,
    Send,
    Told,
)
from adapters.kalshi.ladders import BookState
from adapters.kalshi.policy import TO_THE_LETTER, Policy
from adapters.kalshi.subscription import Parameters, SubscriptionState
from tests.adapters.kalshi.session_rig import (
    SECOND_NS,
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


# -- subscribing -----------------------------------------------------------------------------------


def test_a_subscribe_is_answered_by_id() -> None:
    """K7, K45: order books always ask for their snapshots."""
    rig = Rig()

    subscription = rig.subscribe("orderbook_delta", "A", "B")

    assert rig.commands() == [
        {
            "id": 1,
            "cmd": "subscribe",
            "params": {
                "channels": ["orderbook_delta"],
                "market_tickers": ["A", "B"],
                "send_initial_snapshot": True,
            },
        }
    ]
    assert subscription.sid is None

    rig.hear(subscribed(1, "orderbook_delta", 3))

    assert rig.of(Acknowledged) == [Acknowledged(subscription, False)]
    assert subscription.state is SubscriptionState.LIVE
    assert subscription.sid == 3
    assert states(subscription) == {"A": RESYNCING, "B": RESYNCING}


def test_a_command_with_two_channels_has_two_answers() -> None:
    """Section 4.1: one `subscribed` per channel, in any order."""
    rig = Rig()

    first, second = rig.session.subscribe("ticker", "trade", now_ns=0)
    rig.hear(subscribed(1, "trade", 8))

    assert second.sid == 8
    assert first.state is SubscriptionState.ASKED

    rig.hear(subscribed(1, "ticker", 9))

    assert first.sid == 9
    assert [action.subscription for action in rig.of(Acknowledged)] == [second, first]
    assert rig.session.gauges()["unanswered"] == 0


def test_an_error_to_two_channels_waits_until_it_is_clear_whose_it_is() -> None:
    """K7, K53: the error names no channel; the one left without a sid was refused."""
    rig = Rig()
    first, second = rig.session.subscribe("ticker", "fill", now_ns=0)

    rig.hear(refusal(9, number=1))

    assert not rig.of(Ended)

    rig.hear(subscribed(1, "ticker", 2))

    (ended,) = rig.of(Ended)
    assert ended.subscription is second
    assert ended.error is not None
    assert ended.error.code == 9
    assert first.state is SubscriptionState.LIVE
    assert [told.code for told in rig.of(Told)] == [9]


def test_silence_for_five_seconds_fails_a_subscribe() -> None:
    """K7; what the venue subscribed all the same is found and let go."""
    rig = Rig()
    subscription = rig.subscribe("trade")

    rig.wait(4.9)
    assert not rig.of(Ended)
    rig.wait(0.2)

    (ended,) = rig.of(Ended)
    assert str(ended.error) == "trade: no answer within 5 s"
    assert ended.subscription is subscription
    assert rig.commands()[-1] == {"id": 2, "cmd": "list_subscriptions"}

    rig.hear(okay(2, subscriptions=(("trade", 4),)))

    assert rig.commands()[-1] == {"id": 3, "cmd": "unsubscribe", "params": {"sids": [4]}}


def test_an_acknowledgement_that_comes_too_late_is_taken_back() -> None:
    rig = Rig()
    rig.subscribe("trade")
    rig.wait(6)
    rig.take()

    rig.hear(subscribed(1, "trade", 4))

    assert [command["cmd"] for command in rig.commands()] == ["unsubscribe"]
    rig.take()
    rig.hear(subscribed(1, "trade", 4))
    assert not rig.commands()


def test_an_answer_without_an_id_goes_to_the_oldest_command_of_its_channel() -> None:
    rig = Rig()
    first, second = rig.subscribe("trade", "A"), rig.subscribe("trade", "B")

    rig.hear(subscribed(None, "trade", 5), subscribed(None, "trade", 6))

    assert (first.sid, second.sid) == (5, 6)


def test_a_subscribe_that_came_too_fast_is_tried_again() -> None:
    """Codes 18 and 27 ask for a pause."""
    rig = Rig()
    subscription = rig.subscribe("trade")

    rig.hear(refusal(27, number=1))
    assert not rig.of(Ended)
    (interrupted,) = rig.of(Interrupted)
    assert 0.1 <= interrupted.pause_s <= 0.5
    rig.wait(1)
    rig.hear(refusal(18, number=2))
    rig.wait(2)
    rig.hear(subscribed(3, "trade", 4))

    assert rig.of(Acknowledged) == [Acknowledged(subscription, False)]


def test_what_comes_too_fast_for_ever_fails_in_the_end() -> None:
    rig = Rig(Policy(attempts=2))
    rig.subscribe("trade")

    rig.hear(refusal(27, number=1))
    rig.wait(1)
    rig.hear(refusal(27, number=2))

    assert [ended.error.code for ended in rig.of(Ended) if ended.error] == [27]


def test_parameters_are_sent_as_given() -> None:
    """K40, B20: False is sent, None is not, and what we do not know can be passed on."""
    rig = Rig()
    parameters = Parameters(
        market_ticker="A", use_yes_price=False, shard_factor=2, shard_key=0, extra={"new": 1}
    )

    rig.session.subscribe("ticker", parameters=parameters, now_ns=0)

    assert rig.commands()[0]["params"] == {
        "channels": ["ticker"],
        "new": 1,
        "market_ticker": "A",
        "use_yes_price": False,
        "shard_factor": 2,
        "shard_key": 0,
    }


# -- a second subscribe of a channel (section 6, 8) ------------------------------------------------


def test_a_merging_server_answers_with_the_older_sid() -> None:
    """B8, S17: `ok` with a top-level sid; each market goes to whoever asked for it."""
    rig = Rig()
    first = rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "B")

    rig.hear(okay(rig.last_id, 3, 2, market_tickers=("A", "B")))
    rig.hear(snapshot(3, 3, "B", {100: 5}), delta(3, 4, "A", 4_000, 5), delta(3, 5, "B", 100, 1))

    assert second.sid == 3
    assert states(second) == {"B": LIVE}
    applied = rig.of(LevelApplied)
    assert [action.subscription for action in applied] == [first, second]
    assert rig.session.gauges()["sids"] == 1


def test_a_merged_sid_that_is_left_by_one_goes_on_for_the_other() -> None:
    rig = Rig()
    first = rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "B")
    rig.hear(okay(rig.last_id, 3, 2))
    rig.take()

    assert rig.session.unsubscribe(second, 70, 0)

    (command,) = rig.commands()
    assert command["params"] == {"sids": [3], "action": "delete_markets", "market_tickers": ["B"]}
    rig.hear(okay(command["id"], 3, 3))
    assert rig.of(Done) == [Done(70)]
    assert first.state is SubscriptionState.LIVE
    assert rig.of(Ended) == [Ended(second, None)]


def test_a_merged_sid_whose_markets_are_shared_is_simply_left() -> None:
    rig = Rig()
    rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "A")
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 3))
    rig.take()

    assert not rig.session.unsubscribe(second, 70, 0)
    assert not rig.commands()


def test_frames_of_a_merged_sid_reach_those_who_cover_their_market() -> None:
    rig = Rig()
    first, second, third = (rig.subscribe("trade", *m) for m in (("A",), ("B",), ()))
    for number in (1, 2, 3):
        rig.hear(subscribed(number, "trade", 5))

    rig.hear(trade(5, 1, "B"))

    assert [action.subscription for action in rig.of(Deliver)] == [second, third]
    assert first.statistics.frames == 1


def test_an_ok_without_a_sid_means_the_sid_of_the_channel() -> None:
    rig = Rig()
    first = rig.subscribe("trade", "A")
    rig.hear(subscribed(1, "trade", 5))
    second = rig.subscribe("trade", "B")

    rig.hear(okay(2))

    assert (first.sid, second.sid) == (5, 5)


def test_an_ok_that_leads_nowhere_is_counted() -> None:
    rig = Rig()
    rig.subscribe("trade")

    rig.hear(okay(1), okay(99))

    assert rig.session.gauges()["stray_answers"] == 2


def test_error_6_joins_the_sid_of_the_channel() -> None:
    """Legacy servers: what is already subscribed gets more markets."""
    rig = Rig()
    rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "B")

    rig.hear(refusal(6, number=rig.last_id))

    command = rig.commands()[-1]
    assert command["params"] == {"sids": [3], "action": "add_markets", "market_tickers": ["B"]}
    assert second.state is SubscriptionState.ASKED
    rig.hear(okay(command["id"], 3, 2), snapshot(3, 3, "B"))
    assert rig.of(Acknowledged) == [Acknowledged(second, False)]
    assert states(second) == {"B": LIVE}


def test_error_6_without_markets_shares_the_sid_at_once() -> None:
    rig = Rig()
    rig.subscribe("trade")
    rig.hear(subscribed(1, "trade", 5))
    second = rig.subscribe("trade")

    rig.hear(refusal(6, number=2))

    assert second.state is SubscriptionState.LIVE
    assert second.sid == 5


def test_a_refused_join_fails_that_subscription_alone() -> None:
    rig = Rig()
    first = rig.books("A", sid=3)
    second = rig.subscribe("orderbook_delta", "B")
    rig.hear(refusal(6, number=rig.last_id))

    rig.hear(refusal(26, number=rig.last_id, sid=3, seq=2))

    (ended,) = rig.of(Ended)
    assert ended.subscription is second
    assert first.state is SubscriptionState.LIVE


def test_error_6_for_a_sid_that_we_do_not_know_lets_it_go_and_tries_again() -> None:
    """A lost acknowledgement on a legacy server."""
    rig = Rig()
    subscription = rig.subscribe("trade")

    rig.hear(refusal(6, number=1))
    rig.hear(okay(2, subscriptions=(("trade", 5),)))
    rig.hear(unsubscribed(3, 5))
    rig.wait(1)
    rig.hear(subscribed(4, "trade", 6))

    assert [command["cmd"] for command in rig.commands()] == [
        "subscribe",
        "list_subscriptions",
        "unsubscribe",
        "subscribe",
    ]
    assert subscription.sid == 6


def test_error_6_waits_patiently_for_the_acknowledgement_of_the_other() -> None:
    """The sid to join is on its way, or lost: that is no failed attempt of ours."""
    rig = Rig(Policy(attempts=2))
    first, second = rig.subscribe("trade", "A"), rig.subscribe("trade", "B")

    for _ in range(4):
        rig.hear(refusal(6, number=rig.last_id))
        rig.wait(1)
    assert not rig.of(Ended)
    rig.hear(subscribed(1, "trade", 5), refusal(6, number=rig.last_id))
    rig.hear(okay(rig.last_id, 5))

    assert (first.sid, second.sid) == (5, 5)
    assert second.state is SubscriptionState.LIVE


def test_a_sid_is_no_orphan_while_its_acknowledgement_may_come() -> None:
    rig = Rig()
    rig.subscribe("trade")
    rig.wait(6)
    again = rig.subscribe("trade")

    rig.hear(okay(2, subscriptions=(("trade", 5), ("ticker", 6))))

    released = [command for command in rig.commands() if command["cmd"] == "unsubscribe"]
    assert [command["params"] for command in released] == [{"sids": [6]}]
    rig.hear(subscribed(3, "trade", 5))
    assert again.sid == 5


# -- frames ----------------------------------------------------------------------------------------


def test_frames_before_their_acknowledgement_are_kept_in_order() -> None:
    """K49."""
    rig = Rig()
    subscription = rig.subscribe("orderbook_delta", "A")

    rig.hear(snapshot(3, 1, "A", {100: 5}), delta(3, 2, "A", 100, 1))
    assert not rig.of(BookApplied)
    rig.hear(subscribed(1, "orderbook_delta", 3))

    assert [action.count for action in rig.of(LevelApplied)] == [6]
    assert states(subscription) == {"A": LIVE}


def test_too_many_early_frames_push_out_the_oldest_with_one_warning() -> None:
    """K49: bounded, 1000 per sid."""
    rig = Rig()
    rig.subscribe("trade")

    rig.hear(*(trade(3, number) for number in range(1, 1_004)))

    assert [told.fault for told in rig.of(Told)] == [Fault.EARLY_FRAMES_LOST]
    rig.hear(subscribed(1, "trade", 3))
    assert [action.frame.seq for action in rig.of(Deliver)] == list(range(4, 1_004))


def test_early_frames_are_forgotten_when_nobody_waits_any_more() -> None:
    rig = Rig(Policy(waiting_sids=2))
    rig.subscribe("trade")

    rig.hear(trade(3, 1), trade(4, 1), trade(5, 1), trade(3, 2))
    rig.hear(refusal(8, number=1))

    assert rig.session.gauges()["unrouted"] == 3


def test_frames_of_an_unknown_sid_touch_nothing() -> None:
    """K57, B9: a delta of a foreign sid does not reach the book of its market."""
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(delta(99, 2, "A", 4_000, 5))

    assert rig.take() == []
    assert subscription.books["A"].bids("yes") == [(4_000, 500)]
    assert rig.session.gauges()["unrouted"] == 1


def test_unknown_types_are_counted_told_and_delivered_as_they_came() -> None:
    """B19, K54."""
    rig = Rig()
    subscription = rig.subscribe("communications")
    rig.hear(subscribed(1, "communications", 4))
    rig.take()

    rig.hear(frame(None, type="rfq_batch_created", sid=4, seq=1))
    rig.hear(frame(None, type="notice"))

    told = rig.of(Told)
    assert [one.fault for one in told] == [Fault.UNKNOWN_TYPE, Fault.UNKNOWN_TYPE]
    assert [action.frame.type for action in rig.of(Deliver)] == ["rfq_batch_created"]
    assert subscription.statistics.unknown_types == 1


def test_an_unreadable_body_is_told_and_its_books_are_doubted() -> None:
    """K56, B21: the connection stays, its number is used up, its content is missing."""
    rig = Rig()
    subscription = rig.books("A", "B")

    rig.hear(frame(None, type="orderbook_delta", sid=3, seq=3, error="price_dollars is missing"))

    assert [told.fault for told in rig.of(Told)] == [Fault.UNDECODABLE]
    assert len(rig.of(Deliver)) == 1
    assert states(subscription) == {"A": RESYNCING, "B": RESYNCING}
    assert subscription.statistics.undecodable == 1
    assert subscription.statistics.gaps == 0


def test_what_is_no_frame_at_all_is_counted_and_told() -> None:
    """K56."""
    rig = Rig()

    rig.session.on_malformed("not JSON")
    rig.hear(frame(None, type="orderbook_delta", error="no msg"))

    assert rig.of(Told)[0] == Told(Fault.UNDECODABLE, "not JSON")
    assert rig.of(Told)[1].fault is Fault.UNDECODABLE
    assert rig.session.gauges()["malformed"] == 1


def test_server_errors_are_told_with_code_text_and_id() -> None:
    """K53."""
    rig = Rig()
    subscription = rig.books("A")

    rig.hear(refusal(1, number=77))
    rig.hear(refusal(26, sid=3, seq=2))

    first, second = rig.of(Told)
    assert (first.fault, first.code, first.id) == (Fault.SERVER_ERROR, 1, 77)
    assert (second.code, second.sid, second.subscription) == (26, 3, subscription)
    assert states(subscription) == {"A": LIVE}


# -- changes ---------------------------------------------------------------------------------------


def test_markets_are_added_and_their_books_follow() -> None:
    """B6: the sequenced `ok` takes a number."""
    rig = Rig()
    subscription = rig.books("A")

    rig.session.add_markets(subscription, ("A", "B"), 50, 0)

    (command,) = rig.commands()
    assert command["params"] == {"sids": [3], "action": "add_markets", "market_tickers": ["B"]}
    rig.hear(okay(command["id"], 3, 2, market_tickers=("A", "B")), snapshot(3, 3, "B"))
    rig.hear(delta(3, 4, "B", 100, 5))

    assert rig.of(Done) == [Done(50)]
    assert states(subscription) == {"A": LIVE, "B": LIVE}
    assert subscription.statistics.gaps == 0


def test_adding_what_is_there_is_done_at_once() -> None:
    rig = Rig()
    subscription = rig.books("A")

    rig.session.add_markets(subscription, ("A",), 50, 0)

    assert rig.take() == [Done(50)]


def test_markets_are_deleted_and_their_books_with_them() -> None:
    rig = Rig()
    subscription = rig.books("A", "B")

    rig.session.delete_markets(subscription, ("B", "X"), 50, 0)

    assert list(subscription.books) == ["A"]
    rig.hear(delta(3, 3, "B", 100, 5), okay(rig.last_id, 3, 4))
    assert rig.of(Done) == [Done(50)]
    assert subscription.statistics.drops == 1
    assert not rig.of(LevelApplied)
    rig.hear(snapshot(3, 5, "B"))
    assert subscription.statistics.drops == 2


def test_markets_of_all_or_none_cannot_be_changed() -> None:
    """An empty list would mean every market of the venue."""
    rig = Rig()
    everything, one = rig.subscribe("ticker"), rig.subscribe("ticker", "A")

    with pytest.raises(ValueError, match="no list of markets"):
        rig.session.add_markets(everything, ("A",), 1, 0)
    with pytest.raises(ValueError, match="without a market"):
        rig.session.delete_markets(one, ("A",), 2, 0)


def test_a_refused_addition_leaves_the_subscription_as_it_was() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.hear(refusal(26, number=rig.last_id))

    (refused,) = rig.of(Refused)
    assert (refused.request, refused.error.code) == (50, 26)
    assert list(subscription.markets) == ["A"]
    assert list(subscription.books) == ["A"]
    assert subscription.state is SubscriptionState.LIVE


def test_a_change_without_an_answer_fails_after_five_seconds() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.wait(5.1)

    assert [refused.request for refused in rig.of(Refused)] == [50]
    assert Fault.NO_ANSWER in [told.fault for told in rig.of(Told)]


def test_a_change_that_came_too_fast_is_sent_again() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.hear(refusal(27, number=rig.last_id))
    rig.wait(1)

    adds = [c for c in rig.commands() if c["params"].get("action") == "add_markets"]
    assert len(adds) == 2
    rig.hear(okay(adds[-1]["id"], 3, 2))
    assert rig.of(Done) == [Done(50)]


def test_two_changes_wait_each_for_its_own_pause() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)
    rig.hear(refusal(27, number=rig.last_id))
    rig.session.on_time(rig.now_ns)
    rig.session.add_markets(subscription, ("C",), 51, 0)
    rig.hear(refusal(27, number=rig.last_id))

    rig.session.on_lost("cut", rig.now_ns)
    rig.session.on_open(rig.now_ns)

    assert rig.commands()[-1]["params"]["market_tickers"] == ["A", "B", "C"]
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 9))
    assert sorted(done.request for done in rig.of(Done)) == [50, 51]


def test_a_change_while_the_subscribe_is_on_its_way_follows_it() -> None:
    rig = Rig()
    subscription = rig.subscribe("orderbook_delta", "A")

    rig.session.add_markets(subscription, ("B",), 50, 0)
    assert len(rig.commands()) == 1
    rig.hear(subscribed(1, "orderbook_delta", 3))

    assert rig.commands()[-1]["params"]["action"] == "add_markets"
    rig.hear(okay(2, 3, 1))
    assert rig.of(Done) == [Done(50)]


def test_changes_while_the_subscribe_is_on_its_way_are_gathered() -> None:
    """Code 27: many at once would come too fast."""
    rig = Rig()
    subscription = rig.subscribe("orderbook_delta", "A", "B")

    for request, market in enumerate(("C", "D", "E"), 50):
        rig.session.add_markets(subscription, (market,), request, 0)
    rig.session.delete_markets(subscription, ("D", "B"), 53, 0)
    rig.hear(subscribed(1, "orderbook_delta", 3))

    add, delete = rig.commands()[1:]
    assert add["params"]["market_tickers"] == ["C", "E"]
    assert delete["params"]["market_tickers"] == ["D", "B"]
    assert sorted(subscription.books) == ["A", "C", "E"]
    rig.hear(okay(add["id"], 3, 1), okay(delete["id"], 3, 2))
    assert [done.request for done in rig.of(Done)] == [50, 51, 52, 53]


def test_an_unanswered_change_of_a_sid_that_was_replaced_is_done() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)
    rig.session.resubscribe(subscription, "wanted", 0)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4))
    rig.hear(snapshot(4, 1, "A"), snapshot(4, 2, "B"))

    rig.wait(5.1)

    assert rig.of(Done) == [Done(50)]
    assert list(subscription.markets) == ["A", "B"]


def test_a_change_that_waits_for_its_pause_fails_with_its_subscription() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)
    rig.hear(refusal(27, number=rig.last_id))
    rig.session.unsubscribe(subscription, 51, 0)

    rig.wait(1)

    assert [refused.request for refused in rig.of(Refused)] == [50]


def test_a_change_without_a_connection_is_part_of_the_next_subscribe() -> None:
    """K40, K48: the markets of now are subscribed."""
    rig = Rig()
    subscription = rig.books("A", "B")
    rig.session.on_lost("cut", 0)

    rig.session.add_markets(subscription, ("C",), 50, 0)
    rig.session.delete_markets(subscription, ("B",), 51, 0)
    assert rig.take()[-1] == Done(51)
    rig.session.on_open(0)

    assert rig.commands()[-1]["params"]["market_tickers"] == ["A", "C"]
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 1))
    assert rig.of(Done) == [Done(50)]


def test_changes_of_a_subscription_that_ends_fail_with_it() -> None:
    rig = Rig()
    subscription = rig.subscribe("trade", "A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.hear(refusal(8, number=1))

    assert [(one.request, one.error.code) for one in rig.of(Refused)] == [(50, 8)]


def test_a_change_of_a_sid_that_the_venue_forgot_subscribes_anew() -> None:
    """Code 7: whatever subscribes next covers the change."""
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)

    rig.hear(refusal(7, number=rig.last_id))
    rig.wait(1)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4))

    assert rig.of(Done) == [Done(50)]
    assert list(subscription.markets) == ["A", "B"]


def test_a_change_of_a_sid_that_was_replaced_meanwhile_is_covered_by_the_new_one() -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.add_markets(subscription, ("B",), 50, 0)
    change = rig.last_id
    rig.session.resubscribe(subscription, "wanted", 0)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 4))

    rig.hear(refusal(7, number=change))

    assert rig.of(Done) == [Done(50)]
    assert subscription.sid == 4


def test_subscriptions_can_be_listed() -> None:
    rig = Rig()

    assert rig.session.list_subscriptions(60, 0)
    rig.hear(okay(1, subscriptions=(("trade", 2),)))
    assert rig.of(Done) == [Done(60, (("trade", 2),))]

    rig.session.list_subscriptions(61, 0)
    rig.hear(refusal(1, number=2))
    assert [refused.request for refused in rig.of(Refused)] == [61]

    rig.session.list_subscriptions(62, 0)
    rig.session.on_lost("cut", 0)
    assert [refused.request for refused in rig.of(Refused)] == [61, 62]
    assert not rig.session.list_subscriptions(63, 0)


# -- endings ---------------------------------------------------------------------------------------


def test_an_unsubscribe_ends_at_once_and_is_done_when_answered() -> None:
    """K18, B24."""
    rig = Rig()
    subscription, other = rig.books("A"), rig.subscribe("trade")

    assert rig.session.unsubscribe(subscription, 80, 0)

    assert rig.of(Ended) == [Ended(subscription, None)]
    assert rig.commands()[-1]["params"] == {"sids": [3]}
    rig.hear(delta(3, 2, "A", 4_000, 1))
    rig.hear(unsubscribed(rig.last_id, 3, 3))
    assert rig.of(Done) == [Done(80)]
    assert rig.session.subscriptions == (other,)
    assert rig.session.gauges()["late"] == 1
    assert not rig.session.unsubscribe(subscription, 81, 0)


@pytest.mark.parametrize("how", ["silence", "unknown sid", "lost"])
def test_an_unsubscribe_is_done_however_it_ends(how: str) -> None:
    rig = Rig()
    subscription = rig.books("A")
    rig.session.unsubscribe(subscription, 80, 0)

    if how == "silence":
        rig.wait(6)
    elif how == "lost":
        rig.session.on_lost("cut", 0)
    else:
        rig.hear(refusal(7, number=rig.last_id))

    assert rig.of(Done) == [Done(80)]


def test_an_unsubscribe_before_the_acknowledgement_takes_the_sid_back() -> None:
    rig = Rig()
    subscription = rig.subscribe("trade")

    assert not rig.session.unsubscribe(subscription, 80, 0)
    rig.hear(subscribed(1, "trade", 4))

    assert rig.commands()[-1]["cmd"] == "unsubscribe"
    assert not rig.of(Acknowledged)


def test_a_late_acknowledgement_of_a_merged_sid_leaves_it_alone() -> None:
    rig = Rig()
    rig.books("A", sid=3)
    subscription = rig.subscribe("orderbook_delta", "B")
    rig.session.unsubscribe(subscription, 80, 0)
    number = rig.last_id
    rig.take()

    rig.hear(okay(number, 3, 2))

    assert not rig.commands()
    rig.hear(refusal(8, number=number))


@pytest.mark.parametrize("code", [10, 25])
def test_what_the_venue_ended_is_subscribed_again_visibly(code: int) -> None:
    """B12: terminal codes."""
    rig = Rig()
    subscription, other = rig.books("A"), rig.subscribe("trade")
    rig.hear(subscribed(rig.last_id, "trade", 4))

    rig.hear(refusal(code, sid=3, seq=2))

    (interrupted,) = rig.of(Interrupted)
    assert interrupted.error.code == code
    assert rig.of(BookInvalid)[0].state is STALE
    rig.wait(1)
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 5), snapshot(5, 1, "A"))
    assert rig.of(Acknowledged)[-1] == Acknowledged(subscription, True)
    assert states(subscription) == {"A": LIVE}
    assert other.sid == 4
    assert subscription.statistics.interruptions == 1


def test_the_pauses_grow_until_it_stands_for_a_while() -> None:
    rig = Rig(Policy(floor_s=1, base_s=1))
    subscription = rig.subscribe("trade")
    rig.hear(subscribed(1, "trade", 1))

    rig.hear(refusal(25, sid=1))
    rig.wait(1)
    rig.hear(subscribed(rig.last_id, "trade", 2), refusal(25, sid=2))
    rig.wait(2)
    rig.hear(subscribed(rig.last_id, "trade", 3))
    rig.wait(61)
    rig.hear(refusal(10, sid=3))

    first, second, third = (action.pause_s for action in rig.of(Interrupted))
    assert first == 1
    assert 1 < second <= 2
    assert third == 1
    assert subscription.statistics.interruptions == 3


def test_to_the_letter_what_the_venue_ended_ends() -> None:
    """K17 leaves the rest to the layer above."""
    rig = Rig(TO_THE_LETTER)
    subscription = rig.books("A")

    rig.hear(refusal(25, sid=3, seq=2))

    assert [ended.subscription for ended in rig.of(Ended)] == [subscription]


def test_an_unasked_unsubscribed_counts_as_an_end() -> None:
    rig = Rig()
    rig.books("A")

    rig.hear(unsubscribed(None, 3, 2), unsubscribed(None, 99))

    (interrupted,) = rig.of(Interrupted)
    assert "unsubscribed" in interrupted.error.text
    assert rig.session.gauges()["stray_answers"] == 1


def test_a_refused_renewal_is_tried_again_and_then_ends_alone() -> None:
    """K42, B16."""
    rig = Rig(Policy(attempts=3))
    books, trades = rig.books("A"), rig.subscribe("trade")
    rig.hear(subscribed(rig.last_id, "trade", 4))
    rig.session.on_lost("cut", 0)
    rig.take()
    rig.session.on_open(0)
    first, second = (command["id"] for command in rig.commands())

    rig.hear(subscribed(second, "trade", 2), refusal(1, number=first))
    rig.wait(1)
    rig.hear(refusal(1, number=rig.last_id))
    rig.wait(2)
    assert not rig.of(Ended)
    rig.wait(6)

    assert [ended.subscription for ended in rig.of(Ended)] == [books]
    assert Fault.RENEWAL_FAILED in [told.fault for told in rig.of(Told)]
    assert trades.state is SubscriptionState.LIVE
    rig.hear(trade(2, 1))
    assert len(rig.of(Deliver)) == 1


def test_to_the_letter_the_first_refused_renewal_ends_it() -> None:
    """K42."""
    rig = Rig(TO_THE_LETTER)
    rig.books("A")
    rig.session.on_lost("cut", 0)
    rig.session.on_open(0)

    rig.hear(refusal(1, number=rig.last_id))

    assert len(rig.of(Ended)) == 1


# -- connections -----------------------------------------------------------------------------------


def test_a_lost_connection_is_followed_by_the_same_subscriptions() -> None:
    """K40, K41, K43, K44, K45: new sids, new numbers, no old book, original parameters."""
    rig = Rig()
    subscription = rig.books("A", "B")
    book = subscription.books["A"]

    rig.session.on_lost("cut", 0)

    assert states(subscription) == {"A": STALE, "B": STALE}
    assert [invalid.reason for invalid in rig.of(BookInvalid)] == ["cut", "cut"]
    rig.session.on_open(0)
    assert rig.commands()[0]["params"] == {
        "channels": ["orderbook_delta"],
        "market_tickers": ["A", "B"],
        "send_initial_snapshot": True,
    }
    rig.hear(subscribed(rig.last_id, "orderbook_delta", 1))
    rig.hear(delta(3, 3, "A", 4_000, 1))  # of the old sid
    rig.hear(snapshot(1, 1, "A", {100: 7}), snapshot(1, 2, "B"))
    assert rig.of(Acknowledged) == [Acknowledged(subscription, True)]
    assert [applied.is_resync for applied in rig.of(BookApplied)] == [True, True]
    assert subscription.books["A"] is book
    assert book.bids("yes") == [(100, 7)]
    assert subscription.statistics.gaps == 0
    assert subscription.statistics.renewals == 1


def test_a_subscribe_without_a_connection_waits_for_one() -> None:
    """K48."""
    rig = Rig(is_open=False)

    subscription = rig.subscribe("trade")
    rig.wait(60)
    assert rig.take() == []
    rig.session.on_open(rig.now_ns)
    rig.hear(subscribed(1, "trade", 2))

    assert rig.of(Acknowledged) == [Acknowledged(subscription, False)]


def test_an_answer_lost_with_the_connection_comes_with_the_next() -> None:
    """K48: neither the subscribe nor the change fails."""
    rig = Rig()
    first, second = rig.books("A"), rig.subscribe("trade")
    rig.session.add_markets(first, ("B",), 50, 0)
    rig.session.on_lost("cut", 0)
    rig.take()

    rig.session.on_open(0)
    for command, sid in zip(rig.commands(), (1, 2), strict=True):
        rig.hear(subscribed(command["id"], command["params"]["channels"][0], sid))

    assert rig.of(Done) == [Done(50)]
    assert second.sid == 2
    assert not rig.of(Refused)


def test_ids_are_never_used_twice() -> None:
    rig = Rig()
    rig.subscribe("trade")
    rig.session.on_lost("cut", 0)
    rig.session.on_open(0)

    rig.hear(subscribed(1, "trade", 9))

    assert not rig.of(Acknowledged)
    assert [command["id"] for command in rig.commands() if command["cmd"] == "subscribe"] == [1, 2]


def test_gauges_tell_how_things_stand() -> None:
    """B14."""
    rig = Rig()
    subscription = rig.books("A")
    rig.now_ns = SECOND_NS
    rig.hear(delta(3, 2, "A", 4_000, 1))

    gauges = subscription.gauges(3 * SECOND_NS)

    assert gauges["last_frame_age_ns"] == 2 * SECOND_NS
    assert gauges["books_live"] == 1
    assert gauges["frames"] == 2
    assert rig.subscribe("trade").gauges(0)["last_frame_age_ns"] == -1
    assert "sid 3 live" in repr(subscription)
    assert isinstance(rig.take()[-1], Send)
