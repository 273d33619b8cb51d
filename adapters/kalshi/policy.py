"""What a streaming session does where the venue's habits leave a choice."""

import msgspec

from framework.model.book_recovery import SECOND_NS, Deadlines

MILLISECOND_NS = SECOND_NS // 1_000


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The defaults are what we think best; `TO_THE_LETTER` is what rules K25 to K42 say.

    Attributes:
        reorder_window: early frames of a sid that wait up to `reorder_ns` before they are a gap.
        drops_gap_frame: the frame that reveals a gap is not used (K26); else it is, where it can.
        detects_restarts: a number that comes again with other content, or from long ago, means
            that the counter began anew (B27); else it is a repeat (K29).
        recovers_books: ask for lost books (B1); else wait for them (K28, K31).
        renews_ended: subscribe again what the venue ended (B12); else it ends.
        attempts: how often a refused or unanswered renewal, and a command that came too fast, is
            tried in all (B16); 1: the first refusal ends that subscription (K42).
        recovery_burst, recovery_per_s: how many recovery commands may go out at once, and later.
        stable_ns: a subscription that stood so long starts again at the shortest pause.
    """

    reorder_window: int = 4
    reorder_ns: int = 5 * MILLISECOND_NS
    drops_gap_frame: bool = False
    detects_restarts: bool = True
    recovers_books: bool = True
    renews_ended: bool = True
    attempts: int = 5
    command_ns: int = 5 * SECOND_NS  # a command without an answer has failed (K7)
    deadlines: Deadlines = Deadlines()
    recovery_burst: int = 200
    recovery_per_s: int = 400
    waiting_per_sid: int = 1_000  # frames kept for a sid that is not acknowledged yet (K49)
    waiting_sids: int = 256
    floor_s: float = 0.1  # the pauses between two attempts
    base_s: float = 0.5
    cap_s: float = 30.0
    stable_ns: int = 60 * SECOND_NS


TO_THE_LETTER = Policy(
    reorder_window=0,
    drops_gap_frame=True,
    detects_restarts=False,
    recovers_books=False,
    renews_ended=False,
    attempts=1,
)
