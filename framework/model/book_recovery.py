"""How a venue's book stream behaves, and how long a hole in it may stay open."""

import msgspec

SECOND_NS = 1_000_000_000


class Deadlines(msgspec.Struct, frozen=True, gc=False):
    """When an open gap leads to the next step; nanoseconds."""

    request_ns: int = SECOND_NS  # an unanswered request is repeated
    spacing_ns: int = SECOND_NS // 5  # between two requests for one instrument
    resubscribe_ns: int = 3 * SECOND_NS
    reconnect_ns: int = 10 * SECOND_NS
    alert_ns: int = 30 * SECOND_NS


class RecoveryOptions(msgspec.Struct, frozen=True, gc=False):
    """How a venue's stream behaves.

    Attributes:
        can_request_snapshot: the venue answers requests; else one is awaited, then the
            deadlines apply.
        snapshots_in_stream: a snapshot takes a number of the stream (Kalshi, Bybit); else it
            is an answer from elsewhere that names the number it contains (Binance).
        buffer_capacity: deltas kept for replay; when full, the oldest goes and a snapshot is
            asked for again.
        reorder_window: early messages that wait up to `reorder_ns` before they are a gap.
        clock_tolerance_ns: how much later than a snapshot a delta inside it may be stamped.
    """

    can_request_snapshot: bool
    snapshots_in_stream: bool = False
    buffer_capacity: int = 1_000
    reorder_window: int = 0
    reorder_ns: int = 200_000_000
    clock_tolerance_ns: int = 0
    deadlines: Deadlines = Deadlines()
