"""The benchmarks' command line; the figures themselves are no tests."""

import msgspec
import pytest

from benchmarks import decode
from benchmarks.__main__ import WORKLOADS, main
from framework.model.market_data import Quote
from tests.source_code import ROOT


def test_an_unknown_workload_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["nonsense"]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "'nonsense'" in printed.err


def test_every_workload_has_its_module() -> None:
    files = [ROOT / f"{module.replace('.', '/')}.py" for module in WORKLOADS.values()]

    assert [str(file) for file in files if not file.is_file()] == []


def test_each_row_is_a_line_of_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "MESSAGE_COUNT", 10)
    monkeypatch.setattr(decode, "ROUNDS", 1)

    assert main(["decode"]) == 0

    rows = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["workload"] for row in rows] == ["decode"] * 3
    assert {row["message_bytes"] for row in rows} == {200}


def test_the_decoded_message_is_the_quote_in_it() -> None:
    assert decode.quote_of(decode.MESSAGE) == Quote(
        "binance:BTCUSDT", 1704067200123000000, 1704067200123000000, 43251.1, 43251.2, 1.253, 0.741
    )
