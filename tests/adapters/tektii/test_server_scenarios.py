"""Symbols that refuse orders on purpose (spec 16.2, 12)."""

import pytest

from adapters.tektii.server_errors import answer_to
from adapters.tektii.server_scenarios import Scenarios
from tests.adapters.tektii.gateway_rig import shown


@pytest.mark.parametrize(
    ("symbol", "status", "code"),
    [
        ("SIM.RATELIMIT", 429, "RATE_LIMITED"),
        ("SIM.UNAVAILABLE", 503, "PROVIDER_UNAVAILABLE"),
        ("SIM.NOTFOUND", 404, "SYMBOL_NOT_FOUND"),
        ("SIM.REJECT", 422, "ORDER_REJECTED"),
        ("SIM.ERROR", 502, "PROVIDER_ERROR"),
    ],
)
def test_an_order_of_a_scenario_symbol_is_refused(symbol: str, status: int, code: str) -> None:
    refusal = Scenarios("mock", is_on=True).scenario(symbol, is_order=True)

    assert refusal is not None
    answer = answer_to(refusal)
    assert (answer.status, shown(answer)["code"]) == (status, code)


def test_a_refused_order_says_that_the_market_is_closed() -> None:
    refusal = Scenarios("mock", is_on=True).scenario("SIM.REJECT", is_order=True)

    assert refusal is not None
    details = shown(answer_to(refusal))["details"]
    assert details["reject_reason"] == details["reject_code"] == "MARKET_CLOSED"


@pytest.mark.parametrize("symbol", ["AAPL", "SIM.", "SIM.OTHER", "sim.error", ""])
def test_other_symbols_are_nobodys_scenario(symbol: str) -> None:
    assert Scenarios("mock", is_on=True).scenario(symbol, is_order=True) is None


def test_nothing_happens_where_scenarios_are_off() -> None:
    assert Scenarios("mock", is_on=False).scenario("SIM.ERROR", is_order=True) is None
