"""Publishing: number an event, step the core, hand it and what follows to every taker's queue."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import get_ident
from typing import Any, NoReturn

import structlog

from framework.bus.overflow import DEFAULT_RULES, ChannelRule, check_capacity, rule_of
from framework.bus.routes import Route, Step, Topic
from framework.errors import InvariantBroken

log = structlog.get_logger("bus")
Stepped = tuple[tuple[type, ...], str]  # event types, instrument
TAKEN_BY_RECORDER = -1  # no thread has this ident: every `publish` takes the closed way


class Publisher:
    """The writing half of the bus: everything here happens at once, nothing waits."""

    def __init__(self, rules: Mapping[str, ChannelRule] | None = None) -> None:
        self.sequence = 0
        self.rules = {**DEFAULT_RULES, **(rules or {})}
        self.topics: dict[type, Topic] = {}
        self.halted: tuple[Any, BaseException] | None = None
        self._stepped: dict[Stepped, list[tuple[Topic, list[Route]]]] = {}
        self._following: deque[Any] = deque()
        self._is_awake = False  # somebody will deliver: a scheduled turn, or a driver
        self._thread = get_ident()
        # 0 while a step runs and once halted, negative while inputs are recorded: one check
        # for four.
        self._open_to = self._thread
        self._opened_to = self._thread  # what it is between steps
        self._recorder: Callable[[Any], None] | None = None
        for name, rule in self.rules.items():
            check_capacity(name, rule)

    def publish(self, event: Any) -> None:
        """Take one input (or one consequence, inside a step). Never waits.

        Raises:
            InvariantBroken: called from another thread (use `publish_threadsafe`), or the
                engine has halted.
            ConfigError: the event's `RULE` names a channel or field that does not exist.
        """
        if get_ident() != self._open_to:
            self._publish_closed(event)
            return
        try:
            topic = self.topics[event.__class__]
            route = topic.routes[topic.key_of(event)]
        except KeyError:
            route = self.route_of(event)
        if route.step is None:
            self.sequence += 1
            route.count += 1
            route.newest = event
            accept = route.accept
            if accept is not None:
                accept(event)
            else:
                for accept in route.accepts:
                    accept(event)
            if self._following:
                self._run_following()
        else:
            self._run_steps(event, route)
        if not self._is_awake:
            self.wake()

    def _publish_closed(self, event: Any) -> None:
        """Take an event while the bus is not simply open to this thread."""
        if get_ident() != self._thread:
            raise InvariantBroken("publish from another thread: use publish_threadsafe")
        if self.halted is not None:
            raise InvariantBroken(f"the engine has halted: {self.halted[1]}")
        if self._open_to == TAKEN_BY_RECORDER and self._recorder is not None:
            self._recorder(event)
        else:
            self._following.append(event)

    @property
    def is_recorded(self) -> bool:
        """Whether every event from outside a step goes to a recorder first."""
        return self._recorder is not None

    def record_inputs(self, recorder: Callable[[Any], None]) -> None:
        """Have `recorder` called instead of `publish` outside steps; it calls `publish_now`.

        Without it nothing is asked: the one check that `publish` makes anyway leads here.
        """
        self._recorder = recorder
        self._close_behind()

    def follow_in(self, following: deque[Any]) -> None:
        """Keep what follows from a step in `following`, which may look at what is appended."""
        self._following = following

    def publish_now(self, event: Any) -> None:
        """Publish past the recorder."""
        self._open_to = self._opened_to = self._thread
        try:
            self.publish(event)
        finally:
            self._close_behind()

    def _close_behind(self) -> None:
        self._opened_to = self._thread if self._recorder is None else TAKEN_BY_RECORDER
        self._open_to = 0 if self.halted else self._opened_to

    def wake(self) -> None:
        """Have what is queued delivered soon."""
        raise InvariantBroken("a publisher alone delivers nothing")

    def route_of(self, event: Any) -> Route:
        """Return the route an event takes, opening it if it is the first of its kind."""
        try:
            topic = self.topics[event.__class__]
            return topic.routes[topic.key_of(event)]
        except KeyError:
            topic = self.topic(event.__class__)
            return topic.open(topic.key_of(event))

    def topic(self, event_type: type) -> Topic:
        """Return the routes of a type, opening them if it is new.

        Raises:
            ConfigError: the type's `RULE` names a channel or field that does not exist.
        """
        topic = self.topics.get(event_type)
        if topic is None:
            topic = self.topics[event_type] = Topic(event_type, rule_of(event_type, self.rules))
        return topic

    # -- steps -------------------------------------------------------------------------------

    def _run_steps(self, event: Any, route: Route) -> None:
        self._open_to = 0
        try:
            self._step(event, route)
        except Exception as error:
            self._halt(event, error)
        finally:
            self._open_to = 0 if self.halted else self._opened_to
        if self._following:
            self._run_following()

    def _run_following(self) -> None:
        """Step what followed, in order, and what follows from that."""
        following = self._following
        self._open_to = 0
        event: Any = None
        try:
            while following:
                event = following.popleft()
                self._step(event, self.route_of(event))
        except Exception as error:
            self._halt(event, error)
        finally:
            self._open_to = 0 if self.halted else self._opened_to

    def _halt(self, event: Any, error: Exception) -> NoReturn:
        """Stop the engine: a failure inside a step is a bug of ours, and state is in doubt."""
        self.halted = (event, error)
        log.critical("engine_halted", about=repr(event), error=repr(error))
        broken = InvariantBroken(f"step failed on {event!r}: {error!r}")
        self.crash(broken)
        raise broken from error

    def crash(self, error: BaseException) -> None:
        """Tell whoever runs the bus that it cannot go on."""

    def _step(self, event: Any, route: Route) -> None:
        self.sequence += 1
        route.newest = event
        if route.step is not None:
            route.step(event)
        route.count += 1
        for accept in route.accepts:
            accept(event)

    def step_alone(self, event: Any, route: Route) -> int:
        """Step `event` and what follows; return its number if its fan-out is left to the caller.

        It is left while nobody hears what followed. Otherwise (0) the event and all that followed
        are in the queues already, in order. For drivers of recorded data, which call handlers
        directly where they can.
        """
        if self.halted is not None or route.step is None:
            raise InvariantBroken("nothing to step, or halted")
        self.sequence = number = self.sequence + 1
        route.newest = stepped = event
        following = self._following
        self._open_to = 0
        try:
            route.step(event)
            while following:
                next_route = self.route_of(following[0])
                if next_route.accepts:
                    break
                stepped = following.popleft()
                self._step(stepped, next_route)
        except Exception as error:
            self._halt(stepped, error)
        finally:
            self._open_to = 0 if self.halted else self._opened_to
        if not following and route.direct is not None:
            return number
        route.count += 1
        newest, self.sequence = self.sequence, number
        for accept in route.accepts:
            accept(event)
        self.sequence = newest
        if following:
            self._run_following()
        return 0

    def set_step(self, event_type: type, step: Step) -> None:
        """Have `step` change the core's state for every event of `event_type`."""
        topic = self.topic(event_type)
        topic.step = step
        for route in topic.routes.values():
            route.refresh_step()

    def set_instrument_step(
        self, event_types: Iterable[type], instrument: str, step: Step | None
    ) -> None:
        """Have `step` see one instrument's events after the types' own steps; None ends it."""
        key = tuple(event_types), instrument
        stepped = self._stepped.get(key)
        if stepped is None:  # the lists stay: simulated venues come here with every order
            topics = [self.topic(event_type) for event_type in key[0]]
            stepped = self._stepped[key] = [
                (topic, topic.routes_by_first.setdefault(instrument, [])) for topic in topics
            ]
        for topic, routes in stepped:
            topic.steps_by_instrument[instrument] = step
            for route in routes:
                if topic.step is None:  # the short way
                    route.step = step
                else:
                    route.refresh_step()

    # -- reading -----------------------------------------------------------------------------

    def newest(self, event_type: type, *key: str) -> Any:
        """Return the newest event of a type and key (`instrument`, ...), or None."""
        topic = self.topics.get(event_type)
        route = None if topic is None else topic.routes.get(_route_key(key))
        return None if route is None else route.newest

    def routes(self, event_type: type) -> Iterator[Route]:
        """Iterate over the open routes of a type, in the order they were opened."""
        topic = self.topics.get(event_type)
        return iter(()) if topic is None else iter(topic.routes.values())

    def wants(self, event_type: type, *key: str) -> bool:
        """Whether anybody takes events of this type under the routing key (a run, ...)."""
        topic = self.topics.get(event_type)
        if topic is None or not topic.interests:
            return False
        return bool(topic.open(_route_key(key)).takers)

    def has_step(self, event_type: type, key: str) -> bool:
        """Whether the core itself wants events of this type and routing key."""
        topic = self.topics.get(event_type)
        return topic is not None and (
            topic.step is not None or topic.steps_by_instrument.get(key) is not None
        )


def _route_key(key: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return a key as `Topic.key_of` gives it."""
    if not key:
        return ""
    return key[0] if len(key) == 1 else key
