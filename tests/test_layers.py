"""The layout only shows the architecture while imports point one way.

A violation is one line that begins with `file:line`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.source_code import Import, imports_of, modules_in

LINES = (  # a line may import those above it here
    {"model", "errors"},
    {"clock", "bus", "market", "indicators", "interfaces", "settings"},
    {"orders", "portfolio", "risk", "simulation", "net", "store", "alerts"},
    {"strategy", "engine", "server"},
    {"runtime", "backtest", "adapter_kit"},
    {"cli", "__main__"},
)
RANK = {name: rank for rank, names in enumerate(LINES) for name in names}

WITHIN_A_LINE = {  # one way
    "model": {"errors"},
    "clock": {"interfaces"},
    "bus": {"interfaces"},
    "market": {"interfaces"},
    "interfaces": {"settings"},
    "orders": {"risk", "portfolio"},
    "net": {"simulation"},
    "engine": {"strategy"},
    "backtest": {"runtime"},
    "adapter_kit": {"runtime"},
    "__main__": {"cli"},
}

FOR_ADAPTERS = {
    *("model", "errors", "interfaces", "settings", "clock", "bus", "market", "indicators"),
    *("net", "server", "simulation", "adapter_kit"),  # of the last what a rig must offer
}
FOR_STRATEGIES = {"framework", "framework.indicators"}
OURS = {"framework", "adapters", "strategies", "benchmarks", "tests"}
NAMELESS = {"utils", "helpers", "common", "base", "misc", "manager"}


def layer_of(module: Path) -> str:
    """Return the second part of a module's path: its layer, its adapter."""
    return module.parts[1].removesuffix(".py")


FRAMEWORK = [module for module in modules_in("framework") if layer_of(module) != "__init__"]
ADAPTERS = modules_in("adapters")
STRATEGIES = modules_in("strategies")


def violations(modules: Iterable[Path], is_wrong: Callable[[Path, Import], bool]) -> str:
    """Return a line `file:line imports ...` for each import of `modules` that is wrong."""
    return "\n".join(
        f"{module}:{found.line} {found}"
        for module in modules
        for found in imports_of(module)
        if is_wrong(module, found)
    )


def points_upward(module: Path, found: Import) -> bool:
    """Say whether a module of the framework imports a layer that it must not know."""
    layer, target = layer_of(module), found.part
    if found.package != "framework" or target in {"", layer}:
        return False
    is_below = target in RANK and RANK[target] < RANK[layer]
    return not is_below and target not in WITHIN_A_LINE.get(layer, ())


def is_not_for_adapters(module: Path, found: Import) -> bool:
    """Say whether an adapter reaches into the core, a sibling, or anything else of ours."""
    if found.package == "framework":
        return found.part not in FOR_ADAPTERS
    if found.package == "adapters":
        return found.part != layer_of(module)
    return found.package in OURS


def test_every_part_of_the_framework_has_its_line() -> None:
    assert [str(module) for module in FRAMEWORK if layer_of(module) not in RANK] == []


def test_imports_point_downwards() -> None:
    assert violations(FRAMEWORK, points_upward) == ""


def test_the_framework_knows_no_venue_and_no_strategy() -> None:
    outside = OURS - {"framework"}

    assert violations(modules_in("framework"), lambda _, found: found.package in outside) == ""


def test_interior_modules_import_from_the_module_that_defines_a_name() -> None:
    assert violations(FRAMEWORK, lambda _, found: found.module == "framework") == ""


def test_adapters_hold_translation_and_io_and_never_import_each_other() -> None:
    assert violations(ADAPTERS, is_not_for_adapters) == ""


def test_strategies_import_the_public_surface_only() -> None:
    def is_private(_: Path, found: Import) -> bool:
        return found.package in OURS and found.module not in FOR_STRATEGIES

    assert violations(STRATEGIES, is_private) == ""


def test_no_module_has_a_name_that_says_nothing() -> None:
    modules = [*FRAMEWORK, *ADAPTERS, *STRATEGIES]

    assert [
        str(module) for module in modules if not NAMELESS.isdisjoint(module.with_suffix("").parts)
    ] == []
