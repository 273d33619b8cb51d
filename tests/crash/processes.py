"""The broker and the trader as processes, with a deadline on every wait."""

import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from tests.broker import protocol as wire
from tests.broker.script import Script

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


class Process:
    """A Python module that runs until it is killed or its stdin is closed."""

    def __init__(self, module: str, arguments: Sequence[str], errors: Path) -> None:
        self._errors = errors
        with errors.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def line(self) -> str:
        """Return its next line, "" when it has ended. Raises TimeoutError."""
        out = self._process.stdout
        assert out is not None
        if not select.select([out], [], [], DEADLINE_S)[0]:
            raise TimeoutError(f"no word from {self._process.args!r}: {self.complaints()}")
        return out.readline().decode().strip()

    def ends_within(self, seconds: float) -> bool:
        """Wait, and tell whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it with -9, whatever it is doing; harmless when it has ended."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(DEADLINE_S)
        self._close_pipes()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self._close_pipes()
        try:
            return self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def complaints(self) -> str:
        """Return the end of what it wrote to stderr."""
        return self._errors.read_text(errors="replace")[-2000:]

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class BrokerProcess:
    """The broker simulator in a process of its own, which outlives every trader."""

    def __init__(self, directory: Path, *, seed: int, tick_ms: float = 2) -> None:
        arguments = ["--seed", str(seed), "--tick-ms", str(tick_ms)]
        self._process = Process("tests.broker", arguments, directory / "broker.log")
        self.port = int(self._process.line())
        self._socket = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        self._reader = self._socket.makefile("rb")
        self._numbers = count(1)

    def control(self, verb: str, **arguments: Any) -> Any:
        """Say a control verb and return what it gives back."""
        number = next(self._numbers)
        self._socket.sendall(wire.encode(wire.Control(number, verb, arguments)))
        while line := self._reader.readline():
            message = wire.decode_message(line)
            if isinstance(message, wire.ControlAnswer) and message.request == number:
                return message.result
        raise ConnectionError(f"the broker has gone: {self._process.complaints()}")

    def set_script(self, script: Script) -> None:
        """Let the broker behave by `script` from now on."""
        self.control("script", **msgspec.to_builtins(script))

    def truth_at_rest(self) -> dict[str, Any]:
        """Return the truth once nothing is due any more: prices have to be held."""
        before = -1
        while True:
            truth: dict[str, Any] = self.control("dump")
            if truth["is_idle"] and truth["message_count"] == before:
                return truth
            before = truth["message_count"]

    def stop(self) -> None:
        """End the process."""
        self._reader.close()
        self._socket.close()
        self._process.stop()
