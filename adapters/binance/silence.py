"""Notices streams that have gone quiet though the link lives, and says when they are back (R-42).

Only what never rests for long is watched: best prices and books. Trades and candles may.
"""

from collections.abc import Callable

from adapters.binance.protocol import stream_of
from framework.interfaces import AdapterContext, TimerHandle
from framework.model.events import DataStale, Resynced
from framework.model.identity import instrument_id, symbol_of
from framework.net.staleness import StalenessWatch

NS_PER_S = 1_000_000_000


class Silence:
    """Watches each wanted stream from its first data on; `renew` asks for a quiet one anew."""

    def __init__(
        self,
        context: AdapterContext,
        quiet_s: float,
        *,
        is_wanted: Callable[[str], bool],
        renew: Callable[[str], None],
    ) -> None:
        self._context = context
        self._quiet_ns = round(quiet_s * NS_PER_S)
        self._is_wanted = is_wanted
        self._renew = renew
        self._watch = StalenessWatch()
        self._streams: dict[tuple[str, str], str] = {}  # (instrument, channel), of those watched
        self._stale: dict[str, str] = {}  # stream -> instrument
        self._timer: TimerHandle | None = None

    def on_data(self, instrument: str, channel: str, now_ns: int) -> None:
        """Take note of data."""
        if not self._quiet_ns:
            return
        stream = self._streams.get((instrument, channel))
        if stream is None:
            stream = stream_of(symbol_of(instrument), channel, "")
            if not self._is_wanted(stream):  # it was on its way when the last reader left
                return
            self._streams[instrument, channel] = stream
            self._watch.watch(stream, self._quiet_ns, now_ns)
            self._arm()
        self._watch.on_data(stream, now_ns)
        if self._stale and self._stale.pop(stream, None) is not None:
            self._context.publish(Resynced(instrument, stream, 0, now_ns))
            self._arm()

    def forget(self, stream: str) -> None:
        """Expect nothing more of a stream."""
        self._watch.forget(stream)
        self._streams = {key: one for key, one in self._streams.items() if one != stream}
        instrument = self._stale.pop(stream, None)
        if instrument is not None:  # nobody asks for it: nobody is misled by it
            self._context.publish(Resynced(instrument, stream, 0, self._context.clock.now_ns))

    def clear(self) -> None:
        """Expect nothing until data comes again; what is stale stays so."""
        for stream in self._streams.values():
            self._watch.forget(stream)
        self._streams.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        due_ns = self._watch.due_ns
        if self._timer is None and due_ns is not None:
            self._timer = self._context.clock.call_at(due_ns, self._look)

    def _look(self) -> None:
        self._timer = None
        now_ns = self._context.clock.now_ns
        for stream, age_ns in self._watch.check(now_ns):
            symbol = stream.partition("@")[0].upper()
            instrument = instrument_id(self._context.venue, symbol)
            self._stale[stream] = instrument
            self._context.publish(DataStale(instrument, stream, age_ns, now_ns))
            self._renew(stream)
        self._arm()
