"""`headrace check-adapter NAME`: plays the adapter kit and prints a score by area."""

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from framework.adapter_kit.scoring import Verdict

AREAS = ("connection", "data", "recovery", "orders", "reconcile", "limits")
MOST_TEXT = 1_000  # of what a check saw, in characters


def add_parser(commands: Any) -> None:
    """Register the command."""
    text = "play the adapter kit against an adapter's simulated venue and print its score"
    check = commands.add_parser("check-adapter", help=text, description=text)
    check.add_argument("name", help="the adapter, as a configuration names it")
    check.add_argument("--area", action="append", choices=AREAS, help="only this area; repeatable")
    check.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated world")
    check.add_argument("--json", action="store_true", help="print the verdicts as JSON only")
    check.set_defaults(module="check_adapter")


def run(options: argparse.Namespace) -> int:
    """Play, print, and fail if any check did, or if not one could be played."""
    from framework.adapter_kit.finding import find_rig
    from framework.adapter_kit.scoring import score
    from framework.cli.logs import configure_logging
    from framework.runtime.adapters import find_adapter
    from framework.settings.structs import LoggingSettings, LogLevel

    configure_logging(LoggingSettings(level=LogLevel.CRITICAL))
    build = find_adapter(options.name, key="adapter")
    areas = dict.fromkeys(options.area or AREAS)
    verdicts = score(build, find_rig(options.name), areas=areas, seed=options.seed)
    if options.json:
        print(msgspec.json.encode(verdicts).decode())
    else:
        print("\n".join(report(verdicts)))
    has_failed = any(verdict.failure for verdict in verdicts)
    return 1 if has_failed or all(verdict.skipped for verdict in verdicts) else 0


def report(verdicts: "list[Verdict]") -> list[str]:
    """Return the score by area, a line each, what failed, and what was not played."""
    from framework.settings.places import one_line

    lines = []
    for area in dict.fromkeys(verdict.area for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.area == area]
        lines.append(_count(area, mine))
        for verdict in mine:
            if verdict.skipped:
                reason = one_line(verdict.skipped, longest=MOST_TEXT)
                lines.append(f"  {verdict.check}: not played, {reason}")
            if verdict.failure:
                lines.append(f"  {verdict.check}: {verdict.promise}")
                lines.append(f"    {one_line(verdict.failure, longest=MOST_TEXT)}")
    return [*lines, _count("score", verdicts)]


def _count(title: str, verdicts: "list[Verdict]") -> str:
    """Return how many held of those that were played."""
    skipped = sum(bool(verdict.skipped) for verdict in verdicts)
    failed = sum(bool(verdict.failure) for verdict in verdicts)
    played = len(verdicts) - skipped
    line = f"{title:<12} {played - failed:>2} of {played}"
    return f"{line}, {skipped} not played" if skipped else line
