"""Alerts as runs of a program: JSON on its standard input, no shell, almost no environment.

The program's arguments are those of the configuration, never a part of the alert. It gets `PATH`,
`HOME` and `LANG` and nothing else, so that no secret of ours is inherited (T-43). One that has
not ended in time is killed with everything it started.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
import msgspec

from framework.alerts.alert import document
from framework.alerts.delivery import DELIVERED, Outcome
from framework.model.records import AlertRaised
from framework.settings.structs import LogLevel

INHERITED = ("PATH", "HOME", "LANG")
REAP_S = 1.0  # a killed process is gone well within this


class Command:
    """Runs one program per alert; exit code 0 is a delivery."""

    def __init__(
        self,
        arguments: Sequence[str],
        source: str,
        *,
        level: LogLevel,
        timeout_s: float,
        environment: Mapping[str, str],
    ) -> None:
        self.name = f"command {os.path.basename(arguments[0])}"
        self.level = level
        self.timeout_s = timeout_s
        self._arguments = tuple(arguments)
        self._source = source
        self._environment = {name: environment[name] for name in INHERITED if name in environment}

    async def send(self, alert: AlertRaised) -> Outcome:
        """Run the program once."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(f"cannot be started: {error.strerror}")
        try:
            await process.communicate(msgspec.json.encode(document(alert, self._source)))
        finally:
            await _end(process)
        if process.returncode == 0:
            return DELIVERED
        return Outcome(f"ended with exit code {process.returncode}", is_retryable=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and all it started, unless it has ended; wait until it is gone."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):  # it ended this moment
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.move_on_after(REAP_S, shield=True):
        await process.wait()
