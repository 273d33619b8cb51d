"""What waits to be sent to one reader: bounded, in order, and over once it overflows."""

from collections import deque


class Outbox:
    """A queue of frames, at most `capacity` of them and `capacity_bytes`.

    While it is more than a quarter full, a frame with a key takes the place of an unsent one with
    the same key; frames without a key are never conflated. A frame that finds no room ends it:
    whoever reads would have a hole in its view, and is to read again from the start.

    At any time put_count = sent_count + conflated_count + dropped_count + waiting.
    """

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.put_count = 0
        self.sent_count = 0
        self.conflated_count = 0
        self.dropped_count = 0
        self.sent_bytes = 0
        self.waiting_bytes = 0
        self.is_over = False
        self._frames: deque[bytes] = deque()
        # Where the last frame of a key waits: counted from the first frame ever, so that taking
        # frames out does not touch it. Those below `_first` are gone. A slot per frame would
        # cost 60 bytes each, for every reader.
        self._places: dict[str, int] = {}
        self._first = 0

    @property
    def waiting(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def put(self, frame: bytes, *, key: str | None = None) -> bool:
        """Queue a frame; False if this overflowed it, now or before, which drops everything."""
        self.put_count += 1
        if self.is_over:
            self.dropped_count += 1
            return False
        frames = self._frames
        if key is not None and self._conflates(frame, key):
            return not self.is_over
        self.waiting_bytes += len(frame)
        frames.append(frame)
        if self.waiting_bytes > self.capacity_bytes or len(frames) > self.capacity:
            self.end()
            return False
        return True

    def take(self, most_bytes: int) -> list[bytes]:
        """Return the oldest frames, as many as fit; at least one if any waits."""
        frames = self._frames
        if self.waiting_bytes <= most_bytes:
            taken, size = list(frames), self.waiting_bytes
            frames.clear()
            self._places.clear()
        else:
            taken, size = [], 0
            while frames and (not taken or size + len(frames[0]) <= most_bytes):
                size += len(frames[0])
                taken.append(frames.popleft())
        self.waiting_bytes -= size
        self._first += len(taken)
        self.sent_count += len(taken)
        self.sent_bytes += size
        return taken

    def end(self) -> None:
        """Drop what waits, and whatever comes."""
        self.is_over = True
        self.dropped_count += len(self._frames)
        self._frames.clear()
        self._places.clear()
        self.waiting_bytes = 0

    def _conflates(self, frame: bytes, key: str) -> bool:
        """Replace the unsent frame of `key`, if that may be; else note where this one will wait."""
        places, first, waiting = self._places, self._first, len(self._frames)
        place = places.get(key, -1)
        if place >= first and self._is_quarter_full(waiting):
            index = place - first
            self.waiting_bytes += len(frame) - len(self._frames[index])
            self._frames[index] = frame
            self.conflated_count += 1
            if self.waiting_bytes > self.capacity_bytes:
                self.end()
            return True
        if len(places) >= 2 * self.capacity:  # keys of frames that are gone
            self._places = {name: at for name, at in places.items() if at >= first}
        self._places[key] = first + waiting
        return False

    def _is_quarter_full(self, waiting: int) -> bool:
        return 4 * waiting > self.capacity or 4 * self.waiting_bytes > self.capacity_bytes
