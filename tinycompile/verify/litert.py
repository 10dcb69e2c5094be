"""The oracle for TFLite models: LiteRT's reference kernels, with every intermediate tensor preserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import MismatchError, ModelFileError, ToolMissingError
from tinycompile.ir import Array
from tinycompile.verify.litert_operators import Operators, needs_default_kernels
from tinycompile.verify.reference import Expected, Reported, Witness, dequantized

_ROUNDED_ONCE = frozenset(
    (
        "concatenation",
        "copy",
        "dequantize",
        "hard_swish",
        "identity",
        "leaky_relu",
        "max_pool2d",
        "pad",
        "plane_rows",
        "quantize",
    )
    + ("relu", "reshape", "resize_nearest_neighbor", "transpose")
)
"""Kinds of operators whose float results have one value: they move, compare, or round once."""


class LiteRtReference:
    """Runs a `.tflite` model with `OpResolverType.BUILTIN_REF`, the kernels our numerics are defined by, but for
    operators that these compute wrongly.
    """

    def __init__(self, build: Build) -> None:
        """Raises ToolMissingError without `ai-edge-litert`, ModelFileError if LiteRT refuses the model."""
        try:
            from ai_edge_litert import interpreter as package  # pyright: ignore[reportMissingTypeStubs] - it has none
        except ImportError as error:
            raise ToolMissingError(
                "the reference interpreter is not installed",
                why="verify compares with LiteRT's reference kernels",
                hint="pip install 'tinycompile[verify]'",
            ) from error
        litert: Any = package
        path = build.source
        self._build = build
        self._by_operator = needs_default_kernels(build.report["layers"])
        self._exact = not any(map(_sums_floats, build.report["layers"]))
        try:
            self._interpreter = litert.Interpreter(
                model_content=path.read_bytes(),
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
            )
            self._graph = _Subgraph(self._interpreter, path, build.report["options"].get("signature"))
            self._graph.allocate()
            if self._by_operator:
                self._graph.take_apart(litert, path.read_bytes())
        except (ValueError, RuntimeError) as error:
            raise ModelFileError("LiteRT refuses the model", where=str(path), why=str(error)[:300]) from error
        self._check_edges()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        what = "reference kernels, all tensors preserved"
        if self._by_operator:
            what = "operator by operator: reference kernels, but SUM by the default one, RSQRT of int16 by TFLM's rule"
        return (Witness("LiteRT BUILTIN_REF", metadata.version("ai-edge-litert"), what),)

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> LiteRtSample:
        self.run([self._fed(i, array) for i, array in enumerate(inputs)])
        return LiteRtSample(self._graph, self._exact)

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return [entry["name"] for entry in entries if entry["source_index"] is None]

    def run(self, inputs: Sequence[Array]) -> None:
        """One inference on arrays of the model's own input types."""
        arrays = [
            array.astype(detail["dtype"]).reshape(detail["shape"])
            for detail, array in zip(self._graph.inputs, inputs, strict=True)
        ]
        try:
            self._graph.run(arrays)
        except (ValueError, RuntimeError) as error:
            where, why = str(self._build.source), str(error)[:300]
            raise ModelFileError("LiteRT fails on the model", where=where, why=why) from error

    def _fed(self, index: int, array: Array) -> Array:
        """With `--io int8` the firmware's int8 stands for a float, which the model's own QUANTIZE makes it again."""
        detail, entry = self._graph.inputs[index], self._build.report["inputs"][index]
        if detail["dtype"] != np.float32 or array.dtype == np.float32:
            return array
        return dequantized(array, entry)

    def _check_edges(self) -> None:
        """Integers of the interface mean what they mean in the model. Raises MismatchError."""
        theirs = (*self._graph.inputs, *self._graph.outputs)
        ours = (*self._build.report["inputs"], *self._build.report["outputs"])
        for detail, entry in zip(theirs, ours, strict=True):
            scale, zero_point = detail["quantization"]
            same_type = np.dtype(detail["dtype"]).name == entry["dtype"]
            if same_type and scale and (np.float32(entry["scale"] or 0), entry["zero_point"]) != (scale, zero_point):
                raise MismatchError(
                    "the firmware's interface has another quantisation than the model",
                    where=entry["name"],
                    why=f"scale {entry['scale']}, zero point {entry['zero_point']}; "
                    f"LiteRT reads {scale} and {zero_point}",
                    hint="this is a bug in tinycompile; please report it",
                )


def _sums_floats(layer: dict[str, Any]) -> bool:
    """Whether a layer's results depend on the order of its sums, or on who computes its functions."""
    return layer["op"] not in _ROUNDED_ONCE and any(entry["dtype"] == "float32" for entry in layer["outputs"])


class LiteRtSample:
    """The tensors of one inference; outputs are found by their place in the model, layers by their number in it."""

    def __init__(self, graph: _Subgraph, exact: bool) -> None:
        self._graph, self._exact = graph, exact

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        if entry["source_index"] is None:
            return None
        tensor = np.asarray(self._graph.tensor(entry["source_index"]))
        if entry["source_channels"] is not None:
            tensor = tensor[..., entry["source_channels"]]
        if str(tensor.dtype) != entry["dtype"]:
            raise MismatchError(
                "the reference's tensor has another type", where=entry["name"], why=f"{tensor.dtype}, {entry['dtype']}"
            )
        return Expected(np.asarray(tensor.reshape(entry["shape"]), order="C"), self._exact)

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        tensor = self._graph.tensor(self._graph.outputs[index]["index"])
        return Expected(np.asarray(np.asarray(tensor).reshape(entry["shape"]), order="C"), self._exact)


class _Subgraph:
    """The part of an interpreter that a signature stands for; the main one without a signature.

    Attributes:
        inputs, outputs: details in the order of the subgraph's own, which may name a tensor twice.
    """

    def __init__(self, interpreter: Any, path: Path, signature: str | None) -> None:
        self._interpreter, self._runner, self._index = interpreter, None, 0
        self._operators: Operators | None = None
        self._values = dict[int, Array]()
        self._names: list[str] = []
        if signature is None:
            self.inputs: list[Any] = list(interpreter.get_input_details())
            self.outputs: list[Any] = list(interpreter.get_output_details())
            return
        self._runner = interpreter.get_signature_runner(signature)
        self._index, inputs, outputs = _subgraph_of(path, signature)
        self._names = _in_order(inputs, self._runner.get_input_details())
        self.inputs = [self._runner.get_input_details()[name] for name in self._names]
        # A signature needn't name every output of its subgraph.
        self.outputs = [interpreter._get_tensor_details(index, self._index) for index in outputs]

    def allocate(self) -> None:
        if self._runner is None:
            self._interpreter.allocate_tensors()

    def take_apart(self, litert: Any, content: bytes) -> None:
        """From here on operators are run one by one."""
        self._operators = Operators(litert, content, self._index)

    def run(self, arrays: Sequence[Array]) -> None:
        if self._operators is not None:
            given = {detail["index"]: array for detail, array in zip(self.inputs, arrays, strict=True)}
            self._values = self._operators.run(given)
            return
        if self._runner is not None:
            self._runner(**dict(zip(self._names, arrays, strict=True)))
            return
        for detail, array in zip(self.inputs, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()

    def tensor(self, index: int) -> Array:
        if index in self._values:
            return self._values[index]
        return self._interpreter.get_tensor(index, self._index)


def _in_order(tensors: Sequence[int], details: Mapping[str, Any]) -> list[str]:
    """The signature's names of some tensors. Raises ValueError where it names others."""
    names = {detail["index"]: name for name, detail in details.items()}
    if set(tensors) != set(names):
        raise ValueError(f"the signature names {sorted(details)}, its subgraph has other inputs or outputs")
    return [names[index] for index in tensors]


def _subgraph_of(path: Path, signature: str) -> tuple[int, list[int], list[int]]:
    """(subgraph, its inputs, its outputs) of a signature."""
    import tflite  # pyright: ignore[reportMissingTypeStubs] - it has none

    model: Any = tflite.Model
    file = model.GetRootAsModel(path.read_bytes(), 0)
    definitions = [file.SignatureDefs(i) for i in range(file.SignatureDefsLength())]
    (index,) = {d.SubgraphIndex() for d in definitions if d.SignatureKey().decode() == signature}
    graph = file.Subgraphs(index)
    return index, graph.InputsAsNumpy().tolist(), graph.OutputsAsNumpy().tolist()
