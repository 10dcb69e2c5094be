"""The operators: one module each, found by listing this package, so adding one edits no other file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import TypeGuard

from tinycompile.ir import Op


@cache
def all_ops() -> dict[str, type[Op]]:
    """Every operator class of this package by its `kind`."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = {value for module in modules for value in vars(module).values() if _is_operator_of(module, value)}
    return {op.kind: op for op in sorted(found, key=lambda op: op.kind)}


def _is_operator_of(module: ModuleType, value: object) -> TypeGuard[type[Op]]:
    """Whether a module defines this operator; base classes have no `kind` of their own."""
    is_op = isinstance(value, type) and issubclass(value, Op) and "kind" in vars(value)
    return is_op and value.__module__ == module.__name__
