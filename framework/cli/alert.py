"""`headrace alert test CONFIG`: one alert to each target, and whether it got there."""

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.alerts.delivery import Target
    from framework.model.records import AlertRaised

LEVELS = ("debug", "info", "warning", "error", "critical")


def add_parser(commands: Any) -> None:
    """Register the verb."""
    text = "check where alerts go"
    alert = commands.add_parser("alert", help=text, description=text)
    actions = alert.add_subparsers(dest="action", required=True, metavar="action")
    test = actions.add_parser("test", help="send a test alert to each target")
    test.add_argument("config", help="YAML file")
    test.add_argument("--level", choices=LEVELS, default="critical", help="of the test alert")


def run(options: argparse.Namespace) -> int:
    """Send the test alert and print a line per target; 1 if one of them failed."""
    from framework.alerts.targets import Surroundings, targets_of
    from framework.clock.clock import LiveClock
    from framework.model.records import AlertRaised
    from framework.settings.loading import load, located
    from framework.settings.modes import Mode

    settings = load(options.config)
    around = Surroundings(
        source=settings.name,
        blocking=_in_thread,
        environment=os.environ,
        allows_literal_secrets=settings.mode is not Mode.LIVE,
    )
    with located(options.config):
        targets = targets_of(settings.alerts, around)
    if not targets:
        print("no alerts are configured: they are log lines only")
        return 0
    message = "a test: nothing happened, and this target works"
    alert = AlertRaised("alert_test", options.level, message, LiveClock().now_ns)
    return asyncio.run(send_to_all(targets, alert))


async def send_to_all(targets: Sequence["Target"], alert: "AlertRaised") -> int:
    """Make one attempt at every target at once, print how each ended, return the exit code."""
    import anyio

    from framework.alerts.alert import at_least
    from framework.alerts.delivery import Outcome, attempted
    from framework.settings.places import one_line
    from framework.settings.secrets import redact

    outcomes: dict[int, Outcome] = {}

    async def attempt(number: int, target: "Target") -> None:
        outcomes[number] = await attempted(target, alert)

    async with anyio.create_task_group() as tasks:
        for number, target in enumerate(targets):
            if at_least(alert, target.level):
                tasks.start_soon(attempt, number, target)
    for number, target in enumerate(targets):
        outcome = outcomes.get(number)
        if outcome is None:
            shown = f"skipped  {target.name}: takes {target.level.value} and above"
        elif outcome.is_delivered:
            shown = f"ok       {target.name}"
        else:
            shown = f"failed   {target.name}: {outcome.reason}"
        print(one_line(redact(shown), 500))
    return int(any(not outcome.is_delivered for outcome in outcomes.values()))


async def _in_thread(function: Callable[[], Any]) -> Any:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(function)
