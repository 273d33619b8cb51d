"""Where a request may come from, and which addresses may be opened (T-02)."""

from typing import Any

import pytest

from framework.errors import ConfigError
from framework.server.access import MOST_KNOWN, Access, check_exposure, check_open_doors
from framework.server.door import RefusalKind, Refused
from framework.settings.server import ListenerSettings, TlsSettings
from tests.framework.server.door_stage import listener, outcome


def may(settings: ListenerSettings, host: str | None) -> bool:
    access = Access(settings)
    first = outcome(access.check_host, host)
    assert outcome(access.check_host, host) is first  # the second time from memory
    assert first in (None, RefusalKind.HOST)
    return first is None


@pytest.mark.parametrize(
    ("listen", "host", "is_ours"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080", True),
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("127.0.0.1:8080", "LocalHost:9999", True),  # through a tunnel
        ("127.0.0.1:8080", "[::1]:8080", True),
        ("127.0.0.1:8080", "evil.example:8080", False),
        ("127.0.0.1:8080", "127.0.0.1.evil.example", False),
        ("127.0.0.1:8080", "192.168.1.5", False),
        ("127.0.0.1:8080", "", False),
        ("127.0.0.1:8080", None, False),
        ("127.0.0.1:8080", "desk.example:1", True),  # by `hosts`
        ("127.0.0.1:8080", "with.port:81", True),
        ("127.0.0.1:8080", "with.port:82", False),
        ("192.168.1.5:8080", "192.168.1.5:8080", True),
        ("192.168.1.5:8080", "localhost", False),
        ("0.0.0.0:8080", "192.168.1.5:8080", True),  # an address cannot be rebound
        ("0.0.0.0:8080", "[fe80::1]:8080", True),
        ("0.0.0.0:8080", "localhost", True),
        ("0.0.0.0:8080", "evil.example", False),
        ("[::1]:8080", "[::1]:8080", True),
        ("gateway:8080", "gateway:8080", True),
        ("gateway:8080", "localhost:8080", False),
        ("unix:/run/x", "anything", True),  # no page can reach it
        ("unix:/run/x", None, True),
    ],
)
def test_t02_only_our_own_names_are_answered(listen: str, host: str | None, is_ours: bool) -> None:
    settings = listener(listen=listen, hosts=["desk.example", "with.port:81"])

    assert may(settings, host) is is_ours


def test_the_hosts_that_are_remembered_are_bounded() -> None:
    access = Access(listener())
    for port in range(MOST_KNOWN + 10):
        access.check_host(f"localhost:{port}")

    assert len(access._known) == MOST_KNOWN


def test_no_origin_is_allowed_unless_it_is_listed() -> None:
    with pytest.raises(Refused) as caught:
        Access(listener()).check_origin("http://localhost:8080")
    assert caught.value.kind is RefusalKind.ORIGIN

    Access(listener(origins=["https://desk.example/"])).check_origin("https://DESK.example")


TLS = TlsSettings("certificate.pem", "key.pem")


@pytest.mark.parametrize(
    ("listen", "options", "is_fine"),
    [
        ("127.0.0.1:1", {}, True),
        ("127.9.9.9:1", {}, True),
        ("localhost:1", {}, True),
        ("[::1]:1", {}, True),
        ("unix:/run/x", {}, True),
        ("0.0.0.0:1", {}, False),
        ("[::]:1", {}, False),
        ("gateway:1", {}, False),
        ("192.168.1.5:1", {}, False),
        ("192.168.1.5:1", {"tls": TLS}, True),
        ("192.168.1.5:1", {"is_insecure": True}, True),
    ],
)
def test_t02_an_address_that_others_reach_needs_tls_or_a_word(
    listen: str, options: dict[str, Any], is_fine: bool
) -> None:
    settings = listener(listen=listen, **options)
    if is_fine:
        check_exposure(settings, "server[0]")
        return
    with pytest.raises(ConfigError, match="insecure") as caught:
        check_exposure(settings, "server[0]")
    assert caught.value.key == "server[0].listen"


@pytest.mark.parametrize(
    ("listen", "options", "is_real", "is_fine"),
    [
        ("127.0.0.1:1", {}, False, True),
        ("unix:/run/x", {}, False, True),
        ("127.0.0.1:1", {}, True, False),
        ("127.0.0.1:1", {"is_insecure": True}, True, False),
        ("192.168.1.5:1", {"tls": TLS}, False, False),
        ("192.168.1.5:1", {"is_insecure": True}, False, True),
    ],
)
def test_a_door_without_tokens_is_for_this_machine_and_for_play(
    listen: str, options: dict[str, Any], is_real: bool, is_fine: bool
) -> None:
    settings = listener(listen=listen, **options)
    check_open_doors(settings, [], "server[0]", is_real=is_real)
    if is_fine:
        check_open_doors(settings, ["server[0].doors[0]"], "server[0]", is_real=is_real)
        return
    with pytest.raises(ConfigError, match="needs tokens") as caught:
        check_open_doors(settings, ["server[0].doors[0]"], "server[0]", is_real=is_real)
    assert caught.value.key == "server[0].doors[0].tokens"
