"""ARCHITECTURE.md's order of the package's parts holds: for every module, and for imports inside functions, too."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from tests.conftest import ROOT
from tests.meta.modules import PACKAGE, Sources, circles, imports, order_in, room_of, rooms_in_table, sources_of
from tinycompile.ops import all_ops

PAGE = (ROOT / "ARCHITECTURE.md").read_text()
ORDER = order_in(PAGE)
SOURCES = sources_of(ROOT / PACKAGE)
SPEAK_OF_NO_OPERATOR = ("planner", "codegen", "layout", "plans", "lowered", "pipeline")


@cache
def edges() -> Mapping[str, Mapping[str, int]]:
    """What each of the package's modules imports."""
    return {module: imports(module, SOURCES) for module in SOURCES}


def against_the_order(edges: Mapping[str, Mapping[str, int]], order: Sequence[Sequence[str]]) -> list[str]:
    """Imports of a room to the right of one's own or beside it."""
    place = {room: step for step, rooms in enumerate(order) for room in rooms}
    found = list[str]()
    for module, targets in edges.items():
        for target, line in targets.items():
            here, there = room_of(module), room_of(target)
            if here != there and place[there] >= place[here]:
                found.append(f"{module}:{line} imports {target}, which isn't to the left of {here}")
    return found


def operators_named(sources: Sources, rooms: Sequence[str]) -> list[str]:
    """Where modules of `rooms` import operators or name one, by its class or its kind."""
    kinds = set(all_ops())
    classes = {op.__name__ for op in all_ops().values()}
    found = list[str]()
    for module in (module for module in sources if room_of(module) in rooms):
        found += [f"{module} imports {name}" for name in imports(module, sources) if room_of(name) == "ops"]
        for node in ast.walk(ast.parse(sources[module])):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in classes:
                    found.append(f"{module}:{node.lineno} names {name}")
                case ast.Constant(value=str(text)) if text in kinds | classes:
                    found.append(f"{module}:{node.lineno} says {text!r}")
                case _:
                    pass
    return found


def test_every_room_has_its_place_and_its_row():
    rooms = {room_of(module) for module in SOURCES}
    placed = [room for step in ORDER for room in step]
    assert sorted(placed) == sorted(rooms)
    assert rooms <= rooms_in_table(PAGE)


def test_imports_go_to_the_left():
    assert against_the_order(edges(), ORDER) == []


def test_no_circle():
    assert circles(edges()) == []


def test_planner_and_codegen_name_no_operator():
    assert operators_named(SOURCES, SPEAK_OF_NO_OPERATOR) == []


@pytest.mark.parametrize(
    "text",
    [
        "import tinycompile.b",
        "from tinycompile import b",
        "from tinycompile.b import anything",
        "from . import b",
        "from .b import anything",
        "def later():\n    from tinycompile.b import anything",
        "def later():\n    import_module('tinycompile.b')",
        "if TYPE_CHECKING:\n    from tinycompile.b import anything",
        "class A:\n    def later(self):\n        import tinycompile.b as other",
    ],
)
def test_an_import_is_seen_wherever_it_is(text: str) -> None:
    sources = {"tinycompile": "", "tinycompile.a": text, "tinycompile.b": "from tinycompile.a import this"}
    assert "tinycompile.b" in imports("tinycompile.a", sources)
    found_edges = {module: imports(module, sources) for module in sources}
    assert circles(found_edges) == [["tinycompile.a", "tinycompile.b"]]
    for order in ([["a"], ["b"]], [["a", "b"]]):
        found = against_the_order(found_edges, [*order[:-1], [*order[-1], "__init__"]])
        assert any(line.startswith("tinycompile.a:") and "imports tinycompile.b" in line for line in found)


@pytest.mark.parametrize(
    "text",
    [
        "from tinycompile.ops.conv2d import Conv2D",
        "def f(node):\n    return type(node.op).__name__ == 'Conv2D'",
        "def f(node):\n    return node.op.kind == 'fully_connected'",
        "def f(ops, node):\n    return isinstance(node.op, ops.Reshape)",
    ],
)
def test_a_named_operator_is_seen(text: str) -> None:
    sources = {"tinycompile": "", "tinycompile.planner.a": text, "tinycompile.ops.conv2d": ""}
    assert operators_named(sources, ["planner"])
    assert not operators_named(sources, ["codegen"])
