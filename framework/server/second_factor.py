"""What `admin` needs beside a token: a second secret of its own, in a header of its own (T-08).

A program's token lies wherever the program runs. What opens breakers again is a person's decision:
the second secret is not among what the program was given, so whoever gets hold of its token still
cannot do it. Like a token it has at least 32 characters, is kept as a digest alone, and is
compared in constant time.
"""

import hmac
from collections.abc import Callable, Mapping

import structlog

from framework.model.desk import Verb
from framework.server.door import RefusalKind, Refused
from framework.settings.places import config_error
from framework.settings.server import TokenSettings

log = structlog.get_logger("server")

HEADER = "X-Admin-Token"


class SecondFactors:
    """The second secrets of one door's tokens, by the token's name.

    `is_real`: something trades for real, and nobody may do without. Elsewhere a token without a
    second secret is enough, as protocols with one key for everything have it.
    """

    def __init__(self, *, digest: Callable[[str], bytes], is_real: bool) -> None:
        self._digest = digest
        self._is_real = is_real
        self._digests: dict[str, bytes] = {}

    def verbs(self, token: TokenSettings, verbs: frozenset[Verb], place: str) -> frozenset[Verb]:
        """Return what a token allows; `admin` only where it is asked for, or can be confirmed.

        Raises:
            ConfigError: it names `admin` and lacks a second secret, or has one for nothing.
        """
        if token.admin_secret:
            if Verb.ADMIN not in verbs:
                raise config_error("`admin` is not among its verbs", key=f"{place}.admin_secret")
            return verbs
        if not self._is_real or Verb.ADMIN not in verbs:
            return verbs
        if token.verbs is not None:
            reason = "`admin` where something trades for real needs `admin_secret`"
            raise config_error(reason, key=f"{place}.verbs")
        return verbs - {Verb.ADMIN}

    def add(self, name: str, secret: str) -> None:
        """Note the second secret of a token."""
        self._digests[name] = self._digest(secret)

    def has(self, digest: bytes) -> bool:
        """Tell whether some token's second secret has this digest."""
        return digest in self._digests.values()

    def confirm(self, name: str, headers: Mapping[str, str]) -> None:
        """Pass whoever came in by the token `name` and sent what it needs for `admin`.

        Raises:
            Refused: it did not.
        """
        known = self._digests.get(name)
        if known is None:
            return  # `verbs` left it `admin` because nothing is for real
        given = headers.get(HEADER, "").strip()
        if not given:
            raise Refused(RefusalKind.FORBIDDEN, f"to admin, {HEADER} is needed beside the token")
        if not hmac.compare_digest(self._digest(given), known):
            log.warning("second_factor_refused", principal=name)
            raise Refused(RefusalKind.FORBIDDEN, f"{HEADER} is not valid")
