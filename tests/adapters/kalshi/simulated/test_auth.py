"""S2: whose request it is, signed as the venue's page on API keys says."""

import base64
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.kalshi.simulated.auth import AuthMode, Denied, Gatekeeper
from framework.errors import ConfigError

NOW_MS = 1_770_000_000_123
PATH = "/trade-api/v2/portfolio/orders"
KEY = rsa.generate_private_key(65_537, 2048)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def headers(text: str, *, key_id: str = "k1", time_ms: str = str(NOW_MS)) -> dict[str, str]:
    """Return the headers of a request whose signed text is `text`."""
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = KEY.sign(text.encode(), scheme, hashes.SHA256())
    return {
        "KALSHI-ACCESS-KEY": key_id,
        "KALSHI-ACCESS-TIMESTAMP": time_ms,
        "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
    }


def gatekeeper(mode: AuthMode = AuthMode.REQUIRE) -> Gatekeeper:
    """Return one that knows one key."""
    return Gatekeeper({"k1": (PEM, "alice")}, mode=mode)


def denial(
    given: Mapping[str, str], *, mode: AuthMode = AuthMode.REQUIRE, method: str = "GET"
) -> str:
    """Return why a request is denied."""
    with pytest.raises(Denied) as caught:
        gatekeeper(mode).check(method, PATH, given, NOW_MS)
    return caught.value.details


GOOD = headers(f"{NOW_MS}GET{PATH}")


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_s2_a_signed_request_belongs_to_the_account_of_its_key(path: str) -> None:
    assert gatekeeper().check("get", path, GOOD, NOW_MS) == "alice"


def test_s2_a_pkcs1_public_key_is_taken_too() -> None:
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)

    keeper = Gatekeeper({"k1": (pem, "alice")})

    assert keeper.check("GET", PATH, GOOD, NOW_MS) == "alice"


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (f"{NOW_MS}GET{PATH}?limit=5", "GET"),  # the query is not signed
        (f"{NOW_MS}GET/portfolio/orders", "GET"),  # the whole path is
        (f"{NOW_MS}GET{PATH}", "POST"),
        (f"{NOW_MS + 1}GET{PATH}", "GET"),
        (f"{NOW_MS}get{PATH}", "GET"),
    ],
)
def test_s2_a_signature_of_anything_else_is_wrong(text: str, method: str) -> None:
    assert denial(headers(text), method=method) == "INCORRECT_API_KEY_SIGNATURE"


@pytest.mark.parametrize("salt", [0, 20, 222])
def test_s2_a_salt_of_another_length_is_wrong(salt: int) -> None:
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    signature = KEY.sign(f"{NOW_MS}GET{PATH}".encode(), scheme, hashes.SHA256())
    given = GOOD | {"KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode()}

    assert denial(given) == "INCORRECT_API_KEY_SIGNATURE"


@pytest.mark.parametrize("signature", ["%%%", "é", GOOD["KALSHI-ACCESS-SIGNATURE"].rstrip("=")])
def test_s2_a_signature_that_is_not_padded_base64_is_wrong(signature: str) -> None:
    given = GOOD | {"KALSHI-ACCESS-SIGNATURE": signature}

    assert denial(given) == "INCORRECT_API_KEY_SIGNATURE"


def test_s2_an_unknown_key_is_denied() -> None:
    assert denial(GOOD | {"KALSHI-ACCESS-KEY": "k2"}) == "API_KEY_NOT_FOUND"


@pytest.mark.parametrize(("skew_ms", "is_taken"), [(30_000, True), (30_001, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_s2_a_timestamp_may_be_half_a_minute_off(skew_ms: int, is_taken: bool, sign: int) -> None:
    time_ms = NOW_MS + sign * skew_ms
    given = headers(f"{time_ms}GET{PATH}", time_ms=str(time_ms))

    if is_taken:
        assert gatekeeper().check("GET", PATH, given, NOW_MS) == "alice"
    else:
        assert denial(given) == "TIMESTAMP_OUT_OF_RANGE"


@pytest.mark.parametrize("timestamp", ["soon", "-1", "1e12", "٣", "9" * 5_000])
def test_s2_a_timestamp_is_decimal_digits(timestamp: str) -> None:
    assert denial(GOOD | {"KALSHI-ACCESS-TIMESTAMP": timestamp}) == "INVALID_TIMESTAMP"


@pytest.mark.parametrize("mode", [AuthMode.REQUIRE, AuthMode.OPTIONAL])
@pytest.mark.parametrize("missing", ["KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"])
def test_s2_half_a_signature_is_denied(mode: AuthMode, missing: str) -> None:
    given = {name: text for name, text in GOOD.items() if name != missing}

    assert denial(given, mode=mode) == "MISSING_AUTHENTICATION_HEADERS"


def test_s2_without_a_key_a_request_is_denied_or_anonymous_as_the_mode_says() -> None:
    assert denial({}) == "MISSING_AUTHENTICATION_HEADERS"
    assert gatekeeper(AuthMode.OPTIONAL).check("GET", PATH, {}, NOW_MS) is None
    assert gatekeeper(AuthMode.OPTIONAL).check("GET", PATH, GOOD, NOW_MS) == "alice"


def test_s2_switched_off_the_key_alone_says_who_it_is() -> None:
    keys = {"k1": (b"", "alice"), "k2": (b"", "bob")}
    keeper = Gatekeeper(keys, mode=AuthMode.OFF)

    assert keeper.check("GET", PATH, {"KALSHI-ACCESS-KEY": "k2"}, NOW_MS) == "bob"
    assert keeper.check("GET", PATH, {}, NOW_MS) == "alice"
    assert Gatekeeper({}, mode=AuthMode.OFF).check("GET", PATH, {}, NOW_MS) == "main"


def test_the_body_of_a_denial_is_the_venues() -> None:
    word = "authentication_error"

    assert json.loads(Denied("why").body) == {
        "error": {"code": word, "message": word, "details": "why"}
    }


EC_PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)


@pytest.mark.parametrize(
    ("pem", "reason"), [(b"hello", "not a public key in PEM"), (EC_PEM, "not an RSA key")]
)
def test_a_key_that_is_none_is_a_config_error(pem: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"key 'k1' is {reason}"):
        Gatekeeper({"k1": (pem, "alice")})


def test_without_cryptography_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.exceptions", None)

    with pytest.raises(ConfigError, match="need the package 'cryptography'"):
        gatekeeper()
