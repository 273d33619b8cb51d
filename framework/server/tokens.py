"""Who is there: the tokens of one door, and the principals they stand for (T-01, T-30).

A secret is kept as a SHA-256 under a salt of this process alone and found by that digest. Nobody
outside can choose or foresee a digest, so how long a search takes tells nothing about a secret,
with one token or ten thousand; the digest that was found is compared in constant time.
"""

import hmac
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Protocol

import msgspec
import structlog
from aiohttp import hdrs

from framework.errors import ConfigError
from framework.model.desk import Place, Principal, Verb
from framework.server.door import RefusalKind, Refused
from framework.server.second_factor import SecondFactors
from framework.settings.places import config_error
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, TokenSettings

log = structlog.get_logger("server")

SHORTEST = 32  # characters
FEWEST_DISTINCT = 8  # 32 random hexadecimal digits have fewer once in 10,000,000,000 times
SALT_BYTES = 32
ALL_BUT_ADMIN = frozenset(Verb) - {Verb.ADMIN}
ANONYMOUS = "anonymous"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEARER = "bearer "


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """Whoever asks; requests are counted by `key`, or by address where it is ""."""

    principal: Principal
    key: str = ""


class Identifies(Protocol):
    """Tells who is there.

    Attributes:
        is_open: there are no tokens, and everybody may come in.
        nobody: whoever asks for what is open to everybody.
    """

    is_open: bool
    nobody: Visitor

    def identify(self, headers: Mapping[str, str], names: Sequence[str] = ()) -> Visitor:
        """Return who sent the headers; `names` are further headers that a token may come in.

        Raises:
            Refused: there is no token, or none that is valid now.
        """

    def confirm(self, visitor: Visitor, headers: Mapping[str, str]) -> None:
        """Pass a visitor that sent what `admin` needs beside its token (T-08).

        Raises:
            Refused: it did not.
        """


class Token(msgspec.Struct, frozen=True):
    """A token whose secret is known by its digest alone."""

    digest: bytes
    visitor: Visitor
    expires_ns: int | None


class Tokens:
    """The tokens of one door; without any, whoever reaches it may do what `default_verbs` say.

    `venue_of` gives the venue of each account, `key` says where the door stands in the
    configuration, `fewest_distinct` how many different characters a secret has at least. With
    `is_real` nobody does `admin` without a second secret.

    Raises:
        ConfigError: a secret is missing, weak, or used twice; an expiry is no time.
    """

    def __init__(
        self,
        door: DoorSettings,
        *,
        key: str,
        venue_of: Mapping[str, str],
        secret: Callable[[str], Secret],
        now_ns: Callable[[], int],
        default_verbs: frozenset[Verb] = ALL_BUT_ADMIN,
        fewest_distinct: int = FEWEST_DISTINCT,
        is_real: bool = False,
    ) -> None:
        self._now_ns = now_ns
        self._salt = os.urandom(SALT_BYTES)
        self._by_digest: dict[bytes, Token] = {}
        self._revoked: set[str] = set()
        self._seconds = SecondFactors(digest=self._digest, is_real=is_real)
        self.names = frozenset(token.name for token in door.tokens)
        for number, token in enumerate(door.tokens):
            place = f"{key}.tokens[{number}]"
            found = usable_secret(token, secret, f"{place}.secret", fewest_distinct)
            if found is None:
                log.warning("token_skipped", token=token.name, reason="its variable is not set")
                continue
            verbs = default_verbs if token.verbs is None else frozenset(token.verbs)
            principal = Principal(
                name=token.name,
                places=places_of(door, token.accounts or door.accounts, venue_of),
                view=token.view,
                verbs=self._seconds.verbs(token, verbs, place),
                instruments=token.instruments,
            )
            self._add(found, Visitor(principal, f"{key}/{token.name}"), token, place)
            if token.admin_secret:
                second = msgspec.structs.replace(
                    token, secret=token.admin_secret, is_optional=False
                )
                found = usable_secret(second, secret, f"{place}.admin_secret", fewest_distinct)
                assert found is not None
                self._seconds.add(token.name, found)
        for digest, one in self._by_digest.items():
            if self._seconds.has(digest):
                name = one.visitor.principal.name
                raise config_error(f"the token {name!r} is somebody's admin_secret", key=key)
        self.is_open = not self._by_digest
        places = places_of(door, door.accounts, venue_of)
        self.nobody = Visitor(Principal(ANONYMOUS, places))
        self.anonymous = Visitor(Principal(ANONYMOUS, places, verbs=default_verbs))

    def identify(self, headers: Mapping[str, str], names: Sequence[str] = ()) -> Visitor:
        """Return who sent the headers; `names` are further headers that a token may come in.

        Raises:
            Refused: there is no token, or none that is valid now.
        """
        if self.is_open:
            return self.anonymous
        given = given_token(headers, names)
        if not given:
            raise Refused(RefusalKind.MISSING_TOKEN, "a token is needed")
        digest = self._digest(given)
        token = self._by_digest.get(digest)
        if token is None or not hmac.compare_digest(digest, token.digest) or self._is_over(token):
            raise Refused(RefusalKind.INVALID_TOKEN, "the token is not valid")
        return token.visitor

    def confirm(self, visitor: Visitor, headers: Mapping[str, str]) -> None:
        """Pass a visitor that sent what `admin` needs beside its token (T-08).

        Raises:
            Refused: it did not.
        """
        self._seconds.confirm(visitor.principal.name, headers)

    def revoke(self, name: str) -> None:
        """Refuse a token from now on, until the process ends.

        Raises:
            LookupError: there is no token of that name.
        """
        if name not in self.names:
            raise LookupError(f"there is no token {name!r}")
        self._revoked.add(name)
        log.warning("token_revoked", token=name)

    def _is_over(self, token: Token) -> bool:
        if token.expires_ns is not None and self._now_ns() >= token.expires_ns:
            return True
        return token.visitor.principal.name in self._revoked

    def _add(self, secret: str, visitor: Visitor, settings: TokenSettings, place: str) -> None:
        digest = self._digest(secret)
        if digest in self._by_digest:
            raise config_error("another token of this door has this secret", key=f"{place}.secret")
        expires_ns = expiry(settings.expires, f"{place}.expires")
        if expires_ns is not None and expires_ns <= self._now_ns():
            log.warning("token_expired", token=settings.name, expires=settings.expires)
        if settings.is_revoked:
            self._revoked.add(settings.name)
        self._by_digest[digest] = Token(digest, visitor, expires_ns)

    def _digest(self, secret: str) -> bytes:
        return sha256(self._salt + secret.encode(errors="surrogateescape")).digest()


def given_token(headers: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the token that came with a request, "" for none; a bearer token comes first."""
    authorization = headers.get(hdrs.AUTHORIZATION)
    if authorization is not None and authorization[:7].lower() == _BEARER:
        bearer = authorization[7:].strip()
        if bearer:
            return bearer
    for name in names:
        value = headers.get(name)
        if value is not None and (value := value.strip()):
            return value
    return ""


def places_of(
    door: DoorSettings, accounts: Iterable[str], venue_of: Mapping[str, str]
) -> tuple[Place, ...]:
    """Return where a principal with these accounts trades, in their order."""
    return tuple(Place(venue_of[name], name, door.run_on(name)) for name in accounts)


def usable_secret(
    token: TokenSettings, secret: Callable[[str], Secret], key: str, fewest_distinct: int
) -> str | None:
    """Return a token's secret, or None: it is optional, and its variable is not set.

    Raises:
        ConfigError: it cannot be read, or could be guessed, or cannot come in by a header.
    """
    try:
        value = secret(token.secret).reveal()
    except ConfigError as error:
        # Of a variable there is but one thing to complain about: that it is not set.
        if token.is_optional and token.secret.startswith("env:"):
            return None
        raise config_error(error.reason, key=key) from None
    fault = weakness(value, fewest_distinct)
    if fault:
        raise config_error(fault, key=key)
    return value


def weakness(secret: str, fewest_distinct: int = FEWEST_DISTINCT) -> str:
    """Return what is wrong with a token, or ""; nothing of it is told."""
    if len(secret) < SHORTEST:
        return f"a token has at least {SHORTEST} characters"
    if len(set(secret)) < fewest_distinct:
        return f"a token has at least {fewest_distinct} different characters"
    if not all("!" <= character <= "~" for character in secret):
        return "a token has no spaces and no characters beyond ASCII"
    return ""


def expiry(text: str, key: str) -> int | None:
    """Return an RFC 3339 time in ns UTC, None for "".

    Raises:
        ConfigError: it is no time, or lacks its offset.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise config_error(f"{text!r} is no date and time", key=key) from None
    if time.tzinfo is None:
        raise config_error(f"{text!r} lacks its offset, such as Z", key=key)
    return (time - EPOCH) // timedelta(microseconds=1) * 1_000
