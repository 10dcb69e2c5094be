"""How what moves values, and what is a function of one element, is written (`as_tflite_writer.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Node, Quantization, Signature, TensorType
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.elu import Elu
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.mul import Mul
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.slice import Slice
from tinycompile.ops.take import Take
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose import Transpose
from tinycompile.quantize.as_tflite_layers import PROBABILITIES, STEPS_OFF, clamped
from tinycompile.quantize.as_tflite_writer import Writer, exports
from tinycompile.quantize.scales import SMALLEST

_SYMMETRIC = (1 / 128, 0)
"""Scale and zero point that TFLite demands of TANH."""


def _inherited(writer: Writer, node: Node, sig: Signature) -> TensorType:
    """The type of a result that has its operand's numbers: floats of the graph are int8 in the file."""
    source = writer.type_of(node.inputs[0])
    if sig.output.dtype == FLOAT32 and source.dtype == INT8:
        writer.retyped(node.outputs[0], TensorType(sig.output.shape, INT8, source.quant))
    t = writer.type_of(node.outputs[0])
    if not t.dtype.is_integer:
        raise Rejected("it is computed in float32")
    return t


def moved(writer: Writer, node: Node, sig: Signature, write: Callable[[int], None]) -> None:
    """Write an operator whose result has its operand's scale."""
    t = _inherited(writer, node, sig)
    if t.dtype == INT8 and t.quant is not None:
        writer.result_with(node.outputs[0], writer.quant(node.inputs[0]), write)
    else:
        write(writer.value(node.outputs[0]))


@exports(Quantize)
def quantize(writer: Writer, node: Node, sig: Signature) -> None:
    """At an input, whose caller gives the numbers; or to another scale."""
    if node.inputs[0] in writer.graph.inputs and sig.input.dtype == FLOAT32:
        return
    if sig.input.dtype != INT8 or sig.output.dtype != INT8:
        raise Rejected(f"it makes {sig.output.dtype} of {sig.input.dtype}")
    writer.requantise(writer.value(node.inputs[0]), writer.value(node.outputs[0]))


@exports(Dequantize)
def dequantize(writer: Writer, node: Node, sig: Signature) -> None:
    """The file's outputs are the numbers."""
    writer.quant(node.inputs[0])
    writer.same(node.outputs[0], node.inputs[0])


@exports(Reshape)
def reshape(writer: Writer, node: Node, sig: Signature) -> None:
    shape = sig.output.shape

    def write(made: int) -> None:
        inputs = [writer.value(node.inputs[0]), writer.integers(f"{node.name}_shape", shape)]
        writer.op("RESHAPE", 1, inputs, [made], "ReshapeOptions", NewShape=shape)

    moved(writer, node, sig, write)


@exports(Transpose)
def transpose(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Transpose):
        raise Rejected("it is no transposition")
    permutation = op.permutation

    def write(made: int) -> None:
        inputs = [writer.value(node.inputs[0]), writer.integers(f"{node.name}_axes", permutation)]
        writer.op("TRANSPOSE", 2 if len(permutation) <= 4 else 4, inputs, [made], "TransposeOptions")

    moved(writer, node, sig, write)


@exports(Take)
def take(writer: Writer, node: Node, sig: Signature) -> None:
    """A slice where positions have one distance, else a gather."""
    op = node.op
    if not isinstance(op, Take):
        raise Rejected("it takes nothing")
    axis, indices, shape = op.axis, np.array(op.indices), sig.input.shape
    steps = np.unique(np.diff(indices)) if indices.size > 1 else np.ones(1, np.int64)
    if steps.size == 1 and steps[0] > 0:
        begin, end, stride = [0] * len(shape), list(shape), [1] * len(shape)
        begin[axis], end[axis], stride[axis] = int(indices[0]), int(indices[-1]) + 1, int(steps[0])
        moved(writer, node, sig, lambda made: _strided(writer, node, made, begin, end, stride))
        return

    def write(made: int) -> None:
        inputs = [writer.value(node.inputs[0]), writer.integers(f"{node.name}_positions", indices)]
        writer.op("GATHER", 2, inputs, [made], "GatherOptions", Axis=axis)

    moved(writer, node, sig, write)


@exports(Slice)
def slice_(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Slice) or min(op.step) < 1:
        raise Rejected("it goes backwards")
    ends = [b + (n - 1) * s + 1 for b, n, s in zip(op.begin, op.size, op.step, strict=True)]
    moved(writer, node, sig, lambda made: _strided(writer, node, made, op.begin, ends, op.step))


def _strided(
    writer: Writer, node: Node, made: int, begin: Sequence[int], end: Sequence[int], stride: Sequence[int]
) -> None:
    named = (("begin", begin), ("end", end), ("stride", stride))
    bounds = [writer.integers(f"{node.name}_{name}", values) for name, values in named]
    writer.op("STRIDED_SLICE", 2, [writer.value(node.inputs[0]), *bounds], [made], "StridedSliceOptions")


@exports(Pad)
def pad(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Pad):
        raise Rejected("it pads nothing")
    amounts, value = op.amounts, op.value

    def write(made: int) -> None:
        quant = writer.quant(node.inputs[0])
        inputs = [writer.value(node.inputs[0]), writer.integers(f"{node.name}_amounts", amounts)]
        if value == int(quant.zero_point[0]):
            writer.op("PAD", 2, inputs, [made], "PadOptions")
            return
        fill = writer.constant(f"{node.name}_fill", np.array([value], np.int8), quant)
        writer.op("PADV2", 2, [*inputs, fill], [made], "PadV2Options")

    moved(writer, node, sig, write)


@exports(ResizeBilinear)
def resize_bilinear(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, ResizeBilinear):
        raise Rejected("it resizes nothing")
    size, aligned, centres = op.size, op.align_corners, op.half_pixel_centers

    def write(made: int) -> None:
        inputs = [writer.value(node.inputs[0]), writer.integers(f"{node.name}_size", size)]
        options = {"AlignCorners": aligned, "HalfPixelCenters": centres}
        writer.op("RESIZE_BILINEAR", 3, inputs, [made], "ResizeBilinearOptions", **options)

    moved(writer, node, sig, write)


@dataclass(frozen=True, eq=False)
class _Function:
    """A function of one element in TFLite: what it makes of all 256 values, and how it is written."""

    results: Array
    write: Callable[[], None]


@exports(Lookup)
def lookup(writer: Writer, node: Node, sig: Signature) -> None:
    """The function of TFLite that makes the table of the graph's, whatever operators that was computed by."""
    op = node.op
    if not isinstance(op, Lookup):
        raise Rejected("it has no table")
    table = np.frombuffer(op.values, np.int8).astype(np.int64)
    found, least = None, STEPS_OFF + 1
    for each in _functions(writer, node, sig, table):
        off = int(np.abs(each.results.astype(np.int64) - table).max())
        if off < least:
            found, least = each, off
    if found is None:
        raise Rejected(f"the function {op.function} isn't one of TFLite's for int8")
    found.write()


def _functions(writer: Writer, node: Node, sig: Signature, table: Array) -> list[_Function]:
    """Those that TFLite has, the simplest ones first."""
    x, y = writer.quant(node.inputs[0]), writer.quant(node.outputs[0])
    values = np.arange(256, dtype=np.uint8).view(np.int8)

    def simple(kind: str, version: int, results: Array, table_name: str = "", **options: float) -> _Function:
        def write() -> None:
            inputs, made = [writer.value(node.inputs[0])], [writer.value(node.outputs[0])]
            writer.op(kind, version, inputs, made, table_name, **options)

        return _Function(results, write)

    of = TensorType(values.shape, INT8, x), TensorType(values.shape, INT8, y)
    s = Signature((of[0],), (of[1],))
    low = max(-128, int(y.zero_point[0]))
    six = min(127, int(np.rint(6 / y.scale[0])) + int(y.zero_point[0]))
    found = [
        simple("QUANTIZE", 2, Quantize(INT8).evaluate(s, (values,))[0], "QuantizeOptions"),
        simple("RELU", 2, Relu((low, 127)).of(s, values)),
        simple("RELU6", 2, Relu((low, six)).of(s, values)),
        simple("ABS", 3, Abs().of(s, values), "AbsOptions"),
        simple("HARD_SWISH", 1, HardSwish().of(s, values), "HardSwishOptions"),
        simple("ELU", 1, Elu().of(s, values)),
        *(
            simple("GELU", 2, Gelu(approximate).of(s, values), "GeluOptions", Approximate=approximate)
            for approximate in (False, True)
        ),
    ]
    if _is(y, PROBABILITIES):
        found.append(simple("LOGISTIC", 2, Logistic().of(s, values)))
    if _is(y, _SYMMETRIC):
        found.append(simple("TANH", 2, Tanh().of(s, values)))
    slope = _slope(x, y, table)
    if slope is not None:
        results = LeakyRelu(slope).of(s, values)
        found.append(simple("LEAKY_RELU", 2, results, "LeakyReluOptions", Alpha=slope))
    found += _clamped(writer, node, sig, s, values, table)
    return [*found, *_with_constants(writer, node, s, values, table), _silu(writer, node, sig, s, values)]


def _is(quant: Quantization, wanted: tuple[float, int]) -> bool:
    return quant.same_as(Quantization.per_tensor(*wanted))


def _slope(x: Quantization, y: Quantization, table: Array) -> float | None:
    """Of the negative elements, if that is from 0 to 1."""
    inputs = (INT8_VALUES.astype(np.int64) - int(x.zero_point[0])) * float(x.scale[0])
    outputs = (table - int(y.zero_point[0])) * float(y.scale[0])
    below = (inputs < 0) & (table > -128)
    if not np.any(below):
        return None
    slope = float(np.float32(np.vdot(inputs[below], outputs[below]) / np.vdot(inputs[below], inputs[below])))
    return slope if 0 < slope < 1 else None


def _clamped(writer: Writer, node: Node, sig: Signature, s: Signature, values: Array, table: Array) -> list[_Function]:
    """Between two numbers, as Max, Min and Clip leave it."""
    low, high = table.min(keepdims=True), table.max(keepdims=True)
    if (low[0], high[0]) == (-128, 127):
        return []
    results = Quantize(INT8).evaluate(s, (values,))[0].clip(low, high)
    return [_Function(results, partial(clamped, writer, node, sig.output.shape, low, high))]


def _with_constants(writer: Writer, node: Node, s: Signature, values: Array, table: Array) -> list[_Function]:
    """The product with a number and the sum with one that come nearest to the table where it doesn't saturate."""
    (x, y), inside = (s.input, s.output), (table > -128) & (table < 127)
    inputs = ((values.astype(np.int64) - x.zero_point) * float(x.scale))[inside]
    outputs = ((table - y.zero_point) * float(y.scale))[inside]
    if not np.any(inputs):
        return []
    factor, offset = float(np.vdot(inputs, outputs) / np.vdot(inputs, inputs)), float((outputs - inputs).mean())
    return [
        _with_constant(writer, node, s, values, op, number)
        for op, number in ((Mul(), factor), (Add(), offset))
        if abs(number) > SMALLEST * 127
    ]


def _with_constant(writer: Writer, node: Node, s: Signature, values: Array, op: Mul | Add, number: float) -> _Function:
    quant = Quantization.per_tensor(abs(number) / 127, 0)
    constant = np.array([127 if number > 0 else -127], np.int8)
    operands = s.input, TensorType(constant.shape, INT8, quant)

    def write() -> None:
        kind = "MUL" if isinstance(op, Mul) else "ADD"
        inputs = [writer.value(node.inputs[0]), writer.constant(f"{node.name}_number", constant, quant)]
        made, table = [writer.value(node.outputs[0])], f"{kind.capitalize()}Options"
        writer.op(kind, 2, inputs, made, table, FusedActivationFunction=0)

    return _Function(op.evaluate(Signature(operands, s.outputs), (values, constant))[0], write)


def _silu(writer: Writer, node: Node, sig: Signature, s: Signature, values: Array) -> _Function:
    """x * sigmoid(x) in two operators."""
    part = Quantization.per_tensor(*PROBABILITIES)
    gate = TensorType(values.shape, INT8, part)
    gates = Logistic().of(Signature(s.inputs, (gate,)), values)
    results = Mul().evaluate(Signature((s.input, gate), s.outputs), (values, gates))[0]

    def write() -> None:
        x, made = writer.value(node.inputs[0]), writer.value(node.outputs[0])
        between = writer.tensor(f"{node.outputs[0]}_gate", sig.output.shape, part)
        writer.op("LOGISTIC", 2, [x], [between])
        writer.op("MUL", 2, [x, between], [made], "MulOptions", FusedActivationFunction=0)

    return _Function(results, write)
