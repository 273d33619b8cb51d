"""Signatures of requests. Each is pure and blocks: RSA for a millisecond, so off the loop.

    signature = await context.blocking(lambda: key.sign(text))

HMAC and Ed25519 take some microseconds to some tens of them. No key is ever shown: errors name what
is wrong with one, and nothing of it. `cryptography` is imported when the first key is read.
"""

import base64
import hmac
from typing import TYPE_CHECKING

from framework.errors import ConfigError
from framework.settings.secrets import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SALT_BYTES = 32  # as long as the digest


def hmac_sha256_hex(key: Secret | bytes, text: str | bytes) -> str:
    """Return the HMAC-SHA256 of `text` in lower-case hex (RFC 2104, FIPS 180-4)."""
    return _hmac_sha256(key, text).hex()


def hmac_sha256_base64(key: Secret | bytes, text: str | bytes) -> str:
    """Return the HMAC-SHA256 of `text` in base64 with padding."""
    return base64.b64encode(_hmac_sha256(key, text)).decode()


class RsaPssKey:
    """Signs with RSA-PSS: SHA-256, MGF1 with SHA-256, a salt of 32 bytes (RFC 8017, section 8.1).

    Raises:
        ConfigError: the PEM text is no RSA private key without a passphrase, or `cryptography` is
            not installed.
    """

    def __init__(self, pem: Secret) -> None:
        key = _read_key(pem)
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

        if not isinstance(key, RSAPrivateKey):
            raise ConfigError("the private key is not an RSA key")
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
        from cryptography.hazmat.primitives.hashes import SHA256

        self._key = key
        self._hash = SHA256()
        self._padding = PSS(MGF1(self._hash), SALT_BYTES)

    def sign(self, text: str) -> str:
        """Return the signature of the UTF-8 text in base64 with padding; blocks for about 1 ms."""
        signature = self._key.sign(text.encode(), self._padding, self._hash)
        return base64.b64encode(signature).decode()


class Ed25519Key:
    """Signs with Ed25519 (RFC 8032).

    Raises:
        ConfigError: the PEM text is no Ed25519 private key without a passphrase, or `cryptography`
            is not installed.
    """

    def __init__(self, pem: Secret) -> None:
        key = _read_key(pem)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError("the private key is not an Ed25519 key")
        self._key = key

    def sign(self, text: str) -> str:
        """Return the signature of the UTF-8 text in base64 with padding."""
        return base64.b64encode(self._key.sign(text.encode())).decode()


def _hmac_sha256(key: Secret | bytes, text: str | bytes) -> bytes:
    secret = key.reveal().encode() if isinstance(key, Secret) else key
    return hmac.digest(secret, text.encode() if isinstance(text, str) else text, "sha256")


def _read_key(pem: Secret) -> "PrivateKeyTypes":
    """Return the key of a PEM text, PKCS#8 or PKCS#1."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        reason = "signing needs the package cryptography, which is not installed"
        raise ConfigError(reason) from None
    try:
        return load_pem_private_key(pem.reveal().encode(), password=None)
    except TypeError:
        reason = "the private key has a passphrase; keys with one are not supported"
    except (ValueError, UnsupportedAlgorithm):
        reason = "the private key cannot be read; PEM text is expected, PKCS#8 or PKCS#1"
    raise ConfigError(reason)
