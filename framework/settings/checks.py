"""What no single field can know: whether the parts of a configuration fit each other."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from framework.model.runs import Execution
from framework.settings.modes import Mode, OrderRoute, contradiction, data_and_orders
from framework.settings.places import config_error
from framework.settings.secrets import is_reference
from framework.settings.server import DoorSettings
from framework.settings.structs import Settings, StopPolicy, StrategySettings, VenueSettings

OUTSIDE = "framework.strategy.outside:OutsideRun"
"""Stands for a run whose decisions come in by a front door."""

BY_REFERENCE = "a live configuration takes secrets by reference: env:NAME or file:PATH"
CHANNELS = frozenset(
    {
        "quotes", "trades", "candles", "book", "deltas", "market",
        "orders", "fills", "positions", "account", "system",
    }
)  # fmt: skip
"""Channels whose queue can be configured; timers are never dropped."""

_SECRET_NAME = re.compile(
    r"(?i)(secret|password|passwd|passphrase|private[_-]?key|api[_-]?key"
    r"|(^\.|access|auth|api|refresh|bearer|bot)[_-]?token)s?$"  # but not `instrument_token`
)


def resolved(settings: Settings) -> Settings:
    """Return `settings` with every venue's `data` and `orders` filled in from the mode.

    Raises:
        ConfigError: a venue is more real than the mode allows.
    """
    venues = {
        name: resolved_venue(name, venue, settings.mode) for name, venue in settings.venues.items()
    }
    return msgspec.structs.replace(
        settings, venues=venues, strategies=[*settings.strategies, *door_runs(settings)]
    )


def door_runs(settings: Settings) -> list[StrategySettings]:
    """Return the runs that front doors trade in and that no strategy of the settings is named."""
    known = {strategy.id for strategy in settings.strategies}
    found = {}
    for listener in settings.server:
        for door in listener.doors:
            for account in door.accounts:
                run = door.run_on(account)
                if run not in known and run not in found:
                    found[run] = StrategySettings(run, OUTSIDE, account, on_stop=StopPolicy.LEAVE)
    return list(found.values())


def resolved_venue(name: str, venue: VenueSettings, mode: Mode) -> VenueSettings:
    """Return one venue with its data source and order route."""
    data, orders = data_and_orders(mode, venue.data, venue.orders)
    conflict = contradiction(mode, data, orders)
    if conflict is not None:
        key, reason = conflict
        raise config_error(reason, key=f"venues.{name}.{key}")
    return msgspec.structs.replace(venue, data=data, orders=orders)


def check_settings(settings: Settings) -> None:
    """Check a resolved configuration as a whole.

    Raises:
        ConfigError: names the first key that does not fit.
    """
    check_queues(settings)
    check_instruments(settings)
    check_accounts(settings)
    check_server(settings)
    check_strategies(settings)
    check_risk(settings)
    if settings.mode is Mode.LIVE:
        check_no_literal_secrets(settings)


def check_queues(settings: Settings) -> None:
    """Refuse queue settings of channels that do not exist."""
    for channel in settings.queues:
        if channel not in CHANNELS:
            known = ", ".join(sorted(CHANNELS))
            raise config_error(f"unknown channel; known: {known}", key=f"queues.{channel}")


def check_instruments(settings: Settings) -> None:
    """Refuse a symbol that a venue lists twice."""
    for name, venue in settings.venues.items():
        seen: set[str] = set()
        for index, instrument in enumerate(venue.instruments):
            if instrument.symbol in seen:
                key = f"venues.{name}.instruments[{index}].symbol"
                raise config_error(f"{instrument.symbol} is listed twice", key=key)
            seen.add(instrument.symbol)


def check_accounts(settings: Settings) -> None:
    """Refuse accounts of unknown venues, and simulated ones that start with nothing said."""
    for name, account in settings.accounts.items():
        venue = settings.venues.get(account.venue)
        if venue is None:
            raise config_error(f"there is no venue {account.venue!r}", key=f"accounts.{name}.venue")
        if venue.orders is OrderRoute.SIMULATED and not account.balances:
            reason = f"a simulated account needs a start, such as {{{account.currency}: 10000}}"
            raise config_error(reason, key=f"accounts.{name}.balances")


def check_strategies(settings: Settings) -> None:
    """Refuse repeated ids, unknown accounts, and execution more real than the account."""
    seen: set[str] = set()
    for index, strategy in enumerate(settings.strategies):
        key = f"strategies[{index}]"
        if strategy.id in seen:
            raise config_error(f"the id {strategy.id!r} is taken", key=f"{key}.id")
        seen.add(strategy.id)
        account = settings.accounts.get(strategy.account)
        if account is None:
            raise config_error(f"there is no account {strategy.account!r}", key=f"{key}.account")
        check_execution(strategy, settings.venues[account.venue], f"{key}.execution")


def check_risk(settings: Settings) -> None:
    """Refuse limits of accounts, runs or venues that do not exist: they would limit nothing."""
    runs = {strategy.id for strategy in settings.strategies}
    for kind, named, known in (
        ("account", settings.risk.accounts, settings.accounts.keys()),
        ("strategy", settings.risk.runs, runs),
    ):
        part = "accounts" if kind == "account" else "runs"
        for name in named:
            if name not in known:
                raise config_error(f"there is no {kind} {name!r}", key=f"risk.{part}.{name}")
    for instrument in settings.risk.instruments:
        venue = instrument.partition(":")[0]
        if venue not in settings.venues:
            reason = f"there is no venue {venue!r}; an instrument is named venue:symbol"
            raise config_error(reason, key=f"risk.instruments.{instrument}")


def check_server(settings: Settings) -> None:
    """Refuse doors and tokens of accounts that do not exist, and doors in each other's way."""
    for index, listener in enumerate(settings.server):
        prefixes: set[str] = set()
        for number, door in enumerate(listener.doors):
            key = f"server[{index}].doors[{number}]"
            if door.prefix in prefixes:
                reason = f"another door of this address has the prefix {door.prefix!r}"
                raise config_error(reason, key=f"{key}.prefix")
            prefixes.add(door.prefix)
            check_door(settings, door, key)


def check_door(settings: Settings, door: DoorSettings, key: str) -> None:
    """Refuse a door whose accounts, or the accounts of whose tokens, do not exist."""
    for name in door.accounts:
        if name not in settings.accounts:
            raise config_error(f"there is no account {name!r}", key=f"{key}.accounts")
    venues = {settings.accounts[name].venue for name in door.accounts}
    if len(venues) < len(door.accounts):
        raise config_error("a door has one account per venue", key=f"{key}.accounts")
    names: set[str] = set()
    for number, token in enumerate(door.tokens):
        place = f"{key}.tokens[{number}]"
        if token.name in names:
            raise config_error(f"the name {token.name!r} is taken", key=f"{place}.name")
        names.add(token.name)
        for name in token.accounts or ():
            if name not in door.accounts:
                raise config_error(f"its door has no account {name!r}", key=f"{place}.accounts")
        if settings.mode is Mode.LIVE and not is_reference(token.secret):
            raise config_error(BY_REFERENCE, key=f"{place}.secret")


def check_execution(strategy: StrategySettings, venue: VenueSettings, key: str) -> None:
    """Refuse a run whose orders would be more real than its account's venue."""
    if strategy.execution is Execution.LIVE and venue.orders is not OrderRoute.LIVE:
        raise config_error("the account's venue has no live orders", key=key)
    if strategy.execution is Execution.SIMULATED and venue.orders is OrderRoute.NONE:
        raise config_error("the account's venue takes no orders", key=key)


def check_no_literal_secrets(settings: Settings) -> None:
    """Refuse values that look like secrets, by their key, and are not references (T-40)."""
    for name, venue in settings.venues.items():
        for part in ("source", "settings"):
            refuse_literals(getattr(venue, part), f"venues.{name}.{part}")
    for index, strategy in enumerate(settings.strategies):
        refuse_literals(strategy.settings, f"strategies[{index}].settings")


def refuse_literals(value: Any, key: str) -> None:
    """Refuse a literal under a key that names a secret, at any depth of `value`."""
    for step, item in entries(value):
        place = f"{key}{step}"
        is_literal = isinstance(item, str | int | float) and not isinstance(item, bool)
        if is_literal and _SECRET_NAME.search(step) and not is_reference(str(item)):
            raise config_error(BY_REFERENCE, key=place)
        refuse_literals(item, place)


def entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the steps and items of a mapping or list."""
    if isinstance(value, dict):
        yield from ((f".{name}", item) for name, item in value.items())
    elif isinstance(value, list):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
