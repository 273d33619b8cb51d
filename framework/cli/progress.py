"""What long work shows on stderr: a bar on a terminal, a line every ten seconds elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TextIO

LINE_INTERVAL_NS = 10_000_000_000


class Progress(Protocol):
    """How far a backtest is: events so far, and the part done where the data's end is known."""

    @property
    def events(self) -> int: ...
    @property
    def fraction(self) -> float | None: ...


Show = Callable[[Progress], None]


def shown_progress(
    now_ns: Callable[[], int], *, is_quiet: bool = False, output: TextIO | None = None
) -> AbstractContextManager[Show | None]:
    """Return a context whose value takes each progress report; None when nothing is shown."""
    stream = sys.stderr if output is None else output
    if is_quiet:
        return nullcontext(None)
    if stream.isatty():
        return progress_bar(stream)
    return nullcontext(progress_lines(stream, now_ns))


def progress_lines(output: TextIO, now_ns: Callable[[], int]) -> Show:
    """Return what prints at most one line per ten seconds of real time."""
    printed_ns = started_ns = now_ns()

    def show(progress: Progress) -> None:
        nonlocal printed_ns
        current_ns = now_ns()
        if current_ns - printed_ns < LINE_INTERVAL_NS:
            return
        printed_ns = current_ns
        elapsed_s = (current_ns - started_ns) / 1e9
        part = "" if progress.fraction is None else f"{progress.fraction:.0%}, "
        rate = progress.events / elapsed_s
        print(f"headrace: {part}{progress.events:,} events, {rate:,.0f}/s", file=output, flush=True)

    return show


@contextmanager
def progress_bar(output: TextIO) -> Iterator[Show]:
    """Draw a bar that disappears when the work is done."""
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("backtest"),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.fields[events]:,} events"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(file=output), transient=True) as bar:
        task = bar.add_task("backtest", total=None, events=0)

        def show(progress: Progress) -> None:
            total = None if progress.fraction is None else 1.0
            bar.update(
                task, completed=progress.fraction or 0.0, total=total, events=progress.events
            )

        yield show
