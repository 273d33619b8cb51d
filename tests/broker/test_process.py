"""The broker simulator as a process of its own, over real sockets."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import protocol as wire
from tests.broker.script import STORM
from tests.crash.processes import BrokerProcess

pytestmark = [pytest.mark.socket, pytest.mark.kill]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Return a broker in another process."""
    started = BrokerProcess(tmp_path, seed=1)
    yield started
    started.stop()


def test_it_takes_a_script_and_tells_the_truth(broker: BrokerProcess) -> None:
    broker.set_script(STORM)
    broker.control("hold_prices", is_held=True)
    order = broker.control(
        "trade_as_somebody", account="main", symbol="BTC", side="buy", quantity="0.5"
    )

    truth = broker.truth_at_rest()

    assert [row["venue_order_id"] for row in truth["orders"]] == [order]
    assert truth["orders"][0]["filled"] == "0.5"
    assert truth["received"] == []


def test_r01_it_kills_a_process_with_the_message_it_was_told(broker: BrokerProcess) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    broker.control("kill_after", pid=victim.pid, messages=1)
    assert victim.poll() is None

    with socket.create_connection(("127.0.0.1", broker.port), 10) as client:
        client.sendall(wire.encode(wire.Login(1, "main")) + wire.encode(wire.AskPositions(2)))
        assert client.recv(1)

    assert victim.wait(10) == -signal.SIGKILL
    assert victim.stdin is not None
    victim.stdin.close()
