"""Signatures against published vectors, and against the public half of each key."""

import builtins
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from framework.errors import ConfigError
from framework.net.signing import (
    Ed25519Key,
    RsaPssKey,
    hmac_sha256_base64,
    hmac_sha256_hex,
)
from framework.settings.secrets import Secret

RSA_KEY = rsa.generate_private_key(65_537, 2_048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
PKCS8, PKCS1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
TEXT = "1770000000123GET/trade-api/ws/v2"


def pem_of(
    key: Any,
    form: PrivateFormat = PKCS8,
    encryption: KeySerializationEncryption = NoEncryption(),  # noqa: B008 -- holds nothing
) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return pem.decode()


@pytest.mark.parametrize(
    ("key", "text", "digest"),
    [
        (
            20 * b"\x0b",
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            131 * b"\xaa",
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_hmac_agrees_with_rfc_4231(key: bytes, text: bytes, digest: str) -> None:
    """Test cases 1, 2 and 6."""
    assert hmac_sha256_hex(key, text) == digest
    assert hmac_sha256_base64(key, text) == b64encode(bytes.fromhex(digest)).decode()


def test_hmac_takes_secrets_and_text() -> None:
    secret = Secret("Jefe")

    assert hmac_sha256_hex(secret, "what do ya want for nothing?").startswith("5bdcc146")


@pytest.mark.parametrize("form", [PKCS8, PKCS1])
def test_rsa_pss_holds_against_the_public_key(form: PrivateFormat) -> None:
    """SHA-256, MGF1 with SHA-256, a salt of exactly 32 bytes; no two signatures are equal."""
    key = RsaPssKey(Secret(pem_of(RSA_KEY, form)))
    strict = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    public = RSA_KEY.public_key()

    signature = key.sign(TEXT)

    public.verify(b64decode(signature, validate=True), TEXT.encode(), strict, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(signature), b"another text", strict, hashes.SHA256())
    assert key.sign(TEXT) != signature


def test_ed25519_agrees_with_rfc_8032() -> None:
    """Section 7.1, tests 1 and 2."""
    seeds = {
        "": (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        "r": (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    }
    for text, (seed, signature) in seeds.items():
        private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))

        signed = Ed25519Key(Secret(pem_of(private))).sign(text)

        assert b64decode(signed).hex() == signature


@pytest.mark.parametrize(
    ("kind", "pem", "reason"),
    [
        (RsaPssKey, "not a key but-something-hidden", "cannot be read"),
        (Ed25519Key, "-----BEGIN PRIVATE KEY-----\naGlkZGVu\n-----END PRIVATE KEY-----", "cannot"),
        (RsaPssKey, pem_of(ED25519), "not an RSA key"),
        (Ed25519Key, pem_of(RSA_KEY), "not an Ed25519 key"),
        (RsaPssKey, pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (RsaPssKey, pem_of(RSA_KEY, PKCS8, BestAvailableEncryption(b"hidden")), "passphrase"),
    ],
)
def test_a_bad_key_is_one_sentence_without_the_key(
    kind: type[RsaPssKey | Ed25519Key], pem: str, reason: str
) -> None:
    """R-85."""
    with pytest.raises(ConfigError, match=reason) as caught:
        kind(Secret(pem))

    lines = [line for line in pem.splitlines() if not line.startswith("-----")]
    assert not any(line in repr(caught.value) for line in lines)
    assert caught.value.__context__ is None


def test_keys_show_nothing_of_themselves() -> None:
    """R-85."""
    pem = pem_of(RSA_KEY)
    key = RsaPssKey(Secret(pem))

    assert not any(line in f"{key!r} {vars(key)}" for line in pem.splitlines())


def test_without_the_package_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(ConfigError, match="needs the package cryptography"):
        Ed25519Key(Secret("any"))
