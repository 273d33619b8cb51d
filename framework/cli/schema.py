"""`headrace schema`: the JSON schema of a configuration, for editors that complete and check."""

import argparse
from typing import Any

import msgspec

from framework.settings.structs import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"\$\{"}


def run(options: argparse.Namespace) -> int:
    """Print the schema as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
    return 0


def schema() -> dict[str, Any]:
    """Return the schema of `Settings` as YAML writes it."""
    described = as_written(msgspec.json.schema(Settings))
    return {"$schema": DIALECT, "title": "Headrace configuration", **described}


def as_written(node: Any) -> Any:
    """Return a schema node that also takes what the loader takes.

    An exact number may be written as a number, and `${NAME}` may stand for any single value.
    """
    if isinstance(node, list):
        return [as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "decimal":
        plain = {name: value for name, value in node.items() if name not in ("type", "format")}
        return {**plain, "type": ["number", "string"]}
    if node.get("type") in ("integer", "number", "boolean") or "enum" in node:
        return {"anyOf": [node, VARIABLE]}
    return {name: as_written(value) for name, value in node.items() if name != "default"} | (
        {"default": node["default"]} if "default" in node else {}
    )
