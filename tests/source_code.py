"""Reads the repository's own source: its modules, what they import and which names they use."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Import(NamedTuple):
    """One imported name: `from a.b import c` has module `a.b` and name `c`."""

    line: int
    module: str
    name: str

    @property
    def package(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]

    @property
    def part(self) -> str:
        """The second part: a layer of the framework, an adapter; empty for the package itself."""
        return [*self.module.split("."), ""][1]

    def __str__(self) -> str:
        return f"imports {self.module}" + (f" ({self.name})" if self.name else "")


class Use(NamedTuple):
    """One use of an imported or built-in name, written out in full: `datetime.datetime.now`."""

    line: int
    name: str
    call: ast.Call | None
    """The call, where it is called on the spot."""


def modules_in(*folders: str) -> list[Path]:
    """Return the modules below `folders`, relative to the repository, sorted."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in paths)


def nodes_of(module: Path) -> list[ast.AST]:
    """Return every node of a module, function bodies included."""
    return _nodes_in(ROOT / module)


@cache
def _nodes_in(path: Path) -> list[ast.AST]:
    # By the full path: a test may put another repository in place of this one.
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))


def imports_of(module: Path) -> Iterator[Import]:
    """Yield what a module imports, relative imports written out."""
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.parts[: -node.level] if node.level else ()
            source = ".".join([*above, *filter(None, [node.module])])
            yield from (Import(node.lineno, source, alias.name) for alias in node.names)


def uses_of(module: Path) -> Iterator[Use]:
    """Yield the imports of a module and each use of an imported or built-in name."""
    nodes = nodes_of(module)
    bound = _bound_names(nodes)
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for found in imports_of(module):
        yield Use(found.line, ".".join(filter(None, [found.module, found.name])), None)
    for node in nodes:
        dotted = _dotted(node)
        if isinstance(node, ast.expr) and dotted is not None:
            first, _, rest = dotted.partition(".")
            call = calls.get(id(node))
            if first in bound:
                yield Use(node.lineno, ".".join(filter(None, [bound[first], rest])), call)
            elif call is not None and not rest:
                yield Use(node.lineno, f"builtins.{first}", call)


def _bound_names(nodes: list[ast.AST]) -> dict[str, str]:
    """Return the full name behind each name that an absolute import binds."""
    bound = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def _dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` for a plain chain of names, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None
