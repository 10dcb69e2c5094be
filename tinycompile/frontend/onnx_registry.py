"""The importers of ONNX operators by name: one function per source operator."""

from __future__ import annotations

from collections.abc import Callable

from tinycompile.frontend.onnx_scope import Scope

Importer = Callable[[Scope], None]
IMPORTERS: dict[str, Importer] = {}
"""By operator type; those of com.microsoft under the same names, which don't collide."""


def importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: read these operators with this function."""

    def register(function: Importer) -> Importer:
        for name in names:
            IMPORTERS[name] = function
        return function

    return register
