"""Layers of a report by the short names that they have in the generated C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinycompile.codegen.layer_names import layer_names


def layer_labels(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """One each for all layers of a report, in their order."""
    return layer_names([(layer["name"], layer["op"]) for layer in layers], set())
