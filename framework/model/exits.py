"""Rules for exits: where they rest, and what happens when they cannot do their work."""

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta


class ProtectionMode(Enum):
    """Where exits rest until they are due."""

    PREFER_NATIVE = "prefer_native"  # at the venue where it has the type, else in the core
    NATIVE_ONLY = "native_only"  # an entry whose stop the venue lacks is refused
    CORE = "core"  # nothing is at the venue before it is due


class LateTrigger(Enum):
    """What happens to a held order whose condition was met while the process was down."""

    FIRE = "fire"
    ALERT = "alert"  # it waits until the price has been back


class Unprotected(Enum):
    """What happens to a position whose stop keeps being refused, besides the alert (R-31)."""

    ALERT = "alert"
    CLOSE = "close"


class ExitRules(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How a run's exits are kept; `refused_limit` refusals in a row stop a leg."""

    protection: ProtectionMode = ProtectionMode.PREFER_NATIVE
    late_trigger: LateTrigger = LateTrigger.FIRE
    when_unprotected: Unprotected = Unprotected.ALERT
    refused_limit: Annotated[int, Meta(ge=1, le=1_000)] = 3
