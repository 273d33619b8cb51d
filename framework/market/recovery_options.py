"""What a book recovery is told about its venue, and what it counts."""

import msgspec

from framework.market.escalation import Deadlines


class RecoveryOptions(msgspec.Struct, frozen=True):
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


class RecoveryStatistics(msgspec.Struct):
    """What happened so far; counts."""

    gaps: int = 0
    duplicates: int = 0
    restarts: int = 0  # the stream began again at a low number
    early_snapshots: int = 0  # would have left a hole: asked again
    late_snapshots: int = 0  # older than a book in order: ignored
    bad_messages: int = 0  # refused for their levels
    overflows: int = 0  # deltas that fell out of the buffer
