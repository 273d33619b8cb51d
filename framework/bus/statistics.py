"""Counters of queues and of those who read them, as of one moment."""

import msgspec


class ChannelStatistics(msgspec.Struct, frozen=True):
    """Counters of one channel: delivered + dropped + conflated + discarded + queued = published."""

    channel: str
    capacity: int
    published: int
    delivered: int
    dropped: int
    conflated: int
    discarded: int
    queued: int


class SubscriberStatistics(msgspec.Struct, frozen=True):
    """What a dashboard shows of one subscriber; times in nanoseconds, taken per batch."""

    name: str
    channels: tuple[ChannelStatistics, ...]
    batches: int
    handler_ns: int
    lag_ns: int
    errors: int
    is_busy: bool
    is_ended: bool
