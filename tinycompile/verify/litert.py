"""The oracle for TFLite models: LiteRT's reference kernels, with every intermediate tensor preserved."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from tinycompile.errors import ModelFileError, ToolMissingError
from tinycompile.ir import Array


class LiteRtReference:
    """Runs a `.tflite` model with `OpResolverType.BUILTIN_REF`, the kernels our numerics are defined by."""

    def __init__(self, path: Path) -> None:
        """Raises ToolMissingError without `ai-edge-litert`, ModelFileError if LiteRT refuses the model."""
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise ToolMissingError(
                "the reference interpreter is not installed",
                why="verify compares with LiteRT's reference kernels",
                hint="pip install 'tinycompile[verify]'",
            ) from error
        try:
            self._interpreter = Interpreter(
                model_content=path.read_bytes(),
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError("LiteRT refuses the model", where=str(path), why=str(error)[:300]) from error

    name = "LiteRT BUILTIN_REF"

    @property
    def version(self) -> str:
        return metadata.version("ai-edge-litert")

    def run(self, inputs: Sequence[Array]) -> None:
        """One inference. An int8 array for a float input is dequantised first: the model's own QUANTIZE undoes it."""
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]).reshape(detail["shape"]))
        self._interpreter.invoke()

    def tensor(self, index: int) -> Array:
        """Any tensor of the last inference by its index in the model file."""
        return np.asarray(self._interpreter.get_tensor(index))

    def input_shapes(self) -> list[tuple[int, ...]]:
        return [tuple(int(n) for n in detail["shape"]) for detail in self._interpreter.get_input_details()]

    def input_types(self) -> list[np.dtype]:
        return [np.dtype(detail["dtype"]) for detail in self._interpreter.get_input_details()]
