"""The section `risk` of the configuration, as checks."""

from decimal import Decimal

import msgspec
import pytest

from framework.errors import ConfigError
from framework.risk.gate import Refused, name_of
from framework.risk.limits.configured import standard_checks
from framework.settings.risk_limits import RiskSettings
from tests.framework.risk.samples import FakeInputs, buy, gate, view

D = Decimal
ALWAYS = ["PricesFitType", "QuantityOnLot", "PriceOnTick", "ReduceOnly", "Supported"]
IN_A_SYSTEM = ["RunMayTrade", "Reconciled", "MarketOpen", "FeedTrusted", "WithinAllocation"]
EVERY_LIMIT: dict[str, object] = {
    "max_order_notional": "1000",
    "max_position_notional": "1000",
    "max_orders_per_second": 1,
    "max_order_quantity": "1",
    "price_collar_bps": "1",
    "max_reference_age_s": 1,
    "max_orders_per_minute": 1,
    "max_orders_per_day": 1,
    "max_open_orders": 1,
    "duplicate_window_ms": 1,
    "max_same_direction_fills": 1,
    "prevent_self_match": True,
}
OF_AN_OWNER: dict[str, object] = {
    **EVERY_LIMIT,
    "max_gross_notional": "1000",
    "max_net_notional": "1000",
    "max_daily_loss": "1000",
    "require_cash": True,
    "require_margin": True,
    "allowed_instruments": ["v:X"],
}


def names(settings: RiskSettings, inputs: FakeInputs | None) -> list[str]:
    return [name_of(check) for check in standard_checks(settings, inputs)]


def test_only_the_configured_limits_are_checked() -> None:
    limited = RiskSettings(max_order_notional=D(1))

    assert names(limited, None) == [*ALWAYS, "MaxOrderNotional"]
    assert names(RiskSettings(), FakeInputs()) == [*ALWAYS, *IN_A_SYSTEM]


def test_what_is_on_by_default_can_be_switched_off() -> None:
    settings = RiskSettings(require_market_open=False, require_trusted_feed=False)

    assert names(settings, FakeInputs()) == [*ALWAYS, "RunMayTrade", "Reconciled", IN_A_SYSTEM[-1]]


def test_every_limit_of_every_place_becomes_a_check() -> None:
    section = {
        **OF_AN_OWNER,
        "allowed_accounts": ["main"],
        "allowed_runs": ["r"],
        "accounts": {"main": OF_AN_OWNER},
        "runs": {"r": OF_AN_OWNER},
        "instruments": {"v:X": EVERY_LIMIT},
    }

    found = names(msgspec.convert(section, RiskSettings), FakeInputs())

    assert len(found) == len(ALWAYS) + len(IN_A_SYSTEM) + 1 + 3 * len(OF_AN_OWNER) + len(
        EVERY_LIMIT
    )


@pytest.mark.parametrize("name", sorted(OF_AN_OWNER))
def test_a_limit_without_its_inputs_is_a_configuration_error(name: str) -> None:
    settings = msgspec.convert({name: OF_AN_OWNER[name]}, RiskSettings)
    try:
        standard_checks(settings)
    except ConfigError as error:
        assert error.key == f"risk.{name}"  # noqa: PT017 # either outcome is right, by limit
    else:
        limited = names(settings, None)
        assert len(limited) == len(ALWAYS) + 1


@pytest.mark.parametrize("place", ["accounts", "runs", "instruments"])
def test_the_tightest_limit_holds(place: str) -> None:
    key = {"accounts": "main", "runs": "r", "instruments": "v:X"}[place]
    for outer, inner in ((100, 300), (300, 100)):
        section = {
            "max_order_notional": outer,
            place: {key: {"max_order_notional": inner}, "other": {"max_order_notional": 1}},
        }
        limited = gate(**msgspec.structs.asdict(msgspec.convert(section, RiskSettings)))

        assert not isinstance(limited.check(buy("1"), view()), Refused)
        refusal = limited.check(buy("2"), view())
        assert isinstance(refusal, Refused)
        assert refusal.check == "MaxOrderNotional"
        assert "max_order_notional 100" in refusal.reason


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"max_order_notionl": "5"}, "max_order_notionl"),
        ({"runs": {"r": {"max_dayly_loss": "5"}}}, "max_dayly_loss"),
        ({"runs": {"r": {"runs": {}}}}, "runs"),
        ({"instruments": {"v:X": {"max_daily_loss": "5"}}}, "max_daily_loss"),
        ({"max_daily_loss": "0"}, "above zero"),
        ({"accounts": {"main": {"max_net_notional": "-1"}}}, "above zero"),
        ({"max_orders_per_day": 0}, ">= 1"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ],
)
def test_a_mistake_in_the_section_is_an_error(section: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(section, RiskSettings)


def test_limits_cannot_be_changed_from_outside() -> None:
    """R-63: settings are frozen, and a check made of them does not look at them again."""
    settings = RiskSettings(max_order_notional=D(1))

    with pytest.raises(AttributeError):
        settings.max_order_notional = D(10**9)  # type: ignore[misc] # the point
