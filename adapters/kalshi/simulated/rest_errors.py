"""The bodies of refusals, in the three shapes that occur.

nested   {"error": {"code": ..., "message": ..., "details": ..., "service": "exchange"}}
flat     {"code": ..., "message": ...}
bare     {"error": "..."}
"""

from typing import Literal

import msgspec

ErrorShape = Literal["nested", "flat", "bare"]
TOO_MANY_REQUESTS = b'{"error": "too many requests"}'  # status 429 has this one, whatever the shape


def error_body(shape: ErrorShape, code: str, message: str) -> bytes:
    """Return the JSON body of a refusal."""
    body: object
    if shape == "nested":
        service = {"details": message, "service": "exchange"}
        body = {"error": {"code": code, "message": code.replace("_", " "), **service}}
    elif shape == "flat":
        body = {"code": code, "message": message}
    else:
        body = {"error": message}
    return msgspec.json.encode(body)
