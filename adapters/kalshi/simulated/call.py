"""A REST request and its answer as the handlers see them: no sockets, no headers."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import msgspec

from adapters.kalshi.simulated.domain import Refusal
from adapters.kalshi.simulated.throttle import DEFAULT_COST

T = TypeVar("T")
SECOND_NS = 1_000_000_000
LONGEST_NUMBER = 15  # digits


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `account` is "" for an anonymous one, which public routes alone get."""

    account: str = ""
    parts: Mapping[str, str] = {}  # of the path
    query: Mapping[str, str] = {}  # a name given twice has its values joined by commas
    body: bytes = b""

    def read(self, kind: type[T]) -> T:
        """Decode the body.

        Raises:
            Refusal: it is not JSON, lacks a field, or has one of a wrong type.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            is_missing = "missing required field" in str(error)
            code = "missing_parameters" if is_missing else "invalid_parameters"
            raise Refusal(400, code, str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal(400, "invalid_parameters", "the body is not JSON") from error

    def text(self, name: str) -> str:
        """Return a parameter; "" if it is not given."""
        return self.query.get(name, "")

    def words(self, name: str) -> list[str]:
        """Return a parameter that is a list with commas."""
        return [word for word in self.text(name).split(",") if word]

    def is_set(self, name: str) -> bool:
        """Return a parameter that is true or false; false if it is not given."""
        return self.text(name).lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        """Return a parameter that is a whole number; None if it is not given.

        Raises:
            Refusal: it is not one.
        """
        text = self.text(name)
        if not text:
            return None
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER):
            raise Refusal(400, "invalid_parameters", f"{name} must be a whole number")
        return int(text)

    def time_ns(self, name: str) -> int | None:
        """Return a parameter that is Unix seconds, as nanoseconds. Raises Refusal as `number`."""
        seconds = self.number(name)
        return None if seconds is None else seconds * SECOND_NS

    def is_within(self, time_ns: int, name: str) -> bool:
        """Say whether a time lies between the parameters `min_<name>` and `max_<name>`."""
        earliest, latest = self.time_ns(f"min_{name}"), self.time_ns(f"max_{name}")
        return (earliest is None or time_ns >= earliest) and (latest is None or time_ns <= latest)


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered with; `body` is encoded as JSON."""

    body: object
    status: int = 200


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A method and path, who may use it, what it costs, and what carries it out."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str  # below /trade-api/v2, with {names}
    handle: Callable[[Call], Answer]
    is_private: bool = True
    has_body: bool = False  # it must then be declared as JSON, even if it is an empty object
    cost: float | Callable[[Call], float] = DEFAULT_COST

    def cost_of(self, call: Call) -> float:
        """Return the tokens that a call takes."""
        return self.cost(call) if callable(self.cost) else self.cost
