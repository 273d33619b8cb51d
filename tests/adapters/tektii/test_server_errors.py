"""The one envelope of the gateway: codes, details, headers, and nothing secret in them."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import server_errors as errors
from framework.errors import (
    ConfigError,
    FrameworkError,
    InvariantBroken,
    NotFound,
    OrderError,
    RateLimited,
    UnknownInstrument,
    UnknownOrder,
    VenueError,
)
from framework.server.door import RefusalKind, Refused
from framework.settings.secrets import remember
from tests.adapters.tektii.trading_half import plain_json

K = RefusalKind


def answered(error: BaseException) -> tuple[int, Any, Any]:
    answer = errors.answer_to(error)
    return answer.status, plain_json(answer.body), answer.headers


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (K.MISSING_TOKEN, 401, "UNAUTHORIZED"), (K.INVALID_TOKEN, 401, "UNAUTHORIZED"),
        (K.FORBIDDEN, 403, "FORBIDDEN"), (K.HOST, 403, "FORBIDDEN"),
        (K.ORIGIN, 403, "FORBIDDEN"), (K.NO_ROUTE, 404, "INVALID_REQUEST"),
        (K.NO_METHOD, 405, "INVALID_REQUEST"), (K.MEDIA_TYPE, 400, "INVALID_REQUEST"),
        (K.TOO_LARGE, 413, "INVALID_REQUEST"), (K.INVALID, 400, "INVALID_REQUEST"),
        (K.TOO_MANY, 429, "RATE_LIMITED"), (K.BUSY, 503, "PROVIDER_UNAVAILABLE"),
        (K.STOPPING, 503, "SHUTTING_DOWN"), (K.TIMED_OUT, 504, "PROVIDER_UNAVAILABLE"),
    ],
)  # fmt: skip
def test_what_the_toolkit_refuses_has_the_envelope(kind: K, status: int, code: str) -> None:
    found, body, _ = answered(Refused(kind, "why"))
    assert (found, body["code"], body["message"]) == (status, code, "why")
    assert status in errors.REFUSALS


def test_every_kind_of_refusal_is_answered() -> None:
    assert all(errors.answer_to(Refused(kind, "why")).status >= 400 for kind in K)


def test_a_missing_and_a_wrong_key_are_told_apart() -> None:
    missing = answered(Refused(K.MISSING_TOKEN, "no key"))
    wrong = answered(Refused(K.INVALID_TOKEN, "bad key"))
    assert missing[1]["details"] == {"code": "MISSING_API_KEY"}
    assert wrong[1]["details"] == {"code": "INVALID_API_KEY"}
    assert missing[2]["WWW-Authenticate"] == "Bearer"


def test_the_field_to_blame_is_named_with_what_it_was() -> None:
    _, body, _ = answered(Refused(K.INVALID, "no number", field="limit", provided="ten"))
    assert body["details"] == {"field": "limit", "provided": "ten"}
    assert answered(Refused(K.INVALID, "x", field="a"))[1]["details"] == {"field": "a"}
    assert "details" not in answered(Refused(K.INVALID, "x"))[1]


def test_a_wrong_method_names_the_right_ones() -> None:
    headers = answered(Refused(K.NO_METHOD, "no", allowed=("GET", "DELETE")))[2]
    assert headers["Allow"] == "GET, DELETE"


def test_pauses_are_whole_seconds_in_header_and_body() -> None:
    status, body, headers = answered(Refused(K.TOO_MANY, "slower", retry_after_s=0.2))
    assert (status, headers["Retry-After"]) == (429, "1")
    assert body["details"] == {"retry_after_seconds": 1, "reset_at": None}
    assert answered(Refused(K.TOO_MANY, "x"))[1]["details"]["retry_after_seconds"] is None
    assert answered(Refused(K.TOO_MANY, "x"))[2]["Retry-After"] == "1"
    assert answered(RateLimited("x", 7.0))[2]["Retry-After"] == "7"
    assert answered(Refused(K.BUSY, "later", retry_after_s=3))[2]["Retry-After"] == "3"


@pytest.mark.parametrize(
    "error", [RuntimeError("key=abc"), InvariantBroken("state"), ConfigError("x"), KeyError("k")]
)
def test_nothing_of_a_bug_is_shown(error: Exception) -> None:
    status, body, _ = answered(error)
    assert (status, body) == (500, {"code": "INTERNAL_ERROR", "message": "Internal error"})


def test_what_is_unknown_is_named() -> None:
    symbol = answered(UnknownInstrument("mock:NOPE"))
    bare = answered(UnknownInstrument("NOPE"))
    order = answered(UnknownOrder("o-1"))
    assert (symbol[0], symbol[1]["code"]) == (404, "SYMBOL_NOT_FOUND")
    assert symbol[1]["details"] == bare[1]["details"] == {"symbol": "NOPE"}
    assert order[1]["details"] == {"resource": "order", "id": "o-1"}
    assert errors.not_found("oco_group", "g").code == "OCO_GROUP_NOT_FOUND"


def test_venues_that_break_their_rules_are_502() -> None:
    assert answered(VenueError("strange"))[0] == 502
    status, body, _ = answered(NotFound("x", 404, "", "nothing there"))
    assert (status, body["details"]) == (502, {"provider": "x"})


def test_other_order_errors_are_rejections() -> None:
    status, body, _ = answered(OrderError("price 1.5 is not on the tick 1"))
    assert (status, body["code"]) == (422, "ORDER_REJECTED")
    assert body["details"]["reject_reason"] == "INVALID_PRICE"


SECRETS = [
    "api_key=S3CRET", "apikey: S3CRET", "token: S3CRET", "access_token=S3CRET",
    "the secret=S3CRET was wrong", 'password="S3CRET"', "Authorization: Bearer S3CRETS3CRET",
    "bearer S3CRETS3CRET", "x-api-key=S3CRET", "passphrase = S3CRET", '{"api_key": "S3CRET"}',
    "signature=S3CRET&timestamp=1", "API_SECRET=S3CRET",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_credential_is_masked(text: str) -> None:
    error = errors.GatewayRefusal(502, "PROVIDER_ERROR", text, {"why": [text, {"deep": text}]})
    _, body, _ = answered(error)
    assert "S3CRET" not in str(body), body
    assert errors.MASK in body["message"]
    assert errors.MASK in body["details"]["why"][0]
    assert errors.MASK in body["details"]["why"][1]["deep"]


def test_a_secret_of_ours_is_masked_wherever_it_was_put_by_mistake() -> None:
    """R-85: as a value, too long a value, and encoded."""
    ours = "an-envelope-0123456789-abcdefghijklmnopqrstuvwxyz"
    remember(ours)
    encoded = base64.b64encode(ours.encode()).decode()
    for text in (ours, encoded, ours.encode().hex(), "?" * 50 + ours):
        for error in (
            errors.invalid("side", text, "no side"),
            errors.symbol_not_found(text),
            errors.GatewayRefusal(400, "INVALID_REQUEST", f"no {text}", {"deep": [text]}),
        ):
            _, body, _ = answered(error)
            assert text.lstrip("?")[:12] not in str(body)


@pytest.mark.parametrize(
    "text", ["key 'c.a' has 1 to 160 characters", "a token of reading", "order 17 is filled", ""]
)
def test_ordinary_words_stay(text: str) -> None:
    assert errors.masked(text) == text


@given(st.text(max_size=200))
def test_masking_takes_any_text(text: str) -> None:
    assert isinstance(errors.masked(text), str)


def test_long_input_is_shown_in_part() -> None:
    shown = errors.invalid("x", "y" * 1_000, "no").details["provided"]
    assert len(shown) < 100
    assert errors.invalid("x", None, "no").details["provided"] is None


def test_only_what_was_raised_on_purpose_is_no_bug() -> None:
    assert errors.is_bug(KeyError("x"))
    assert errors.is_bug(InvariantBroken("x"))
    assert not errors.is_bug(FrameworkError("x"))
