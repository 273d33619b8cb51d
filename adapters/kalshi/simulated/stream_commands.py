"""Reads what clients send: a command as a struct, or the error the venue answers (4, 5).

Parameters are checked in the order of the venue's error table: envelope, command, parameters,
their types, and what excludes what. What depends on the connection is the session's business.
"""

from typing import Any

import msgspec

from adapters.kalshi.simulated.channels import Profile

ERROR_TEXTS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    6: "Already subscribed",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    9: "Authentication required",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    16: "Market not found",
    17: "Internal error",
    18: "Command timeout",
    19: "shard_factor must be > 0",
    20: "shard_factor is required when shard_key is set",
    21: "shard_key must be >= 0 and < shard_factor",
    22: "shard_factor must be <= 100",
    23: "Match IDs required",
    24: "Index IDs required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
    28: "Underlying tickers required",
}
TERMINAL_CODES = frozenset({10, 25})

_HIGHEST_CODE = {Profile.LEGACY: 17, Profile.SEED: 22, Profile.CURRENT: 28}
_OLDER_CODE = {19: 11, 20: 11, 21: 11, 22: 11, 25: 10}  # what older profiles say instead

Selection = tuple[str, ...] | None
"""Market tickers or ids in the order given, each once; None: the client named none."""


class CommandError(Exception):
    """The venue refuses a command, or one channel of it.

    `is_exact`: a fault wants this very code, whether the profile knows it or not.
    """

    def __init__(
        self, code: int, *, text: str = "", market_ticker: str = "", is_exact: bool = False
    ) -> None:
        super().__init__(f"{code} {text or ERROR_TEXTS.get(code, '')}")
        self.code = code
        self.text = text
        self.market_ticker = market_ticker
        self.is_exact = is_exact


class Envelope(msgspec.Struct, frozen=True):
    """A command as far as every command looks alike; `id` 0 stands for none."""

    id: int
    cmd: str
    params: dict[str, Any] | None


class Shard(msgspec.Struct, frozen=True):
    """Which part of the RFQs a subscriber wants."""

    factor: int
    key: int


class Subscribe(msgspec.Struct, frozen=True, kw_only=True):
    """`subscribe`, checked as far as the parameters go."""

    channels: tuple[str, ...]
    tickers: Selection
    market_ids: Selection
    sends_initial_snapshot: bool
    skips_ticker_ack: bool
    uses_yes_price: bool
    shard: Shard | None
    is_own_only: bool  # user_filter "self"
    params: dict[str, Any]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """`update_subscription`, checked as far as the parameters go."""

    sid: int
    action: str
    tickers: Selection
    market_ids: Selection
    sends_initial_snapshot: bool


def code_for(code: int, profile: Profile) -> int:
    """Return the code a profile says for `code`, which may be younger than the profile."""
    return code if code <= _HIGHEST_CODE[profile] else _OLDER_CODE.get(code, 1)


def read_envelope(data: str | bytes) -> Envelope:
    """Return the command in a text frame, whatever its parameters are.

    An id that is no whole number counts as none, so that the refusal still has a shape.

    Raises:
        CommandError: the frame is not a JSON object (1).
    """
    try:
        message = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CommandError(1) from None
    if not isinstance(message, dict):
        raise CommandError(1)
    number, cmd, params = message.get("id"), message.get("cmd"), message.get("params")
    return Envelope(
        number if type(number) is int else 0,
        cmd if isinstance(cmd, str) else "",
        params if isinstance(params, dict) else None,
    )


def required_params(command: Envelope) -> dict[str, Any]:
    """Return the parameters. Raises CommandError 2 without any."""
    if command.params is None:
        raise CommandError(2)
    return command.params


def read_subscribe(params: dict[str, Any]) -> Subscribe:
    """Return a `subscribe`. Raises CommandError 3, 11, 19 to 22."""
    channels = params.get("channels")
    if not channels:
        raise CommandError(3)
    user_filter = params.get("user_filter", "")
    if user_filter not in ("", "self"):
        raise CommandError(11)
    tickers, market_ids = _selection(params)
    return Subscribe(
        channels=_texts(channels),
        tickers=tickers,
        market_ids=market_ids,
        sends_initial_snapshot=_flag(params, "send_initial_snapshot"),
        skips_ticker_ack=_flag(params, "skip_ticker_ack"),
        uses_yes_price=_flag(params, "use_yes_price"),
        shard=_shard(params),
        is_own_only=user_filter == "self",
        params=params,
    )


def read_sids(params: dict[str, Any]) -> tuple[int, ...]:
    """Return the sids of an `unsubscribe`. Raises CommandError 4, 11."""
    sids = params.get("sids")
    if not sids:
        raise CommandError(4)
    if not isinstance(sids, list) or any(type(sid) is not int for sid in sids):
        raise CommandError(11)
    return tuple(sids)


def read_updated_sid(params: dict[str, Any]) -> int:
    """Return the one sid of an `update_subscription`. Raises CommandError 11, 12."""
    sid, sids = params.get("sid"), params.get("sids")
    if sids is None:
        sids = [] if sid is None else [sid]
    elif sid is not None:
        raise CommandError(12)
    if not isinstance(sids, list):
        raise CommandError(11)
    if len(sids) != 1:
        raise CommandError(12)
    if type(sids[0]) is not int:
        raise CommandError(11)
    return sids[0]


def read_update(params: dict[str, Any], sid: int) -> Update:
    """Return an `update_subscription` of `sid`. Raises CommandError 11, 15."""
    action = params.get("action")
    if not action:
        raise CommandError(15)
    if not isinstance(action, str):
        raise CommandError(11)
    tickers, market_ids = _selection(params)
    return Update(
        sid=sid,
        action=action,
        tickers=tickers,
        market_ids=market_ids,
        sends_initial_snapshot=_flag(params, "send_initial_snapshot"),
    )


def _selection(params: dict[str, Any]) -> tuple[Selection, Selection]:
    names = ("market_ticker", "market_tickers", "market_id", "market_ids")
    given = [name for name in names if params.get(name) is not None]
    if len(given) > 1:
        raise CommandError(11)
    if not given:
        return None, None
    name = given[0]
    value = params[name]
    if not value:  # an empty text or list selects nothing
        return None, None
    chosen = _texts(value if name.endswith("s") else [value])
    return (chosen, None) if "ticker" in name else (None, chosen)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CommandError(11)
    return tuple(dict.fromkeys(value))


def _flag(params: dict[str, Any], name: str) -> bool:
    value = params.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise CommandError(11)
    return value


def _shard(params: dict[str, Any]) -> Shard | None:
    factor, key = params.get("shard_factor"), params.get("shard_key")
    for value in (factor, key):
        if value is not None and type(value) is not int:
            raise CommandError(11)
    if factor is None:
        if key is not None:
            raise CommandError(20)
        return None
    if factor <= 0:
        raise CommandError(19)
    if factor > 100:
        raise CommandError(22)
    if not 0 <= (key or 0) < factor:
        raise CommandError(21)
    return Shard(factor, key or 0)
