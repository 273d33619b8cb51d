"""What leaves for the venue: parameters, signatures, frames."""

import base64
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.binance.requests import Credentials, flaw_of, order_parameters
from framework.model.commands import SubmitOrder
from framework.model.orders import OrderIntent, OrderType, Side, TimeInForce
from framework.net.signing import Ed25519Key, hmac_sha256_hex
from framework.settings.secrets import Secret

SECRET = Secret("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")


def credentials() -> Credentials:
    """Return the key of the documentation's example."""
    return Credentials("vmPUZE", lambda text: hmac_sha256_hex(SECRET, text), 5_000)


def submit(**intent: Any) -> SubmitOrder:
    """Return a command to buy 0.5 at 60,000, with changes."""
    terms = {"type": OrderType.LIMIT, "price": Decimal("6E+4"), **intent}
    wish = OrderIntent("run", "key", "b:BTCUSDT", Side.BUY, Decimal("0.5"), **terms)
    return SubmitOrder("id1", "main", wish, Decimal("0.5"), 0)


def test_the_signature_is_that_of_the_documentations_example() -> None:
    parameters = (
        ("symbol", "LTCBTC"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("price", "0.1"),
    )

    signed = credentials().signed(parameters, 1_499_827_319_559)

    assert signed == (
        *parameters,
        ("recvWindow", "5000"),
        ("timestamp", "1499827319559"),
        ("signature", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    )


def test_the_user_stream_is_asked_for_with_a_signature_over_sorted_parameters() -> None:
    frame = msgspec.json.decode(credentials().subscription(3, 1_000))

    signature = frame["params"].pop("signature")
    assert frame == {
        "id": 3,
        "method": "userDataStream.subscribe.signature",
        "params": {"apiKey": "vmPUZE", "recvWindow": 5000, "timestamp": 1000},
    }
    assert signature == hmac_sha256_hex(SECRET, "apiKey=vmPUZE&recvWindow=5000&timestamp=1000")


def test_an_ed25519_key_signs_the_same_text() -> None:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = Credentials("name", Ed25519Key(Secret(pem.decode())).sign, 5_000)

    signed = dict(key.signed((("symbol", "X"),), 7))

    text = b"symbol=X&recvWindow=5000&timestamp=7"
    private.public_key().verify(base64.b64decode(signed["signature"]), text)  # raises if not


def test_a_limit_order_carries_our_id_and_plain_amounts() -> None:
    assert dict(order_parameters(submit())) == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.5",
        "price": "60000",
        "timeInForce": "GTC",
        "newClientOrderId": "id1",
        "newOrderRespType": "FULL",
    }


def test_a_post_only_order_has_a_type_of_its_own_and_no_time_in_force() -> None:
    parameters = dict(order_parameters(submit(post_only=True)))

    assert parameters["type"] == "LIMIT_MAKER"
    assert "timeInForce" not in parameters


def test_a_market_order_has_neither_price_nor_time_in_force() -> None:
    parameters = dict(order_parameters(submit(type=OrderType.MARKET, price=None)))

    assert parameters["type"] == "MARKET"
    assert not {"price", "timeInForce"} & set(parameters)


@pytest.mark.parametrize(
    ("intent", "flaw"),
    [
        ({}, ""),
        ({"type": OrderType.STOP}, "no order type stop"),
        ({"price": None}, "a limit order without a price"),
        ({"time_in_force": TimeInForce.DAY}, "no time in force day"),
    ],
)
def test_what_the_venue_has_no_words_for_is_found_before_it_leaves(
    intent: dict[str, Any], flaw: str
) -> None:
    assert flaw_of(submit(**intent)) == flaw
