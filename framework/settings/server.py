"""What a configuration says about its front doors: where they listen, and who may come in."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from framework.model.desk import Verb, View
from framework.settings.fields import FieldError

ShortName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$(?!\n)")]
Prefix = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_\-]{1,32}){0,4}$(?!\n)")]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, Meta(ge=1_024, le=1_073_741_824)]
Rate = Annotated[float, Meta(gt=0, le=1_000_000)]
Wait = Annotated[float, Meta(gt=0, le=3_600)]

_TCP = re.compile(r"^(?P<host>[^:\[\]/\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})$")
UNIX = "unix:"


class TokenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token: who has it may do what `verbs` say, with `instruments`, on `accounts`.

    `secret` is where it is (env:NAME, file:PATH). With `is_optional` a variable that is not set
    makes no token. None of `verbs`: all but `admin`. None of `accounts`: those of its door.
    `expires` is a date and time with offset. `admin_secret` is where a second secret is, without
    which it may not do what `admin` allows; needed for that where an account trades for real.
    """

    name: ShortName
    secret: Annotated[str, Meta(min_length=1, max_length=1_024)]
    verbs: list[Verb] | None = None
    instruments: Annotated[tuple[str, ...], Meta(min_length=1, max_length=10_000)] = ("*",)
    accounts: list[ShortName] | None = None
    view: View = View.RUN
    expires: str = ""
    is_revoked: bool = msgspec.field(default=False, name="revoked")
    is_optional: bool = msgspec.field(default=False, name="optional")
    admin_secret: Annotated[str, Meta(max_length=1_024)] = ""


class DoorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One front door: `door` names its protocol, `prefix` where its paths begin.

    Orders belong to the run `run` on the first of `accounts`, to `<run>-<account>` on others.
    Without `tokens` anybody who reaches the address may do anything but `admin`. `settings` belong
    to the door.
    """

    door: ShortName
    accounts: Annotated[list[ShortName], Meta(min_length=1, max_length=100)]
    run: ShortName = ""
    prefix: Prefix = ""
    tokens: Annotated[list[TokenSettings], Meta(max_length=10_000)] = []
    settings: dict[str, Any] = {}

    @property
    def run_name(self) -> str:
        """The run that new orders on the first account belong to."""
        return self.run or self.door

    def run_on(self, account: str) -> str:
        """Return the run that new orders on an account belong to."""
        first = account == self.accounts[0]
        return self.run_name if first else f"{self.run_name}-{account}"


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files of the server's certificate, with its chain, and of its key."""

    certificate: str
    key: str


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one listening address takes; beyond it 413, 429 or 503 (R-84).

    `requests_per_s` and `burst` are per token, or per address where there is none; `links` are open
    WebSocket and SSE streams. `outbox` frames may wait for a slow reader, and `outbox_bytes`.
    """

    body: Bytes = 1_048_576
    headers: Bytes = 16_384
    depth: Annotated[int, Meta(ge=1, le=256)] = 32
    frame: Bytes = 65_536
    connections: Count = 2_000
    links: Count = 1_000
    links_per_token: Count = 500
    requests_per_s: Rate = 5_000.0
    burst: Count = 10_000
    at_once: Count = 1_000
    request_s: Wait = 30.0
    head_s: Wait = 5.0
    outbox: Count = 4_096
    outbox_bytes: Bytes = 4_194_304
    slow_s: Wait = 20.0


class ListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One listening address: `host:port` (port 0: a free one) or `unix:PATH`, and its doors.

    Addresses other than this machine's own need `tls`, or `insecure: true`. `hosts` are the names
    that requests may be addressed to besides the address itself; `origins` the web pages whose
    scripts may connect, none by default.
    """

    listen: Annotated[str, Meta(min_length=1, max_length=256)]
    doors: Annotated[list[DoorSettings], Meta(min_length=1, max_length=20)]
    tls: TlsSettings | None = None
    is_insecure: bool = msgspec.field(default=False, name="insecure")
    hosts: Annotated[list[str], Meta(max_length=100)] = []
    origins: Annotated[list[str], Meta(max_length=100)] = []
    limits: LimitSettings = LimitSettings()

    def __post_init__(self) -> None:
        if not self.is_unix:
            found = _TCP.match(self.listen)
            if found is None or int(found["port"]) > 65_535:
                raise FieldError("listen", f"{self.listen!r} is no host:port and no unix:PATH")
        elif len(self.listen) == len(UNIX):
            raise FieldError("listen", "the path of the socket is missing")

    @property
    def is_unix(self) -> bool:
        """Whether it is a socket in the file system."""
        return self.listen.startswith(UNIX)

    @property
    def path(self) -> str:
        """The path of a unix socket."""
        return self.listen.removeprefix(UNIX)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a TCP address."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
