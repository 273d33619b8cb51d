"""From the configuration to targets: each kind, and every mistake at its key (T-40)."""

from pathlib import Path
from typing import Any

import pytest

from framework.alerts.targets import Surroundings, targets_of
from framework.errors import ConfigError
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from tests.framework.alerts.samples import in_place

MAIL = {"host": "mail.example.com", "from": "a@b.c", "to": ["d@e.f"]}


def names(*alerts: dict[str, Any], allows_literal_secrets: bool = False) -> list[str]:
    settings = decode_section({"mode": "paper", "alerts": list(alerts)}, Settings, key="")
    around = Surroundings(
        source="paper",
        blocking=in_place,
        environment={"URL": "https://hooks.example.com/x", "PASSWORD": "hunter-2222"},
        allows_literal_secrets=allows_literal_secrets,
    )
    return [target.name for target in targets_of(settings.alerts, around)]


def error_of(*alerts: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        names(*alerts)
    return caught.value.key, caught.value.reason


def test_every_kind_becomes_a_target_in_order() -> None:
    mail = MAIL | {"user": "bot", "password": "env:PASSWORD"}

    found = names(
        {"webhook": "https://a.example.com/x"},
        {"webhook": "env:URL", "level": "error"},
        {"command": ["/usr/bin/notify", "-x"]},
        {"mail": mail},
        {"mail": MAIL},
    )

    assert found == [
        "webhook a.example.com",
        "webhook hooks.example.com",
        "command notify",
        "mail mail.example.com",
        "mail mail.example.com",
    ]


def test_an_entry_that_names_nothing_is_no_target() -> None:
    assert names({"webhook": "", "level": "warning"}, {}) == []


def test_a_webhook_may_lie_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("https://hooks.example.com/secret\n")
    path.chmod(0o600)

    assert names({"webhook": f"file:{path}"}) == ["webhook hooks.example.com"]


@pytest.mark.parametrize(
    ("alerts", "key", "reason"),
    [
        ([{}, {"webhook": "http://a.example.com"}], "alerts[1].webhook", "plain http"),
        ([{"webhook": "env:NOWHERE"}], "alerts[0].webhook", "NOWHERE is not set"),
        ([{"mail": MAIL | {"from": "x"}}], "alerts[0].mail", "not a mail address"),
        ([{"mail": {"from": "a@b", "to": ["c@d"]}}], "alerts[0].mail.host", "missing"),
        ([{"mail": MAIL | {"to": []}}], "alerts[0].mail.to", "length"),
        ([{"webhook": "https://a", "command": ["x"]}], "alerts[0].command", "one target"),
        ([{"command": ["x"], "mail": MAIL}], "alerts[0].mail", "one target"),
        ([{"command": [""]}], "alerts[0].command[0]", "length"),
        ([{"timeout_s": 0}], "alerts[0].timeout_s", ""),
    ],
)
def test_a_mistake_is_named_with_its_key(
    alerts: list[dict[str, Any]], key: str, reason: str
) -> None:
    found_key, found_reason = error_of(*alerts)

    assert found_key == key
    assert reason in found_reason


def test_t40_a_literal_password_needs_a_mode_without_live_orders() -> None:
    mail = {"mail": MAIL | {"user": "bot", "password": "literal-1"}}

    assert names(mail, allows_literal_secrets=True) == ["mail mail.example.com"]
    assert error_of(mail) == (
        "alerts[0].mail.password",
        "a secret must be a reference: env:NAME or file:PATH",
    )
