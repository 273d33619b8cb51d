"""Routes that are refused before they are served, and which of them a path means."""

from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework.model.desk import Verb
from framework.server.door import Door, RefusalKind, Route
from framework.server.routing import Mounted, Router
from framework.server.tokens import Identifies
from tests.framework.server.door_stage import outcome


async def nothing(_: Any) -> Any:
    """Stand for a handler."""


def route(method: str, path: str, verb: Any = Verb.READ, **options: Any) -> Route:
    return Route(method, path, nothing, verb, {200: None}, "", **options)


class Bare:
    name = "bare"
    token_headers = ()

    def __init__(self, *routes: Route) -> None:
        self.routes = routes


def mounted(*routes: Route, prefix: str = "", key: str = "server[0].doors[0]") -> Mounted:
    return Mounted(cast(Door, Bare(*routes)), prefix, key, cast(Identifies, None))


def router(*doors: Mounted) -> Router:
    return Router(doors, depth=8)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (route("GET", "/a", "read"), "does not say who may use it"),
        (route("GET", "/a", ...), "does not say who may use it"),
        (route("POST", "/a", None), "open to everybody"),
        (route("FETCH", "/a"), "unknown method"),
        (route("GET", "/a", body=dict), "nobody may send"),
        (route("GET", "a"), "slash"),
        (route("GET", "/{a}/{a}"), "twice"),
        (route("GET", "/a{b}"), "segment"),
        (route("GET", "/a/"), "segment"),
        (route("GET", "/ä"), "segment"),
    ],
)
def test_r81_a_route_that_makes_no_sense_is_not_built(bad: Route, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        router(mounted(bad))
    assert caught.value.key == "server[0].doors[0]"


def test_a_route_that_is_there_twice_is_not_built() -> None:
    with pytest.raises(ConfigError, match="twice"):
        router(mounted(route("GET", "/a/{b}"), route("GET", "/a/{c}")))


def test_two_doors_that_claim_one_path_are_not_built() -> None:
    first = mounted(route("GET", "/livez", None, is_root=True), prefix="/a")
    second = mounted(route("POST", "/livez", is_root=True), prefix="/b", key="server[0].doors[1]")

    with pytest.raises(ConfigError, match=r"/livez belongs to the door at server\[0\].doors\[0\]"):
        router(first, second)


def found(known: Router, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    result = known.find(method, path)
    return None if result is None else (result[0].path, dict(result[1]))


def test_a_literal_segment_goes_before_a_parameter_and_a_dead_end_is_left() -> None:
    known = router(
        mounted(
            route("GET", "/orders/history"),
            route("GET", "/orders/{id}"),
            route("GET", "/orders/{id}/legs"),
        )
    )

    assert found(known, "GET", "/orders/history") == ("/orders/history", {})
    assert found(known, "GET", "/orders/hist%6fry") == ("/orders/history", {})
    assert found(known, "GET", "/orders/1") == ("/orders/{id}", {"id": "1"})
    assert found(known, "GET", "/orders/history/legs") == (
        "/orders/{id}/legs",
        {"id": "history"},
    )
    assert found(known, "GET", "/orders//legs") is None
    assert found(known, "GET", "orders") is None


def test_head_goes_where_get_goes_but_not_to_a_stream() -> None:
    known = router(mounted(route("GET", "/a"), route("GET", "/s", has_own_reader=True)))

    assert found(known, "HEAD", "/a") == ("/a", {})
    assert found(known, "HEAD", "/s") is None
    assert known.missing("HEAD", "/s").allowed == ("GET",)


def test_a_head_of_its_own_is_kept() -> None:
    for routes in ((("GET", "/a"), ("HEAD", "/a")), (("HEAD", "/a"), ("GET", "/a"))):
        known = router(mounted(*(route(*one) for one in routes)))
        endpoint = known.find("HEAD", "/a")
        assert endpoint is not None
        assert endpoint[0].route.method == "HEAD"


def test_what_is_missing_is_told_apart() -> None:
    known = router(mounted(route("GET", "/a/{b}"), route("DELETE", "/a/{b}")))

    assert known.missing("GET", "/b").kind is RefusalKind.NO_ROUTE
    refused = known.missing("PUT", "/a/1")
    assert refused.kind is RefusalKind.NO_METHOD
    assert refused.allowed == ("DELETE", "GET", "HEAD")


def test_the_longest_prefix_owns_a_path() -> None:
    root, short, long = (mounted(prefix=prefix) for prefix in ("", "/a", "/a/b"))
    known = router(root, short, long)

    assert known.owner("/a/b/c") is long
    assert known.owner("/a/bc") is short
    assert known.owner("/ab") is root
    assert known.owner("*") is root


@given(st.lists(st.text(min_size=1).filter(lambda text: "\ud800" not in text), min_size=2,
                max_size=2))  # fmt: skip
def test_any_text_survives_a_path(values: list[str]) -> None:
    texts = [text.encode(errors="ignore").decode() or "x" for text in values]
    known = router(mounted(route("GET", "/{a}/to/{b}")))

    path = "/{}/to/{}".format(*(quote(text, safe="") for text in texts))

    assert found(known, "GET", path) == ("/{a}/to/{b}", dict(zip("ab", texts, strict=True)))


@given(st.text())
def test_any_path_is_found_or_refused(path: str) -> None:
    known = router(mounted(route("GET", "/{a}/to/{b}")))
    came_of_it = outcome(known.find, "GET", path)

    assert came_of_it in (None, RefusalKind.INVALID) or len(came_of_it) == 2
