"""From where a request may come: the names it may be addressed to, the pages it may come from.

A page of a stranger can have its host name resolve to this machine (DNS rebinding) and have the
browser send requests; it cannot forge the `Host` and `Origin` that the browser sends along (T-02).
"""

from collections.abc import Iterable
from ipaddress import ip_address

from framework.server.door import RefusalKind, Refused
from framework.settings.places import config_error, one_line
from framework.settings.server import ListenerSettings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
MOST_KNOWN = 256  # spellings of allowed hosts that are remembered


class Access:
    """Judges `Host` and `Origin` for one listening address.

    Allowed hosts are the address itself, on this machine its usual names, and `hosts`: a name alone
    (any port: a tunnel has its own) or with a port. An address that means every interface allows
    every literal address: rebinding needs a name. Through a unix socket no page can come.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self._checks_host = not settings.is_unix
        self._hosts = {host.lower() for host in settings.hosts}
        self._origins = {normal_origin(origin) for origin in settings.origins}
        self._known: set[str] = set()
        self._is_everywhere = False
        if not settings.is_unix:
            host = settings.address[0].lower()
            self._is_everywhere = is_everywhere(host)
            self._hosts.add(host)
            if is_loopback(host) or self._is_everywhere:
                self._hosts.update(LOOPBACK_NAMES)

    def check_host(self, host: str | None) -> None:
        """Pass a request that is addressed to us.

        Raises:
            Refused: it is not.
        """
        if host in self._known or not self._checks_host:
            return
        if host is None or not self._is_ours(host.lower()):
            shown = "" if host is None else one_line(host, 100)
            raise Refused(RefusalKind.HOST, f"there is no host {shown!r} here", provided=shown)
        if len(self._known) < MOST_KNOWN:
            self._known.add(host)

    def check_origin(self, origin: str) -> None:
        """Pass a request of an allowed page.

        Raises:
            Refused: it comes from another one.
        """
        if normal_origin(origin) not in self._origins:
            shown = one_line(origin, 100)
            raise Refused(RefusalKind.ORIGIN, f"the origin {shown!r} may not", provided=shown)

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        if name in self._hosts or host in self._hosts:
            return True
        return self._is_everywhere and is_address(name)


def check_exposure(settings: ListenerSettings, key: str) -> None:
    """Pass an address that others cannot listen in on.

    Raises:
        ConfigError: it can be reached from other machines, in the clear.
    """
    if settings.is_insecure or settings.tls is not None or is_private(settings):
        return
    raise config_error(
        "an address that other machines reach needs `tls`, or `insecure: true`", key=f"{key}.listen"
    )


def check_open_doors(
    settings: ListenerSettings, open_doors: Iterable[str], key: str, *, is_real: bool
) -> None:
    """Pass doors without a token where nobody else gets at them; `open_doors` are their keys.

    Raises:
        ConfigError: anybody could trade.
    """
    for door in open_doors:
        if is_real:
            raise config_error("a system that trades for real needs tokens", key=f"{door}.tokens")
        if not settings.is_insecure and not is_private(settings):
            reason = f"a door at {settings.listen} needs tokens, or `insecure: true` at {key}"
            raise config_error(reason, key=f"{door}.tokens")


def is_private(settings: ListenerSettings) -> bool:
    """Return whether only this machine reaches the address."""
    return settings.is_unix or is_loopback(settings.address[0])


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    return is_address(host) and ip_address(host).is_loopback


def is_everywhere(host: str) -> bool:
    """Return whether a host means every interface."""
    return is_address(host) and ip_address(host).is_unspecified


def is_address(host: str) -> bool:
    """Return whether a host is a literal address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """Return a `Host` header without its port and brackets: `[::1]:80` → `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def normal_origin(origin: str) -> str:
    """Return an origin as it is compared."""
    return origin.strip().lower().rstrip("/")
