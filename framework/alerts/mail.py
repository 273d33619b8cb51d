"""Alerts as mails: one per alert, in a worker thread, over an encrypted connection.

smtplib's own timeout bounds each read and write, not the whole: a server that answers one byte
at a time could hold the thread for hours. So the connection is cut when the deadline is over.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from framework.alerts.alert import document, headline
from framework.alerts.delivery import DELIVERED, Outcome
from framework.alerts.webhook import is_this_computer
from framework.model.records import AlertRaised
from framework.settings.places import one_line
from framework.settings.secrets import Secret, redact
from framework.settings.structs import LogLevel, MailSecurity, MailSettings

Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]
CUT_AGAIN_S = 0.5
BOTH_WAYS = 2  # of a socket's shutdown
LONGEST_SUBJECT = 150  # characters


class Mail:
    """Sends to one list of people through one server."""

    def __init__(
        self,
        settings: MailSettings,
        password: Secret | None,
        source: str,
        *,
        level: LogLevel,
        timeout_s: float,
        blocking: Blocking,
    ) -> None:
        """Raises ValueError: a name is not one, or a password would travel in the open."""
        check(settings)
        self.name = f"mail {settings.host}"
        self.level = level
        self.timeout_s = timeout_s
        self._settings = settings
        self._password = password
        self._source = source
        self._blocking = blocking

    async def send(self, alert: AlertRaised) -> Outcome:
        """Hand the mail to the server; that it took it is a delivery."""
        connection = _Connection(self._settings, self._password, self.timeout_s)
        message = self._message(alert)
        loop = asyncio.get_running_loop()

        timer: asyncio.TimerHandle

        def cut() -> None:  # again and again: it may have been connecting
            nonlocal timer
            connection.cut()
            timer = loop.call_later(CUT_AGAIN_S, cut)

        timer = loop.call_later(self.timeout_s, cut)
        try:
            outcome: Outcome = await self._blocking(lambda: connection.deliver(message))
            if connection.is_cut and not outcome.is_delivered:
                return Outcome(f"no answer within {self.timeout_s:g} s", is_retryable=True)
            return outcome
        finally:
            timer.cancel()
            connection.cut()  # a thread that was abandoned must end too

    def _message(self, alert: AlertRaised) -> EmailMessage:
        message = EmailMessage()
        subject = f"{self._source}: {headline(alert)}"
        message["Subject"] = one_line(subject, LONGEST_SUBJECT)
        message["From"] = self._settings.from_
        message["To"] = ", ".join(self._settings.to)
        message["Date"] = format_datetime(datetime.fromtimestamp(alert.time_ns // 10**9, tz=UTC))
        message["Auto-Submitted"] = "auto-generated"
        entries = document(alert, self._source)
        fields = entries.pop("fields") | {"source": self._source}
        lines = [f"{name}: {value}" for name, value in (entries | fields).items()]
        message.set_content("\n".join([headline(alert), "", *lines, ""]))
        return message


class _Connection:
    """One connection to the server, which another thread may cut."""

    def __init__(self, settings: MailSettings, password: Secret | None, timeout_s: float) -> None:
        self._settings = settings
        self._password = password
        self._timeout_s = timeout_s
        self.server: smtplib.SMTP | None = None
        self.is_cut = False

    def cut(self) -> None:
        """End the connection from outside: what waits in it fails at once."""
        self.is_cut = True
        sock = getattr(self.server, "sock", None)
        if sock is not None:
            try:
                sock.shutdown(BOTH_WAYS)
            except OSError:  # it ended this moment
                return

    def deliver(self, message: EmailMessage) -> Outcome:
        """Send `message`; blocks."""
        try:
            server = self._connected()
            if self._settings.user and self._password is not None:
                server.login(self._settings.user, self._password.reveal())
            refused = server.send_message(message)
        except smtplib.SMTPResponseException as error:
            text = error.smtp_error
            shown = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            reason = one_line(redact(f"answered {error.smtp_code} {shown}"), 200)
            return Outcome(reason, is_retryable=not 500 <= error.smtp_code < 600)
        except smtplib.SMTPRecipientsRefused:
            return Outcome("the server refused every recipient")
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            return Outcome(one_line(str(error), 200))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            system = getattr(error, "strerror", None)
            reason = type(error).__name__ + (f": {system}" if system else "")
            return Outcome(reason, is_retryable=True)
        finally:
            if self.server is not None:
                self.server.close()
        if refused:
            return Outcome(f"the server refused {one_line(', '.join(refused), 200)}")
        return DELIVERED

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security is MailSecurity.TLS:
            return _TlsServer(self, settings, self._timeout_s)
        server = _Server(self, settings, self._timeout_s)
        if settings.security is MailSecurity.STARTTLS:
            server.starttls(context=ssl.create_default_context())
        return server


class _Server(smtplib.SMTP):
    """A client that its connection knows before it connects, so that even that can be cut."""

    def __init__(self, connection: _Connection, settings: MailSettings, timeout_s: float) -> None:
        connection.server = self
        super().__init__(settings.host, settings.port, timeout=timeout_s)


class _TlsServer(smtplib.SMTP_SSL):
    """The same for a server that speaks TLS from the first byte on."""

    def __init__(self, connection: _Connection, settings: MailSettings, timeout_s: float) -> None:
        connection.server = self
        context = ssl.create_default_context()
        super().__init__(settings.host, settings.port, timeout=timeout_s, context=context)


def check(settings: MailSettings) -> None:
    """Raise ValueError where a setting cannot be meant."""
    for text in (settings.host, settings.from_, settings.user, *settings.to):
        if not text.isprintable():
            raise ValueError("a mail setting has a control character")
    for address in (settings.from_, *settings.to):
        if "@" not in address or "," in address:
            raise ValueError(f"{address!r} is not a mail address")
    if settings.security is MailSecurity.NONE and not is_this_computer(settings.host):
        raise ValueError("security: none is for a mail server on this computer only")
    if bool(settings.user) != bool(settings.password):
        raise ValueError("user and password go together")
