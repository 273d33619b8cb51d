"""The API's description, where the configuration wants it shown (`ENABLE_SWAGGER`, spec 7.8).

Never where an account trades for real (T-08): wanting it there is a mistake in the configuration.

/api-docs/openapi.json    the OpenAPI document
/swagger-ui               the same as a page: every operation, without scripts and strangers' files
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec

from adapters.tektii.server_settings import Place
from framework.model.desk import Verb
from framework.server.door import Answer, Call, Door, Route
from framework.settings.places import config_error

TITLE = "Trading gateway"
DOCUMENT_PATH = "/api-docs/openapi.json"
PAGE_PATH = "/swagger-ui"
PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,b{font-family:monospace}b{display:inline-block;width:4.5rem}"
    "li{list-style:none;margin:.4rem 0}ul{padding:0}small{color:#666;margin-left:4.5rem}"
)


class DocumentRoutes:
    """Describes a door to whoever has its key; offers nothing where it is not wanted.

    Raises:
        ConfigError: it is wanted where an account trades for real.
    """

    def __init__(self, place: Place, door: Door) -> None:
        if place.settings.swagger and place.desk.is_real:
            reason = "ENABLE_SWAGGER: no description is served where an account trades for real"
            raise config_error(reason, key=f"{place.context.key}.settings.swagger")
        self._place = place
        self._door = door
        self._document: dict[str, Any] | None = None

    def routes(self) -> list[Route]:
        """Return the operations."""
        if not self._place.settings.swagger:
            return []
        return [
            Route("GET", DOCUMENT_PATH, self.document, Verb.READ, {200: dict[str, Any]},
                  "This API's description"),
            Route("GET", PAGE_PATH, self.page, Verb.READ, {200: bytes},
                  "This API's description as a page", media_type="text/html"),
        ]  # fmt: skip

    async def document(self, call: Call) -> Answer:
        """Return the OpenAPI document."""
        return Answer(self._described())

    async def page(self, call: Call) -> Answer:
        """Return the page."""
        return Answer(page_of(self._described()).encode(), headers=PAGE_HEADERS)

    def _described(self) -> dict[str, Any]:
        """Return the document; made when first asked for: the door is complete by then."""
        if self._document is None:
            from framework.server.openapi import document

            context = self._place.context
            self._document = document(
                [(context.settings.prefix, self._door)],
                title=TITLE,
                version=context.version,
                server_url="/",
            )
        return self._document


def page_of(document: Mapping[str, Any]) -> str:
    """Return a description as HTML."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = "\n".join(lines_of(document))
    whole = escape(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<ul>\n{operations}\n</ul>\n"
        f"<details><summary>{DOCUMENT_PATH}</summary><pre>{whole}</pre></details></body></html>\n"
    )


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield an HTML list item for each operation of a document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not isinstance(operation, Mapping) or "responses" not in operation:
                continue  # what all operations of a path share
            summary = escape(str(operation.get("summary", "")))
            statuses = escape(", ".join(map(str, operation["responses"])))
            yield (
                f"<li><b>{escape(method.upper())}</b><code>{escape(path)}</code> {summary}"
                f"<br><small>{statuses}</small></li>"
            )
