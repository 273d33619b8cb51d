"""What an operator may ask of a process, and what it answers: JSON files in a mailbox."""

from decimal import Decimal
from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

Short = Annotated[str, Meta(max_length=256)]
Named = Annotated[str, Meta(min_length=1, max_length=256)]
RequestId = Annotated[str, Meta(pattern=r"^[0-9]{20}-[0-9a-f]{16}$(?!\n)")]
"""When it was asked, then chance: names sort by age and never meet."""


class _Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shared by all of them: an unknown field is an error, not a wish that is ignored."""


class Kill(_Ask, tag="kill", frozen=True):
    """Stop new orders and cancel the working entries; with `flatten` close all positions too."""

    reason: Named
    flatten: bool = False


class Release(_Ask, tag="release", frozen=True):
    """Let orders leave again."""

    reason: Named


class Evidence(Enum):
    """What a person saw at the venue about an order in doubt."""

    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FILLED = "filled"


class Resolve(_Ask, tag="resolve", frozen=True):
    """End the doubt about an order; FILLED is one execution with its id, quantity and price."""

    order_id: Named
    evidence: Evidence
    venue_order_id: Short = ""
    quantity: Decimal | None = None
    price: Decimal | None = None
    execution_id: Short = ""
    reason: Short = ""


class Assign(_Ask, tag="assign", frozen=True):
    """Move a signed quantity at a price from one run to another of the same account."""

    instrument: Named
    quantity: Decimal
    from_run: Named
    to_run: Named
    price: Decimal
    product: Short = ""
    position_id: Short = ""


class Adopt(_Ask, tag="adopt", frozen=True):
    """Keep an order that nobody here sent in a run from now on."""

    venue_order_id: Named
    run: Named


class CloseRun(_Ask, tag="close_run", frozen=True):
    """End a run for good; what it still holds is refused, or goes to the run `external`."""

    run: Named
    assign_to_external: bool = False


class ResumeRun(_Ask, tag="resume_run", frozen=True):
    """Let a run enter again that protection or a runaway breaker has paused."""

    run: Named


class ResetBreaker(_Ask, tag="reset_breaker", frozen=True):
    """Let the exits of this order be tried again, after a venue refused them too often."""

    order_id: Named


class ShowOrders(_Ask, tag="orders", frozen=True):
    """List the open orders, or all that are still in memory."""

    is_all: bool = False


class ShowPositions(_Ask, tag="positions", frozen=True):
    """List what each run holds."""


class ShowRuns(_Ask, tag="runs", frozen=True):
    """List the runs and how they stand."""


Reading = ShowOrders | ShowPositions | ShowRuns
Ask = (
    Kill
    | Release
    | Resolve
    | Assign
    | Adopt
    | CloseRun
    | ResumeRun
    | ResetBreaker
    | ShowOrders
    | ShowPositions
    | ShowRuns
)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wish: who asks (`1000 (ada)`: user number and name) for what, and when."""

    id: RequestId
    by: Named
    time_ns: int
    ask: Ask


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a request: done or refused, in a sentence; `rows` are what was listed."""

    id: RequestId
    is_done: bool
    text: str
    rows: tuple[dict[str, str], ...] = ()


def verb_of(ask: Ask) -> str:
    """Return the verb as it stands in the JSON."""
    return str(type(ask).__struct_config__.tag)
