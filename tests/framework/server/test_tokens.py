"""Who is there: secrets that are refused, and what a valid one stands for (T-01, T-30)."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from framework.errors import ConfigError
from framework.model.desk import Place, Verb, View
from framework.server.door import RefusalKind, Refused
from framework.server.tokens import ALL_BUT_ADMIN, Tokens, given_token
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, TokenSettings
from tests.framework.server.door_stage import NOW, NOW_NS, VENUES, bearer, secret_of, token


def tokens(
    *settings: TokenSettings,
    secrets: Mapping[str, str] | None = None,
    clock: list[int] | None = None,
    **options: Any,
) -> Tokens:
    def secret(reference: str) -> Secret:
        name = reference.partition(":")[2]
        value = secret_of(name) if secrets is None else secrets.get(name)
        if value is None:
            raise ConfigError(f"environment variable {name} is not set")
        return Secret(value)

    door = DoorSettings("gateway", ["main", "other"], run="outside", tokens=list(settings))
    times = clock or [NOW_NS]
    return Tokens(
        door, key="door", venue_of=VENUES, secret=secret, now_ns=lambda: times[0], **options
    )


def kind_of(known: Tokens, headers: Mapping[str, str]) -> RefusalKind:
    with pytest.raises(Refused) as caught:
        known.identify(headers, ["X-API-Key"])
    return caught.value.kind


def test_a_token_stands_for_what_its_settings_say() -> None:
    known = tokens(
        token(
            "desk",
            verbs=[Verb.READ],
            accounts=["other"],
            view=View.ACCOUNT,
            instruments=("kalshi:*",),
        )
    )

    principal = known.identify(bearer("desk")).principal

    assert principal.name == "desk"
    assert principal.verbs == {Verb.READ}
    assert principal.places == (Place("kalshi", "other", "outside-other"),)
    assert principal.view is View.ACCOUNT
    assert principal.instruments == ("kalshi:*",)


def test_without_verbs_and_accounts_it_has_those_of_its_door() -> None:
    principal = tokens(token("desk")).identify(bearer("desk")).principal
    assert principal.verbs == ALL_BUT_ADMIN
    assert [place.account for place in principal.places] == ["main", "other"]

    wide = tokens(token("desk"), default_verbs=frozenset(Verb))
    assert wide.identify(bearer("desk")).principal.verbs == set(Verb)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("a1b2c3d4e5f6g7h8i9j0" + "k" * 11, "at least 32 characters"),
        ("abcdefg" * 10, "at least 8 different"),
        ("0123456789 0123456789 0123456789ab", "no spaces"),
        ("0123456789abcdefghijklmnopqrstuvwxyzä", "beyond ASCII"),
    ],
)
def test_t01_a_weak_secret_is_refused_and_not_shown(secret: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        tokens(token("desk"), secrets={"desk": secret})

    assert caught.value.key == "door.tokens[0].secret"
    assert secret not in str(caught.value)


def test_two_tokens_with_one_secret_are_refused() -> None:
    same = secret_of("x")
    with pytest.raises(ConfigError, match="has this secret") as caught:
        tokens(token("a"), token("b"), secrets={"a": same, "b": same})
    assert caught.value.key == "door.tokens[1].secret"


def test_t01_no_secret_is_kept() -> None:
    known = tokens(token("desk"))

    assert secret_of("desk") not in repr(vars(known))
    assert secret_of("desk").encode() not in known._by_digest


def test_two_processes_keep_different_hashes() -> None:
    assert tokens(token("desk"))._by_digest.keys() != tokens(token("desk"))._by_digest.keys()


def test_an_optional_token_that_is_not_set_is_skipped_and_the_door_is_open() -> None:
    with capture_logs() as logs:
        known = tokens(token("desk", is_optional=True), secrets={})

    assert known.is_open
    assert known.identify({}).principal.name == "anonymous"
    assert [entry["event"] for entry in logs] == ["token_skipped"]


def test_a_token_that_must_be_set_is_missed() -> None:
    with pytest.raises(ConfigError, match="not set") as caught:
        tokens(token("desk"), secrets={})
    assert caught.value.key == "door.tokens[0].secret"

    unreadable = TokenSettings("desk", "file:desk", is_optional=True)
    with pytest.raises(ConfigError, match="not set"):
        tokens(unreadable, secrets={})  # of a file there is more that can be wrong


def test_a_skipped_token_does_not_open_a_door_that_has_another() -> None:
    known = tokens(token("a", is_optional=True), token("b"), secrets={"b": secret_of("b")})
    assert kind_of(known, {}) is RefusalKind.MISSING_TOKEN


def test_a_token_ends_at_its_expiry() -> None:
    clock = [NOW_NS]
    known = tokens(token("desk", expires=NOW.isoformat()), clock=clock)

    clock[0] = NOW_NS - 1
    assert known.identify(bearer("desk")).principal.name == "desk"
    clock[0] = NOW_NS
    assert kind_of(known, bearer("desk")) is RefusalKind.INVALID_TOKEN


def test_a_token_that_has_expired_already_does_not_open_the_door() -> None:
    with capture_logs() as logs:
        known = tokens(token("desk", expires="2020-01-01T00:00:00+05:30"))

    assert not known.is_open
    assert [entry["event"] for entry in logs] == ["token_expired"]


@pytest.mark.parametrize("text", ["soon", "2030-01-01T00:00:00"])
def test_an_expiry_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tokens(token("desk", expires=text))
    assert caught.value.key == "door.tokens[0].expires"


def test_a_revoked_token_is_refused_from_then_on() -> None:
    known = tokens(token("desk"), token("other"))
    known.identify(bearer("desk"))

    known.revoke("desk")

    assert kind_of(known, bearer("desk")) is RefusalKind.INVALID_TOKEN
    assert known.identify(bearer("other")).principal.name == "other"
    with pytest.raises(LookupError, match="'nobody'"):
        known.revoke("nobody")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, ""),
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"Authorization": "Bearer abc", "X-API-Key": "def"}, "abc"),
        ({"Authorization": "Bearer ", "X-API-Key": "def"}, "def"),
        ({"Authorization": "", "X-API-Key": " def "}, "def"),
        ({"Authorization": "Basic abc", "X-API-Key": "def"}, "def"),
        ({"X-API-Key": "  ", "X-Other": "ghi"}, "ghi"),
    ],
)
def test_a_bearer_token_wins_and_anything_else_falls_through(
    headers: dict[str, str], found: str
) -> None:
    assert given_token(headers, ["X-API-Key", "X-Other"]) == found


@given(st.text())
def test_no_text_but_the_secret_is_taken(text: str) -> None:
    known = tokens(token("desk"))
    if text.strip() != secret_of("desk"):
        assert kind_of(known, {"X-API-Key": text}) in (
            RefusalKind.INVALID_TOKEN,
            RefusalKind.MISSING_TOKEN,
        )
