"""The configured targets: from the `alerts` of a configuration to what alerts are sent to."""

from collections.abc import Mapping, Sequence

import msgspec

from framework.alerts.command import Command
from framework.alerts.delivery import Target
from framework.alerts.mail import Blocking, Mail
from framework.alerts.webhook import Webhook
from framework.settings.places import config_error, section
from framework.settings.secrets import Secret, resolve_secret
from framework.settings.structs import AlertSettings, MailSettings


class Surroundings(msgspec.Struct, frozen=True):
    """What targets need beside their settings.

    `source` is what alerts say they come from: the configuration's name. A mail password must be
    a reference unless `allows_literal_secrets`; a webhook may be a literal in every mode, as it
    usually comes from `${NAME}`.
    """

    source: str
    blocking: Blocking
    environment: Mapping[str, str]
    allows_literal_secrets: bool = False


def targets_of(alerts: Sequence[AlertSettings], around: Surroundings) -> list[Target]:
    """Return the targets in the order they are configured; an entry that names none is none.

    Not for a simulated world: there alerts are recorded and logged, and nothing is sent.

    Raises:
        ConfigError: names the key, as `alerts[0].webhook`, and never the secret.
    """
    targets: list[Target] = []
    for index, entry in enumerate(alerts):
        with section(f"alerts[{index}]"):
            target = target_of(entry, around)
        if target is not None:
            targets.append(target)
    return targets


def target_of(entry: AlertSettings, around: Surroundings) -> Target | None:
    """Return the target of one entry, None if it names none."""
    level, timeout_s = entry.level, entry.timeout_s
    if entry.webhook:
        url = secret(entry.webhook, around, "webhook", allows_literal=True)
        try:
            return Webhook(url, around.source, level=level, timeout_s=timeout_s)
        except ValueError as error:
            raise config_error(str(error), key="webhook") from None
    if entry.command:
        return Command(
            entry.command,
            around.source,
            level=level,
            timeout_s=timeout_s,
            environment=around.environment,
        )
    return None if entry.mail is None else mail_of(entry.mail, entry, around)


def mail_of(mail: MailSettings, entry: AlertSettings, around: Surroundings) -> Mail:
    """Return the target of an entry that names a mail server."""
    password = None
    if mail.password:
        allows_literal = around.allows_literal_secrets
        password = secret(mail.password, around, "mail.password", allows_literal=allows_literal)
    try:
        return Mail(
            mail,
            password,
            around.source,
            level=entry.level,
            timeout_s=entry.timeout_s,
            blocking=around.blocking,
        )
    except ValueError as error:
        raise config_error(str(error), key="mail") from None


def secret(text: str, around: Surroundings, key: str, *, allows_literal: bool) -> Secret:
    """Return the secret that `text` refers to, or is. Raises ConfigError at `key`."""
    try:
        return resolve_secret(text, around.environment, allows_literal=allows_literal)
    except ValueError as error:
        raise config_error(str(error), key=key) from None
