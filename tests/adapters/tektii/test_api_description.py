"""The gateway against its own description: whatever is asked, it answers as that says (R-80).

Schemathesis reads /openapi.json of a gateway in a process of its own and makes requests from it,
good and bad ones: the edges of every schema (coverage), random ones (fuzzing), and chains in which
one answer's ids are used by the next request (stateful). `HEADRACE_API_EXAMPLES=1000` makes more of
them per operation.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis import engine
from schemathesis.checks import not_a_server_error
from schemathesis.engine import events

from tests.adapters.tektii.gateway_process import KEY, GatewayProcess, gateway_process

pytestmark = pytest.mark.socket

EXAMPLES = int(os.environ.get("HEADRACE_API_EXAMPLES", "25"))
SHOWN = 10  # failures
SEED = int(os.environ.get("HEADRACE_API_SEED", "20"))
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
DOCUMENT = "/openapi.json"

TELLS_MORE = ["400", "413", "422", "501"]
"""Statuses of requests that fit the schema and break a rule which it cannot express: prices that
go with an order's type, words that are read whatever their case, times, what a venue can do."""
REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]
ANSWERED = ["2xx", "4xx", "501"]
"""Whatever is asked: 501 is the protocol's word for what a venue cannot do."""

NUMBER: dict[str, Any] = {
    "anyOf": [
        {"enum": ["1", "2.5", "50", "100", "150.25", "200", 3, 0.5]},
        {"type": "string", "pattern": r"^[1-9][0-9]{0,3}(\.[0-9]{1,4})?$"},
    ]
}
LIKELY: dict[str, dict[str, Any]] = {
    "symbol": {"enum": ["AAPL", "EURUSD", "BTCUSD"]},
    "side": {"enum": ["BUY", "SELL", "buy", "sell"]},
    "time_in_force": {"enum": ["GTC", "DAY", "IOC", "FOK", None]},
    "status": {"type": "array", "items": {"enum": ["OPEN", "FILLED", "CANCELLED"]}},
    "client_order_id": {"type": "string", "pattern": "^[a-e]{2,4}$"},
    "oco_group_id": {"enum": ["one", "two"]},
    "timeframe": {"enum": ["1m", "5m", "1h", "1d"]},
    "since": {"type": "string", "format": "date-time"},
    "until": {"type": "string", "format": "date-time"},
    "limit": {"type": "integer", "minimum": 0, "maximum": 1_000},
    "order_type": {"enum": ["MARKET", "LIMIT"]},
    "reduce_only": {"type": "boolean"},
    "position_id": {"enum": ["mock-pos-AAPL", "mock-pos-EURUSD", "mock-pos-BTCUSD"]},
    **dict.fromkeys(
        (
            "quantity",
            "limit_price",
            "stop_price",
            "trailing_distance",
            "stop_loss",
            "take_profit",
        ),
        NUMBER,
    ),
}
"""By member or parameter, values that a gateway takes."""
FORMS: dict[str, tuple[str, ...]] = {
    "MARKET": (),
    "LIMIT": ("limit_price",),
    "STOP": ("stop_price",),
    "STOP_LIMIT": ("limit_price", "stop_price"),
    "TRAILING_STOP": ("trailing_distance",),
}
"""What an order of each type needs beside the members that all have."""
LINKS = (
    ("post /v1/orders", "201", "id", "/v1/orders/{order_id}", "order_id"),
    ("get /v1/orders", "200", "0/id", "/v1/orders/{order_id}", "order_id"),
    ("get /v1/positions", "200", "0/id", "/v1/positions/{position_id}", "position_id"),
)
"""Answer, pointer to an id in it, path that takes it, as what."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Run a gateway with everything it has to show."""
    with gateway_process(
        tmp_path_factory.mktemp("gateway"), environment={"ENABLE_SWAGGER": "true"}
    ) as running:
        yield running


@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_every_answer_is_one_that_the_description_tells_of(
    gateway: GatewayProcess, phase: str
) -> None:
    """R-80: no failure of the server, no undocumented answer, no body of another shape."""
    document = description(gateway)

    report = asked(gateway, document, phase)

    assert not report.failures, "\n".join(["", *report.failures[:SHOWN]])
    assert "request_failed" not in gateway.log
    assert set(report.cases) == {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    }


def test_so_is_every_answer_to_requests_that_are_likely_to_succeed(
    gateway: GatewayProcess,
) -> None:
    """R-80, of orders that are taken."""
    report = asked(gateway, likely(description(gateway)), "fuzzing", "positive")

    assert not report.failures, "\n".join(["", *report.failures[:SHOWN]])
    assert "request_failed" not in gateway.log
    assert report.succeeded["POST /v1/orders"] > 0


def test_so_is_every_answer_in_chains_of_requests_about_the_same_things(
    gateway: GatewayProcess,
) -> None:
    """R-80, stateful: orders and positions that one answer names are what the next is about."""
    document = with_links(likely(description(gateway)))
    report = Report()
    for number in range(max(3, EXAMPLES // 20)):  # one run makes about a hundred chains at most
        asked(gateway, document, "stateful", "positive", seed=SEED + number, report=report)

    assert not report.failures, "\n".join(["", *report.failures[:SHOWN]])
    assert "request_failed" not in gateway.log
    for method in ("GET", "DELETE"):
        assert report.succeeded[f"{method} /v1/orders/{{order_id}}"] > 0


@pytest.mark.parametrize(
    ("symbol", "status"),
    [
        ("SIM.RATELIMIT", 429),
        ("SIM.UNAVAILABLE", 503),
        ("SIM.NOTFOUND", 404),
        ("SIM.REJECT", 422),
        ("SIM.ERROR", 502),
    ],
)
def test_troubles_on_purpose_are_told_of_too(
    gateway: GatewayProcess, symbol: str, status: int
) -> None:
    """The only way to 5xx: symbols that are there to try them out (spec 16.2)."""
    config = schemathesis.Config.from_dict(configuration(gateway.url, "fuzzing", "positive"))
    schema = schemathesis.openapi.from_dict(description(gateway), config=config)
    order: dict[str, Any] = {
        "symbol": symbol,
        "side": "BUY",
        "quantity": "1",
        "order_type": "MARKET",
    }
    cases = [
        schema["/v1/orders"]["POST"].Case(body=order, media_type="application/json"),
        schema["/v1/quotes/{symbol}"]["GET"].Case(path_parameters={"symbol": symbol}),
    ]

    answers = [case.call(headers=AUTHORIZED) for case in cases]

    assert answers[0].status_code == status
    assert answers[1].status_code == (200 if symbol == "SIM.REJECT" else status)
    for case, answer in zip(cases, answers, strict=True):
        case.validate_response(answer, excluded_checks=[not_a_server_error])


def description(gateway: GatewayProcess) -> dict[str, Any]:
    """Return a gateway's description of itself."""
    found = requests.get(f"{gateway.url}{DOCUMENT}", headers=AUTHORIZED, timeout=10).json()
    assert isinstance(found, dict)
    return found


def asked(
    gateway: GatewayProcess,
    document: dict[str, Any],
    phase: str,
    mode: str = "all",
    *,
    seed: int = SEED,
    report: "Report | None" = None,
) -> "Report":
    """Return what came of requests made from a description, good ones or bad ones too."""
    config = schemathesis.Config.from_dict(configuration(gateway.url, phase, mode, seed))
    schema = schemathesis.openapi.from_dict(document, config=config)
    report = report or Report()
    for event in engine.from_schema(schema).execute():
        report.take(event)
    return report


class Report:
    """What came of a run.

    Attributes:
        failures: each with its operation, request and reason.
        statuses: how many answers each operation gave, by status.
        cases: how many requests were made, by operation.
        succeeded: how many of them were answered with success.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.cases: Counter[str] = Counter()
        self.succeeded: Counter[str] = Counter()

    def take(self, event: events.EngineEvent) -> None:
        """Note what happened."""
        if isinstance(event, events.NonFatalError):
            self.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            self.failures.append(repr(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        for case_id, node in recorder.cases.items():
            label = node.value.operation.label
            self.cases[label] += 1
            met = recorder.interactions.get(case_id)
            if met is not None and met.response is not None:
                status = met.response.status_code
                self.statuses[label, status] += 1
                self.succeeded[label] += status < 300
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    self.failures.append(self._told(recorder, case_id, check))

    def _told(self, recorder: Any, case_id: str, check: Any) -> str:
        met = recorder.interactions.get(case_id)
        label = recorder.cases[case_id].value.operation.label
        sent = f"{met.request.uri} {(met.request.body or b'')[:300]!r}" if met else ""
        answer = met.response.content[:300] if met and met.response else b""
        failure = check.failure_info.failure
        return f"{label} {check.name}: {failure.title}: {failure.message} | {sent} | {answer!r}"


def configuration(url: str, phase: str, mode: str, seed: int = SEED) -> dict[str, Any]:
    """Return how Schemathesis is to proceed."""
    phases = ("examples", "coverage", "fuzzing", "stateful")
    return {
        "base-url": url,
        "seed": seed,
        "headers": AUTHORIZED,
        "continue-on-failure": True,
        "request-timeout": 60.0,
        "suppress-health-check": ["too_slow"],  # a busy machine is no failure
        "generation": {
            "mode": mode,
            "max-examples": EXAMPLES,
            "deterministic": False,  # one run only, whatever the seed; `seed` alone repeats it
            "with-security-parameters": False,  # ours is what is sent, or none to see it missed
        },
        "phases": {name: {"enabled": name == phase} for name in phases},
        "analysis": {"constants": {"enabled": False}},  # of source code in this directory
        "checks": {
            "not_a_server_error": {"expected-statuses": ANSWERED},
            "negative_data_rejection": {"expected-statuses": [*REFUSED, "501"]},
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "403", "404", "409", *TELLS_MORE]
            },
            "use_after_free": {"enabled": False},  # an order that was cancelled is still shown
        },
    }


def likely(document: dict[str, Any]) -> dict[str, Any]:
    """Return a narrower description, from which most requests are good ones."""
    narrowed: dict[str, Any] = json.loads(json.dumps(document))
    schemas = narrowed["components"]["schemas"]
    schemas["OrderRequest"] = {"anyOf": list(order_forms())}
    for name in ("ModifyOrderRequest", "ModifyExitsRequest", "ClosePositionRequest"):
        members = schemas[name]["properties"]
        members.update({member: LIKELY[member] for member in LIKELY.keys() & members.keys()})
        schemas[name]["additionalProperties"] = False
    for operations in narrowed["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = LIKELY.get(parameter["name"], parameter["schema"])
    return narrowed


def with_links(document: dict[str, Any]) -> dict[str, Any]:
    """Add which answers name what other operations are about, and return the description."""
    paths = document["paths"]
    for source, status, pointer, path, parameter in LINKS:
        method, _, place = source.partition(" ")
        answer = paths[place][method]["responses"][status]
        for target in paths[path]:
            answer.setdefault("links", {})[f"{target} {parameter} by {pointer}"] = {
                "operationId": paths[path][target]["operationId"],
                "parameters": {f"path.{parameter}": f"$response.body#/{pointer}"},
            }
    return document


def order_forms() -> Iterator[dict[str, Any]]:
    """Yield the schema of an order of each type that may well be taken."""
    for order_type, needed in FORMS.items():
        required = ("symbol", "side", "quantity", *needed)
        optional = ("stop_loss", "take_profit", "time_in_force", "client_order_id", "reduce_only")
        yield {
            "type": "object",
            "properties": {
                "order_type": {"const": order_type},
                **{name: LIKELY[name] for name in (*required, *optional)},
            },
            "required": ["order_type", *required],
            "additionalProperties": False,
        }
