"""The importers of TFLite operators by name: one function each, in the modules `tflite_ops` and those that it lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinycompile.frontend.tflite_scope import Scope

Import = Callable[[Scope], None]


@dataclass(frozen=True)
class Importer:
    """How an operator is read.

    Attributes:
        run: adds its nodes.
        options: the generated class of its option table; None if it has none.
        versions: the newest that LiteRT has. They widen what an operator takes; none changes what an older one means.
    """

    run: Import
    options: type[Any] | None
    versions: int


IMPORTERS: dict[str, Importer] = {}


def importer(*names: str, options: type[Any] | None = None, versions: int) -> Callable[[Import], Import]:
    """Decorator: the function imports these operators, named as in the schema's `BuiltinOperator`."""

    def register(function: Import) -> Import:
        IMPORTERS.update(dict.fromkeys(names, Importer(function, options, versions)))
        return function

    return register
