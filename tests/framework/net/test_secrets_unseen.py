"""R-85: whatever a failing call leaves behind, no planted secret is in it."""

import asyncio
import logging
import traceback
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from structlog.testing import capture_logs

from framework.errors import FrameworkError
from framework.net.http_messages import Headers
from framework.net.order_writer import OrderWriter
from framework.net.rest import Request, RestClient, RestOptions
from framework.net.signing import hmac_sha256_hex
from framework.settings.secrets import Secret
from framework.simulation.link import LinkFaults
from tests.broker.rig import RigContext
from tests.framework.net.http_venue import (
    ADDRESS,
    CLOSE,
    URL,
    Answer,
    Arrived,
    HttpVenue,
    Script,
    answer,
    play,
    simulated_loop,
)

API_KEY = "plänted/key+0=?&"
LISTEN_KEY = "planted-listen-key"
PASSPHRASE = "planted passphrase"
PLANTED = (API_KEY, LISTEN_KEY, PASSPHRASE)


def forms_of(value: str) -> set[str]:
    """Return the ways in which a value may be written."""
    raw = value.encode()
    encoded = {b64encode(raw).decode().rstrip("="), urlsafe_b64encode(raw).decode().rstrip("=")}
    return {value, raw.hex(), raw.hex().upper(), quote(value), quote(value, ""), quote_plus(value),
            repr(value)[1:-1], ascii(value)[1:-1], *encoded}  # fmt: skip


def echo(status: int) -> Script:
    """Refuse with everything that came, as careless venues do, in several forms."""

    def refuse(found: Arrived) -> Answer:
        said = "\n".join([found.first_line, *map(str, found.fields), found.body.decode()])
        return answer(status, said.encode(), x_echo=found.field("x-api-key") or "")

    return refuse


def broken(found: Arrived) -> Answer:
    """Break off within an answer that repeats the key."""
    key = found.field("x-api-key") or ""
    found.connection.transport.write(
        f"HTTP/1.1 200 OK\r\nX-Echo: {key}\r\nContent-Length: 99\r\n\r\n{key}".encode()
    )
    return CLOSE


def garbled(found: Arrived) -> Answer:
    """Answer with a status line of secrets."""
    return f"{found.field('x-api-key')} {found.first_line}\r\n\r\n".encode()


CASES: dict[str, Script] = {
    **{f"echo {status}": echo(status) for status in (302, 400, 401, 403, 404, 409, 429, 500)},
    "hangs up": lambda _: CLOSE,
    "silence": lambda _: None,
    "breaks off": broken,
    "no HTTP": garbled,
}
FAULTS = {"refused": LinkFaults(refuse=True), "unreachable": LinkFaults(blackhole=True)}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("case", [*CASES, *FAULTS])
@pytest.mark.parametrize("carries_by_writer", [False, True])
def test_a_failing_call_leaves_no_secret_behind(
    case: str, method: str, carries_by_writer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    key, passphrase, _ = Secret(API_KEY), Secret(PASSPHRASE), Secret(LISTEN_KEY)
    signatures: list[str] = []

    async def sign(request: Request, path: str) -> Headers:
        signatures.append(hmac_sha256_hex(key, f"{path}{len(signatures)}"))
        return (
            ("X-Api-Key", quote(key.reveal())),
            ("X-Passphrase", passphrase.reveal()),
            ("X-Signature", signatures[-1]),
        )

    request = Request(
        method=method,
        path=f"/user/{LISTEN_KEY}",
        query=(("listenKey", LISTEN_KEY), ("key", API_KEY)),
        body=API_KEY.encode() if method == "POST" else b"",
    )

    async def main(venue: HttpVenue, context: RigContext) -> str:
        simulated_loop().network.set_faults(ADDRESS, FAULTS.get(case, LinkFaults()))
        writer = OrderWriter("writer", URL, context, size=1)
        running = asyncio.get_running_loop().create_task(writer.run())
        await asyncio.sleep(0.01)
        options = RestOptions(deadline_s=5.0)
        by = writer if carries_by_writer else None
        client = RestClient("rest", URL, context, sign=sign, options=options, writer=by)
        with pytest.raises(FrameworkError) as caught:
            await client.send(request)
        seen = traceback.format_exception(caught.value)
        error: BaseException | None = caught.value
        while error is not None:
            seen += [repr(error), str(error), str(error.args), str(vars(error))]
            error = error.__cause__ or error.__context__
        seen += [repr(context.events), repr(client.statistics()), repr(request), repr(client)]
        await client.aclose()
        await writer.aclose()
        await asyncio.wait([running])
        return "\n".join(seen)

    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        seen = play(main, CASES.get(case, lambda _: None))
    seen += repr(logs) + caplog.text

    assert signatures
    hidden = set().union(*map(forms_of, PLANTED), *map(forms_of, signatures))
    assert [form for form in hidden if form in seen] == []
    assert "/user/***" in seen or "echo 4" in case  # it was said, without it
