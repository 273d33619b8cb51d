"""Reads the answers of one HTTP/1.1 connection, one at a time (sans-IO; RFC 9112).

Strict where leniency has hurt others: lengths that contradict each other, bare line feeds and
bytes that nobody asked for are refused, since what follows could be taken for another's answer.
"""

from framework.errors import MalformedMessage
from framework.net.http_messages import Headers, Response

LARGEST_HEAD = 65_536  # bytes of status line and headers, and of each trailer
LONGEST_CHUNK_LINE = 1_024

_WITHOUT_BODY = (204, 304)


class AnswerReader:
    """Turns bytes into responses.

    `begin` before each request; `feed` returns the answer once it is whole. An answer without a
    length ends with the connection: `end` returns it.

    Attributes:
        is_reusable: whether another request may be written behind the answer.
    """

    def __init__(self, largest_body: int) -> None:
        self.is_reusable = True
        self._largest_body = largest_body
        self._buffer = bytearray()
        self._is_waiting = False
        self._has_body = True
        self._clear()

    def begin(self, method: str) -> None:
        """Expect the answer to a request of that method."""
        self._clear()
        self._is_waiting = True
        self._has_body = method != "HEAD"

    def feed(self, data: bytes) -> Response | None:
        """Take what came; return the answer, or None while it is not whole.

        Raises:
            MalformedMessage: it is no answer, it is too large, or nobody asked.
        """
        if not self._is_waiting:
            raise MalformedMessage("bytes that nobody asked for")
        buffer = self._buffer
        buffer += data
        if self._headers is None and not self._read_head():
            return None
        if self._is_chunked:
            is_whole = self._read_chunks()
        elif self._length is None:
            self._check_size(len(buffer))
            is_whole = False
        else:
            is_whole = len(buffer) >= self._length
            if is_whole:
                self._body += buffer[: self._length]
                del buffer[: self._length]
        return self._finish() if is_whole else None

    def end(self) -> Response | None:
        """The connection is over: return an answer that ends with it; None if there is none."""
        if not self._is_waiting or self._headers is None:
            return None
        if self._is_chunked or self._length is not None:
            return None
        self._body, self._buffer = self._buffer, bytearray()
        return self._finish()

    def _clear(self) -> None:
        self._status = 0
        self._headers: Headers | None = None
        self._length: int | None = None
        self._is_chunked = False
        self._body = bytearray()
        self._chunk_left: int | None = None  # bytes of data and line break; None: its line is next
        self._is_in_trailer = False

    def _finish(self) -> Response:
        if self._buffer:
            raise MalformedMessage("bytes behind the answer")
        self._is_waiting = False
        assert self._headers is not None
        return Response(self._status, self._headers, bytes(self._body))

    # -- the head ------------------------------------------------------------------------------

    def _read_head(self) -> bool:
        """Read status line and headers once they are whole; interim answers are passed over."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LARGEST_HEAD:
                    raise MalformedMessage("the head of the answer has no end")
                return False
            head = self._buffer[:end].decode("latin-1")
            del self._buffer[: end + 4]
            status_line, *lines = head.split("\r\n")
            self._status = _status_of(status_line)
            if self._status >= 200:
                break
            if self._status == 101:
                raise MalformedMessage("the venue changes to a protocol that nobody asked for")
        self._headers = tuple(_header_of(line) for line in lines)
        self._judge_framing(is_old=status_line.startswith("HTTP/1.0"))
        return True

    def _judge_framing(self, *, is_old: bool) -> None:
        """Find out where the body ends, and whether the connection goes on behind it."""
        lengths, codings, connection = set(), [], []
        for name, value in self._headers or ():
            key = name.lower()
            if key == "content-length":
                lengths.add(value)
            elif key == "transfer-encoding":
                codings.append(value.lower())
            elif key == "connection":
                connection += [word.strip() for word in value.lower().split(",")]
        self.is_reusable = "close" not in connection and not (
            is_old and "keep-alive" not in connection
        )
        if not self._has_body or self._status in _WITHOUT_BODY:
            self._length = 0
        elif codings:
            if codings != ["chunked"] or lengths or is_old:
                raise MalformedMessage("the length of the answer is in doubt")
            self._is_chunked = True
        elif lengths:
            self._length = _length_of(lengths)
            self._check_size(self._length)
        else:
            self.is_reusable = False

    # -- chunks --------------------------------------------------------------------------------

    def _read_chunks(self) -> bool:
        """Take the chunks that are whole; say whether that was the last one and its trailer."""
        while not self._is_in_trailer:
            if self._chunk_left is None and not self._read_chunk_line():
                return False
            if not self._is_in_trailer and not self._read_chunk_data():
                return False
        return self._read_trailer()

    def _read_chunk_line(self) -> bool:
        line = self._take_line(LONGEST_CHUNK_LINE)
        if line is None:
            return False
        digits = line.partition(b";")[0].strip(b" \t")
        if not 0 < len(digits) <= 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise MalformedMessage("a chunk of the answer has no length")
        size = int(digits, 16)
        self._check_size(len(self._body) + size)
        if size:
            self._chunk_left = size + 2
        else:
            self._is_in_trailer = True
        return True

    def _read_chunk_data(self) -> bool:
        size = self._chunk_left or 0
        if len(self._buffer) < size:
            return False
        if self._buffer[size - 2 : size] != b"\r\n":
            raise MalformedMessage("a chunk of the answer has another length")
        self._body += self._buffer[: size - 2]
        del self._buffer[:size]
        self._chunk_left = None
        return True

    def _read_trailer(self) -> bool:
        while (line := self._take_line(LARGEST_HEAD)) is not None:
            if not line:
                return True
        return False

    def _take_line(self, longest: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, longest + 2)
        if end < 0:
            if len(self._buffer) > longest:
                raise MalformedMessage("a line of the answer has no end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _check_size(self, size: int) -> None:
        if size > self._largest_body:
            raise MalformedMessage(f"the answer has more than {self._largest_body} bytes")


def _status_of(line: str) -> int:
    version, _, rest = line.partition(" ")
    digits = rest[:3]
    is_status = digits.isdigit() and digits.isascii() and digits[0] in "12345"
    if version not in ("HTTP/1.1", "HTTP/1.0") or not is_status or rest[3:4] not in ("", " "):
        raise MalformedMessage("the answer is not HTTP/1.1")
    return int(digits)


def _header_of(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
        raise MalformedMessage("a header of the answer cannot be read")
    return name, value.strip(" \t")


def _length_of(values: set[str]) -> int:
    """Return what every `Content-Length` says."""
    (value, *others) = values
    if others or not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise MalformedMessage("the length of the answer is in doubt")
    return int(value)
