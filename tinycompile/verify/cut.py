"""An ONNX model cut at tensors that are known, so that each part can be computed from what was really there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tinycompile.errors import ToolMissingError
from tinycompile.ir import Array

_GIVEN = "/given"
_NEWEST_IR = 10
"""Format version that every onnxruntime reads; later ones add nothing that a quantised model needs."""


class RuntimeRefusesError(Exception):
    """onnxruntime doesn't run the model."""


class CutModel:
    """The model in onnxruntime without optimisations; some tensors are given, and computed again from those before."""

    options = "graph optimisations off, each layer from the firmware's own operands"

    def __init__(self, model: Any, given: Mapping[str, Array], outputs: Sequence[str]) -> None:
        """Args:
            given: tensors to cut at, by name; later runs need the same shapes and types.
            outputs: further tensors that are asked for.

        Raises:
            ToolMissingError: onnxruntime isn't installed. RuntimeRefusesError: the model can't be loaded.
        """
        runtime = onnxruntime_module()
        self._wanted = list(dict.fromkeys([*given, *outputs]))
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        content = _cut(model, given, self._wanted).SerializeToString()
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many classes, which only derive from Exception
            raise RuntimeRefusesError(_first_line(error)) from error

    def run(self, inputs: Mapping[str, Array], given: Mapping[str, Array]) -> dict[str, Array]:
        """Every cut tensor and output, each computed from the given tensors in front of it.

        Raises:
            RuntimeRefusesError: it fails.
        """
        names = {i.name for i in self._session.get_inputs()}
        feeds = {**inputs, **{f"{name}{_GIVEN}": array for name, array in given.items()}}
        try:
            results = self._session.run(self._wanted, {name: feeds[name] for name in feeds if name in names})
        except Exception as error:
            raise RuntimeRefusesError(_first_line(error)) from error
        return {name: np.asarray(result) for name, result in zip(self._wanted, results, strict=True)}


def onnxruntime_module() -> Any:
    """The package. Raises ToolMissingError."""
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports, reportMissingTypeStubs] - optional, and untyped
    except ImportError as error:
        raise ToolMissingError(
            "onnxruntime is not installed",
            why="verify compares ONNX models with it, for tinycompile's own reading of a model can't vouch for itself",
            hint="pip install 'tinycompile[verify]'",
        ) from error
    return onnxruntime


def runtime_version() -> str:
    return str(onnxruntime_module().__version__)


def _cut(model: Any, given: Mapping[str, Array], wanted: Sequence[str]) -> Any:
    clone = onnx.ModelProto()
    clone.CopyFrom(model)
    clone.ir_version = min(clone.ir_version, _NEWEST_IR)
    graph = clone.graph
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in given:
                node.input[index] = f"{name}{_GIVEN}"
    for name, array in given.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(helper.make_tensor_value_info(f"{name}{_GIVEN}", kind, array.shape))
    known = {value.name for value in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    return clone


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
