"""Segment files: their format, and reading them back as far as they are whole.

A segment begins with a header and goes on with frames, each chained to the one before it:

    magic "HRIN" | format u16 | header length u32 | crc32 of the header u32 | header (MessagePack)
    payload length u32 | crc32 of the payload, continued from the checksum before it u32 | payload

Integers are little-endian. The checksums find damage; they do not stop a forger.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

import msgspec

from framework.errors import JournalDamaged

MAGIC = b"HRIN"
FORMAT = 2  # since 1: more kinds of records
OLDEST_READ = 1
SUFFIX = ".segment"
PREFIX = Struct("<4sHII")
FRAME = Struct("<II")


class SegmentHeader(msgspec.Struct, frozen=True):
    """What a segment says of itself; `header` is the caller's, the same in all of an epoch."""

    journal_id: str
    epoch: int
    number: int
    first_position: int
    header: bytes

    def to_bytes(self) -> tuple[bytes, int]:
        """Return the beginning of the file, and the checksum that its first frame continues."""
        encoded = msgspec.msgpack.encode(self)
        checksum = crc32(encoded)
        return PREFIX.pack(MAGIC, FORMAT, len(encoded), checksum) + encoded, checksum


class Finding(msgspec.Struct, frozen=True):
    """Something in a segment that is not whole.

    `is_torn`: as a crash leaves it, at the end of what was being written. Anything else is
    damage.
    """

    path: Path
    reason: str
    is_torn: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_segments(
    directory: Path | str, *, after: int = 0, report: Callable[[Finding], None] | None = None
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (position, epoch, payload) of what follows `after`, oldest first.

    Stops where positions are missing. `report` is told of everything that is not whole.

    Raises:
        JournalDamaged: without `report`, behind the last whole entry: some were damaged.
    """
    findings: list[Finding] = []
    tell = report or findings.append
    position: int | None = None
    for segment in map(Segment, segment_paths(directory)):
        header = segment.header
        if header is None:
            tell(segment.findings[0])
            continue
        if position is not None and header.first_position != position + 1:
            tell(Finding(segment.path, f"entry {position + 1} is missing"))
            break
        position = header.first_position - 1
        for payload in segment.frames():
            position += 1
            if position > after:
                yield position, header.epoch, payload
        for finding in segment.findings:
            tell(finding)
    damage = [str(finding) for finding in findings if not finding.is_torn]
    if damage:
        raise JournalDamaged("; ".join(damage))


class Segment:
    """One file, read whole; `header` is None where that is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self._data = path.read_bytes()
        self._start = 0
        self._chain = 0
        self.header = self._read_header()

    def frames(self) -> Iterator[bytes]:
        """Yield the payloads up to the first frame that is not whole."""
        data, start, chain, unpack = self._data, self._start, self._chain, FRAME.unpack_from
        size = len(data)
        number = 0
        while start + FRAME.size <= size:
            length, checksum = unpack(data, start)
            payload = data[start + FRAME.size : start + FRAME.size + length]
            chain = crc32(payload, chain)
            if chain != checksum or not length or len(payload) < length:
                break
            number += 1
            yield payload
            start += FRAME.size + length
        if start < size:
            self._find_frame(number, start)

    def _find_frame(self, whole_count: int, start: int) -> None:
        """Note what follows the last whole frame: cut short or never written, or damaged."""
        rest = len(self._data) - start
        length = FRAME.unpack_from(self._data, start)[0] if rest >= FRAME.size else 0
        is_torn = rest < FRAME.size + length or self._data.count(0, start) == rest
        reason = "is half written" if is_torn else "does not bear out its checksum"
        what = f"what follows its first {whole_count} entries" if whole_count else "its first entry"
        self.findings.append(Finding(self.path, f"{what} {reason}", is_torn))

    def _read_header(self) -> SegmentHeader | None:
        data = self._data
        finding: Finding | None = None
        magic, version, length, checksum = PREFIX.unpack(
            data[: PREFIX.size].ljust(PREFIX.size, b"\0")
        )
        encoded = data[PREFIX.size : PREFIX.size + length]
        if len(data) < PREFIX.size or (magic == MAGIC and len(encoded) < length):
            finding = Finding(self.path, "its header is half written", is_torn=True)
        elif magic != MAGIC:
            finding = Finding(self.path, "is not a segment of an input log")
        elif not OLDEST_READ <= version <= FORMAT:
            newer = f"format {version}, this one reads up to {FORMAT}"
            finding = Finding(self.path, f"was written by a newer headrace ({newer})")
        elif crc32(encoded) != checksum:
            finding = Finding(self.path, "its header does not bear out its checksum")
        if finding is not None:
            self.findings.append(finding)
            return None
        self._start = PREFIX.size + length
        self._chain = checksum
        return msgspec.msgpack.decode(encoded, type=SegmentHeader)


def segment_headers(directory: Path | str) -> list[SegmentHeader]:
    """Return the whole headers of all segments, oldest first: the last of an epoch's are equal."""
    headers = [Segment(path).header for path in segment_paths(directory)]
    return [header for header in headers if header is not None]


def segment_paths(directory: Path | str) -> list[Path]:
    """Return the segment files in the order of their numbers."""
    found = [path for path in Path(directory).glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=segment_number)


def segment_number(path: Path) -> int:
    """Return the number in a segment's name."""
    return int(path.stem)
