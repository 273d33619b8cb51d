"""Signatures of requests and upgrades, as the venue verifies them (section 3)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.kalshi.auth import KEY, SIGNATURE, TIMESTAMP, KalshiKey
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.simulated.auth import Denied, Gatekeeper
from adapters.kalshi.simulated.rig import KEY_ID, rig_key
from framework.errors import AccessRefused, ConfigError
from framework.net.http_messages import Request
from framework.settings.secrets import Secret, redact
from tests.adapters.kalshi.rest_stage import Stage, on_stage
from tests.adapters.kalshi.simulated.rest_rig import START_NS, play
from tests.broker.rig import RigContext, simulated_loop

PUBLIC, PRIVATE = rig_key()
GATE = Gatekeeper({KEY_ID: (PUBLIC.encode(), "main")})
START_MS = START_NS // 1_000_000


def with_key(question: Callable[[KalshiKey], Awaitable[Any]]) -> Any:
    """Return what a key answers at a moment that does not pass."""

    async def main() -> Any:
        return await question(KalshiKey(KEY_ID, Secret(PRIVATE), RigContext(simulated_loop())))

    return play(main)


@pytest.mark.parametrize(
    ("method", "path", "verified"),
    [
        ("get", "/trade-api/v2/portfolio/orders", "/trade-api/v2/portfolio/orders"),
        ("DELETE", "/trade-api/v2/portfolio/orders/a%2Fb", "/trade-api/v2/portfolio/orders/a%2Fb"),
        ("POST", "/trade-api/v2/markets/", "/trade-api/v2/markets"),
    ],
)
def test_the_venue_accepts_what_is_signed(method: str, path: str, verified: str) -> None:
    """K1, S2: timestamp, method in capitals, path without a slash at its end."""
    headers = with_key(lambda key: key.headers(method, path))

    assert [name for name, _ in headers] == [KEY, TIMESTAMP, SIGNATURE]
    assert dict(headers)[TIMESTAMP] == str(START_MS)
    assert GATE.check(method, verified, dict(headers), START_MS) == "main"
    with pytest.raises(Denied):
        GATE.check(method, f"{verified}x", dict(headers), START_MS)


def test_requests_and_upgrades_are_signed_without_their_query() -> None:
    request = Request(method="GET", path="/markets", query=(("status", "open"),))
    signed = with_key(lambda key: key.sign(request, "/trade-api/v2/markets"))
    upgrade = with_key(lambda key: key.sign_upgrade("wss://venue:8443/trade-api/ws/v2?a=b#c"))

    assert GATE.check("GET", "/trade-api/v2/markets", dict(signed), START_MS) == "main"
    assert GATE.check("GET", "/trade-api/ws/v2", dict(upgrade), START_MS) == "main"


def test_no_two_signatures_are_of_the_same_time() -> None:
    """Within one millisecond too; later ones are of the time that it is."""

    async def main() -> list[int]:
        loop = simulated_loop()
        key = KalshiKey(KEY_ID, Secret(PRIVATE), RigContext(loop))
        signed = [await key.headers("GET", "/a") for _ in range(3)]
        await loop.sleep_until(START_NS + 10_000_000)
        signed.append(await key.headers("GET", "/a"))
        return [int(dict(headers)[TIMESTAMP]) - START_MS for headers in signed]

    assert play(main) == [0, 1, 2, 10]


def test_text_that_is_no_key_is_refused_and_not_repeated() -> None:
    """R-85."""

    async def main() -> None:
        KalshiKey(KEY_ID, Secret("not a key at all"), RigContext(simulated_loop()))

    with pytest.raises(ConfigError) as caught:
        play(main)
    assert "not a key at all" not in str(caught.value)


def test_the_id_of_a_key_is_kept_out_of_logs() -> None:
    """R-85."""

    async def main() -> None:
        KalshiKey("5f1c0ffe-key-id", Secret(PRIVATE), RigContext(simulated_loop()))

    play(main)

    assert "5f1c0ffe-key-id" not in redact("refused: 5f1c0ffe-key-id")


def test_a_key_that_the_venue_does_not_know_is_refused_and_not_repeated() -> None:
    """K61, 10.1: retrying a 401 cannot help."""

    async def scene(one: Stage) -> None:
        wrong = KalshiKey("nobody", Secret(PRIVATE), one.context)
        rest = KalshiRest(one.context, one.venue.rest_url, wrong)
        with pytest.raises(AccessRefused) as caught:
            await rest.balance()
        assert (caught.value.status, caught.value.code) == (401, "authentication_error")
        assert rest.statistics()["attempts"] == 1
        await rest.aclose()
        assert (await one.rest.balance()).cash == 1_000_000_000

    on_stage(scene)
