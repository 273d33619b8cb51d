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
    call: "Call | None"
    """The call, where it is called on the spot."""


class Call(NamedTuple):
    """What a call is given."""

    argument_count: int
    only_value: object
    """The value of its only argument, where that is written out; else None."""


def modules_in(*folders: str) -> list[Path]:
    """Return the modules below `folders`, relative to the repository, sorted."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in paths)


def imports_of(module: Path) -> tuple[Import, ...]:
    """Return what a module imports, relative imports written out."""
    return _read(ROOT / module, module)[0]


def uses_of(module: Path) -> tuple[Use, ...]:
    """Return the imports of a module and each use of an imported or built-in name."""
    return _read(ROOT / module, module)[1]


@cache
def _read(path: Path, module: Path) -> tuple[tuple[Import, ...], tuple[Use, ...]]:
    # By the full path as well: a test may put another repository in place of this one. The tree
    # itself is not kept: millions of nodes would slow down every garbage collection.
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))
    imports = tuple(_imports_in(nodes, module))
    return imports, tuple(_uses_in(nodes, imports))


def _imports_in(nodes: list[ast.AST], module: Path) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.parts[: -node.level] if node.level else ()
            source = ".".join([*above, *filter(None, [node.module])])
            yield from (Import(node.lineno, source, alias.name) for alias in node.names)


def _uses_in(nodes: list[ast.AST], imports: tuple[Import, ...]) -> Iterator[Use]:
    bound = _bound_names(nodes)
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for found in imports:
        yield Use(found.line, ".".join(filter(None, [found.module, found.name])), None)
    for node in nodes:
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        dotted = _dotted(node)
        if dotted is not None:
            first, _, rest = dotted.partition(".")
            called = calls.get(id(node))
            call = None if called is None else _call(called)
            if first in bound:
                yield Use(node.lineno, ".".join(filter(None, [bound[first], rest])), call)
            elif call is not None and not rest:
                yield Use(node.lineno, f"builtins.{first}", call)


def _call(node: ast.Call) -> Call:
    values = [getattr(argument, "value", None) for argument in node.args]
    return Call(len(node.args) + len(node.keywords), values[0] if len(values) == 1 else None)


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
