"""Secrets: by reference, never printed, taken out of logs (T-40, T-41)."""

import copy
import os
import pickle
from pathlib import Path

import msgspec
import pytest

from framework.errors import ConfigError
from framework.settings.decoding import decode_section
from framework.settings.loading import load
from framework.settings.secrets import Secret, redact, resolve_secret
from tests.framework.settings.samples import GOOD, error_of, write

VALUE = 'pl4nted "secret"/value+é'


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    api_key: Secret
    limit: int = 1


def private_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_comes_from_the_environment() -> None:
    settings = decode_section(
        {"api_key": "env:KEY"}, KeySettings, key="settings", environment={"KEY": VALUE}
    )

    assert settings.api_key.reveal() == VALUE


def test_a_secret_comes_from_a_private_file_without_its_line_break(tmp_path: Path) -> None:
    path = private_file(tmp_path, b"line one\nline two\n")

    assert resolve_secret(f"file:{path}", {}).reveal() == "line one\nline two"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o777, 0o610])
def test_a_secret_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path, b"secret", mode)

    with pytest.raises(ValueError, match="is open to other users; run chmod 600 on it"):
        resolve_secret(f"file:{path}", {})


def test_a_secret_file_must_be_a_small_text_file(tmp_path: Path) -> None:
    for content, reason in (
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 65_537, "is larger than 65536 bytes"),
    ):
        path = private_file(tmp_path, content)
        with pytest.raises(ValueError, match=reason):
            resolve_secret(f"file:{path}", {})
    with pytest.raises(ValueError, match="cannot be read"):
        resolve_secret(f"file:{tmp_path}/absent", {})
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        resolve_secret(f"file:{tmp_path}", {})
    with pytest.raises(ValueError, match="is not a file"):
        resolve_secret("file:/dev/null", {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("env:ABSENT", "environment variable ABSENT is not set"),
        ("env:EMPTY", "environment variable EMPTY is not set"),
        ("keyring:x", "keyring: is not supported"),
        ("age:x", "age: is not supported"),
        ("s3cret", "a secret must be a reference: env:NAME or file:PATH"),
    ],
)
def test_a_secret_that_cannot_be_had_is_a_config_error_without_its_value(
    text: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_section({"api_key": text}, KeySettings, key="settings", environment={"EMPTY": ""})

    assert str(caught.value).startswith(f"settings.api_key: {reason}")
    assert "s3cret" not in str(caught.value)


def test_a_literal_is_allowed_only_where_the_caller_says_so() -> None:
    settings = decode_section(
        {"api_key": "literal"}, KeySettings, key="settings", allows_literal_secrets=True
    )

    assert settings.api_key.reveal() == "literal"
    with pytest.raises(ConfigError, match="the secret is empty"):
        decode_section({"api_key": ""}, KeySettings, key="settings", allows_literal_secrets=True)


def test_a_secret_is_text() -> None:
    with pytest.raises(ConfigError, match=r"settings.api_key: Expected `Secret`, got `int`"):
        decode_section({"api_key": 5}, KeySettings, key="settings")


def test_a_secret_prints_stars_everywhere() -> None:
    secret = Secret(VALUE)
    holder = KeySettings(api_key=secret)

    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>5}", "%s" % secret, repr(holder)]  # noqa: UP031

    assert all("***" in text for text in shown)
    assert not any("pl4nted" in text for text in shown)


def test_a_secret_is_never_copied_pickled_or_encoded() -> None:
    secret = Secret(VALUE)

    for encode in (pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            encode(secret)


def test_every_form_of_a_known_secret_is_taken_out_of_text() -> None:
    Secret(VALUE)
    forms = [
        VALUE,
        "cGw0bnRlZCAic2VjcmV0Ii92YWx1ZSvDqQ",
        VALUE.encode().hex(),
        "pl4nted%20%22secret%22%2Fvalue%2B%C3%A9",
        msgspec.json.encode(VALUE).decode(),
        r"pl4nted \"secret\"/value+\u00e9",
    ]

    for form in forms:
        assert redact(f"before {form} after").startswith("before ")
        assert "***" in redact(f"before {form} after")
        assert "pl4nted" not in redact(form)


def test_a_secret_that_contains_one_known_before_it_is_taken_out_whole() -> None:
    Secret("inner-value")
    Secret("outer/inner-value/outer")

    assert redact("outer/inner-value/outer") == "***"
    assert redact("inner-value") == "***"


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("settings: {api_key: abc}", "settings.api_key"),
        ("settings: {apiSecret: abc}", "settings.apiSecret"),
        ("settings: {login: {password: abc}}", "settings.login.password"),
        ("settings: {logins: [{access_token: abc}]}", "settings.logins[0].access_token"),
        ("settings: {token: 123456}", "settings.token"),
        ("settings: {private-key: '${KEY}'}", "settings.private-key"),
    ],
)
def test_a_literal_secret_in_a_live_configuration_is_an_error(
    tmp_path: Path, where: str, key: str
) -> None:
    text = GOOD.replace("adapter: binance", f"adapter: binance\n    {where}")
    live = text.replace("mode: backtest", "mode: live")

    message = error_of(tmp_path, live, {"KEY": "abc"})

    assert f":6: venues.binance.{key}: a live configuration takes secrets by ref" in message
    assert load(write(tmp_path, text), environment={"KEY": "abc"}).venues


def test_references_and_things_that_only_sound_secret_pass_in_live(tmp_path: Path) -> None:
    text = GOOD.replace("mode: backtest", "mode: live").replace(
        "adapter: binance",
        "adapter: binance\n    settings: {api_key: 'env:K', secret: 'file:/run/k', "
        "instrument_token: 5, has_password: true}",
    )

    assert load(write(tmp_path, text), environment={}).venues["binance"].settings is not None


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HEADRACE_TEST_KEY", "from outside")

    settings = decode_section({"api_key": "env:HEADRACE_TEST_KEY"}, KeySettings, key="")

    assert settings.api_key.reveal() == "from outside"
