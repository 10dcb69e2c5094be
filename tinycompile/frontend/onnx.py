"""ONNX models to `Graph`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

import tinycompile.frontend.onnx_averages
import tinycompile.frontend.onnx_elementwise
import tinycompile.frontend.onnx_linear
import tinycompile.frontend.onnx_moves
import tinycompile.frontend.onnx_qoperators  # noqa: F401 - they register their importers
from tinycompile.errors import ModelFileError, QuantizationNeededError, TinycompileWarning, UnsupportedError
from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_file import MICROSOFT, OnnxModel, SourceValue, read_proto, static_model
from tinycompile.frontend.onnx_float import as_float, import_float
from tinycompile.frontend.onnx_qoperators import expanded
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_scope import NHWC, NOT_ROUNDED, Scope, State
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Known,
    Missing,
    Placed,
    Quantized,
    Real,
    Value,
    identity,
    moves_nothing,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Graph, Quantization, TensorType
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

LAYOUTS = ("model", "nhwc")
Floats = Literal["none", "islands", "all"]


class FloatIslandWarning(TinycompileWarning):
    """An operator of a quantised model runs in float32."""


_MAX_CONSTANT = 1 << 24
"""Elements of a folded constant: more is no microcontroller's."""


def import_onnx(
    path: Path,
    name: str,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    layout: str = "model",
    floats: Floats = "islands",
) -> Graph:
    """Read a quantised model: QDQ or QOperator; or, with `floats` "all", a float one.

    Args:
        shapes: of inputs with dynamic dimensions, by name.
        layout: of 4-D inputs and outputs: "model" keeps the model's own, "nhwc" has channels last.
        floats: what may run in float32: "none"; "islands", operators of a quantised model that can't run in 8 bits,
            with a warning; "all".

    Raises:
        ModelFileError: not a model, or broken.
        QuantizationNeededError: a float model.
        UnsupportedError: everything that can't be compiled, at once.
    """
    where = str(path)
    proto = read_proto(path)
    if floats != "all" and not is_quantized(proto):
        raise quantization_needed(where)
    return import_model(static_model(expand(proto), where, shapes), name, where, layout, floats)


def is_quantized(proto: Any) -> bool:
    """Whether some activation is quantised."""
    kinds = {node.op_type for node in proto.graph.node}
    return any(
        k in ("QuantizeLinear", "MatMulInteger", "ConvInteger") or k.startswith("QLinear") or k == "QGemm"
        for k in kinds
    )


def quantization_needed(where: str) -> QuantizationNeededError:
    return QuantizationNeededError(
        "the model computes in float32",
        where=where,
        why="int8 needs to know the range of every tensor, which takes samples of real inputs",
        hint=f"tinycompile calib images/ --model {Path(where).name} -o calib.npz, then "
        f"tinycompile build {Path(where).name} --calib calib.npz",
    )


def expand(proto: Any) -> Any:
    """A model with com.microsoft's operators as DequantizeLinear, float operator, QuantizeLinear."""
    nodes = [part for node in proto.graph.node for part in expanded(node)]
    clone = type(proto)()
    clone.CopyFrom(proto)
    del clone.graph.node[:]
    clone.graph.node.extend(nodes)
    return clone


def import_model(model: OnnxModel, name: str, where: str, layout: str = "model", floats: Floats = "none") -> Graph:
    """The graph of a model whose shapes are known."""
    return import_places(model, name, where, layout, floats)[0]


def import_places(
    model: OnnxModel, name: str, where: str, layout: str = "model", floats: Floats = "none"
) -> tuple[Graph, dict[str, Placed]]:
    """Also where the model's quantised tensors are in the graph."""
    islands = list[tuple[str, str]]()
    state = State(model)
    problems = [(f"input {v.name!r}", reason) for v in model.inputs if (reason := _bad_input(v))]
    if problems:
        raise UnsupportedError(problems, where=where)
    state.values.update({n: Known(value) for n, value in model.constants.items()})
    inputs = [_import_input(state, value, layout) for value in model.inputs]
    for index, node in enumerate(model.nodes):
        try:
            with _sound(f"{where}: {_label(node, index)}"):
                reason = _import_node(state, node, floats)
            if reason is not None and floats == "islands":
                islands.append((_label(node, index), f"{reason} ({_size(model, node)} elements)"))
        except Rejected as rejected:
            problems.append((_label(node, index), str(rejected)))
            for output in node.output:
                state.values[output] = Missing()
    outputs = list[str]()
    for value in model.outputs:
        try:
            with _sound(f"{where}: output {value.name!r}"):
                outputs.append(_export_output(state, value, layout, floats))
        except Rejected as rejected:
            problems.append((f"output {value.name!r}", str(rejected)))
    if problems:
        raise UnsupportedError(problems, where=where)
    for label, reason in islands:
        warnings.warn(f"{where}: {label} runs in float32: {reason}", FloatIslandWarning, stacklevel=3)
    return state.builder.graph(name, inputs, outputs), state.places


@contextmanager
def _sound(where: str) -> Iterator[None]:
    """onnx's checker lets nodes through whose attributes don't go with their operands; importers stumble over those.

    Raises:
        ModelFileError: for whatever Python and NumPy raise then.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise ModelFileError(
            "its attributes and operands contradict each other",
            where=where,
            why=f"{type(error).__name__}: {error}"[:300],
            hint="if other programs run the model, please report this as a bug of tinycompile",
        ) from error


def _label(node: Any, index: int) -> str:
    return f"{node.op_type} {node.name or (node.output[0] if node.output else '')!r} (node {index})"


def _size(model: OnnxModel, node: Any) -> int:
    """Elements of a node's results."""
    return sum(prod(model.shapes.get(name, ())) for name in node.output)


def _bad_input(value: SourceValue) -> str | None:
    if value.dtype not in ("float32", "int8", "uint8"):
        return f"it is {value.dtype}, supported are float32, int8 and uint8"
    return None if 0 not in value.shape else f"its shape is {list(value.shape)}"


def _import_input(state: State, value: SourceValue, layout: str) -> str:
    """The graph input, and the value behind it: channels last if the layout says so, int8 in place of uint8."""
    order = NHWC if layout == "nhwc" and len(value.shape) == 4 else identity(len(value.shape))
    shape = tuple(value.shape[axis] for axis in order)
    quant = None if value.dtype == "float32" else _input_quantization(state.model, value)
    name = state.value(value.name, TensorType(shape, value.dtype, quant))
    at = Placed(name, value.shape, order)
    if value.dtype == "float32":
        state.values[value.name] = Real(at)
    else:
        if value.dtype == "uint8" and quant is not None:
            centred = Quantization(quant.scale, quant.zero_point - 128)
            at = Placed(state.emit(Quantize("int8"), [name], f"{value.name}_int8", centred), value.shape, order)
        state.values[value.name] = Quantized(at, value.dtype)
    return name


def _input_quantization(model: OnnxModel, value: SourceValue) -> Quantization:
    """Of an integer input: what the first node that reads it says, else 1 and 0."""
    for node in model.nodes:
        for index, name in enumerate(node.input):
            following = list(node.input[index + 1 : index + 3])
            if name == value.name and len(following) == 2 and all(n in model.constants for n in following):
                scale, zero_point = (model.constants[n] for n in following)
                if scale.size == zero_point.size == 1 and scale.dtype == np.float32:
                    return Quantization(scale.reshape(1), zero_point.reshape(1).astype(np.int64))
    return Quantization.per_tensor(1.0, 0)


def _import_node(state: State, node: Any, floats: Floats) -> str | None:
    """Read a node; if it runs in float32 where it might have run in 8 bits, the reason."""
    scope = Scope(state, node)
    if any(name and name not in state.values for name in node.input):
        raise Rejected("it reads a value that nothing computes")
    operands = {name: state.values[name] for name in node.input if name}
    if any(isinstance(value, Missing) for value in operands.values()):
        for output in node.output:
            state.values[output] = Missing()
        return None
    state.producers.update(dict.fromkeys(node.output, node))
    if node.op_type == "Shape" and not any(a.name in ("start", "end") for a in node.attribute):
        scope.set(Known(np.array(scope.value().shape, np.int64)))
    elif node.op_type != "DequantizeLinear" and all(isinstance(value, Known) for value in operands.values()):
        _fold(scope, {n: value.array for n, value in operands.items() if isinstance(value, Known)})
    else:
        importer = IMPORTERS.get(node.op_type, _float_only if floats != "none" else None)
        if importer is None or node.domain not in ("", "ai.onnx", MICROSOFT):
            raise Rejected("this operator is not supported")
        try:
            importer(scope)
        except Rejected as rejected:
            if floats == "none":
                raise
            import_float(state, node)
            return str(rejected)
    return None


def _fold(scope: Scope, operands: dict[str, Any]) -> None:
    """A node with constant operands is computed now."""
    if any(a.type in (5, 10) for a in scope.node.attribute):  # GRAPH, GRAPHS
        raise Rejected("control flow is not supported")
    if scope.kind.startswith(("Random", "Multinomial", "Bernoulli")):
        raise Rejected("random numbers are not supported")
    sizes = [prod(scope.state.model.shapes.get(name, ())) for name in scope.node.output]
    if max((*sizes, _unseen_size(scope.kind, operands)), default=0) > _MAX_CONSTANT:
        raise Rejected("the constant is too large")
    results = evaluate_node(scope.node, operands, scope.opset)
    if any(result.size > _MAX_CONSTANT for result in results):
        raise Rejected("the constant is too large")
    for output, result in zip((o for o in scope.node.output if o), results, strict=True):
        scope.state.values[output] = Known(result)


def _unseen_size(kind: str, operands: Mapping[str, Any]) -> int:
    """Elements of a result whose size is in the operands' values, where shape inference may have given up."""
    values = list(operands.values())
    if kind == "Range" and len(values) == 3 and all(v.size == 1 for v in values):
        start, limit, delta = (float(v.ravel()[0]) for v in values)
        steps = (limit - start) / delta if delta else 0.0
        return int(min(max(steps, 0.0), 1e18)) if steps == steps else 0
    if kind in ("ConstantOfShape", "Expand", "Tile", "Resize", "Upsample", "Pad", "OneHot", "EyeLike", "CenterCropPad"):
        numbers = [float(n) for v in values if v.size <= 16 for n in np.abs(v.astype(np.float64)).ravel() if n == n]
        if kind == "OneHot":
            return values[0].size * int(min(max(numbers, default=0.0), 1e18))
        return max(v.size for v in values) * int(min(prod(max(1.0, n) for n in numbers), 1e18))
    return 0


def _float_only(scope: Scope) -> None:
    raise Rejected("it has no 8-bit form")


def _export_output(state: State, value: SourceValue, layout: str, floats: Floats) -> str:
    found: Value | None = state.values.get(value.name)
    if isinstance(found, Missing):
        return ""
    name = f"{value.name}_output"
    match found:
        case Dequantized(steps=()):
            at = found.at
            if state.type_of(at).dtype != "float32":
                at = Placed(state.emit(Dequantize(), [at.name], name, None), at.shape, at.order, at.folded)
        case Quantized(dtype="uint8"):
            quant = state.type_of(found.at).quant
            shifted = None if quant is None else Quantization(quant.scale, quant.zero_point + 128)
            converted = state.emit(Quantize("uint8"), [found.at.name], name, shifted)
            at = Placed(converted, found.at.shape, found.at.order, found.at.folded)
        case Quantized() | Real():
            at = found.at
        case Known():
            raise Rejected("it is a constant")
        case _ if floats != "none" and found is not None:
            real = as_float(state, value.name)
            if not isinstance(real, Real):
                raise Rejected(NOT_ROUNDED)
            at = real.at
        case _:
            raise Rejected(NOT_ROUNDED)
    order = NHWC if layout == "nhwc" and len(at.shape) == 4 else identity(len(at.shape))
    return _in_order(state, at, order, name)


def _in_order(state: State, at: Placed, order: tuple[int, ...], name: str) -> str:
    """An output with its axes in this order in memory, as a value of that shape that no input is."""
    if at.folded is not None:
        shape, folded_order = at.folded
        physical = tuple(shape[axis] for axis in folded_order)
        image = state.emit(Reshape(physical), [at.name], name, state.type_of(at).quant)
        restored = tuple(folded_order.index(axis) for axis in range(len(shape)))
        plain = state.emit(Transpose(restored), [image], name, state.type_of(at).quant)
        return state.emit(Reshape(at.shape), [plain], name, state.type_of(at).quant)
    if at.order == order:
        produced = any(at.name in node.outputs for node in state.builder.nodes)
        return at.name if produced else state.emit(Reshape(at.physical_shape), [at.name], name, state.type_of(at).quant)
    permutation = tuple(at.order.index(axis) for axis in order)
    physical = tuple(at.shape[axis] for axis in order)
    if moves_nothing(at.physical_shape, permutation):
        return state.emit(Reshape(physical), [at.name], name, state.type_of(at).quant)
    return state.emit(Transpose(permutation), [at.name], name, state.type_of(at).quant)
