"""Routes: where events of one type and one key go, who takes them there, and how many came."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from framework.bus.overflow import EventRule
from framework.errors import ConfigError

if TYPE_CHECKING:
    from framework.bus.channel import Channel
    from framework.bus.subscriber import Subscriber

Accept = Callable[[Any], object]
Filter = Callable[[Any], bool]
Handler = Callable[[Any], Any]
Step = Callable[[Any], None]
Values = frozenset[str]
ANY = (None,)  # in place of the values of a field that nothing limits


class Interest(msgspec.Struct, frozen=True):
    """What a subscriber wants of one event type: values that fields are limited to, a filter."""

    event_type: type
    only: Mapping[str, frozenset[str]] = {}
    where: Filter | None = None

    def check(self, rule: EventRule) -> None:
        """Refuse a limit on a field that the events do not have.

        Raises:
            ConfigError: with the name of that field.
        """
        fields = getattr(self.event_type, "__struct_fields__", rule.route_by)
        for field in self.only:
            if field not in fields:
                name = self.event_type.__name__
                raise ConfigError(f"{name} has no field {field!r} to select events by")

    def wants_route(self, fields: tuple[str, ...], key: tuple[str, ...]) -> bool:
        """Whether events routed by `fields` under `key` are wanted."""
        return all(
            key[index] in self.only[field]
            for index, field in enumerate(fields)
            if field in self.only
        )

    def filter_behind(self, fields: tuple[str, ...]) -> Filter | None:
        """Return what is left to ask of each event that was routed by `fields`."""
        limits = [(field, values) for field, values in self.only.items() if field not in fields]
        where = self.where
        if not limits:
            return where

        def passes(event: Any) -> bool:
            return all(getattr(event, field) in values for field, values in limits) and (
                where is None or where(event)
            )

        return passes


class Taker:
    """One subscriber on one route: it gets each event once, however many interests match."""

    __slots__ = (
        "accept",
        "channel",
        "count_from",
        "direct_from",
        "interests",
        "route",
        "subscriber",
        "where",
    )

    def __init__(
        self, route: "Route", subscriber: "Subscriber", interests: tuple[Interest, ...]
    ) -> None:
        self.route = route
        self.subscriber = subscriber
        self.interests = interests
        self.count_from = route.count
        self.direct_from = route.direct_count
        self.where = _any_of([i.filter_behind(route.topic.rule.route_by) for i in interests])
        self.channel: Channel
        self.accept: Accept
        subscriber.connect(self)

    def leave(self) -> None:
        """End: the subscriber hears nothing more by this way."""
        self.channel.leave(self)
        self.subscriber.takers.remove(self)


class Route:
    """Where events of one type and key go."""

    __slots__ = (
        "accept",
        "accepts",
        "count",
        "direct",
        "direct_count",
        "key",
        "newest",
        "step",
        "takers",
        "topic",
    )

    def __init__(self, key: tuple[str, ...], topic: Any = None) -> None:
        self.key = key
        self.topic: Topic = topic  # None only for a stand-in, which carries nothing
        self.newest: Any = None
        self.count = 0
        self.step: Step | None = None
        self.accepts: tuple[Accept, ...] = ()
        self.accept: Accept | None = None  # the only one, which costs less to call
        self.takers: tuple[Taker, ...] = ()
        # Backtests call plain handlers of idle subscribers without a queue in between.
        self.direct: tuple[tuple[Handler, Subscriber], ...] | None = ()
        self.direct_count = 0

    def add(self, subscriber: "Subscriber", interests: tuple[Interest, ...]) -> None:
        """Let more interests in; a subscriber that has some here keeps its place."""
        known = self._taker_of(subscriber)
        if known is None:
            taker = Taker(self, subscriber, interests)
            self.takers += (taker,)
            self._use((*self.accepts, taker.accept))
            return
        at = self.takers.index(known)
        known.leave()
        taker = Taker(self, subscriber, (*known.interests, *interests))
        self.takers = (*self.takers[:at], taker, *self.takers[at + 1 :])
        self.reconnect()

    def remove(self, taker: Taker) -> None:
        """Hand no more events to `taker`."""
        at = self.takers.index(taker)
        taker.leave()
        self.takers = self.takers[:at] + self.takers[at + 1 :]
        self._use(self.accepts[:at] + self.accepts[at + 1 :])

    def _taker_of(self, subscriber: "Subscriber") -> Taker | None:
        for taker in min(self.takers, subscriber.takers, key=len):
            if taker.route is self and taker.subscriber is subscriber:
                return taker
        return None

    def reconnect(self) -> None:
        """Take over what the takers accept by."""
        self._use(tuple(taker.accept for taker in self.takers))

    def _use(self, accepts: tuple[Accept, ...]) -> None:
        self.accepts = accepts
        self.accept = accepts[0] if len(accepts) == 1 else None
        self.refresh_direct()

    def refresh_direct(self) -> None:
        """Look again at whether all takers can be called without a queue in between."""
        self.direct = None
        calls = []
        for taker in self.takers:
            if taker.where is not None or not taker.subscriber.is_lane_open:
                return
            handler = taker.subscriber.direct_handler(self.topic.event_type)
            if handler is not None:
                calls.append((handler, taker.subscriber))
        self.direct = tuple(calls)

    def refresh_step(self) -> None:
        """Look again at which steps of the core are due here."""
        own_steps = self.topic.steps_by_instrument
        first, own = self.topic.step, own_steps.get(self.key[0]) if own_steps else None
        if first is None or own is None:
            self.step = first or own
            return

        def both(event: Any) -> None:
            first(event)
            own(event)

        self.step = both


class Topic:
    """All routes of one event type.

    Subscribing and leaving cost what they touch, however many routes and interests there are:
    interests are found by the values that they limit the first routing field to, None where they
    do not, each under its number in the order of subscribing.
    """

    def __init__(self, event_type: type, rule: EventRule) -> None:
        self.event_type = event_type
        self.rule = rule
        self.routes: dict[Any, Route] = {}
        self.routes_by_first: dict[str, list[Route]] = {}  # by the first routing field
        self.interests: dict[Subscriber, dict[Values | None, dict[int, Interest]]] = {}
        self.step: Step | None = None
        self.steps_by_instrument: dict[str, Step | None] = {}
        self.key_of: Callable[[Any], Any] = attrgetter(*rule.route_by) if rule.route_by else _no_key
        self._by_first: dict[str | None, dict[int, tuple[Subscriber, Interest]]] = {}
        self._count = 0

    def open(self, key: Any) -> Route:
        """Return the route under `key` as `key_of` gives it."""
        route = self.routes.get(key)
        if route is None:
            route = Route(key if isinstance(key, tuple) else (key,), self)
            self.routes[key] = route
            self.routes_by_first.setdefault(route.key[0], []).append(route)
            route.refresh_step()
            for subscriber, interests in self._interests_in(route).items():
                route.add(subscriber, interests)
        return route

    def has(self, subscriber: "Subscriber", interest: Interest) -> bool:
        """Whether `subscriber` has just this interest."""
        own = self.interests.get(subscriber, {}).get(self._values(interest), {})
        return interest in own.values()

    def add(self, subscriber: "Subscriber", interest: Interest) -> None:
        """Route what `interest` names to `subscriber`."""
        self._count += 1
        values = self._values(interest)
        own = self.interests.setdefault(subscriber, {}).setdefault(values, {})
        own[self._count] = interest
        for value in ANY if values is None else values:
            self._by_first.setdefault(value, {})[self._count] = (subscriber, interest)
            routes = self.routes.values() if value is None else self.routes_by_first.get(value, ())
            for route in tuple(routes):
                if interest.wants_route(self.rule.route_by, route.key):
                    route.add(subscriber, (interest,))

    def remove(self, subscriber: "Subscriber") -> None:
        """Route nothing to `subscriber` any more."""
        for values, interests in self.interests.pop(subscriber, {}).items():
            for value in ANY if values is None else values:
                of_value = self._by_first[value]
                for number in interests:
                    del of_value[number]
                if not of_value:
                    del self._by_first[value]
        for taker in tuple(subscriber.takers):
            if taker.route.topic is self:
                taker.route.remove(taker)

    def _values(self, interest: Interest) -> Values | None:
        """Return what an interest limits the first routing field to; None: nothing."""
        return interest.only.get(self.rule.route_by[0]) if self.rule.route_by else None

    def _interests_in(self, route: Route) -> dict["Subscriber", tuple[Interest, ...]]:
        """Return who wants the events of a route, the oldest interest first."""
        numbered = {**self._by_first.get(None, {}), **self._by_first.get(route.key[0], {})}
        wanted: dict[Subscriber, tuple[Interest, ...]] = {}
        for number in sorted(numbered):
            subscriber, interest = numbered[number]
            if interest.wants_route(self.rule.route_by, route.key):
                wanted[subscriber] = (*wanted.get(subscriber, ()), interest)
        return wanted


def _no_key(event: Any) -> str:
    return ""


def _any_of(filters: list[Filter | None]) -> Filter | None:
    if len(filters) == 1:
        return filters[0]
    present = [where for where in filters if where is not None]
    if len(present) < len(filters):
        return None
    return lambda event: any(where(event) for where in present)
