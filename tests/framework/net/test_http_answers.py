"""Answers in bytes, whole and in pieces, true and damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import MalformedMessage
from framework.net.http_answers import LARGEST_HEAD, AnswerReader
from framework.net.http_messages import Response

TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
OURS = ("content-length", "transfer-encoding", "connection")
HEADERS = st.lists(st.tuples(TOKENS, VALUES).filter(lambda one: one[0].lower() not in OURS))
BODIES = st.binary(max_size=300)


def reader(largest_body: int = 10_000, method: str = "POST") -> AnswerReader:
    made = AnswerReader(largest_body)
    made.begin(method)
    return made


def feed_in_pieces(answers: AnswerReader, data: bytes, cuts: list[int]) -> Response | None:
    """Feed `data` cut at `cuts`; only the last piece may complete the answer."""
    places = sorted({cut % len(data) for cut in cuts} - {0})
    outcome = None
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        assert outcome is None
        outcome = answers.feed(data[start:end])
    return outcome


def head_of(status: int, headers: list[tuple[str, str]], *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some Reason", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, *more, "", ""]).encode()


@given(st.integers(200, 599), HEADERS, BODIES, st.lists(st.integers(0, 10_000)))
def test_an_answer_with_a_length_is_read_whatever_its_pieces(
    status: int, headers: list[tuple[str, str]], body: bytes, cuts: list[int]
) -> None:
    """R-47."""
    if status in (204, 304):
        body = b""
    data = head_of(status, headers, f"Content-Length: {len(body)}") + body
    answers = reader()

    for _ in range(2):  # and so is the next one on the same connection
        answers.begin("POST")
        response = feed_in_pieces(answers, data, cuts)
        assert response is not None
        assert (response.status, response.body) == (status, body)
        assert [*response.headers[:-1]] == headers
        assert answers.is_reusable


@given(
    st.lists(st.binary(min_size=1, max_size=50)),
    st.sampled_from(["", ";name=value", ' ; q="x"']),
    st.sampled_from([b"", b"Checksum: 1\r\n", b"A: 1\r\nB: 2\r\n"]),
    st.lists(st.integers(0, 10_000)),
)
def test_chunks_are_joined_whatever_their_pieces(
    chunks: list[bytes], extension: str, trailer: bytes, cuts: list[int]
) -> None:
    """R-47."""
    data = head_of(200, [("Transfer-Encoding", "Chunked")])
    for chunk in chunks:
        data += f"{len(chunk):X}{extension}\r\n".encode() + chunk + b"\r\n"
    data += b"000\r\n" + trailer + b"\r\n"
    answers = reader()

    response = feed_in_pieces(answers, data, cuts)

    assert response is not None
    assert response.body == b"".join(chunks)
    assert answers.is_reusable


@given(BODIES, st.lists(st.integers(0, 10_000)))
def test_an_answer_without_a_length_ends_with_the_connection(body: bytes, cuts: list[int]) -> None:
    answers = reader()

    assert feed_in_pieces(answers, head_of(200, []) + body, cuts) is None
    response = answers.end()

    assert response is not None
    assert response.body == body
    assert not answers.is_reusable
    assert answers.end() is None


@given(st.binary(max_size=400), st.lists(st.integers(0, 10_000)))
def test_any_bytes_give_an_answer_or_the_one_error(data: bytes, cuts: list[int]) -> None:
    """R-45."""
    answers = reader()
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    try:
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            if answers.feed(data[start:end]) is not None:
                return
        answers.end()
    except MalformedMessage:
        pass


@given(st.integers(0, 200), st.integers(1, 255), st.booleans())
def test_a_damaged_byte_gives_an_answer_or_the_one_error(
    place: int, change: int, is_chunked: bool
) -> None:
    """R-45."""
    whole = (
        head_of(200, [("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        if is_chunked
        else head_of(200, [("Content-Length", "5")]) + b"abcde"
    )
    data = bytearray(whole)
    data[place % len(data)] ^= change
    answers = reader()
    try:
        response = answers.feed(bytes(data)) or answers.end()
    except MalformedMessage:
        return
    assert response is None or len(response.body) <= len(data)


def test_an_answer_to_head_has_no_body() -> None:
    answers = reader(method="HEAD")

    response = answers.feed(head_of(200, [("Content-Length", "100")]))

    assert response is not None
    assert response.body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_never_have_a_body(status: int) -> None:
    response = reader().feed(head_of(status, [("Content-Length", "100")]))

    assert response is not None
    assert response.body == b""


def test_interim_answers_are_passed_over() -> None:
    interim = head_of(100, []) + head_of(103, [("Link", "x")])

    response = reader().feed(interim + head_of(200, [("Content-Length", "1")]) + b"a")

    assert response is not None
    assert (response.status, response.body) == (200, b"a")


@pytest.mark.parametrize(
    ("head", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive, Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_the_answer_says_whether_the_connection_goes_on(head: bytes, is_reusable: bool) -> None:
    answers = reader()

    assert answers.feed(head) is not None

    assert answers.is_reusable is is_reusable


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1"),
        b"HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : space\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + 101 * b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 17 * b"0" + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 2_000 * b"0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
        (LARGEST_HEAD + 1) * b"x",
    ],
)
def test_what_could_be_taken_for_something_else_is_refused(data: bytes) -> None:
    """R-45: the body limit is 100 bytes here."""
    with pytest.raises(MalformedMessage):
        reader(100).feed(data)


def test_bytes_that_nobody_asked_for_are_refused() -> None:
    answers = AnswerReader(100)
    with pytest.raises(MalformedMessage):
        answers.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    answers.begin("GET")
    assert answers.feed(head_of(200, [("Content-Length", "0")])) is not None
    with pytest.raises(MalformedMessage):
        answers.feed(b"x")


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200", head_of(200, [("Content-Length", "2")]) + b"a",
     head_of(200, [("Transfer-Encoding", "chunked")]) + b"1\r\na\r\n0\r\nTr"],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_none(data: bytes) -> None:
    answers = reader()

    assert answers.feed(data) is None
    assert answers.end() is None


def test_headers_are_found_whatever_their_case() -> None:
    response = Response(200, (("Retry-After", "1"), ("retry-after", "2")), b"")

    assert response.header("RETRY-AFTER") == "1"
    assert response.header("Other") is None
