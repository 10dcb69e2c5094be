"""The oracle for ONNX models: the interpreter on the model as imported, before any pass.

That is `onnx.reference.ReferenceEvaluator` with exact sums (docs/numerics.md); the tests compare them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from tinycompile import __version__, interpreter
from tinycompile.frontend import Floats, load
from tinycompile.ir import Array


class OnnxReference:
    """Runs an `.onnx` model by the definitions of its operators."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], layout: str, floats: Floats) -> None:
        self._graph = load(path, shapes, layout, floats)
        self._names = {source.index: name for name, source in self._graph.sources.items()}
        self._values: Mapping[str, Array] = {}

    name = "ONNX, exact sums"

    @property
    def version(self) -> str:
        return f"onnx {metadata.version('onnx')}, tinycompile {__version__}"

    def run(self, inputs: Sequence[Array]) -> None:
        self._values = interpreter.run(self._graph, list(inputs))

    def tensor(self, index: int) -> Array:
        """A tensor of the last inference by its number in `Graph.sources`."""
        return self._values[self._names[index]]

    def input_shapes(self) -> list[tuple[int, ...]]:
        return [self._graph.types[name].shape for name in self._graph.inputs]

    def input_types(self) -> list[np.dtype]:
        return [np.dtype(self._graph.types[name].dtype) for name in self._graph.inputs]
