"""What `admin` needs beside a token (T-08)."""

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from framework.errors import ConfigError
from framework.model.desk import Verb
from framework.server.door import RefusalKind, Refused
from framework.server.openapi import document
from framework.server.probes import AnyTokens
from framework.server.routing import Mounted
from framework.server.second_factor import HEADER
from framework.server.tokens import ALL_BUT_ADMIN, Tokens
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, TokenSettings
from tests.framework.server.door_stage import (
    NOW_NS,
    VENUES,
    NotingDesk,
    NotingDoor,
    Stage,
    bearer,
    listener,
    secret_of,
    token,
)
from tests.framework.server.test_application import play

EVERYTHING = frozenset(Verb)
BOSS = token("boss", verbs=[Verb.READ, Verb.ADMIN], admin_secret="env:second")
PLAIN = token("plain", verbs=[Verb.READ, Verb.ADMIN])


def second(name: str = "second") -> dict[str, str]:
    return {HEADER: secret_of(name)}


def tokens(
    *settings: TokenSettings, secrets: Mapping[str, str] | None = None, **options: Any
) -> Tokens:
    def secret(reference: str) -> Secret:
        name = reference.partition(":")[2]
        if secrets is not None and name not in secrets:
            raise ConfigError(f"environment variable {name} is not set")
        return Secret(secret_of(name) if secrets is None else secrets[name])

    return Tokens(
        DoorSettings("noting", ["main"], tokens=list(settings)),
        key="door",
        venue_of=VENUES,
        secret=secret,
        now_ns=lambda: NOW_NS,
        **options,
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        (second("boss"), 403),  # the token once more
        (second("secon"), 403),
        ({HEADER: "  "}, 403),
        ({"X-API-Key": secret_of("second")}, 403),  # not where tokens come in
        (second(), 200),
        ({HEADER: f" {secret_of('second')} "}, 200),
    ],
)
def test_t08_admin_is_done_with_the_second_secret_alone(
    headers: dict[str, str], status: int
) -> None:
    async def script(stage: Stage) -> None:
        with capture_logs() as logs:
            answer, body, _ = await stage.ask("POST", "/reset", "boss", headers=headers)

        assert answer == status
        assert len(stage.door.calls) == (status == 200)
        if status == 403:
            assert body["code"] == "forbidden"
            assert HEADER in body["message"]
        guessed = headers.get(HEADER, "").strip() and status == 403
        assert ("second_factor_refused" in [one["event"] for one in logs]) == bool(guessed)
        assert secret_of("second") not in repr((body, logs))

    play(script, listener(BOSS), is_real=True)


def test_t08_everything_else_needs_one_secret_as_before() -> None:
    async def script(stage: Stage) -> None:
        for headers in ({}, second("wrong")):
            assert (await stage.ask("GET", "/orders", "boss", headers=headers))[0] == 200

    play(script, listener(BOSS), is_real=True)


def test_t08_the_second_secret_is_of_no_use_alone() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("POST", "/reset", None, headers=second()))[0] == 401
        assert (await stage.ask("POST", "/reset", "second", headers=second()))[0] == 401
        others = {**bearer("other"), **second()}
        assert (await stage.ask("POST", "/reset", None, headers=others))[0] == 403

    play(script, listener(BOSS, token("other", verbs=[Verb.READ])), is_real=True)


def test_t08_one_who_has_no_second_secret_cannot_use_somebody_elses() -> None:
    """Where nothing is for real, a token without one is enough: protocols with one key for all."""

    async def script(stage: Stage) -> None:
        assert (await stage.ask("POST", "/reset", "plain"))[0] == 200
        assert (await stage.ask("POST", "/reset", "boss"))[0] == 403

    play(script, listener(BOSS, PLAIN))


def test_t08_where_it_is_for_real_admin_by_default_is_not_given() -> None:
    known = tokens(token("desk"), default_verbs=EVERYTHING, is_real=True)
    assert known.identify(bearer("desk")).principal.verbs == ALL_BUT_ADMIN

    both = token("desk", admin_secret="env:second")
    known = tokens(both, default_verbs=EVERYTHING, is_real=True)
    assert known.identify(bearer("desk")).principal.verbs == EVERYTHING


@pytest.mark.parametrize(
    ("settings", "secrets", "key", "reason"),
    [
        ([PLAIN], None, "tokens[0].verbs", "needs `admin_secret`"),
        (
            [token("desk", verbs=[Verb.READ], admin_secret="env:second")],
            None,
            "tokens[0].admin_secret",
            "not among its verbs",
        ),
        ([BOSS], {"boss": secret_of("boss")}, "tokens[0].admin_secret", "second is not set"),
        (
            [token("boss", verbs=[Verb.ADMIN], admin_secret="env:second", is_optional=True)],
            {"boss": secret_of("boss")},
            "tokens[0].admin_secret",
            "second is not set",
        ),
        (
            [BOSS],
            {"boss": secret_of("boss"), "second": "short"},
            "tokens[0].admin_secret",
            "at least 32",
        ),
        (
            [BOSS],
            {"boss": "x" * 8 + secret_of("a"), "second": "x" * 8 + secret_of("a")},
            "",
            "boss",
        ),
        ([BOSS, token("second")], None, "", "'second' is somebody's admin_secret"),
    ],
)
def test_t08_what_makes_no_second_factor_is_refused_at_the_start(
    settings: list[TokenSettings], secrets: Mapping[str, str] | None, key: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        tokens(*settings, secrets=secrets, is_real=True)

    assert caught.value.key == (f"door.{key}" if key else "door")
    assert secret_of("a") not in str(caught.value)


def test_t01_the_second_secret_is_not_kept() -> None:
    known = tokens(BOSS)
    assert secret_of("second") not in repr(vars(known)) + repr(vars(known._seconds))


def test_nothing_of_an_address_is_for_admin() -> None:
    async def script(stage: Stage) -> None:
        mounted: Mounted = stage.server._mounted()[0]
        visitor = mounted.tokens.identify(bearer("boss"))
        with pytest.raises(Refused) as caught:
            AnyTokens([mounted]).confirm(visitor, second())
        assert caught.value.kind is RefusalKind.FORBIDDEN

    play(script, listener(BOSS))


def test_the_description_names_the_header_where_it_matters() -> None:
    async def script(stage: Stage) -> None:
        door = NotingDoor(NotingDesk(), stage.door.context)
        found = document([("", door)], title="t", version="1", server_url="/")
        (parameter,) = found["paths"]["/reset"]["post"]["parameters"]
        assert (parameter["name"], parameter["in"]) == (HEADER, "header")
        names = [one["name"] for one in found["paths"]["/orders"]["get"]["parameters"]]
        assert HEADER not in names

    play(script)


def test_t08_the_description_needs_a_token_where_it_is_for_real() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("GET", "/openapi.json", None))[0] == 401
        assert (await stage.ask("GET", "/openapi.json"))[0] == 200
        assert (await stage.ask("GET", "/metrics", None))[0] == 200

    play(script, is_real=True)
