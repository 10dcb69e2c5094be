"""Layers of a report by the short names that they have in the generated C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tinycompile.codegen.layer_names import layer_names, told_apart_by

KEPT = 8
"""Reports whose labels are kept: tables and pages ask for them row by row."""


def layer_labels(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """One each for all layers of a report, in their order."""
    return list(_labels(tuple((layer["name"], layer["op"]) for layer in layers)))


@lru_cache(KEPT)
def _labels(layers: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(layer_names([told_apart_by(*layer) for layer in layers], set()))
