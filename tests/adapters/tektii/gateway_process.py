"""The gateway in a process of its own, as users run it; every wait has a deadline."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "config" / "tektii_gateway.yaml"
KEY = "k7Qm2ZxV9sLw4TbN8pRe3YhC6uJd1GfA"
DEADLINE_S = 60.0
_LISTENING = "listening on "


class GatewayProcess:
    """A gateway that runs; `url` is where it listens, `log_path` what it wrote to stderr."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, log_path: Path) -> None:
        self._process = process
        self.url = url
        self.log_path = log_path

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written to stderr so far."""
        return self.log_path.read_text()

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def open_files(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self) -> str:
        """Ask it to end, wait for it, and return what it printed since it listens."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            printed, _ = self._process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return printed


@contextmanager
def gateway_process(
    directory: Path,
    *options: str,
    configuration: Path = CONFIGURATION,
    environment: Mapping[str, str] | None = None,
) -> Iterator[GatewayProcess]:
    """Run a gateway with `KEY` on a free port of loopback; its log is in `directory`."""
    log_path = directory / "gateway.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "framework", "run", str(configuration), *options],
            cwd=ROOT,
            env={**os.environ, "GATEWAY_PORT": "0", "GATEWAY_API_KEY": KEY, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        gateway = GatewayProcess(process, _url(process, log_path), log_path)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    try:
        yield gateway
    finally:
        gateway.stop()


def _url(process: "subprocess.Popen[str]", log_path: Path) -> str:
    """Return where a gateway says that it listens."""
    out = process.stdout
    assert out is not None
    while select.select([out], [], [], DEADLINE_S)[0]:
        line = out.readline()
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip()
        if not line:
            break
    raise TimeoutError(f"the gateway does not listen: {log_path.read_text()[-2000:]}")
