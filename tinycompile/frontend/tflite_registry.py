"""The importers of TFLite operators by name: one function each, in the modules `tflite_ops` and those that it lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinycompile.frontend.tflite_scope import Scope
from tinycompile.ir import Op

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


def plain(name: str, op: Op, operands: int, options: type[Any] | None, versions: int) -> None:
    """An operator of so many operands, whose options, if it has a table of them, mean nothing."""
    importer(name, options=options, versions=versions)(
        lambda scope: scope.emit(op, [scope.input(operand) for operand in range(operands)])
    )
