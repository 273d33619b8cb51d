"""Bounded queues: what a full one does, and that its counters always add up (R-50, R-51, R-53)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.bus.channel import Channel, ConflateChannel, Marks, make_channel
from framework.bus.overflow import BATCH, ChannelRule, EventRule, Overflow, check_capacity, rule_of
from framework.errors import ConfigError
from tests.framework.bus.samples import is_balanced, make_bus, quote

CAPACITY = 3


def channel_of(overflow: Overflow, marks: Marks | None = None) -> Channel:
    rule = ChannelRule(CAPACITY, overflow)
    return make_channel("c", rule, marks if marks is not None else Marks())


def take_in_order(marks: Marks) -> list[Any]:
    """Do what a subscriber does."""
    taken = []
    while marks:
        channel = marks.popleft()
        if channel.stale_marks:
            channel.stale_marks -= 1
            continue
        taken.append(channel.take()[1])
        channel.delivered += 1
    return taken


def test_r50_a_full_drop_oldest_channel_loses_exactly_its_oldest() -> None:
    marks = Marks()
    channel = channel_of(Overflow.DROP_OLDEST, marks)

    for number in range(5):
        assert channel.accept(number, number)

    assert take_in_order(marks) == [2, 3, 4]
    assert (channel.published, channel.delivered, channel.dropped) == (5, 3, 2)


def test_r50_evicting_leaves_the_order_across_channels_as_it_was() -> None:
    marks = Marks()
    drops, keeps = channel_of(Overflow.DROP_OLDEST, marks), channel_of(Overflow.ERROR, marks)

    for number in range(4):
        drops.accept(number, f"drops {number}")
        if number < 2:
            keeps.accept(number, f"keeps {number}")

    assert take_in_order(marks) == ["keeps 0", "drops 1", "keeps 1", "drops 2", "drops 3"]


def test_r51_a_full_error_channel_ends_once_and_says_what_it_holds() -> None:
    channel = channel_of(Overflow.ERROR)

    results = [channel.accept(10 * number, number) for number in range(1, 6)]

    assert results == [True, True, True, False, True]
    assert channel.failure is not None
    assert (channel.failure.channel, channel.failure.capacity) == ("c", 3)
    assert channel.failure.resume_after == 39
    assert channel.failure.counts["published"] == 4
    assert channel.failure.counts["queued"] == 3
    assert channel.failure.counts["discarded"] == 1
    assert channel.discarded == 2


def test_a_conflating_channel_keeps_the_place_of_the_oldest_and_starves_no_key() -> None:
    marks = Marks()
    channel = channel_of(Overflow.CONFLATE, marks)
    assert isinstance(channel, ConflateChannel)

    for number, key in enumerate("abbbba"):
        channel.accept_keyed(number, f"{key}{number}", key)

    assert take_in_order(marks) == ["a5", "b4"]
    assert (channel.published, channel.delivered, channel.conflated) == (6, 2, 4)


def test_a_conflating_channel_with_too_many_keys_drops_the_oldest_key() -> None:
    marks = Marks()
    channel = channel_of(Overflow.CONFLATE, marks)
    assert isinstance(channel, ConflateChannel)

    for number, key in enumerate("abcd"):
        channel.accept_keyed(number, key, key)

    assert take_in_order(marks) == ["b", "c", "d"]
    assert channel.dropped == 1


def test_r53_marks_stay_bounded_while_one_channel_floods_behind_another() -> None:
    marks = Marks()
    drops, keeps = channel_of(Overflow.DROP_OLDEST, marks), channel_of(Overflow.ERROR, marks)
    keeps.accept(0, "first")

    for number in range(1_000):
        drops.accept(number, number)
        assert len(marks) <= marks.limit

    assert take_in_order(marks) == ["first", 997, 998, 999]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drop", "error", "conflate", "take", "discard"]), st.integers(0, 4)
        )
    )
)
def test_the_counters_of_every_channel_add_up_at_any_time(steps: list[tuple[str, int]]) -> None:
    marks = Marks()
    channels = {
        "drop": channel_of(Overflow.DROP_OLDEST, marks),
        "error": channel_of(Overflow.ERROR, marks),
        "conflate": channel_of(Overflow.CONFLATE, marks),
    }
    taken: list[tuple[str, int]] = []
    published = dict.fromkeys(channels, 0)

    for sequence, (step, key) in enumerate(steps):
        if step == "take":
            while marks:
                channel = marks.popleft()
                if not channel.stale_marks:
                    taken.append(channel.take()[1])
                    channel.delivered += 1
                    break
                channel.stale_marks -= 1
        elif step == "discard":
            for channel in channels.values():
                channel.discard()
                channel.stale_marks = 0
            marks.clear()
        else:
            channel, event = channels[step], (step, sequence)
            published[step] += 1
            if isinstance(channel, ConflateChannel):
                channel.accept_keyed(sequence, event, key)
            else:
                channel.accept(sequence, event)
        assert all(is_balanced(channel.statistics()) for channel in channels.values())
        assert all(channel.queued <= CAPACITY for channel in channels.values())
        assert len(marks) <= marks.limit

    assert {name: channel.published for name, channel in channels.items()} == published
    delivered = {name: sum(step == name for step, _ in taken) for name in channels}
    assert {name: channel.delivered for name, channel in channels.items()} == delivered
    for name in ("drop", "error"):
        order = [sequence for step, sequence in taken if step == name]
        assert order == sorted(order)


def test_a_queue_smaller_than_one_turn_is_a_configuration_error() -> None:
    rule = ChannelRule(BATCH - 1, Overflow.ERROR)

    with pytest.raises(ConfigError, match=r"queues\.quotes.capacity: capacity 255 is smaller"):
        make_bus(quotes=rule)
    with pytest.raises(ConfigError, match="smaller than one turn"):
        check_capacity("own", rule)


def test_a_rule_that_makes_no_sense_is_a_clear_error() -> None:
    class Lost:
        RULE = EventRule("nowhere")

    class Odd:
        RULE = "quotes"

    class Astray(msgspec.Struct):
        RULE = EventRule("quotes", ("instrument",))

    with pytest.raises(ConfigError, match=r"Lost\.RULE names the channel 'nowhere', which has no"):
        rule_of(Lost, {})
    with pytest.raises(ConfigError, match=r"Odd\.RULE must be an EventRule, not str"):
        rule_of(Odd, {})
    with pytest.raises(ConfigError, match="routes by 'instrument', but Astray has no such field"):
        rule_of(Astray, {"quotes": ChannelRule(BATCH, Overflow.ERROR)})


def test_an_event_without_a_rule_has_a_channel_that_loses_nothing_silently() -> None:
    class Bare:
        pass

    rule = rule_of(Bare, {})

    assert rule.channel == "Bare"
    assert rule.own_rule == ChannelRule(1_000, Overflow.ERROR)


def test_known_events_travel_by_the_table() -> None:
    bus = make_bus()

    assert bus.topic(type(quote(1))).rule.channel == "quotes"
