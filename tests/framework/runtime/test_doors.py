"""Front doors of a whole system: found by name, opened with it, closed before the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from framework.errors import ConfigError
from framework.model.desk import ALL_VERBS, OrderQuery, Place, Principal
from framework.model.orders import OrderStatus
from framework.model.records import OperatorAction
from framework.net.connectors import open_connector
from framework.runtime.doors import FrontDoors, find_door, new_registry
from framework.runtime.runner import Runtime
from framework.settings.checks import resolved
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
START_NS = 1_700_000_040_000_000_000
OWNER = Principal("owner", (Place("mock", "main", "gateway"),), verbs=ALL_VERBS)


def configuration(**changes: Any) -> Settings:
    door = {
        "door": "tektii",
        "accounts": ["main"],
        "run": "gateway",
        "tokens": [{"name": "bot", "secret": KEY}],
        "settings": {"provider": "mock"},
        **changes.pop("door", {}),
    }
    chosen = {
        "mode": "paper",
        "venues": {
            "mock": {
                "adapter": "mock",
                "settings": {"any_symbol": True},
                "fills": "unlimited",
            }
        },
        "accounts": {"main": {"venue": "mock", "currency": "USD", "balances": {"USD": 100_000}}},
        "server": [{"listen": "127.0.0.1:0", "doors": [door], **changes.pop("listener", {})}],
        **changes,
    }
    return decode_section(chosen, Settings, key="")


Act = Callable[[Runtime, aiohttp.ClientSession], Awaitable[Any]]


def play(act: Act, settings: Settings | None = None) -> Any:
    """Run a system with its doors in a simulated world, and talk to it."""

    async def main() -> Any:
        async with Runtime(settings or configuration()) as runtime:
            (address,) = runtime.addresses
            headers = {"Authorization": f"Bearer {KEY}"}
            async with aiohttp.ClientSession(
                address, connector=open_connector(), headers=headers
            ) as session:
                return await act(runtime, session)

    return run_simulated(main, seed=1, start_ns=START_NS)


def test_an_order_over_http_is_the_runs_and_written_down_with_the_tokens_name() -> None:
    """T-05."""

    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        order = {"symbol": "AAPL", "side": "buy", "quantity": "2", "order_type": "market"}
        async with session.post("/v1/orders", json=order) as answer:
            assert answer.status == 201
            handle = await answer.json()
        (known,) = await runtime.desk.orders(OWNER, OrderQuery())
        assert (known.order.order_id, known.order.run) == (handle["id"], "gateway")
        assert known.order.status is OrderStatus.FILLED
        actions = [e for _, e in runtime.engine.log.read() if isinstance(e, OperatorAction)]
        assert [(one.by, one.verb, one.request, one.outcome) for one in actions] == [
            ("bot", "POST", "/v1/orders", "201")
        ]

    play(act)


def test_a_stop_refuses_new_orders_before_anything_else_stops() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        order = {"symbol": "AAPL", "side": "buy", "quantity": "2", "order_type": "market"}
        async with session.ws_connect("/v1/ws") as stream:
            doors: Any = runtime._doors
            closing = asyncio.ensure_future(doors.close())
            await anyio.sleep(0.1)
            async with session.post("/v1/orders", json=order) as answer:
                assert answer.status == 503
                assert (await answer.json())["code"] == "SHUTTING_DOWN"
            while (message := await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                last = message.json()
            assert last["event"] == "DISCONNECTING"
            assert stream.close_code == 1001
            await closing
        assert await runtime.desk.positions(OWNER) == []

    play(act)


def test_the_same_seed_is_the_same_conversation() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> list[str]:
        heard: list[str] = []
        order = {"symbol": "AAPL", "side": "buy", "quantity": "2", "order_type": "market"}
        async with session.ws_connect("/v1/ws") as stream:
            async with session.post("/v1/orders", json=order) as answer:
                heard.append(await answer.text())
            with anyio.move_on_after(5):
                while True:
                    heard.append((await stream.receive()).data)
        return heard

    first, second = play(act), play(act)

    assert first == second
    assert len(first) > 10


@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"door": {"door": "nothing"}}, "server[0].doors[0].door", "no front door 'nothing'"),
        ({"door": {"accounts": ["other"]}}, "server[0].doors[0].accounts", "no account"),
        ({"door": {"settings": {"provider": "x"}}}, "server[0].doors[0].settings", "mock"),
        (
            {"door": {"settings": {"provider": "mock", "typo": 1}}},
            "server[0].doors[0].settings.typo",
            "unknown",
        ),
        ({"door": {"tokens": [{"name": "a", "secret": "short"}]}}, "tokens[0]", ""),
        ({"listener": {"listen": "0.0.0.0:0"}}, "server[0]", "tls"),
        ({"listener": {"listen": "nowhere"}}, "server[0].listen", "no host:port"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    changes: dict[str, Any], key: str, reason: str
) -> None:
    async def main() -> None:
        async with Runtime(resolved(configuration(**changes))):
            pass

    with pytest.raises(ConfigError) as caught:
        run_simulated(main, seed=1, start_ns=START_NS)

    assert key in caught.value.key
    assert reason.lower() in caught.value.reason.lower()


def test_a_door_of_another_distribution_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def load(self) -> Any:
            raise RuntimeError("half installed")

    monkeypatch.setattr("framework.runtime.doors.entry_points", lambda **_: [Broken()])

    with pytest.raises(ConfigError, match="half installed"):
        find_door("broken", key="server[0].doors[0].door")


def test_without_the_metrics_library_doors_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)

    with pytest.raises(ConfigError, match=r"headrace\[metrics\]"):
        new_registry()


def test_money_at_the_door_is_the_desks() -> None:
    async def act(runtime: Runtime, session: aiohttp.ClientSession) -> None:
        async with session.get("/v1/account") as answer:
            body = await answer.json()
        money = await runtime.desk.money(OWNER)
        assert Decimal(body["equity"]) == money.equity == Decimal(100_000)

    play(act)


# -- several doors that hold market time back ----------------------------------------------------


class Listeners:
    """The clients of one door: `hears` is called for each piece of news that they acknowledge."""

    def __init__(self, hears: Callable[[], None]) -> None:
        self.news = 0
        self.heard = 0
        self._hears = hears

    @property
    def is_settled(self) -> bool:
        return not self.news

    async def ready(self) -> None: ...

    async def settled(self) -> None:
        while self.news:
            self.news -= 1
            self.heard += 1
            await anyio.lowlevel.checkpoint()
            self._hears()

    async def completed(self) -> None: ...


class Steps:
    """A driver of so many steps, each of them news for some; `late` is what was not heard then."""

    def __init__(self, count: int, news_for: list[Listeners], everybody: list[Listeners]) -> None:
        self.late: list[int] = []
        self.is_finished = False
        self._left = count
        self._news_for = news_for
        self._everybody = everybody

    def step(self) -> bool:
        self.late.append(sum(one.news for one in self._everybody))
        self._left -= 1
        for one in self._news_for:
            one.news += 1
        return self._left >= 0

    def finish(self) -> None:
        self.is_finished = True


def paced_by(everybody: list[Listeners], steps: Steps) -> None:
    doors = object.__new__(FrontDoors)
    doors.server = cast(Any, SimpleNamespace(pacers=everybody))
    bus = SimpleNamespace(is_turn_due=False)
    doors._system = cast(Any, SimpleNamespace(runs=[], engine=SimpleNamespace(bus=bus)))

    async def main() -> None:
        await doors.pace(cast(Any, steps))

    run_simulated(main)


def test_time_moves_on_once_the_clients_of_all_doors_have_heard_each_other() -> None:
    """What a client of the second door does is news for one of the first, at the same instant."""
    first = Listeners(lambda: None)
    second = Listeners(lambda: tell(first))

    def tell(other: Listeners) -> None:
        other.news += 1

    steps = Steps(5, [second], [first, second])
    paced_by([first, second], steps)

    assert (first.heard, second.heard) == (5, 5)
    assert steps.late == [0] * 6
    assert steps.is_finished


def test_clients_that_answer_each_other_for_ever_do_not_stop_time() -> None:
    doors: list[Listeners] = []

    def tell(number: int) -> Callable[[], None]:
        def hears() -> None:
            doors[number].news = 1

        return hears

    doors += [Listeners(tell(1)), Listeners(tell(0))]
    steps = Steps(2, doors[:1], doors)
    paced_by(doors, steps)
    assert steps.is_finished
