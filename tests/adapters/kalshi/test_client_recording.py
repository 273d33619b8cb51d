"""Raw frames on disk, and the same messages from them again."""

from pathlib import Path

import pytest

from adapters.kalshi import frame_recording
from adapters.kalshi.codec import Frame
from adapters.kalshi.frame_recording import FrameRecorder, recorded_frames, replayed
from framework.errors import DataError, MalformedMessage
from tests.adapters.kalshi.client_rig import Bench, a_while, heard, simulated
from tests.adapters.kalshi.simulated.stream_rig import BOS, START_NS
from tests.broker.rig import RigContext, play, simulated_loop


def test_what_is_recorded_decodes_to_what_was_heard(tmp_path: Path) -> None:
    """B28: every frame with its time, control frames and bad ones included."""
    path = str(tmp_path / "frames.ndjson")

    async def scene(at: Bench) -> None:
        async with FrameRecorder(path) as recorder, at.client(record=recorder) as kalshi:
            stream = await kalshi.subscribe_orderbook_delta(BOS)
            at.change()
            await a_while(1)
            at.change()
            at.inject("{")
            found = await heard(stream)

        again = list(replayed(path))
        frames = [frame for _, frame in again if isinstance(frame, Frame)]
        assert [frame.type for frame in frames] == [
            *("subscribed", "orderbook_snapshot", "orderbook_delta", "orderbook_delta"),
        ]
        assert [frame.message for frame in frames[1:]] == found
        assert isinstance(again[-1][1], MalformedMessage)
        assert [round((time_ns - START_NS) / 1e9) for time_ns, _ in again] == [0, 0, 0, 1, 1]

    simulated(scene)


def test_recordings_are_continued_and_hold_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "frames.ndjson"

    async def main() -> None:
        for frame in (b"\xff\x00", "ü".encode()):
            async with FrameRecorder(str(path), RigContext(simulated_loop())) as recorder:
                recorder(7, frame)
                recorder(8, frame)
        async with FrameRecorder(str(path)):
            pass

    play(main)
    expected = [b"\xff\x00"] * 2 + ["ü".encode()] * 2
    assert [recorded.raw for recorded in recorded_frames(str(path))] == expected

    path.write_bytes(path.read_bytes()[:-3])
    assert len(list(recorded_frames(str(path)))) == 3
    path.write_bytes(b"nonsense\n")
    with pytest.raises(DataError, match=r"frames\.ndjson:1"):
        list(recorded_frames(str(path)))


def test_a_disk_that_is_too_slow_costs_frames_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_recording, "MOST_WAITING", 100)
    path = str(tmp_path / "frames.ndjson")

    async def main() -> None:
        async with FrameRecorder(path) as recorder:
            for _ in range(10):
                recorder(1, b"x" * 40)
            await a_while()
            recorder(2, b"y")
            assert recorder.lost == 8

    play(main)
    assert len(list(recorded_frames(path))) == 3
