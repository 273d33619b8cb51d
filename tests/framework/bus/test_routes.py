"""Subscribing and leaving with thousands of routes and interests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.bus.bus import Bus
from framework.bus.overflow import EventRule
from framework.bus.routes import Interest, Route
from framework.bus.subscriber import Subscriber
from framework.clock.clock import VirtualClock
from framework.model.market_data import Candle, Quote

MANY = 500


def quote(instrument: str) -> Quote:
    return Quote(instrument, 1, 1, 1.0, 2.0, 1.0, 1.0)


def ignore(event: Any) -> None:
    """Take an event."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked at: a route's takers, or whether an interest wants a route."""
    seen: list[str] = []
    wants_route, refresh_direct = Interest.wants_route, Route.refresh_direct

    def counted_wants(self: Interest, fields: tuple[str, ...], key: tuple[str, ...]) -> bool:
        seen.append("wants")
        return wants_route(self, fields, key)

    def counted_refresh(self: Route) -> None:
        seen.append("refresh")
        refresh_direct(self)

    monkeypatch.setattr(Interest, "wants_route", counted_wants)
    monkeypatch.setattr(Route, "refresh_direct", counted_refresh)
    return seen


def test_r53_subscribing_and_leaving_touch_only_their_own_routes(looks: list[str]) -> None:
    """A door that subscribes with each request does not pay for what others watch (R-53)."""
    bus = Bus(VirtualClock())
    for number in range(MANY):
        bus.publish(quote(f"v:{number}"))
        bus.on(Quote, instruments=[f"v:{number}"])(ignore)
    assert len(looks) <= 4 * MANY
    looks.clear()

    with_one = bus.subscribe(Quote, instruments=["v:7"])
    with_one.subscriber.close()
    bus.publish(quote("v:new"))

    assert 1 <= len(looks) <= 5


KEYS = ["v:A", "v:B", "v:C"]
INTERVALS = ["1m", "5m"]
LIMITS = st.sampled_from([None, *[(key,) for key in KEYS], ("v:A", "v:B"), ("v:C", "v:B")])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("watch"),
            st.integers(0, 3),
            LIMITS,
            st.sampled_from([None, ("1m",), ("5m",)]),
            st.booleans(),
        ),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("open"), st.sampled_from(KEYS), st.sampled_from(INTERVALS)),
    ),
    max_size=25,
)


def never(event: Any) -> bool:
    return False


class World:
    """A bus, and the plain version of its routes: every interest in the order of watching."""

    def __init__(self) -> None:
        self.bus = Bus(VirtualClock())
        self.live: dict[int, Subscriber] = {}
        self.interests: list[tuple[Subscriber, Interest]] = []

    def open(self, instrument: str, interval: str) -> None:
        self.bus.topic(Candle).open((instrument, interval))

    def leave(self, number: int) -> None:
        gone = self.live.pop(number, None)
        if gone is not None:
            gone.close()
            self.interests = [item for item in self.interests if item[0] is not gone]

    def watch(self, number: int, *limits: tuple[str, ...] | None, is_filtered: bool) -> None:
        if number not in self.live:
            self.live[number] = self.bus.add(f"s{number}", {Candle: ignore})
        named = zip(("instrument", "interval"), limits, strict=True)
        only = {field: frozenset(values) for field, values in named if values is not None}
        item = (self.live[number], Interest(Candle, only, never if is_filtered else None))
        self.bus.watch(*item)
        if item not in self.interests:
            self.interests.append(item)

    def takers(self, route: Route) -> list[tuple[Subscriber, tuple[Interest, ...]]]:
        wanted: dict[Subscriber, tuple[Interest, ...]] = {}
        for subscriber, interest in self.interests:
            if interest.wants_route(route.topic.rule.route_by, route.key):
                wanted[subscriber] = (*wanted.get(subscriber, ()), interest)
        return list(wanted.items())


@given(ACTIONS)
def test_a_route_has_the_takers_that_a_look_at_every_interest_gives(actions: list[Any]) -> None:
    """However watching, leaving and new routes follow each other."""
    world = World()
    for action, *about in actions:
        if action == "watch":
            world.watch(*about[:-1], is_filtered=about[-1])
        else:
            getattr(world, action)(*about)

    for route in world.bus.routes(Candle):
        assert [(t.subscriber, t.interests) for t in route.takers] == world.takers(route)
        assert route.accepts == tuple(taker.accept for taker in route.takers)
    for subscriber in world.live.values():
        assert all(taker in taker.route.takers for taker in subscriber.takers)


class Plain:
    """An event with one route for the whole type."""

    RULE = EventRule("incidents")


def test_an_event_without_routing_fields_has_one_route_for_all() -> None:
    bus = Bus(VirtualClock())
    heard: list[Any] = []
    bus.on(Plain)(heard.append)
    second = bus.subscribe(Plain)
    bus.publish(Plain())
    second.subscriber.close()
    bus.publish(Plain())
    bus.deliver_all()

    assert len(heard) == 2
    assert second.subscriber.takers == []


def test_an_interest_in_no_value_at_all_takes_nothing() -> None:
    bus = Bus(VirtualClock())
    heard: list[Any] = []
    bus.on(Quote, instruments=[])(heard.append)
    bus.publish(quote("v:A"))
    bus.deliver_all()

    assert heard == []
