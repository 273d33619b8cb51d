"""`headrace check-adapter NAME`: plays the adapter kit and prints a score by area."""

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from framework.adapter_kit.scoring import Verdict

AREAS = ("connection", "data", "recovery", "orders", "reconcile", "limits")


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
    """Play, print, and fail if any check did."""
    from framework.adapter_kit.finding import find_rig
    from framework.adapter_kit.scoring import score
    from framework.cli.logs import configure_logging
    from framework.runtime.adapters import find_adapter
    from framework.settings.structs import LoggingSettings, LogLevel

    configure_logging(LoggingSettings(level=LogLevel.CRITICAL))
    build = find_adapter(options.name, key="adapter")
    verdicts = score(build, find_rig(options.name), areas=options.area or AREAS, seed=options.seed)
    if options.json:
        print(msgspec.json.encode(verdicts).decode())
    else:
        print("\n".join(report(verdicts)))
    return 1 if any(verdict.failure for verdict in verdicts) else 0


def report(verdicts: "list[Verdict]") -> list[str]:
    """Return the score by area, a line each, and what failed."""
    lines = []
    for area in dict.fromkeys(verdict.area for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.area == area]
        held = sum(not (verdict.failure or verdict.skipped) for verdict in mine)
        lines.append(f"{area:<12} {held:>2} of {len(mine)}")
        for verdict in mine:
            if verdict.skipped:
                lines.append(f"  {verdict.check}: not played, {verdict.skipped}")
            if verdict.failure:
                lines.append(f"  {verdict.check}: {verdict.promise}")
                lines.append(f"    {verdict.failure}")
    held = sum(not (verdict.failure or verdict.skipped) for verdict in verdicts)
    lines.append(f"{'score':<12} {held:>2} of {len(verdicts)}")
    return lines
