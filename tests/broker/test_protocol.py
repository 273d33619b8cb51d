"""The wire of the broker simulator survives whatever a network makes of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker import protocol as wire
from tests.broker.protocol import BadLine, Lines


def test_money_travels_exactly() -> None:
    request = wire.Submit(7, "a", "BTC", "buy", "limit", Decimal("0.10"), Decimal("100.50"))

    line = wire.encode(request)

    assert b'"0.10"' in line
    assert str(wire.decode_request(line)) == str(request)


def test_answers_and_pushes_come_back_as_they_were_sent() -> None:
    row = wire.ExecutionRow(
        "E1", "V1", "a", "BTC", "buy", Decimal(1), Decimal(100), Decimal("0.1"), "USD", 5
    )

    for message in (wire.Refused(1, "no", 5), wire.ExecutionPush(row), wire.Heartbeat(5)):
        assert wire.decode_message(wire.encode(message)) == message


@given(st.lists(st.integers(1, 30), max_size=40))
def test_lines_are_whole_however_they_arrive(cuts: list[int]) -> None:
    sent = [wire.encode(wire.Heartbeat(number)) for number in range(20)]
    stream, lines, heard = b"".join(sent), Lines(), []
    for cut in cuts:
        heard += lines.feed(stream[:cut])
        stream = stream[cut:]
    heard += lines.feed(stream)

    assert [line + b"\n" for line in heard] == sent


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"say":"hello"}', b'{"say":"login"}'])
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(BadLine):
        wire.decode_request(line)
    with pytest.raises(BadLine):
        wire.decode_message(line)


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LONGEST_LINE", 10)

    with pytest.raises(BadLine, match="more than 10 bytes"):
        Lines().feed(b"x" * 11)
