"""Mails, against a small server on loopback that can be as rude as it likes."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from framework.alerts.delivery import DELIVERED, Outcome, attempted
from framework.alerts.mail import Mail
from framework.settings.secrets import Secret
from framework.settings.structs import LogLevel, MailSecurity, MailSettings
from tests.framework.alerts.samples import alert, in_thread

HELLO = "220 test"
SETTINGS = MailSettings(
    host="127.0.0.1",
    from_="bot@example.com",
    to=["ada@example.com", "bob@example.com"],
    security=MailSecurity.NONE,
)


class MailServer:
    """Talks SMTP; `replies` replaces the answer to a verb, a None hangs for ever."""

    def __init__(self, replies: dict[str, str | None]) -> None:
        usual: dict[str, str | None] = {
            "": HELLO,
            "EHLO": "250-test\r\n250 AUTH PLAIN",
            "AUTH": "235 yes",
            "MAIL": "250 ok",
            "RCPT": "250 ok",
            "DATA": "354 go",
            ".": "250 queued",
        }
        self.replies = usual | replies
        self.verbs: list[str] = []
        self.mail: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._reply(writer, "")
            while line := (await reader.readline()).decode(errors="replace").strip():
                verb = line.split()[0].upper()
                self.verbs.append(verb)
                await self._reply(writer, verb)
                if verb == "DATA":
                    while (text := (await reader.readline()).decode().rstrip("\r\n")) != ".":
                        self.mail.append(text)
                    await self._reply(writer, ".")
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _reply(self, writer: asyncio.StreamWriter, verb: str) -> None:
        reply = self.replies.get(verb, "500 what")
        if reply is None:  # a byte at a time, for ever: smtplib's own timeout never ends this
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(f"{reply}\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def serving(**replies: str | None) -> AsyncIterator[tuple[MailServer, int]]:
    """Serve on loopback; yields the server and its port."""
    mail = MailServer(
        {{"GREETING": "", "END": "."}.get(name, name): reply for name, reply in replies.items()}
    )
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        await mail.talk(reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield mail, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def mail_to(port: int, *, timeout_s: float = 60.0, **changes: Any) -> Mail:
    settings = msgspec.structs.replace(SETTINGS, port=port, **changes)
    password = Secret("hunter-2222") if settings.password else None
    return Mail(
        settings,
        password,
        "paper",
        level=LogLevel.WARNING,
        timeout_s=timeout_s,
        blocking=in_thread,
    )


@pytest.mark.socket
@pytest.mark.anyio
async def test_r66_a_mail_is_handed_over_with_every_field() -> None:
    told = alert(message="no data\nBcc: eve@example.com", fields=(("venue", "kite"),))

    async with serving() as (server, port):
        outcome = await attempted(mail_to(port), told)

    assert outcome == DELIVERED
    assert server.verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA"]
    assert r"Subject: paper: [ERROR] feed_lost: no data\nBcc: eve@example.com" in server.mail
    assert "To: ada@example.com, bob@example.com" in server.mail
    assert "venue: kite" in server.mail
    headers = server.mail[: server.mail.index("")]
    assert not any(line.startswith("Bcc") for line in headers)


@pytest.mark.socket
@pytest.mark.anyio
async def test_a_user_logs_in() -> None:
    async with serving() as (server, port):
        outcome = await attempted(mail_to(port, user="bot", password="env:PASSWORD"), alert())

    assert outcome == DELIVERED
    assert server.verbs[:2] == ["EHLO", "AUTH"]


@pytest.mark.socket
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("replies", "reason", "is_retryable"),
    [
        ({"AUTH": "535 no hunter-2222"}, "answered 535 no ***", False),
        ({"MAIL": "451 later"}, "answered 451 later", True),
        ({"RCPT": "550 who"}, "the server refused every recipient", False),
        ({"END": "554 spam"}, "answered 554 spam", False),
        ({"EHLO": "250 test"}, "SMTP AUTH extension not supported by server.", False),
        ({"GREETING": "rubbish"}, "answered -1 ish", True),
    ],
)
async def test_what_the_server_refuses_is_a_failure_with_its_reason(
    replies: dict[str, str | None], reason: str, is_retryable: bool
) -> None:
    async with serving(**replies) as (_, port):
        outcome = await attempted(mail_to(port, user="bot", password="env:PASSWORD"), alert())

    assert outcome == Outcome(reason, is_retryable)


@pytest.mark.socket
@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "END"])
async def test_r66_a_server_that_trickles_bytes_is_cut_off_at_the_deadline(verb: str) -> None:
    async with serving(**{verb: None}) as (_, port):
        outcome = await attempted(mail_to(port, timeout_s=0.2), alert())

    assert outcome == Outcome("no answer within 0.2 s", is_retryable=True)


@pytest.mark.socket
@pytest.mark.anyio
async def test_one_recipient_that_is_refused_is_named() -> None:
    async with serving() as (server, port):
        answers = iter(["250 ok", "550 who"])
        reply = server._reply

        async def answer(writer: asyncio.StreamWriter, verb: str) -> None:
            if verb == "RCPT":
                server.replies["RCPT"] = next(answers)
            await reply(writer, verb)

        server._reply = answer  # type: ignore[method-assign] # one server of one test
        outcome = await attempted(mail_to(port), alert())

    assert outcome == Outcome("the server refused bob@example.com")


@pytest.mark.socket
@pytest.mark.anyio
async def test_t41_nothing_is_sent_where_encryption_was_asked_for_and_is_missing() -> None:
    async with serving() as (server, port):
        outcome = await attempted(mail_to(port, security=MailSecurity.STARTTLS), alert())

    assert outcome.reason == "STARTTLS extension not supported by server."
    assert "MAIL" not in server.verbs


@pytest.mark.socket
@pytest.mark.anyio
async def test_a_server_without_tls_is_no_tls_server() -> None:
    async with serving() as (server, port):
        outcome = await attempted(mail_to(port, security=MailSecurity.TLS), alert())

    assert not outcome.is_delivered
    assert "MAIL" not in server.verbs


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.anyio
async def test_a_certificate_that_is_not_valid_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ssl.SSLCertVerificationError(1, "self-signed certificate")
    monkeypatch.setattr(smtplib.SMTP, "__init__", failing(error))

    outcome = await attempted(mail_to(1), alert())

    assert "self-signed certificate" in outcome.reason
    assert not outcome.is_retryable


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"host": "mail.example.com"}, "security: none is for a mail server on this computer"),
        ({"from_": "nobody"}, "'nobody' is not a mail address"),
        ({"to": ["a@b, c@d"]}, "is not a mail address"),
        ({"to": ["a@b\nBcc: c@d"]}, "control character"),
        ({"user": "bot"}, "user and password go together"),
        ({"password": "env:X"}, "user and password go together"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mail_to(25, **changes)
