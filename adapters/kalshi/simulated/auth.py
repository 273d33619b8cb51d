"""Says whose request it is: verifies the signature that every request and handshake carries.

    signed text   <timestamp_ms><METHOD><path>, the path without query and trailing slash
    algorithm     RSA-PSS, SHA-256, MGF1 with SHA-256, a salt of 32 bytes; base64 with padding

A verification takes about 50 us, so it is done inline. Source: the venue's page on API keys.
"""

import binascii
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from framework.errors import ConfigError

KEY = "KALSHI-ACCESS-KEY"
TIMESTAMP = "KALSHI-ACCESS-TIMESTAMP"
SIGNATURE = "KALSHI-ACCESS-SIGNATURE"
DEFAULT_SKEW_MS = 30_000
NOBODY = "main"  # whose request it is where nothing is checked and no key says otherwise

Verify = Callable[[bytes, bytes], bool]
"""Says whether a signature (first) belongs to a text (second)."""


class AuthMode(StrEnum):
    """What a request without a signature is."""

    REQUIRE = "require"  # refused
    OPTIONAL = "optional"  # anonymous: public data only
    OFF = "off"  # nothing is verified: the key, if known, says who it is


class Denied(Exception):
    """A request that is nobody's; `details` says why, as the venue would."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details

    @property
    def body(self) -> bytes:
        """The JSON body that goes with status 401, for REST and for the handshake."""
        word = "authentication_error"
        error = {"code": word, "message": word, "details": self.details}
        return msgspec.json.encode({"error": error})


class Gatekeeper:
    """Knows the public keys, and the account behind each.

    Raises:
        ConfigError: a key is not an RSA public key in PEM, or `cryptography` is not installed.
    """

    def __init__(
        self,
        keys: Mapping[str, tuple[bytes, str]],
        *,
        mode: AuthMode = AuthMode.REQUIRE,
        skew_ms: int = DEFAULT_SKEW_MS,
    ) -> None:
        self.mode = mode
        self.accounts = {key_id: account for key_id, (_, account) in keys.items()}
        self._skew_ms = skew_ms
        self._verify: dict[str, Verify] = {}
        if mode is not AuthMode.OFF:
            self._verify = {key_id: verifier(pem, key_id) for key_id, (pem, _) in keys.items()}

    def check(self, method: str, path: str, headers: Mapping[str, str], now_ms: int) -> str | None:
        """Return the account that a request belongs to; None: it is anonymous.

        `path` is the URL's, as it was sent, without the query.

        Raises:
            Denied: a signature is missing, wrong, or too old.
        """
        key_id = headers.get(KEY)
        if self.mode is AuthMode.OFF:
            return self.accounts.get(key_id or "", next(iter(self.accounts.values()), NOBODY))
        if key_id is None and self.mode is AuthMode.OPTIONAL:
            return None
        timestamp, signature = headers.get(TIMESTAMP), headers.get(SIGNATURE)
        if not key_id or not timestamp or not signature:
            raise Denied("MISSING_AUTHENTICATION_HEADERS")
        if key_id not in self._verify:
            raise Denied("API_KEY_NOT_FOUND")
        self._check_time(timestamp, now_ms)
        text = f"{timestamp}{method.upper()}{path.rstrip('/')}".encode(errors="surrogateescape")
        if not self._verify[key_id](_bytes_of(signature), text):
            raise Denied("INCORRECT_API_KEY_SIGNATURE")
        return self.accounts[key_id]

    def _check_time(self, timestamp: str, now_ms: int) -> None:
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
            raise Denied("INVALID_TIMESTAMP")
        if abs(int(timestamp) - now_ms) > self._skew_ms:
            raise Denied("TIMESTAMP_OUT_OF_RANGE")


def verifier(pem: bytes, key_id: str) -> Verify:
    """Return the check of one RSA public key.

    Raises:
        ConfigError: as the class says.
    """
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise ConfigError("signatures need the package 'cryptography'", key="auth") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"key {key_id!r} is not a public key in PEM", key="keys") from error
    if not isinstance(key, RSAPublicKey):
        raise ConfigError(f"key {key_id!r} is not an RSA key", key="keys")
    digest = hashes.SHA256()
    scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.DIGEST_LENGTH)

    def verify(signature: bytes, text: bytes) -> bool:
        try:
            key.verify(signature, text, scheme, digest)
        except InvalidSignature:
            return False
        return True

    return verify


def _bytes_of(signature: str) -> bytes:
    """Return what base64 stands for; nothing for what is none, which no key verifies."""
    try:
        return binascii.a2b_base64(signature, strict_mode=True)
    except ValueError:
        return b""
