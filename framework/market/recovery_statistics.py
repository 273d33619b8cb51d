"""What a book recovery counts."""

import msgspec


class RecoveryStatistics(msgspec.Struct):
    """What happened so far; counts."""

    gaps: int = 0
    duplicates: int = 0
    restarts: int = 0  # the stream began again at a low number
    early_snapshots: int = 0  # would have left a hole: asked again
    late_snapshots: int = 0  # older than a book in order: ignored
    bad_messages: int = 0  # refused for their levels
    overflows: int = 0  # deltas that fell out of the buffer
