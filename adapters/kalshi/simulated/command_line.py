"""The arguments of `headrace venue kalshi`, and the settings that they stand for."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from adapters.kalshi.simulated.activity import ActivitySettings
from adapters.kalshi.simulated.auth import AuthMode
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.http import RestSettings
from adapters.kalshi.simulated.rest_errors import ErrorShape
from adapters.kalshi.simulated.stream_settings import SecondSubscribe, StreamSettings
from adapters.kalshi.simulated.throttle import TierName
from adapters.kalshi.simulated.venue_settings import KeySettings, VenueSettings
from framework.errors import ConfigError

LARGEST_KEY_FILE = 65_536  # bytes: a PEM key is below 10,000
MOST_MARKETS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what may follow the venue's name."""
    parser.description = "The simulated Kalshi venue: REST, streams and a control interface."
    _add_place(parser)
    _add_keys(parser)
    _add_exchange(parser)
    _add_behaviour(parser)


def settings_of(options: argparse.Namespace) -> VenueSettings:
    """Return the settings that the arguments stand for.

    Raises:
        ConfigError: a key is missing, given twice, or cannot be read.
    """
    rate = options.rate
    activity = ActivitySettings(steps_per_s=rate, most_steps_per_s=rate * options.markets)
    return VenueSettings(
        keys=_keys(options.key_id, options.public_key, options.auth),
        auth=options.auth,
        profile=options.profile,
        markets=options.markets,
        activity=activity if options.activity else None,
        acts_for_accounts=options.act_for_accounts,
        streams=StreamSettings(second_subscribe=options.second_subscribe),
        rest=RestSettings(
            error_shape=options.error_shape,
            null_lists=options.null_lists,
            lag_ms=options.lag_ms,
            tier=options.limits or "basic",
            enforces_limits=options.limits is not None,
        ),
    )


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="0 takes a free one (%(default)s)"
    )


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key-id",
        action="append",
        default=[],
        metavar="ID",
        help="a key that clients sign with; several: repeat it and --public-key, pair by pair",
    )
    parser.add_argument(
        "--public-key",
        action="append",
        default=[],
        metavar="FILE",
        help="the key's public half: RSA, PEM",
    )
    parser.add_argument(
        "--auth",
        type=AuthMode,
        choices=list(AuthMode),
        default=AuthMode.REQUIRE,
        help="whether signatures are needed, only if given, or not looked at (%(default)s)",
    )


def _add_exchange(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_count, default=0, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--markets", type=_markets, default=20, metavar="N", help="how many (%(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        default=4.0,
        metavar="N",
        help="steps of the activity per second and market (%(default)s)",
    )
    parser.add_argument(
        "--no-activity",
        dest="activity",
        action="store_false",
        help="nothing happens by itself, and the books are empty",
    )
    parser.add_argument(
        "--act-for-accounts",
        action="store_true",
        help="the activity trades for the keys' accounts too, so that private channels speak",
    )


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        type=Profile,
        choices=list(Profile),
        default=Profile.CURRENT,
        help="generation of the wire (%(default)s)",
    )
    parser.add_argument(
        "--second-subscribe",
        type=SecondSubscribe,
        choices=list(SecondSubscribe),
        default=SecondSubscribe.SEPARATE,
        help="to a channel of the same connection (%(default)s)",
    )
    parser.add_argument(
        "--error-shape",
        choices=get_args(ErrorShape),
        default="nested",
        help="of REST refusals (%(default)s)",
    )
    parser.add_argument("--null-lists", action="store_true", help="REST: empty lists are null")
    parser.add_argument(
        "--lag-ms", type=_count, default=0, metavar="N", help="of portfolio reads (%(default)s)"
    )
    parser.add_argument(
        "--limits", choices=get_args(TierName), help="refuse with 429 beyond this tier (off)"
    )


def _keys(key_ids: Sequence[str], files: Sequence[str], auth: AuthMode) -> tuple[KeySettings, ...]:
    if len(key_ids) != len(files):
        raise ConfigError("every --key-id needs its --public-key, and the other way round")
    if len(set(key_ids)) != len(key_ids):
        raise ConfigError("the same --key-id is given twice")
    if auth is AuthMode.REQUIRE and not key_ids:
        raise ConfigError("nobody could sign: give --key-id and --public-key, or --auth off")
    return tuple(
        KeySettings(key_id=key_id, public_key=_text_of(file))
        for key_id, file in zip(key_ids, files, strict=True)
    )


def _text_of(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(LARGEST_KEY_FILE)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"--public-key: {reason}", file=file) from error
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise ConfigError("--public-key: it is not PEM", file=file) from error


def _port(text: str) -> int:
    return _within(int(text), 0, 65_535)


def _markets(text: str) -> int:
    return _within(int(text), 1, MOST_MARKETS)


def _count(text: str) -> int:
    return _within(int(text), 0, 2**63 - 1)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 10_000:  # not a number is none of them either
        raise ValueError(text)
    return rate


def _within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{number} is not from {least} to {most}")
    return number
