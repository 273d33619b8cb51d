"""The input log keeps what it was given in order, and says what is missing."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from framework.errors import JournalDamaged, JournalError
from framework.store.input_log import InputLog, read_segments
from framework.store.segments import PREFIX, Finding, segment_headers, segment_paths
from tests.source_code import ROOT


def payload(number: int) -> bytes:
    return b"input %d" % number


def open_log(
    directory: Path,
    *,
    journal: str = "j",
    epoch: int = 1,
    segment_bytes: int = 16 << 20,
    cap_bytes: int = 4 << 30,
    buffer_count: int = 1_000_000,
) -> InputLog:
    return InputLog.open(
        directory,
        journal,
        epoch,
        b"seed 7",
        segment_bytes=segment_bytes,
        cap_bytes=cap_bytes,
        buffer_count=buffer_count,
    )


def write(directory: Path, count: int, *, epoch: int = 1, segment_bytes: int = 16 << 20) -> None:
    """Append `count` payloads in one process start, synced one by one."""
    log = open_log(directory, epoch=epoch, segment_bytes=segment_bytes)
    for _ in range(count):
        log.append(payload(log.position + 1))
        log.sync()
    log.close()


def whole_prefix(directory: Path) -> tuple[int, list[Finding]]:
    """Return how many entries read back, each as it was written, and what is not whole."""
    findings: list[Finding] = []
    read = list(read_segments(directory, report=findings.append))
    assert [(at, data) for at, _, data in read] == [
        (at, payload(at)) for at in range(1, len(read) + 1)
    ]
    return len(read), findings


def test_what_was_synced_is_read_back_in_order_with_its_epoch(tmp_path: Path) -> None:
    write(tmp_path, 3, epoch=1)
    write(tmp_path, 2, epoch=2)

    assert list(read_segments(tmp_path)) == [
        (at, 1 if at <= 3 else 2, payload(at)) for at in range(1, 6)
    ]
    assert [at for at, _, _ in read_segments(tmp_path, after=3)] == [4, 5]


def test_each_epoch_keeps_the_header_it_was_given(tmp_path: Path) -> None:
    write(tmp_path, 1, epoch=4)

    (header,) = segment_headers(tmp_path)

    assert (header.journal_id, header.epoch, header.first_position) == ("j", 4, 1)
    assert header.header == b"seed 7"


def test_nothing_is_on_disk_before_a_sync_and_everything_after(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert [log.append(payload(at)) for at in (1, 2, 3)] == [1, 2, 3]

    assert whole_prefix(tmp_path) == (0, [])
    assert log.synced_position == 0

    assert log.sync() == 3
    assert log.sync() == log.synced_position == 3
    assert whole_prefix(tmp_path) == (3, [])


def test_a_flush_reaches_the_file_but_promises_no_durability(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(payload(1))

    assert log.flush() == 1

    assert whole_prefix(tmp_path) == (1, [])
    assert log.synced_position == 0
    assert log.sync() == 1


def test_an_empty_payload_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no bytes"):
        open_log(tmp_path).append(b"")


def test_closing_writes_what_is_left_and_may_be_repeated(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(payload(1))
    log.close()
    log.close()

    assert whole_prefix(tmp_path) == (1, [])
    with pytest.raises(JournalError, match="closed"):
        log.sync()


def test_segments_rotate_by_size_and_read_as_one(tmp_path: Path) -> None:
    write(tmp_path, 50, segment_bytes=200)

    assert len(segment_paths(tmp_path)) > 5
    assert whole_prefix(tmp_path) == (50, [])


def test_the_oldest_segments_go_when_all_exceed_the_cap(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=500, cap_bytes=2_000)
    for at in range(1, 501):
        log.append(payload(at))
        log.flush()

    sizes = [path.stat().st_size for path in segment_paths(tmp_path)]
    kept = [at for at, _, _ in read_segments(tmp_path)]

    assert sum(sizes) <= 2_000
    assert kept == list(range(kept[0], 501))
    assert kept[0] > 1
    log.close()


def test_inputs_of_another_journal_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 1)

    with pytest.raises(JournalError, match="inputs of journal j"):
        open_log(tmp_path, journal="other")


def test_r05_truncated_at_every_length_the_longest_whole_prefix_is_read(tmp_path: Path) -> None:
    write(tmp_path, 12)
    (path,) = segment_paths(tmp_path)
    data = path.read_bytes()
    counts = []

    for length in range(len(data)):
        path.write_bytes(data[:length])
        count, findings = whole_prefix(tmp_path)
        counts.append(count)
        assert all(finding.is_torn for finding in findings)
        assert list(read_segments(tmp_path))[-1:] == [(count, 1, payload(count))][: bool(count)]

    assert counts == sorted(counts)
    assert counts[-1] == 11


def test_r05_a_flipped_byte_ends_the_reading_with_a_report(tmp_path: Path) -> None:
    write(tmp_path, 12)
    (path,) = segment_paths(tmp_path)
    data = path.read_bytes()

    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        count, findings = whole_prefix(tmp_path)
        assert count < 12
        assert findings


def test_r05_damage_raises_behind_the_whole_entries_where_nobody_takes_the_report(
    tmp_path: Path,
) -> None:
    write(tmp_path, 12)
    (path,) = segment_paths(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    entries = read_segments(tmp_path)

    assert [next(entries)[0] for _ in range(11)] == list(range(1, 12))
    with pytest.raises(JournalDamaged, match="does not bear out its checksum"):
        next(entries)


def test_r04_a_tail_of_zeros_is_what_a_power_loss_leaves(tmp_path: Path) -> None:
    write(tmp_path, 3)
    (path,) = segment_paths(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(4096))

    assert len(list(read_segments(tmp_path))) == 3
    count, findings = whole_prefix(tmp_path)
    assert count == 3
    assert [finding.is_torn for finding in findings] == [True]


def test_a_start_after_a_torn_write_goes_on_behind_the_last_whole_entry(tmp_path: Path) -> None:
    write(tmp_path, 3, epoch=1)
    (path,) = segment_paths(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])

    log = open_log(tmp_path, epoch=2)
    assert "half written" in log.report
    assert log.append(payload(3)) == 3
    log.close()

    assert list(read_segments(tmp_path)) == [
        (1, 1, payload(1)),
        (2, 1, payload(2)),
        (3, 2, payload(3)),
    ]


def test_a_start_that_got_no_further_than_its_header_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, 2, epoch=1)
    (tmp_path / "000002.segment").write_bytes(b"HRIN\x01")

    write(tmp_path, 1, epoch=3)

    assert [(at, epoch) for at, epoch, _ in read_segments(tmp_path)] == [(1, 1), (2, 1), (3, 3)]


def test_a_missing_segment_ends_the_reading(tmp_path: Path) -> None:
    write(tmp_path, 30, segment_bytes=200)
    paths = segment_paths(tmp_path)
    paths[2].unlink()

    count, findings = whole_prefix(tmp_path)

    assert 0 < count < 30
    assert str(findings[-1]) == f"{paths[3]}: entry {count + 1} is missing"


def test_a_foreign_file_and_a_newer_format_are_named(tmp_path: Path) -> None:
    (tmp_path / "000001.segment").write_bytes(b"not ours, but long enough")
    (tmp_path / "000002.segment").write_bytes(PREFIX.pack(b"HRIN", 9, 0, 0))
    (tmp_path / "notes.segment").write_text("no number: none of ours")

    with pytest.raises(JournalDamaged, match=r"not a segment.*format 9, this one reads up to 2"):
        list(read_segments(tmp_path))


def test_r06_a_failed_write_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    log.append(payload(1))
    log.sync()

    def fail(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    log.append(payload(2))
    with pytest.raises(JournalError, match="Input/output error"):
        log.sync()
    monkeypatch.undo()

    with pytest.raises(JournalError, match="Input/output error"):
        log.sync()
    with pytest.raises(JournalError, match="Input/output error"):
        log.flush()
    assert log.synced_position == 1
    assert "Input/output error" in log.failure
    log.close()


def test_more_than_fits_into_the_buffer_is_a_failure_not_a_silent_loss(tmp_path: Path) -> None:
    log = open_log(tmp_path, buffer_count=2)
    for at in (1, 2, 3, 4):
        log.append(payload(at))

    assert "2 inputs wait" in log.failure
    with pytest.raises(JournalError, match="2 inputs wait"):
        log.sync()


def test_r06_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError, match="file/inputs: Not a directory"):
        open_log(tmp_path / "file" / "inputs")


@pytest.mark.kill
def test_r06_a_full_disk_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from framework.errors import JournalError\n"
        "from framework.store.input_log import InputLog\n"
        "log = InputLog.open(sys.argv[1], 'j', 1)\n"
        "try:\n"
        "    while True:\n"
        "        log.append(b'input %d' % (log.position + 1))\n"
        "        log.sync()\n"
        "except JournalError as error:\n"
        "    print(log.synced_position, error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)),
    )

    synced, _, reason = done.stdout.partition(" ")
    assert "File too large" in reason
    assert whole_prefix(tmp_path)[0] >= int(synced) > 50


def test_a_flush_does_not_wait_for_the_sync_of_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append(payload(1))
    flushed: list[int] = []

    def append_and_flush_meanwhile(file: int) -> None:
        log.append(payload(2))
        other = Thread(target=lambda: flushed.append(log.flush()))
        other.start()
        other.join()

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", append_and_flush_meanwhile)
        assert log.sync() == 1  # it promises no more than was there when it began

    assert flushed == [2]
    assert log.sync() == 2
    log.close()
