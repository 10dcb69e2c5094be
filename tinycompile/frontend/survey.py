"""What a model file consists of, whether it can be compiled or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8, DType
from tinycompile.frontend import is_onnx, read_file
from tinycompile.frontend.onnx_file import OnnxModel, read_proto, static_model
from tinycompile.frontend.onnx_shapes import type_names_of
from tinycompile.frontend.tflite_file import SourceModel, SourceOperator, read_model


@dataclass(frozen=True)
class SurveyTensor:
    """A tensor of the file.

    Attributes:
        key: unique in the file, as names needn't be.
        shape: empty where it isn't known.
        type_name: of the elements; "unknown" where the file doesn't say.
        constant: whether the file has its value.
    """

    key: str
    name: str
    shape: tuple[int, ...]
    type_name: str
    constant: bool

    @property
    def dtype(self) -> DType | None:
        """None for what isn't known, and for types that no tensor of ours has."""
        return DType.find(self.type_name)

    @property
    def bytes(self) -> int:
        """As of float32 where the type isn't known."""
        if self.dtype is not None or self.type_name == "unknown":
            return (self.dtype or FLOAT32).bytes_for(prod(self.shape))
        return prod(self.shape) * np.dtype(self.type_name).itemsize


@dataclass(frozen=True)
class SurveyOp:
    """An operator of the file; `inputs` are the keys of all operands, constants too."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int


@dataclass(frozen=True, eq=False)
class Survey:
    """A model as its file has it.

    Attributes:
        float_model: it computes in float32. wants_int8: and has to be quantised first.
    """

    format: str
    tensors: Mapping[str, SurveyTensor]
    inputs: tuple[SurveyTensor, ...]
    outputs: tuple[SurveyTensor, ...]
    operators: tuple[SurveyOp, ...]
    float_model: bool
    wants_int8: bool = False

    @property
    def weights(self) -> list[SurveyTensor]:
        """The constants that operators read."""
        read = dict.fromkeys(key for op in self.operators for key in op.inputs)
        return [self.tensors[key] for key in read if self.tensors[key].constant]

    @property
    def channels_first(self) -> bool:
        """Whether images come with channels first: the file begins with bringing an input to channels last."""
        given, found = {t.key for t in self.inputs}, False
        for op in self.operators:
            reads = bool(op.inputs) and op.inputs[0] in given
            if reads and op.kind == "QUANTIZE":
                given.update(op.outputs)
            elif reads and op.kind in ("TRANSPOSE", "RESHAPE"):
                x, y = self.tensors[op.inputs[0]].shape, self.tensors[op.outputs[0]].shape
                found |= len(x) == 4 and y == (x[0], x[2], x[3], x[1]) and (op.kind == "TRANSPOSE" or x != y)
        return found

    @property
    def macs(self) -> int:
        return sum(op.macs for op in self.operators)

    def kinds(self) -> list[tuple[str, int]]:
        """(operator, count), the most frequent first."""
        return sorted(Counter(op.kind for op in self.operators).items(), key=lambda item: (-item[1], item[0]))


NO_SURVEY = Survey("", {}, (), (), (), float_model=False)
"""Of a model whose file wasn't read."""


def survey(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None, signature: str | None = None) -> Survey:
    """Read a file without asking what is supported.

    Args:
        shapes, signature: as for `frontend.load`.

    Raises:
        ModelFileError: not a model, or broken. UnsupportedError: of the format itself.
        UsageError: `shapes`, `signature`.
    """
    content = read_file(path)
    if is_onnx(path):
        return _onnx(static_model(read_proto(path), str(path), shapes))
    return _tflite(read_model(content, str(path), signature))


def naive_peak(
    steps: Iterator[tuple[tuple[str, ...], tuple[str, ...]]],
    given: set[str],
    results: set[str],
    sizes: Mapping[str, int],
) -> int:
    """Most bytes in use at once if every tensor has memory of its own from its producer to its last reader.

    Args:
        steps: (inputs, outputs) in the order of execution.
        given: inputs of the model, there from the start. results: its outputs, kept to the end.
        sizes: in bytes, of every value that needs memory.
    """
    order = list(steps)
    last = {value: step for step, (inputs, outputs) in enumerate(order) for value in (*inputs, *outputs)}
    live, peak = {value for value in given if value in sizes}, 0
    for step, (_, outputs) in enumerate(order):
        live.update(value for value in outputs if value in sizes)
        peak = max(peak, sum(sizes[value] for value in live))
        live = {value for value in live if value in results or last.get(value, -1) > step}
    return peak


def _tflite(model: SourceModel) -> Survey:
    tensors = {
        str(t.index): SurveyTensor(
            str(t.index),
            t.name,
            () if t.type is None else t.type.shape,
            "unknown" if t.type is None else t.type.dtype.name,
            t.data is not None,
        )
        for t in model.tensors
    }
    operators = tuple(
        SurveyOp(
            tensors[str(op.outputs[0])].name if op.outputs else f"operator {op.index}",
            op.name,
            tuple(str(i) for i in op.inputs if i >= 0),
            tuple(map(str, op.outputs)),
            _tflite_macs(op, tensors),
        )
        for op in model.operators
    )
    computed = {t.dtype for t in tensors.values() if not t.constant}
    return Survey(
        "tflite",
        tensors,
        tuple(tensors[str(i)] for i in model.inputs),
        tuple(tensors[str(i)] for i in model.outputs),
        operators,
        float_model=FLOAT32 in computed and not computed & {INT8, UINT8, INT16},
    )


def _tflite_macs(op: SourceOperator, tensors: Mapping[str, SurveyTensor]) -> int:
    """The usual nominal count: weights are (O, H, W, I) of a convolution, (1, H, W, O) depthwise, (O, I) otherwise."""

    def shape(index: int) -> tuple[int, ...]:
        return tensors[str(index)].shape

    if len(op.inputs) < 2 or not op.outputs or min(op.inputs[:2]) < 0:
        return 0
    weights, result = shape(op.inputs[1]), prod(shape(op.outputs[0]))
    match op.name:
        case "CONV_2D" if len(weights) == 4:
            return result * prod(weights[1:])
        case "DEPTHWISE_CONV_2D" if len(weights) == 4:
            return result * prod(weights[1:3])
        case "FULLY_CONNECTED" | "BATCH_MATMUL" if len(weights) >= 2:
            return result * weights[-1 if op.name == "FULLY_CONNECTED" else -2]
        case "TRANSPOSE_CONV" if len(op.inputs) > 2 and len(weights) == 4:
            return prod(shape(op.inputs[2])) * prod(weights[:3])
        case _:
            return 0


def _onnx(model: OnnxModel) -> Survey:
    names = _onnx_type_names(model)
    tensors = dict[str, SurveyTensor]()
    constants = {*model.constants, *(n.output[0] for n in model.nodes if n.op_type == "Constant")}
    for name in dict.fromkeys(v for node in model.nodes for v in (*node.input, *node.output) if v):
        tensors[name] = SurveyTensor(
            name, name, model.shapes.get(name, ()), names.get(name, "unknown"), name in constants
        )
    operators = tuple(
        SurveyOp(
            node.name or node.output[0],
            node.op_type,
            tuple(name for name in node.input if name),
            tuple(name for name in node.output if name),
            _onnx_macs(node, model),
        )
        for node in model.nodes
        if node.op_type != "Constant"
    )
    from tinycompile.frontend.onnx import floats_of, is_quantized

    float_model = not is_quantized(model.proto)
    return Survey(
        "onnx",
        tensors,
        tuple(tensors.get(v.name) or SurveyTensor(v.name, v.name, v.shape, v.type_name, False) for v in model.inputs),
        tuple(tensors.get(v.name) or SurveyTensor(v.name, v.name, v.shape, v.type_name, False) for v in model.outputs),
        operators,
        float_model=float_model,
        wants_int8=float_model and floats_of(model.proto, "islands") != "all",
    )


def _onnx_type_names(model: OnnxModel) -> dict[str, str]:
    return {name: value.dtype.name for name, value in model.constants.items()} | type_names_of(model.proto.graph)


def _onnx_macs(node: Any, model: OnnxModel) -> int:
    """Convolution weights are (O, I / groups, H, W), transposed ones (I, O / groups, H, W)."""
    operand = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}.get(node.op_type, 1)
    if len(node.input) <= operand or not node.output:
        return 0
    source, weights = model.shapes.get(node.input[0], ()), model.shapes.get(node.input[operand], ())
    result = prod(model.shapes.get(node.output[0], (0,)))
    match node.op_type:
        case "Conv" | "QLinearConv" | "ConvInteger" if len(weights) > 2:
            return result * prod(weights[1:])
        case "ConvTranspose" if len(weights) > 2:
            return prod(source) * prod(weights[1:])
        case "MatMul" | "QLinearMatMul" | "MatMulInteger" | "Gemm" | "QGemm" if len(source) and len(weights):
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            return result * source[-2 if transposed else -1]
        case _:
            return 0
