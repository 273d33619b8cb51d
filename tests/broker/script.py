"""The fault script: what goes wrong, how often, decided by a seed; switchable while it runs."""

from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

Chance = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]

MILLISECOND_NS = 1_000_000


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the broker behaves; the default is a broker without a fault.

    Chances are per message or order. Times are in milliseconds of the broker's clock.

    Attributes:
        delay_ms: range of the delay of each answer and push; order is kept.
        lose_request: a command is ignored, as if it had never arrived.
        lose_answer: a command is carried out and its answer is lost.
        lose_push: an order or execution update is lost.
        repeat_push: an update comes twice.
        reorder_push: an update is held back by `reorder_ms` while others overtake it.
        disconnect: the session breaks, right before or right after a message.
        reject: an order is rejected.
        reject_stops: an order with a stop price is rejected.
        refuse_cancel, refuse_change: a cancel or modify of a working order is refused.
        partial: an order that may trade fills in up to `most_parts` parts, `part_ms` apart.
        late: an order that may trade does so only after `part_ms`.
        cancel_race: an order fills once more right before its cancel or change is carried out.
        accept_last: the accept of an order is told after its executions.
        bust: an execution is taken back after `bust_ms`.
        foreign: at a price, somebody else trades on the account, or leaves an order there.
        visible_after_ms: how long an order stays out of the answers to questions.
        refuse_questions: a question is not answered but refused.
        ignore_questions: a question gets no answer at all.
        restart: after a message, the broker goes down for `down_ms`; every session breaks.
    """

    delay_ms: tuple[Milliseconds, Milliseconds] = (0, 0)
    lose_request: Chance = 0
    lose_answer: Chance = 0
    lose_push: Chance = 0
    repeat_push: Chance = 0
    reorder_push: Chance = 0
    reorder_ms: Milliseconds = 50
    disconnect: Chance = 0
    reject: Chance = 0
    reject_stops: Chance = 0
    refuse_cancel: Chance = 0
    refuse_change: Chance = 0
    partial: Chance = 0
    most_parts: Annotated[int, Meta(ge=1, le=100)] = 3
    part_ms: Milliseconds = 20
    late: Chance = 0
    cancel_race: Chance = 0
    accept_last: Chance = 0
    bust: Chance = 0
    bust_ms: Milliseconds = 100
    foreign: Chance = 0
    visible_after_ms: Milliseconds = 0
    refuse_questions: Chance = 0
    ignore_questions: Chance = 0
    restart: Chance = 0
    down_ms: Milliseconds = 500


CALM = Script()

STORM = Script(
    delay_ms=(0, 30),
    lose_request=0.03,
    lose_answer=0.03,
    lose_push=0.03,
    repeat_push=0.1,
    reorder_push=0.1,
    disconnect=0.004,
    reject=0.03,
    refuse_cancel=0.05,
    refuse_change=0.05,
    partial=0.4,
    late=0.3,
    cancel_race=0.2,
    accept_last=0.2,
    restart=0.001,
)
"""Everything at once but what belongs to nobody here: foreign trades and busts."""


class Chances:
    """Draws from one stream: the same questions in the same order get the same answers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def happens(self, chance: float) -> bool:
        """Tell whether something of this chance happens; draws nothing where it never does."""
        return chance > 0 and self._random.random() < chance

    def between(self, low: float, high: float) -> float:
        """Return a number of the range; draws nothing where there is only one."""
        return low if low == high else self._random.uniform(low, high)

    def count(self, low: int, high: int) -> int:
        """Return a whole number of the range, both ends included."""
        return self._random.randint(low, high)
