"""ONNX models to `Graph`."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, FLOAT64, INT8, INT32, UINT8, UINT16, DType
from tinycompile.errors import (
    FloatIslandWarning,
    ModelFileError,
    PrecisionWarning,
    QuantizationNeededError,
    UnsupportedError,
    UsageError,
)
from tinycompile.frontend.onnx_bodies import Reading, import_control
from tinycompile.frontend.onnx_constants import folded
from tinycompile.frontend.onnx_contrib import expand
from tinycompile.frontend.onnx_control import is_control_flow
from tinycompile.frontend.onnx_discrete import discrete, is_discrete
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue, read_proto, static_model
from tinycompile.frontend.onnx_float import as_float, import_float, runs_in_float
from tinycompile.frontend.onnx_importers import IMPORTERS
from tinycompile.frontend.onnx_integers import INTEGER_IMPORTERS, import_integers
from tinycompile.frontend.onnx_ml_model import has_ml
from tinycompile.frontend.onnx_ml_registry import ML_IMPORTERS
from tinycompile.frontend.onnx_module import copied
from tinycompile.frontend.onnx_rewrite import label_of, names_of
from tinycompile.frontend.onnx_schema import MICROSOFT, MICROSOFT_ATTRIBUTES, ML
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NHWC, NOT_ROUNDED, Scope, State
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Discrete,
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
from tinycompile.ir import MAX_RAM_BYTES, Array, Graph, ImpossibleSizeError, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

Floats = Literal["none", "islands", "all"]

_INTEGER_INPUTS = (2, 3)
"""TensorProto.UINT8, INT8"""

_QUANTISED = ("QuantizeLinear", "QuantizeLSTM", "QuantizeMatMul", "MatMulInteger", "ConvInteger")
"""What names of other quantised operators begin with, perhaps behind "Dynamic"."""


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
        UsageError: a model of ai.onnx.ml that may not have floats.
    """
    where = str(path)
    proto = read_proto(path)
    floats = floats_of(proto, floats)
    if floats == "none" and has_ml(proto):
        why = "trees and linear models of ai.onnx.ml do"
        raise UsageError("the model computes in float32", where=where, why=why, hint="build it without --strict-int8")
    if floats != "all" and not is_quantized(proto):
        raise quantization_needed(where)
    return import_model(static_model(expand(proto, where), where, shapes), name, where, layout, floats)


def floats_of(proto: Any, floats: Floats) -> Floats:
    """What may run in float32: trees and what else ai.onnx.ml has is for floats and gains nothing from int8."""
    return "all" if floats == "islands" and has_ml(proto) and not is_quantized(proto) else floats


def is_quantized(proto: Any) -> bool:
    """Whether some activation is quantised, or nothing is computed in floats since all inputs are integers."""
    constants = {i.name for i in proto.graph.initializer}
    inputs = [v.type.tensor_type.elem_type for v in proto.graph.input if v.name not in constants]
    if inputs and all(code in _INTEGER_INPUTS for code in inputs):
        return True
    return has_quantized_operators(proto)


def has_quantized_operators(proto: Any) -> bool:
    """Whether some node rounds activations or computes with rounded ones."""
    kinds = {str(node.op_type) for node in proto.graph.node}
    return any(
        k.startswith(("QLinear", "QGemm", "QAttention")) or k.removeprefix("Dynamic").startswith(_QUANTISED)
        for k in kinds
    )


def quantization_needed(where: str) -> QuantizationNeededError:
    path = shlex.quote(where)
    return QuantizationNeededError(
        "the model computes in float32",
        where=where,
        why="int8 needs to know the range of every tensor, which takes samples of real inputs",
        hint=f"`tinycompile calib images/ --model {path} -o calib.npz`, "
        f"then `tinycompile build {path} --calib calib.npz`; --dtype float32 compiles it as it is",
    )


def import_model(model: OnnxModel, name: str, where: str, layout: str = "model", floats: Floats = "none") -> Graph:
    """The graph of a model whose shapes are known."""
    return import_places(model, name, where, layout, floats)[0]


def import_places(
    model: OnnxModel, name: str, where: str, layout: str = "model", floats: Floats = "none"
) -> tuple[Graph, dict[str, Placed]]:
    """Also where the model's quantised tensors are in the graph."""
    graph, state = _import_state(model, name, where, layout, floats)
    return graph, state.places


def tensor_places(
    path: Path, shapes: Mapping[str, tuple[int, ...]], layout: str, floats: Floats
) -> dict[str, tuple[int, Placed, TensorType]]:
    """Where the model's tensors are: (number in `Graph.sources`, axes, type) by their names in the file.

    `verify` finds by it which of the firmware's tensors to look at; what must be in them it doesn't take from here.
    """
    where = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FloatIslandWarning)
        proto = read_proto(path)
        model = static_model(expand(proto, where), where, shapes)
        graph, state = _import_state(model, path.stem, where, layout, floats_of(proto, floats))
    # Without those of the definitions that took operators' places, and what is computed in another type than there.
    known, types = names_of(proto), state.type_names
    found = {
        name: value.at
        for name, value in state.values.items()
        if isinstance(value, Quantized) or (isinstance(value, Real) and types.get(name, "float32") == "float32")
        if name in known
    }
    return {
        name: (graph.sources[at.name].index, at, graph.types[at.name])
        for name, at in found.items()
        if at.name in graph.sources
    }


def _import_state(model: OnnxModel, name: str, where: str, layout: str, floats: Floats) -> tuple[Graph, State]:
    state = State(model)
    problems = [(f"input {v.name!r}", reason) for v in model.inputs if (reason := _bad_input(v))]
    if problems:
        raise UnsupportedError(problems, where=where)
    state.values.update({n: Known(value) for n, value in model.constants.items()})
    inputs = {value.name: _import_input(state, value, layout) for value in model.inputs}
    for index, node in enumerate(model.nodes):
        try:
            with _sound(f"{where}: {label_of(node, index)}", lambda node=node: state.contradiction(node)):
                _import_node(state, node, floats)
        except Rejected as rejected:
            problems.append((label_of(node, index), str(rejected)))
            for output in node.output:
                state.values[output] = Missing()
    outputs = list[str]()
    for value in model.outputs:
        try:
            with _sound(f"{where}: output {value.name!r}"):
                outputs.append(_export_output(state, value, layout, floats, inputs))
        except Rejected as rejected:
            problems.append((f"output {value.name!r}", str(rejected)))
    if problems:
        raise UnsupportedError(problems, where=where)
    if floats == "islands":
        _warn(state, where)
    return state.builder.graph(name, list(inputs.values()), outputs), state


@contextmanager
def _sound(where: str, contradiction: Callable[[], str | None] = lambda: None) -> Generator[None]:
    """onnx's checker lets nodes through whose attributes don't go with their operands; importers stumble over those.

    Raises:
        Rejected: with what onnx's inference says of such a node.
        ModelFileError: for whatever else Python and NumPy raise then.
    """
    try:
        yield
    except ImpossibleSizeError as error:
        raise Rejected(str(error)) from error
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        found = contradiction()
        if found is not None:
            raise Rejected(found) from error
        raise ModelFileError(
            "its attributes and operands contradict each other",
            where=where,
            why=f"{type(error).__name__}: {error}"[:300],
            hint="if other programs run the model, please report this as a bug of tinycompile",
        ) from error


def _warn(state: State, where: str) -> None:
    """Names every node that runs in float32, in the model's order.

    Args:
        where: the file, of which only the name is said: what was quantised here is in a temporary folder.
    """
    file = Path(where).name
    quantises = any(node.op_type == "QuantizeLinear" for node in state.model.nodes)
    for node in state.model.nodes:
        reason = state.islands.get(node.output[0]) if node.output else None
        if reason == NOT_ROUNDED and not quantises:
            reason = "no QuantizeLinear says how to round what it computes"
        if reason is not None:
            text = f"{file}: {state.label(node)} runs in float32: {reason} ({_size(state.model, node)} elements)"
            warnings.warn(text, FloatIslandWarning, stacklevel=4)


def _size(model: OnnxModel, node: Any) -> int:
    """Elements of a node's results."""
    return sum(prod(model.shapes.get(name, ())) for name in node.output)


def _bad_input(value: SourceValue) -> str | None:
    if value.dtype is None:
        return f"its elements are {'text' if value.type_name == 'object' else value.type_name}, supported are numbers"
    if 0 in value.shape:
        return f"its shape is {list(value.shape)}"
    size = value.dtype.bytes_for(prod(value.shape))
    return f"it has {size:,} bytes, supported are {MAX_RAM_BYTES:,}" if size > MAX_RAM_BYTES else None


def _import_input(state: State, value: SourceValue, layout: str) -> str:
    """The graph input, and the value behind it: channels last if the layout says so, int8 in place of uint8."""
    order = NHWC if layout == "nhwc" and len(value.shape) == 4 else identity(len(value.shape))
    shape = tuple(value.shape[axis] for axis in order)
    dtype = DType.of(value.type_name)
    if dtype == FLOAT64:
        warnings.warn(f"{value.name!r} is float64, which is computed as float32", PrecisionWarning, stacklevel=5)
    quant = _input_quantization(state.model, value) if dtype in (INT8, UINT8) else None
    name = state.value(value.name, TensorType(shape, dtype, quant))
    at = Placed(name, value.shape, order)
    if dtype == FLOAT32:
        state.values[value.name] = Real(at)
    elif quant is None:
        state.values[value.name] = Discrete(at, dtype)
    else:
        if dtype == UINT8:
            centred = Quantization(quant.scale, quant.zero_point - 128)
            at = Placed(state.emit(Quantize(INT8), [name], f"{value.name}_int8", centred), value.shape, order)
            state.originals[at.name] = name
        state.values[value.name] = Quantized(at, dtype)
    return name


def _input_quantization(model: OnnxModel, value: SourceValue) -> Quantization:
    """Of an integer input: what the first node that reads it says, else 1 and 0."""
    for node in model.nodes:
        for index, name in enumerate(node.input):
            following = list(node.input[index + 1 : index + 3])
            if name == value.name and len(following) == 2 and all(n in model.constants for n in following):
                scale, zero_point = (model.constants[n] for n in following)
                if _describes(value, scale, zero_point):
                    return Quantization(scale.reshape(1), zero_point.reshape(1).astype(np.int64))
    return Quantization.per_tensor(1.0, 0)


def _describes(value: SourceValue, scale: Array, zero_point: Array) -> bool:
    """Whether these are a scale and a zero point of its type."""
    if scale.size != 1 or zero_point.size != 1 or scale.dtype != np.float32 or zero_point.dtype.name != value.type_name:
        return False
    return bool(np.isfinite(scale).all() and scale.min() >= np.finfo(np.float32).tiny)


def _import_node(state: State, node: Any, floats: Floats) -> None:
    """Read a node: in 8 bits, or in float32 where that can't be."""
    scope = Scope(state, node)
    if any(name and name not in state.values for name in node.input):
        raise Rejected("it reads a value that nothing computes")
    operands = {name: state.values[name] for name in node.input if name}
    if any(isinstance(value, Missing) for value in operands.values()):
        for output in node.output:
            state.values[output] = Missing()
        return
    state.producers.update(dict.fromkeys(node.output, node))
    if all(scope.set_empty(output) for output, name in enumerate(node.output) if name):
        return
    if node.op_type == "Concat":
        scope = Scope(state, node := _without_empty(state, node))
    if _beyond_axes(node, operands) and (reason := state.contradiction(node)):
        raise Rejected(reason)
    if node.output[0] in state.model.refused:
        raise Rejected(state.model.refused[node.output[0]])
    if node.domain == ML:
        _import_ml(state, node)
    elif node.op_type == "Shape":
        first, last = scope.attribute("start", 0), scope.attribute("end", None)
        scope.set(Known(np.array(scope.value().shape[first:last], np.int64)))
    elif is_control_flow(node):
        read = partial(_import_state, name="body", where="a body", layout="model", floats=floats)
        reading = Reading(read, lambda value: _export_output(state, value, "model", floats, {}))
        import_control(state, node, reading)
    elif node.op_type != "DequantizeLinear" and all(isinstance(value, Known) for value in operands.values()):
        folded(scope, {n: value for n, value in operands.items() if isinstance(value, Known)})
    else:
        known = floats != "none" or node.op_type in INTEGER_IMPORTERS
        importer = IMPORTERS.get(node.op_type, _float_only if known else None)
        if importer is None or not _is_known(node):
            raise Rejected("this operator is not supported")
        try:
            importer(scope)
            scope.check_read(state.wanted)
        except Rejected as rejected:
            if import_integers(state, node):
                return
            if floats == "none":
                raise
            _import_in_float(state, node, str(rejected))


def _beyond_axes(node: Any, operands: Mapping[str, Value]) -> bool:
    """Whether the attribute `axis` is none of the first operand's, which importers don't ask."""
    rank = len(operands[node.input[0]].shape) if node.input and node.input[0] else 0
    return any(a.name == "axis" and not -rank <= a.i < rank for a in node.attribute)


def _import_ml(state: State, node: Any) -> None:
    """Raises Rejected."""
    scope = Scope(state, node, lambda name: as_float(state, name, f"{state.label(node)} reads it"))
    importer = ML_IMPORTERS.get(node.op_type)
    if importer is None:
        raise Rejected("this operator is not supported")
    importer(scope)
    scope.check_read(state.wanted)


def _without_empty(state: State, node: Any) -> Any:
    """A Concat of those operands that have elements."""
    result = copied(node)
    result.input[:] = [n for n in node.input if not (isinstance(v := state.values[n], Known) and v.array.size == 0)]
    return result


def _import_in_float(state: State, node: Any, reason: str) -> None:
    """Raises Rejected with both reasons, if both ways have one of their own."""
    try:
        import_float(state, node, reason)
    except Rejected as rejected:
        in_float = str(rejected)
        if not runs_in_float(node.op_type):
            raise Rejected(reason) from rejected
        if in_float == reason or FLOAT_ARITHMETIC in reason:
            raise
        raise Rejected(f"{reason}; in float32: {in_float}") from rejected


def _is_known(node: Any) -> bool:
    """Whether the importer of its name is for this operator and not for one that is only called the same."""
    if node.domain == MICROSOFT:
        return node.op_type in MICROSOFT_ATTRIBUTES
    return node.domain in ("", "ai.onnx")


def _float_only(scope: Scope) -> None:
    raise Rejected("it has no 8-bit form")


def _export_output(state: State, value: SourceValue, layout: str, floats: Floats, inputs: Mapping[str, str]) -> str:
    """The graph output; `inputs` are the graph's by the model's names, which an output may be as it is."""
    found: Value | None = state.values.get(value.name)
    if isinstance(found, Missing):
        return ""
    if value.name in inputs:
        return inputs[value.name]
    name = f"{value.name}_output"
    match found:
        case Dequantized(function=None):
            at = found.at
            if state.type_of(at).dtype != FLOAT32:
                at = Placed(state.emit(Dequantize(), [at.name], name, None), at.shape, at.order, at.folded)
        case Quantized() if found.dtype == UINT8:
            quant = state.type_of(found.at).quant
            shifted = None if quant is None else Quantization(quant.scale, quant.zero_point + 128)
            converted = state.emit(Quantize(UINT8), [found.at.name], name, shifted)
            at = Placed(converted, found.at.shape, found.at.order, found.at.folded)
        case Quantized() if found.dtype.is_sub_byte:
            packed = state.emit(Cast(found.dtype), [found.at.name], name, None)
            at = Placed(packed, found.at.shape, found.at.order, found.at.folded)
        case Quantized() if found.dtype == UINT16:
            wide = state.emit(Cast(INT32), [found.at.name], f"{name}_wide", None)
            half = state.value(f"{name}_half", TensorType((1,), INT32), np.array([found.shift], np.int32))
            shifted = state.emit(Add(), [wide, half], f"{name}_shifted", None)
            converted = state.emit(Cast(UINT16), [shifted], name, None)
            at = Placed(converted, found.at.shape, found.at.order, found.at.folded)
        case Quantized() | Real() | Discrete():
            at = found.at
        case Dequantized() if is_discrete(found):
            at = discrete(Scope(state, state.producers[value.name]), found).at
        case Known():
            return _constant_output(state, value, found.array, layout)
        case _ if floats != "none" and found is not None:
            real = as_float(state, value.name, "it is an output of the model, and no QuantizeLinear rounds it")
            if not isinstance(real, Real):
                raise Rejected(NOT_ROUNDED)
            at = real.at
        case _:
            raise Rejected(NOT_ROUNDED)
    at = _of_type(state, at, value.dtype, name)
    order = NHWC if layout == "nhwc" and len(at.shape) == 4 else identity(len(at.shape))
    return _in_order(state, at, order, name)


def _of_type(state: State, at: Placed, dtype: DType | None, name: str) -> Placed:
    """A result of a type that is for storage only, from what it was computed as."""
    found = state.type_of(at)
    if dtype is None or dtype == found.dtype or found.quant is not None:
        return at
    return replace(at, name=state.emit(Cast(dtype), [at.name], name, None))


def _constant_output(state: State, value: SourceValue, array: Array, layout: str) -> str:
    """A constant of the IR."""
    dtype = DType.find(array.dtype)
    if dtype is None:
        raise Rejected(f"it is a constant of {array.dtype.name}, supported are numbers")
    if array.size == 0:
        raise Rejected("it is empty")
    moved = np.ascontiguousarray(array.transpose(NHWC) if layout == "nhwc" and array.ndim == 4 else array)
    quant = Quantization.per_tensor(1.0, 0) if dtype in (INT8, UINT8) else None
    moved = moved.reshape(array.shape) if array.ndim == 0 else moved
    return state.constant_output(value.name, TensorType(moved.shape, dtype, quant), moved)


def _in_order(state: State, at: Placed, order: tuple[int, ...], name: str) -> str:
    """An output with its axes in this order in memory."""
    if at.folded is not None:
        shape, folded_order = at.folded
        physical = tuple(shape[axis] for axis in folded_order)
        image = state.emit(Reshape(physical), [at.name], name, state.type_of(at).quant)
        restored = tuple(folded_order.index(axis) for axis in range(len(shape)))
        plain = state.emit(Transpose(restored), [image], name, state.type_of(at).quant)
        return state.emit(Reshape(at.shape), [plain], name, state.type_of(at).quant)
    if at.order == order:
        return at.name
    permutation = tuple(at.order.index(axis) for axis in order)
    physical = tuple(at.shape[axis] for axis in order)
    if moves_nothing(at.physical_shape, permutation):
        return state.emit(Reshape(physical), [at.name], name, state.type_of(at).quant)
    return state.emit(Transpose(permutation), [at.name], name, state.type_of(at).quant)
