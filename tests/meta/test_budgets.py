"""Functions and files stay short enough to be read at once."""

from __future__ import annotations

import ast

from tests.conftest import ROOT
from tests.meta.modules import PACKAGE, sources_of

SOURCES = sources_of(ROOT / PACKAGE)
LONGEST_FUNCTION, USUAL_FUNCTION, LONGEST_FILE = 80, 30, 500
"""Lines; of 95 % of the functions for the second."""


def functions() -> list[tuple[int, str]]:
    """(lines without decorators, where), by length."""
    found = [
        (node.end_lineno - node.lineno + 1, f"{module}.{node.name}")
        for module, text in SOURCES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    ]
    return sorted(found)


def test_functions_are_short():
    found = functions()
    assert found[-1][0] <= LONGEST_FUNCTION, found[-5:]
    assert found[len(found) * 95 // 100][0] <= USUAL_FUNCTION


def test_files_are_short():
    lines = {module: len(text.splitlines()) for module, text in SOURCES.items()}
    assert {module: count for module, count in lines.items() if count > LONGEST_FILE} == {}
