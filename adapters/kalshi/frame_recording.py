"""Raw frames on disk, with the time at which they came: every incident can become a test (B28).

    one JSON object per line: {"received_ns": 1770000000000000000, "text": "{\\"type\\": ..."}

A frame that is no UTF-8 has `data`, in base64, instead of `text`.
"""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import msgspec

from adapters.kalshi.codec import Frame, decode_frame
from framework.errors import DataError, MalformedMessage
from framework.interfaces import AdapterContext
from framework.net.standalone import StandaloneContext

MOST_WAITING = 64 * 1024 * 1024  # bytes of frames that the disk has not taken yet


class RecordedFrame(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame as it came."""

    received_ns: int
    text: str = ""
    data: bytes = b""

    @property
    def raw(self) -> bytes:
        """The bytes that came."""
        return self.data or self.text.encode()


class FrameRecorder:
    """Appends frames to a file, off the loop; give it to a client as `record`, in `async with`.

    When the disk is too slow for `MOST_WAITING` bytes, frames are lost and counted in `lost`.
    """

    def __init__(self, path: str, context: AdapterContext | None = None) -> None:
        self.lost = 0
        self._path = path
        self._context = context
        self._file: BinaryIO | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "FrameRecorder":
        if self._context is None:
            self._context = StandaloneContext("kalshi")
        self._file = await self._context.blocking(lambda: _opened(self._path))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left. Raises OSError: the disk did not take it."""
        assert self._context is not None
        assert self._file is not None
        try:
            if self._writing is not None:
                await self._writing
        finally:
            await self._context.blocking(self._file.close)

    def __call__(self, received_ns: int, frame: bytes) -> None:
        """Record a frame; never waits."""
        if self._waiting_bytes > MOST_WAITING:
            self.lost += 1
            return
        line = msgspec.json.encode(_recorded(received_ns, frame)) + b"\n"
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        assert self._context is not None
        assert self._file is not None
        while self._waiting:
            batch, self._waiting = b"".join(self._waiting), []
            file = self._file
            await self._context.blocking(lambda: _append(file, batch))  # noqa: B023 -- awaited
            self._waiting_bytes -= len(batch)
        self._writing = None


def recorded_frames(path: str) -> Iterator[RecordedFrame]:
    """Yield what was recorded, oldest first; a last line that was cut off is left out.

    Raises:
        DataError: a line is no recorded frame.
    """
    decode = msgspec.json.Decoder(RecordedFrame).decode
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise DataError(str(error), file=path, line=number) from error


def replayed(path: str) -> Iterator[tuple[int, Frame | MalformedMessage]]:
    """Yield (received_ns, frame) by the decoder that the client uses, or why it was no frame."""
    for recorded in recorded_frames(path):
        try:
            yield recorded.received_ns, decode_frame(recorded.raw)
        except MalformedMessage as error:
            yield recorded.received_ns, error


def _recorded(received_ns: int, frame: bytes) -> RecordedFrame:
    try:
        return RecordedFrame(received_ns, text=frame.decode())
    except UnicodeDecodeError:
        return RecordedFrame(received_ns, data=frame)


def _opened(path: str) -> BinaryIO:
    return open(path, "ab")


def _append(file: BinaryIO, batch: bytes) -> None:
    file.write(batch)
    file.flush()
