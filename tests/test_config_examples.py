"""The example configurations as a user meets them: checked, run twice, and known to the schema."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from framework.backtest.runner import run_backtest
from framework.cli.main import main
from framework.model.orders import OrderStatus
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.settings.modes import DataSource, Mode
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker.rig import START_NS
from tests.source_code import ROOT

CONFIG = ROOT / "config"
EXAMPLES = sorted(path.name for path in CONFIG.glob("*.yaml"))
WITHOUT_FILES = [
    name
    for name in EXAMPLES
    if (settings := load(CONFIG / name, environment={})).mode is Mode.BACKTEST
    and all(venue.data is DataSource.SYNTHETIC for venue in settings.venues.values())
]
LIVE = [name for name in EXAMPLES if load(CONFIG / name, environment={}).mode is Mode.LIVE]
SECRETS = ("key_id", "private_key", "api_key", "secret")
SAMPLE = "output/quickstart/candles.csv"
ON_A_VENUE = ROOT / "strategies" / "kalshi_market_maker.py"  # its venue is simulated, not its data
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a directory that has the sample candles and nothing else."""
    from adapters.mock.sample import main as make_sample

    monkeypatch.chdir(tmp_path)
    Path(SAMPLE).parent.mkdir(parents=True)
    make_sample([SAMPLE, "--seed", "7", "--candles", "200"])
    return tmp_path


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an environment with what the live examples refer to; none of it is of any use."""
    key = generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for name in ("KALSHI_KEY_ID", "BINANCE_KEY", "BINANCE_SECRET"):
        monkeypatch.setenv(name, f"a made-up {name}")
    monkeypatch.setenv("KALSHI_PRIVATE_KEY", pem)
    monkeypatch.setenv("ALERT_URL", "https://alerts.invalid/hook")


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_the_check(
    name: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["check", str(CONFIG / name)])

    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.endswith("no mistakes found\n")


def test_there_is_a_live_example_of_each_venue_that_can_be_traded() -> None:
    assert set(LIVE) == {"kalshi_live.example.yaml", "binance_live.example.yaml"}


@pytest.mark.parametrize("name", LIVE)
def test_a_live_example_is_limited_journalled_and_watched(name: str) -> None:
    """T-40, T-45: secrets by reference, and never the exchange itself as it stands."""
    chosen = load(CONFIG / name, environment={})
    (venue,) = chosen.venues.values()
    (run,) = chosen.strategies
    section = venue.settings or {}
    secrets = {key: section[key] for key in SECRETS if key in section}
    risk = chosen.risk

    assert len(secrets) == 2
    assert all(str(value).startswith(("env:", "file:")) for value in secrets.values())
    assert "demo" in str(section) or "testnet" in str(section)
    assert chosen.journal
    assert chosen.kill_file
    assert all(alert.webhook.startswith("env:") for alert in chosen.alerts)
    assert chosen.alerts
    assert run.protection.max_day_loss
    assert risk.max_order_notional
    assert risk.max_order_notional <= 50
    assert risk.max_position_notional
    assert risk.max_daily_loss
    assert risk.max_orders_per_second
    assert risk.allowed_accounts == list(chosen.accounts)
    assert risk.allowed_runs == [run.id]


@pytest.mark.parametrize("name", LIVE)
def test_a_live_example_without_its_secrets_is_refused_by_the_name_of_one(
    name: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-88, T-40: no start with a guess."""
    for variable in ("KALSHI_KEY_ID", "KALSHI_PRIVATE_KEY", "BINANCE_KEY", "ALERT_URL"):
        monkeypatch.delenv(variable, raising=False)
    code = main(["check", str(CONFIG / name)])

    assert code == 2
    assert "is not set" in capsys.readouterr().err


def test_there_is_an_example_of_every_strategy_that_needs_no_file() -> None:
    strategies = {path.stem for path in (ROOT / "strategies").glob("[a-z]*.py")}

    named = {name.removesuffix(".yaml") for name in WITHOUT_FILES}
    assert named | {ON_A_VENUE.stem} == strategies


def test_the_market_maker_on_kalshi_trades_offline_as_pasted() -> None:
    """The adapter, its links and the simulated venue, five minutes of it on virtual time."""
    chosen = load(CONFIG / "kalshi_paper.yaml", environment={})
    assert chosen.strategies[0].class_.startswith(f"strategies.{ON_A_VENUE.stem}:")

    async def main() -> Runtime:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        async with Runtime(chosen) as runtime:
            await loop.sleep_until(loop.now_ns + 300 * 1_000_000_000)
        return runtime

    runtime = run_simulated(main, seed=7, start_ns=START_NS)

    statuses = [state.event().status for state in runtime.engine.registry]
    assert statuses.count(OrderStatus.FILLED) > 20
    assert OrderStatus.DENIED not in statuses
    assert not [order for order in runtime.engine.registry if not order.event().is_closed]


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_a_backtest_trades_without_a_warning_and_ends_the_same_twice(name: str) -> None:
    settings = load(CONFIG / name, environment={})

    first, _ = run_backtest(settings)
    second, _ = run_backtest(settings)

    assert first.fills > 0
    assert first.warnings == ()
    assert first.denied == first.rejected == 0
    assert second.final_equity == first.final_equity
    assert (second.orders, second.fills) == (first.orders, first.fills)


# -- the schema ----------------------------------------------------------------------------------


class Schema:
    """As much of JSON schema as the printed one uses; refuses to judge by what it does not know."""

    IGNORED = frozenset({"title", "description", "default", "$schema", "$defs", "discriminator"})

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def faults(self, value: Any, node: dict[str, Any], at: str = "") -> list[str]:
        """Return what is wrong with `value`, a line each."""
        found: list[str] = []
        for word, wanted in node.items():
            if word not in self.IGNORED:
                found += getattr(self, f"_{word.strip('$')}")(value, wanted, node, at)
        return found

    def _ref(self, value: Any, wanted: str, node: dict[str, Any], at: str) -> list[str]:
        name = wanted.removeprefix("#/$defs/")
        return self.faults(value, self.document["$defs"][name], at)

    def _type(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        names = wanted if isinstance(wanted, list) else [wanted]
        if isinstance(value, bool):
            fits = "boolean" in names
        else:
            fits = any(isinstance(value, TYPES[name]) for name in names)  # type: ignore[arg-type]
        return [] if fits else [f"{at}: {value!r} is no {wanted}"]

    def _anyOf(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        faults = [self.faults(value, choice, at) for choice in wanted]
        return [] if [] in faults else [f"{at}: none of: {faults}"]

    def _enum(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        return [] if value in wanted else [f"{at}: {value!r} is none of {wanted}"]

    def _required(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        return [f"{at}: {name} is missing" for name in wanted if name not in value]

    def _properties(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        return [
            fault
            for name in wanted
            if name in value
            for fault in self.faults(value[name], wanted[name], f"{at}.{name}")
        ]

    def _additionalProperties(  # noqa: N802 - the schema's word
        self, value: Any, wanted: Any, node: dict[str, Any], at: str
    ) -> list[str]:
        rest = {name: value[name] for name in value if name not in node.get("properties", {})}
        if isinstance(wanted, dict):
            return [f for k, v in rest.items() for f in self.faults(v, wanted, f"{at}.{k}")]
        return [] if wanted else [f"{at}: unknown key {name}" for name in rest]

    def _propertyNames(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        return [fault for name in value for fault in self.faults(name, wanted, at)]

    def _items(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        items = enumerate(value)
        return [f for i, item in items for f in self.faults(item, wanted, f"{at}[{i}]")]

    def _pattern(self, value: Any, wanted: str, node: dict[str, Any], at: str) -> list[str]:
        return [] if re.search(wanted, str(value)) else [f"{at}: {value!r} is not {wanted}"]

    def _minimum(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        return [] if not is_number(value) or value >= wanted else [f"{at}: below {wanted}"]

    def _maximum(self, value: Any, wanted: Any, node: dict[str, Any], at: str) -> list[str]:
        return [] if not is_number(value) or value <= wanted else [f"{at}: above {wanted}"]

    def _exclusiveMinimum(  # noqa: N802 - the schema's word
        self, value: Any, wanted: Any, node: dict[str, Any], at: str
    ) -> list[str]:
        return [] if not is_number(value) or value > wanted else [f"{at}: not above {wanted}"]

    def _minLength(self, value: Any, wanted: int, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        return [] if len(str(value)) >= wanted else [f"{at}: shorter than {wanted}"]

    def _maxLength(self, value: Any, wanted: int, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        return [] if len(str(value)) <= wanted else [f"{at}: longer than {wanted}"]

    def _minItems(self, value: Any, wanted: int, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        return [] if len(value) >= wanted else [f"{at}: fewer than {wanted}"]

    def _maxItems(self, value: Any, wanted: int, node: dict[str, Any], at: str) -> list[str]:  # noqa: N802 - the schema's word
        return [] if len(value) <= wanted else [f"{at}: more than {wanted}"]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Schema:
    """Return the schema that the command prints."""
    assert main(["schema"]) == 0
    return Schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_accepts_an_example(name: str, printed: Schema) -> None:
    document = yaml.safe_load((CONFIG / name).read_text())

    assert printed.faults(document, printed.document) == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("", {"sed": 7}),
        ("", {"mode": "backtset"}),
        ("", {"seed": -1}),
        ("risk", {"max_orders_per_second": 0}),
        ("risk", {"max_order_notional": [1]}),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(
    part: str, change: dict[str, Any], printed: Schema
) -> None:
    document = yaml.safe_load((CONFIG / "pairs.yaml").read_text())
    (document[part] if part else document).update(change)

    assert printed.faults(document, printed.document) != []
