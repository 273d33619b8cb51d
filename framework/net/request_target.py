"""What stands in the first line of a request: path and query, escaped in one fixed way.

Signatures cover the path, so it must reach the venue byte by byte as it was signed.
"""

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

from framework.errors import ConfigError

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_PLAIN = "/:@!$&'()*+,;=~-._"  # RFC 3986, section 3.3


class BaseUrl:
    """The address that all paths of one venue begin with, without its trailing slash.

    Raises:
        ConfigError: it is not an http(s) address, or holds a user, a query or a fragment.
    """

    def __init__(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ConfigError("the base URL is not an address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii():
            raise ConfigError("the base URL begins with https:// and names a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(f"the address of {parts.hostname} may hold a path, and nothing else")
        self.is_secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = port or (443 if self.is_secure else 80)
        self.authority = parts.netloc
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = escape_path(parts.path.rstrip("/"))


@lru_cache(1024)
def escape_path(path: str) -> str:
    """Return `path` as it goes over the wire; escapes in it stay, with upper-case hex."""
    parts, end = [], 0
    for found in _ESCAPE.finditer(path):
        parts += [quote(path[end : found.start()], _PLAIN), found.group().upper()]
        end = found.end()
    return "".join([*parts, quote(path[end:], _PLAIN)])


def query_text(query: tuple[tuple[str, str], ...]) -> str:
    """Return the query as it goes over the wire, with its "?"; "" if there is none."""
    if not query:
        return ""
    return "?" + "&".join(f"{quote(name, '')}={quote(value, '')}" for name, value in query)
