"""The package's modules as text, and what they import: everywhere, in functions and for types alone as well."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx as nx

PACKAGE = "tinycompile"

Sources = Mapping[str, str]
"""Text by dotted name. A package's `__init__.py` has the package's name."""


def sources_of(folder: Path) -> Sources:
    """Every module below `folder`, which is a package."""
    found = dict[str, str]()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def imports(module: str, sources: Sources) -> dict[str, int]:
    """The package's modules that a module imports, each with the line where it first does."""
    is_package = any(name.startswith(f"{module}.") for name in sources)
    found = dict[str, int]()
    for name, line in _named(ast.parse(sources[module]), module if is_package else module.rpartition(".")[0]):
        target = _known(name, sources)
        if target is not None and target != module:
            found[target] = min(line, found.get(target, line))
    return found


def _named(tree: ast.Module, here: str) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of what import statements and `import_module` name; `here` is the package of the module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, node.lineno) for alias in node.names)
            case ast.ImportFrom():
                above = here.split(".")[: len(here.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
            case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, node.lineno
            case _:
                pass


def _known(name: str, sources: Sources) -> str | None:
    """The module that a dotted name is of: itself, or the one in which it is defined."""
    while name and name not in sources:
        name = name.rpartition(".")[0]
    return name or None


def circles(edges: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Groups of modules each of which reaches every other one."""
    graph = nx.DiGraph([(module, target) for module, targets in edges.items() for target in targets])
    return sorted(sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1)


def room_of(module: str) -> str:
    """The part of the package that a module belongs to: its first folder, or itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def order_in(page: str) -> list[list[str]]:
    """The rooms from left to right, as ARCHITECTURE.md has them; those of one step stand side by side."""
    (text,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [[room.strip() for room in step.split(",")] for step in text.split("->")]


def rooms_in_table(page: str) -> set[str]:
    """The rooms that the first column of ARCHITECTURE.md's table names."""
    found, inside = set[str](), rf"{PACKAGE}/"
    for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE):
        paths = re.findall(r"`([^`]+)`", cell)
        if paths[0].startswith(inside):
            found |= {path.removeprefix(inside).split("/")[0].removesuffix(".py") for path in paths}
    return found
