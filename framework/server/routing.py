"""Which operation a request means: paths by their encoded segments, decoded afterwards.

A `%2F` therefore stays inside its segment, `%252F` is the text `%2F`, and `+` is a plus sign.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from multidict import istr

from framework.errors import ConfigError
from framework.model.desk import Verb
from framework.server.decoding import BodyDecoder, QueryDecoder, invalid
from framework.server.door import Door, RefusalKind, Refused, Route
from framework.server.tokens import Identifies
from framework.settings.places import config_error, one_line

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
NOTHING: Mapping[str, str] = {}
_LITERAL = re.compile(r"[A-Za-z0-9._~\-]+")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Mounted:
    """A door in its place.

    Attributes:
        failure: why it does not work now, "" while it does.
    """

    def __init__(self, door: Door, prefix: str, key: str, tokens: Identifies) -> None:
        self.door = door
        self.prefix = prefix
        self.key = key
        self.tokens = tokens
        self.token_headers = tuple(map(istr, door.token_headers))  # looked up without a copy
        self.failure = ""


class Endpoint:
    """A route, ready to be asked: its decoders, and what has to be checked before.

    Attributes:
        is_change: it may change something, for which pages, stopping and the audit matter.
        is_stream: it goes on for long; counted as a link, not as a request.
        tells_nothing: of orders, as probes and market data; a slow disk must not hold it up.
    """

    __slots__ = (
        "body",
        "is_change",
        "is_stream",
        "media_type",
        "mounted",
        "names",
        "needs_body",
        "path",
        "query",
        "route",
        "tells_nothing",
        "verb",
    )

    def __init__(self, mounted: Mounted, route: Route, *, depth: int) -> None:
        self.mounted = mounted
        self.route = route
        self.path = route.path if route.is_root else mounted.prefix + route.path
        self.names = tuple(_PARAMETER.findall(self.path))
        self.verb = route.verb
        self.query = None if route.query is None else QueryDecoder(route.query)
        self.body = None if route.body is None else BodyDecoder(route.body, depth=depth)
        self.needs_body = route.needs_body
        self.is_change = route.method not in READING
        self.is_stream = route.has_own_reader
        self.tells_nothing = route.verb in (None, Verb.MARKET)
        self.media_type = route.media_type


class Node:
    """One segment of known paths."""

    __slots__ = ("endpoints", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.parameter: Node | None = None
        self.endpoints: dict[str, Endpoint] = {}


class Router:
    """Finds endpoints; a literal segment goes before a parameter.

    Raises:
        ConfigError: a route makes no sense, says not who may use it, or is claimed twice.
    """

    def __init__(self, doors: Sequence[Mounted], *, depth: int) -> None:
        self._doors = sorted(doors, key=lambda mounted: -len(mounted.prefix))
        self._root = Node()
        self._plain: dict[tuple[str, str], Endpoint] = {}
        self.endpoints: list[Endpoint] = []
        for mounted in doors:
            for route in mounted.door.routes:
                check_route(route, mounted)
                self._add(Endpoint(mounted, route, depth=depth))

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """Return the endpoint of an encoded path, with its decoded parameters.

        Raises:
            Refused: the path is not UTF-8.
        """
        endpoint = self._plain.get((method, path))
        if endpoint is not None:
            return endpoint, NOTHING
        found = self._nodes(path)
        if found is None:
            return None
        node, values = found
        endpoint = node.endpoints.get(method)
        if endpoint is None:
            return None
        return endpoint, dict(zip(endpoint.names, values, strict=True))

    def missing(self, method: str, path: str) -> Refused:
        """Return the refusal of what `find` does not find."""
        found = self._nodes(path)
        if found is None:
            return Refused(RefusalKind.NO_ROUTE, f"there is nothing at {one_line(path, 200)}")
        allowed = sorted(found[0].endpoints)
        reason = f"{one_line(method, 20)} is not possible here, but {', '.join(allowed)}"
        return Refused(RefusalKind.NO_METHOD, reason, allowed=allowed)

    def owner(self, path: str) -> Mounted:
        """Return the door that answers for a path, known or not: that of the longest prefix."""
        for mounted in self._doors:
            prefix = mounted.prefix
            if path == prefix or path.startswith(f"{prefix}/"):
                return mounted
        return self._doors[-1]

    def _add(self, endpoint: Endpoint) -> None:
        node = self._root
        for segment in endpoint.path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, Node())
        self._claim(node, endpoint)
        method = endpoint.route.method
        has_head = method == "GET" and not endpoint.is_stream and "HEAD" not in node.endpoints
        for name in (method, "HEAD") if has_head else (method,):
            node.endpoints[name] = endpoint
            if not endpoint.names:
                self._plain[name, endpoint.path] = endpoint
        self.endpoints.append(endpoint)

    def _claim(self, node: Node, endpoint: Endpoint) -> None:
        """Refuse a second claim on a path: by another door, or for the same method."""
        method, mounted = endpoint.route.method, endpoint.mounted
        for other in node.endpoints.values():
            if other.mounted is not mounted:
                reason = f"{endpoint.path} belongs to the door at {other.mounted.key} already"
                raise config_error(reason, key=f"{mounted.key}.prefix")
            if other.route.method == method:
                raise wrong_route(mounted, endpoint.route, "is there twice")

    def _nodes(self, path: str) -> tuple[Node, list[str]] | None:
        if not path.startswith("/"):
            return None
        segments = [decoded(segment) for segment in path.split("/")[1:]]
        return next(matches(self._root, segments, 0), None)


def matches(node: Node, segments: Sequence[str], index: int) -> Iterator[tuple[Node, list[str]]]:
    """Yield the nodes with endpoints that the segments from `index` on lead to, best first."""
    if index == len(segments):
        if node.endpoints:
            yield node, []
        return
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from matches(literal, segments, index + 1)
    if node.parameter is not None and segment:
        for found, values in matches(node.parameter, segments, index + 1):
            yield found, [segment, *values]


def decoded(segment: str) -> str:
    """Return an encoded segment as text, decoded once.

    Raises:
        Refused: it is not UTF-8.
    """
    if "%" not in segment and segment.isascii():
        return segment
    try:
        return unquote_to_bytes(segment.encode(errors="surrogateescape")).decode()
    except UnicodeError:
        raise invalid("the path is not UTF-8") from None


def check_route(route: Route, mounted: Mounted) -> None:
    """Pass a route that says who may use it, and makes sense (R-81).

    Raises:
        ConfigError: it does not.
    """
    fault = route_fault(route)
    if fault:
        raise wrong_route(mounted, route, fault)


def route_fault(route: Route) -> str:
    """Return what is wrong with a route, or ""."""
    verb: Any = route.verb
    if verb is not None and not isinstance(verb, Verb):
        return f"does not say who may use it: {verb!r} is no verb"
    if route.method not in METHODS:
        return "has an unknown method"
    if route.method not in READING and verb is None:
        return "may change something and is open to everybody"
    if route.method in READING and route.body is not None:
        return "has a body that nobody may send"
    segments = route.path.split("/")
    names = _PARAMETER.findall(route.path)
    if segments[0] or len(set(names)) < len(names):
        return "has a path without a slash before it, or a parameter twice"
    for segment in segments[1:]:
        if not (_LITERAL.fullmatch(segment) or _PARAMETER.fullmatch(segment)):
            return f"has the segment {segment!r}, which is neither plain nor one parameter"
    return ""


def wrong_route(mounted: Mounted, route: Route, fault: str) -> ConfigError:
    """Return the error of a route that cannot be served."""
    name = f"{mounted.door.name}: {route.method} {route.path}"
    return config_error(f"{name} {fault}", key=mounted.key)
