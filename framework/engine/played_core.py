"""What came to the core, or left it, by other ways than the bus: `RecordedCore` played again."""

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from framework.bus.bus import Interest
from framework.engine.played_run import Onlooker
from framework.engine.recorded_core import kind_of
from framework.model.commands import VenueCommand
from framework.model.inputs import (
    GateMoved,
    OnlookerCame,
    OnlookerLeft,
    OrderForgotten,
    VenueCommandMade,
    VenueCommandSent,
)
from framework.risk.kill_switch import GateState

if TYPE_CHECKING:
    from framework.engine.playback import Playback

BESIDE = (GateMoved, OnlookerCame, OnlookerLeft)  # may be written in the middle of an item


class PlayedCore:
    """Compares venue commands, none of which leaves, and does what was done beside the bus."""

    def __init__(self, playback: "Playback") -> None:
        self._playback = playback
        self._unsent: list[VenueCommand] = []
        self._onlookers: dict[int, Onlooker] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def attach(self) -> None:
        """Hear of every command that the core makes."""
        self._playback.engine.outputs.add = self._made  # type: ignore[method-assign]

    def _made(self, command: VenueCommand, *_: Any) -> None:
        playback = self._playback
        if not playback.is_deriving or playback.difference is not None:
            return
        found, encoded = playback.peek(), self._encode(command)
        if not isinstance(found, VenueCommandMade) or bytes(found.command) != encoded:
            playback.differ(None, f"venue command {command!r}")
            return
        playback.take()
        self._unsent.append(command)
        playback.insert()

    def send(self, record: VenueCommandSent) -> None:
        """Let the core believe that a command has left."""
        for command in self._unsent:
            if (kind_of(command), command.order_id) == (record.kind, record.order_id):
                self._unsent.remove(command)
                mark_sent = self._playback.engine.outputs.mark_sent
                self._playback.as_core(record.time_ns, partial(mark_sent, command))
                return

    def move_gate(self, record: GateMoved) -> None:
        """Trip, hold or release the kill switch."""
        self._playback.engine.gate.kill_switch.set_state(
            GateState(record.state), record.reason, by=record.by, time_ns=record.time_ns
        )

    def welcome(self, record: OnlookerCame) -> None:
        """Have what an onlooker wants made and numbered."""
        onlooker: Any = self._onlookers.setdefault(record.onlooker, Onlooker())
        only = {field: frozenset(values) for field, values in record.only}
        event_type = self._playback.records.type_of(record.type_number)
        self._playback.engine.bus.watch(onlooker, Interest(event_type, only))

    def part(self, record: OnlookerLeft) -> None:
        """Make nothing for that one any more."""
        onlooker: Any = self._onlookers.pop(record.onlooker)
        self._playback.engine.bus.remove(onlooker)

    def forget(self, record: OrderForgotten) -> None:
        """Let a closed order leave memory."""
        self._playback.engine.registry.release(record.order_id)
