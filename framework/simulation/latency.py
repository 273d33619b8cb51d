"""Latency models: how long an order takes to the venue and market data takes to us."""

from random import Random
from typing import Protocol

import msgspec

from framework.errors import ConfigError

_NS_PER_MS = 1_000_000


class LatencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may set, in milliseconds; all zero means at once."""

    order_ms: float = 0.0  # from our decision to the venue's matching
    feed_ms: float = 0.0  # from the venue's event to our hearing of it
    jitter_ms: float = 0.0  # up to this much more, evenly spread


class LatencyModel(Protocol):
    """Delays in nanoseconds, never negative; `random` is the caller's seeded stream."""

    @property
    def is_instant(self) -> bool:
        """Whether every order delay is zero."""

    def order_ns(self, random: Random) -> int:
        """Return the delay from a command's `send` until the venue acts on it."""

    def feed_ns(self, random: Random) -> int:
        """Return the delay from an event at the venue until we have it."""

    def describe(self) -> str:
        """Return the model in one line, for the start-up report."""


class ConstantLatency(msgspec.Struct, frozen=True):
    """The same delay every time."""

    order: int = 0  # nanoseconds
    feed: int = 0  # nanoseconds

    @property
    def is_instant(self) -> bool:
        return self.order == 0

    def order_ns(self, random: Random) -> int:
        return self.order

    def feed_ns(self, random: Random) -> int:
        return self.feed

    def describe(self) -> str:
        return f"latency: orders {self.order} ns, feed {self.feed} ns, constant"


class UniformLatency(msgspec.Struct, frozen=True):
    """A delay drawn evenly from `[base, base + jitter]`, whole nanoseconds."""

    order: int
    feed: int
    jitter: int

    @property
    def is_instant(self) -> bool:
        return False

    def order_ns(self, random: Random) -> int:
        return self.order + random.randrange(self.jitter + 1)

    def feed_ns(self, random: Random) -> int:
        return self.feed + random.randrange(self.jitter + 1)

    def describe(self) -> str:
        return (
            f"latency: orders {self.order} ns, feed {self.feed} ns, "
            f"plus up to {self.jitter} ns, uniform"
        )


def latency_model(settings: LatencySettings) -> LatencyModel:
    """Return the model that `settings` ask for.

    Raises:
        ConfigError: a delay is negative or not finite.
    """
    order, feed, jitter = (
        _nanoseconds(name, getattr(settings, name)) for name in settings.__struct_fields__
    )
    return UniformLatency(order, feed, jitter) if jitter else ConstantLatency(order, feed)


def _nanoseconds(name: str, milliseconds: float) -> int:
    if not 0.0 <= milliseconds < float("inf"):
        raise ConfigError(f"{milliseconds} is not a delay", key=name)
    return round(milliseconds * _NS_PER_MS)
