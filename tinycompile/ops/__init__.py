"""The operators: one module each, found by listing this package, so adding one edits no other file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tinycompile.ir import Op


@cache
def all_ops() -> dict[str, type[Op]]:
    """Every operator class of this package by its `kind`."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")

    def concrete(cls: type[Op]) -> list[type[Op]]:
        children = [leaf for child in cls.__subclasses__() for leaf in concrete(child)]
        return children + ([cls] if "kind" in vars(cls) and cls.__module__.startswith(f"{__name__}.") else [])

    return {op.kind: op for op in sorted(concrete(Op), key=lambda op: op.kind)}
