"""Which data a backtest rests on: in its order log, its result, its summary and its report."""

from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.replay.feed import ReplayFeed
from framework.backtest import runner
from framework.backtest.report import write_report
from framework.backtest.result import BacktestResult, from_json, to_json
from framework.backtest.runner import run_backtest
from framework.backtest.summary import summary_text
from framework.engine.engine import Engine
from framework.errors import DataError
from framework.model.records import DataFile, DataPlayed
from framework.settings.modes import Mode
from framework.settings.structs import AccountSettings, Settings, VenueSettings
from tests.scripted_venue import SECOND_NS, START_NS, Script, quote
from tests.scripted_venue import settings as scripted

ROWS = """timestamp,open,high,low,close,volume
2024-01-01T00:00:00Z,100,101,99,100,5
2024-01-01T00:01:00Z,100,102,99,101,5
"""
FIRST_NS, LAST_NS = 1_704_067_260_000_000_000, 1_704_067_320_000_000_000


def of_files(path: Path, **source: Any) -> Settings:
    """Return a backtest over candles in a file."""
    entry = {"path": str(path), "instrument": "DEMO", "stamp": "open", "interval": "1m"}
    venue = VenueSettings(adapter="replay", source={"files": [entry], **source})
    account = AccountSettings(venue="x", currency="USD", balances={"USD": Decimal(1000)})
    return Settings(mode=Mode.BACKTEST, venues={"x": venue}, accounts={"main": account}, seed=3)


def made_up(count: int = 5, seed: int = 3) -> Settings:
    """Return a backtest over generated candles."""
    markets = [{"symbol": "DEMO", "start_price": 100, "volatility": 0.5}]
    venue = VenueSettings(
        adapter="mock",
        settings={"instruments": markets, "candle_interval": "1m"},
        source={"start": "2024-01-01", "count": count},
    )
    account = AccountSettings(venue="x", currency="USD", balances={"USD": Decimal(1000)})
    return Settings(mode=Mode.BACKTEST, venues={"x": venue}, accounts={"main": account}, seed=seed)


def result_of(settings: Settings) -> BacktestResult:
    result, _ = run_backtest(settings)
    return result


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    path = tmp_path / "candles.csv"
    path.write_text(ROWS)
    return path


def test_a_backtest_over_files_names_them_by_hash_and_says_how_far_it_came(candles: Path) -> None:
    result = result_of(of_files(candles))

    (played,) = result.data
    assert (played.venue, played.adapter, played.seed) == ("x", "replay", 3)
    digest = sha256(ROWS.encode()).hexdigest()
    assert played.files == (DataFile(str(candles), len(ROWS), digest),)
    assert (played.first_ns, played.last_ns, played.event_count) == (FIRST_NS, LAST_NS, 2)
    assert from_json(to_json(result)).data == result.data


def test_other_rows_another_part_or_another_seed_is_other_data(candles: Path) -> None:
    (whole,) = result_of(of_files(candles)).data
    (part,) = result_of(of_files(candles, end="2024-01-01T00:02:00Z")).data
    candles.write_text(ROWS.replace("101,5", "101.5,5"))
    (changed,) = result_of(of_files(candles)).data

    assert whole.settings_hash != part.settings_hash
    assert whole.files == part.files
    assert whole.files != changed.files
    assert whole.settings_hash == changed.settings_hash


def test_generated_data_is_named_by_its_settings_and_seed() -> None:
    (played,) = result_of(made_up()).data
    (longer,) = result_of(made_up(count=6)).data
    (other,) = result_of(made_up(seed=4)).data

    assert played.files == ()
    assert played.settings_hash != longer.settings_hash
    assert (played.settings_hash, played.seed) == (other.settings_hash, 3)
    assert other.seed == 4


def test_the_order_log_has_the_reference_before_the_first_event_and_the_range_behind_the_last(
    candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    record = Engine.record

    def noted(engine: Engine, entry: Any) -> Any:
        written.append(entry)
        return record(engine, entry)

    monkeypatch.setattr(Engine, "record", noted)

    result = result_of(of_files(candles))

    begun, ended = (entry for entry in written if isinstance(entry, DataPlayed))
    assert (begun.first_ns, begun.last_ns, begun.event_count) == (FIRST_NS, None, 0)
    assert begun.files == ended.files
    assert (ended,) == result.data


def test_no_data_at_all_has_no_range() -> None:
    (played,) = result_of(scripted(script=[])).data

    assert (played.first_ns, played.last_ns, played.event_count) == (None, None, 0)


def test_what_only_code_can_say_is_named_by_its_type() -> None:
    script = Script([quote(n, 100, 101) for n in range(3)])

    (played,) = result_of(scripted(script=script)).data

    assert played.files == ()
    assert (played.first_ns, played.last_ns) == (START_NS, START_NS + 2 * SECOND_NS)


def test_a_file_that_is_gone_is_named(candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = candles.with_suffix(".old")
    monkeypatch.setattr(ReplayFeed, "files", lambda _: [gone])

    with pytest.raises(DataError, match=r"candles\.old.*No such file"):
        result_of(of_files(candles))


def test_summary_and_report_show_it(candles: Path, tmp_path: Path) -> None:
    result, artifacts = runner.run_backtest(of_files(candles))
    digest = sha256(ROWS.encode()).hexdigest()
    report = tmp_path / "report.html"

    write_report(report, result, artifacts)

    assert f"{candles}, sha256 {digest}" in summary_text(result)
    assert digest in report.read_text()
    (played,) = result.data
    text = summary_text(replace(result, data=(replace(played, files=()),)))
    assert f"made by replay: settings {played.settings_hash}, seed 3" in text
