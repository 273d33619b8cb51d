"""Which streams of data have been quiet for longer than they should be (sans-IO, R-42)."""

from collections.abc import Callable

import msgspec


class Stream(msgspec.Struct):
    """What is known of one stream; times in ns."""

    quiet_ns: int
    last_ns: int  # of data, of the beginning, or of the look that found the market closed
    is_paused: bool = False
    is_told: bool = False


def always_open(stream: str, now_ns: int) -> bool:
    """Stand for markets that never close."""
    return True


class StalenessWatch:
    """Tells each stream that is quiet for its limit, once until data comes again.

    A stream whose market is closed is never stale. `is_open(stream, now_ns)` says when it is; one
    that opened less than its limit ago gets a whole limit more. `pause` and `resume` do the same
    for markets whose hours nobody knows beforehand.
    """

    def __init__(self, is_open: Callable[[str, int], bool] = always_open) -> None:
        self._is_open = is_open
        self._streams: dict[str, Stream] = {}
        self._heard_ns = 0

    def watch(self, stream: str, quiet_ns: int, now_ns: int) -> None:
        """Expect data of `stream` at least every `quiet_ns`, from now on."""
        self._streams[stream] = Stream(quiet_ns, now_ns)

    def forget(self, stream: str) -> None:
        """Expect nothing more; harmless for a stream that is not watched."""
        self._streams.pop(stream, None)

    def on_data(self, stream: str, now_ns: int) -> None:
        """Take note of data; what is not watched does not matter."""
        known = self._streams.get(stream)
        if known is not None:
            known.last_ns = now_ns
            known.is_told = False

    def heard(self, now_ns: int) -> None:
        """Take note of a heartbeat by data: the venue is there and would send if it had anything.

        It puts off what is not told yet. A pong is no such proof.
        """
        self._heard_ns = now_ns

    def pause(self, stream: str) -> None:
        """Expect nothing while the market is closed."""
        if stream in self._streams:
            self._streams[stream].is_paused = True

    def resume(self, stream: str, now_ns: int) -> None:
        """Expect data again, counted from now."""
        if stream in self._streams:
            known = self._streams[stream]
            known.is_paused, known.last_ns = False, now_ns

    @property
    def due_ns(self) -> int | None:
        """The earliest instant at which `check` may find something; None: there is none."""
        return min(map(self._due_ns, filter(_is_expected, self._streams.values())), default=None)

    def check(self, now_ns: int) -> list[tuple[str, int]]:
        """Return (stream, age in ns) of those that are stale since the last check."""
        stale = []
        for name, stream in self._streams.items():
            if not _is_expected(stream) or self._due_ns(stream) > now_ns:
                continue
            if self._was_open(name, stream, now_ns):
                stream.is_told = True
                stale.append((name, now_ns - stream.last_ns))
            else:
                stream.last_ns = now_ns
        return stale

    def _due_ns(self, stream: Stream) -> int:
        return max(stream.last_ns, self._heard_ns) + stream.quiet_ns

    def _was_open(self, name: str, stream: Stream, now_ns: int) -> bool:
        return self._is_open(name, now_ns) and self._is_open(name, now_ns - stream.quiet_ns)


def _is_expected(stream: Stream) -> bool:
    return not (stream.is_paused or stream.is_told)
