"""The oracle for TFLite models: LiteRT's reference kernels, with every intermediate tensor preserved."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import ModelFileError, ToolMissingError
from tinycompile.ir import Array


class LiteRtReference:
    """Runs a `.tflite` model with `OpResolverType.BUILTIN_REF`, the kernels our numerics are defined by."""

    def __init__(self, path: Path, signature: str | None = None) -> None:
        """`signature`: whose subgraph runs; None for the main one.

        Raises ToolMissingError without `ai-edge-litert`, ModelFileError if LiteRT refuses the model.
        """
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
            self._graph = _Subgraph(self._interpreter, path, signature)
            self._graph.allocate()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError("LiteRT refuses the model", where=str(path), why=str(error)[:300]) from error

    name = "LiteRT BUILTIN_REF"

    @property
    def version(self) -> str:
        return metadata.version("ai-edge-litert")

    def run(self, inputs: Sequence[Array]) -> None:
        """One inference. An int8 array for a float input is dequantised first: the model's own QUANTIZE undoes it."""
        arrays = [
            array.astype(detail["dtype"]).reshape(detail["shape"])
            for detail, array in zip(self._graph.inputs, inputs, strict=True)
        ]
        self._graph.run(arrays)

    def tensor(self, index: int) -> Array:
        """Any tensor of the last inference by its index in the model file."""
        return np.asarray(self._graph.tensor(index))

    def input_shapes(self) -> list[tuple[int, ...]]:
        return [tuple(int(n) for n in detail["shape"]) for detail in self._graph.inputs]

    def input_types(self) -> list[np.dtype]:
        return [np.dtype(detail["dtype"]) for detail in self._graph.inputs]


class _Subgraph:
    """The part of an interpreter that a signature stands for; the main one without a signature.

    Attributes:
        inputs: details in the order of the subgraph's inputs.
    """

    def __init__(self, interpreter: Any, path: Path, signature: str | None) -> None:
        self._interpreter, self._runner, self._index = interpreter, None, 0
        self._names: list[str] = []
        if signature is None:
            self.inputs: list[Any] = list(interpreter.get_input_details())
            return
        self._runner = interpreter.get_signature_runner(signature)
        self._index, order = _subgraph_of(path, signature)
        details = self._runner.get_input_details()
        names = {detail["index"]: name for name, detail in details.items()}
        if set(order) != set(names):
            raise ValueError(f"signature {signature!r} names other inputs than its subgraph has")
        self._names = [names[index] for index in order]
        self.inputs = [details[name] for name in self._names]

    def allocate(self) -> None:
        if self._runner is None:
            self._interpreter.allocate_tensors()

    def run(self, arrays: Sequence[Array]) -> None:
        if self._runner is not None:
            self._runner(**dict(zip(self._names, arrays, strict=True)))
            return
        for detail, array in zip(self.inputs, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()

    def tensor(self, index: int) -> Array:
        return self._interpreter.get_tensor(index, self._index)


def _subgraph_of(path: Path, signature: str) -> tuple[int, list[int]]:
    """(subgraph, its inputs) of a signature."""
    import tflite

    file: Any = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    definitions = [file.SignatureDefs(i) for i in range(file.SignatureDefsLength())]
    (index,) = {d.SubgraphIndex() for d in definitions if d.SignatureKey().decode() == signature}
    return index, file.Subgraphs(index).InputsAsNumpy().tolist()
