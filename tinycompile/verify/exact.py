"""The tensors of an ONNX model with exact sums, by onnx's own evaluator: it decides where float arithmetic ties.

ONNX leaves the order of sums open, so that two evaluators may round a value that lies near the middle between two
steps differently. Here DequantizeLinear in front of a sum, and the sum itself, are computed in float64, which for 8-bit
operands is the real number as far as rounding to 8 bits can tell. Everything else is `onnx.reference`'s.
Nothing of `tinycompile.frontend` is used: this is a second reading of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tinycompile.ir import Array

MICROSOFT = "com.microsoft"
DEFAULT_DOMAINS = ("", "ai.onnx")

MOVES = frozenset(
    "Identity Dropout Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Concat Gather Expand Tile Pad "
    "DepthToSpace SpaceToDepth MaxPool GlobalMaxPool ReduceMax ReduceMin Relu Clip Max Min".split()
)
"""They copy or choose values: of real numbers as of rounded ones."""

_IN_FLOAT64 = frozenset("ConvTranspose AveragePool GlobalAveragePool ReduceSum".split())
"""Sums that onnx's evaluator adds in the type of its operands."""

_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


class CannotEvaluateError(Exception):
    """onnx's evaluator has no such operator, or not for these operands."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor.

    Attributes:
        plain: as the model's types say, floats rounded to float32.
        real: float64, before that rounding; None where there was none.
        is_sum: QuantizeLinear rounds the real number: it is a sum, whose rounding to float32 nobody defines.
    """

    plain: Array
    real: Array | None = None
    is_sum: bool = False

    @staticmethod
    def summed(real: Array) -> Value:
        real = np.asarray(real, np.float64)
        with np.errstate(over="ignore"):
            return Value(real.astype(np.float32), real, is_sum=True)

    @property
    def exact(self) -> Array:
        return self.plain.astype(np.float64) if self.real is None else self.real


class ExactEvaluator:
    """Evaluates parts of a model, from tensors that are given to those that are asked for."""

    def __init__(self, model: Any) -> None:
        """`model`: a ModelProto without local functions."""
        self._imports = list(model.opset_import)
        self.opset = next((o.version for o in model.opset_import if o.domain in DEFAULT_DOMAINS), 1)
        self._nodes = list(model.graph.node)
        self._producer = {name: i for i, node in enumerate(self._nodes) for name in node.output if name}
        self._constants = {i.name: Value(numpy_helper.to_array(i)) for i in model.graph.initializer}
        self._sessions = dict[int, ReferenceEvaluator]()

    def cone(self, name: str, given: Mapping[str, Any]) -> list[int]:
        """The nodes that compute a tensor from the given ones, in the order of the file."""
        found, open_names = set[int](), [name]
        while open_names:
            wanted = open_names.pop()
            index = self._producer.get(wanted)
            if wanted in given or wanted in self._constants or index is None or index in found:
                continue
            found.add(index)
            open_names += [n for n in self._nodes[index].input if n]
        return self._ordered(found)

    def _ordered(self, nodes: set[int]) -> list[int]:
        """Operands first, whatever the order of the file."""
        done, order = set[int](), list[int]()
        for start in sorted(nodes):
            stack = [start]
            while stack:
                index = stack[-1]
                before = {self._producer.get(name) for name in self._nodes[index].input}
                waiting = [n for n in before if n is not None and n in nodes and n not in done and n != index]
                if index in done or not waiting:
                    stack.pop()
                    if index not in done:
                        done.add(index)
                        order.append(index)
                else:
                    stack += waiting
        return order

    def only_moves(self, name: str, given: Mapping[str, Any]) -> bool:
        """Whether every bit of a tensor follows from the given ones: dequantised, copied or chosen."""
        kinds = {self._nodes[i].op_type for i in self.cone(name, given)}
        return kinds <= MOVES | {"DequantizeLinear", "Constant", "Shape"}

    def value(self, name: str, given: Mapping[str, Array]) -> Array:
        """A tensor as the model's types say.

        Raises:
            CannotEvaluateError: an operator that onnx's evaluator doesn't have.
        """
        values = {n: Value(array) for n, array in given.items()}
        for index in self.cone(name, given):
            node = self._nodes[index]
            operands = [self._operand(n, values) for n in node.input]
            results = self._evaluate(index, operands)
            fresh = {n: v for n, v in zip(node.output, results, strict=False) if n and n not in given}
            values |= fresh
            if all(not n or n in self._constants for n in node.input):  # once for all samples
                self._constants |= fresh
        return self._operand(name, values, missing=False).plain  # type: ignore[union-attr]

    def _operand(self, name: str, values: Mapping[str, Value], missing: bool = True) -> Value | None:
        if not name and missing:
            return None
        found = values.get(name, self._constants.get(name))
        if found is None:
            raise CannotEvaluateError(f"{name!r} has no value")
        return found

    def _evaluate(self, index: int, operands: Sequence[Value | None]) -> list[Value]:
        node = self._nodes[index]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        with np.errstate(all="ignore"):
            try:
                if node.domain == MICROSOFT:
                    from tinycompile.verify.microsoft import evaluate

                    return [evaluate(self, node.op_type, attributes, operands)]
                own = None if node.domain not in DEFAULT_DOMAINS else self.apply(node.op_type, attributes, operands)
                return [own] if own is not None else self._by_onnx(index, operands)
            except CannotEvaluateError:
                raise
            except Exception as error:  # whatever an evaluator of arbitrary nodes raises
                raise CannotEvaluateError(f"{node.op_type}: {str(error)[:200]}") from error

    def apply(self, kind: str, attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value | None:
        """What is defined here, because it rounds or sums; None for the rest, which is onnx's."""
        present = [v for v in operands if v is not None]
        if kind == "DequantizeLinear" and not attributes.get("block_size"):
            return dequantize(operands, int(attributes.get("axis", 1)))
        if kind == "QuantizeLinear" and not attributes.get("block_size"):
            return quantize(operands, attributes)
        if kind in _ARITHMETIC and any(v.is_sum for v in present):
            return Value.summed(_ARITHMETIC[kind](present[0].exact, present[1].exact))
        if kind == "MatMul":
            return Value.summed(np.matmul(present[0].exact, present[1].exact))
        if kind == "Gemm":
            return gemm(attributes, operands)
        if kind == "Conv":
            return Value.summed(convolution(attributes, [None if v is None else v.exact for v in operands]))
        if kind == "ReduceMean" and present[0].plain.dtype.kind == "f":
            return Value.summed(mean(attributes, operands))
        if kind == "Softmax":
            return softmax(present[0], attributes, self.opset)
        return None

    def by_name(self, kind: str, attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value:
        """An operator of the default domain applied to values, with one result."""
        own = self.apply(kind, attributes, operands)
        if own is not None:
            return own
        node = helper.make_node(kind, [f"x{i}" for i in range(len(operands))], ["y"], **attributes)
        return self._run(self._session(node), node, operands)[0]

    def _by_onnx(self, index: int, operands: Sequence[Value | None]) -> list[Value]:
        if index not in self._sessions:
            self._sessions[index] = self._session(self._nodes[index])
        return self._run(self._sessions[index], self._nodes[index], operands)

    def _run(self, session: ReferenceEvaluator, node: Any, operands: Sequence[Value | None]) -> list[Value]:
        plain = _feed(session, node, [None if v is None else v.plain for v in operands])
        is_float = plain[0].dtype.kind == "f"
        if node.op_type in _IN_FLOAT64 and is_float:
            reals = _feed(session, node, [None if v is None else _wide(v) for v in operands])
            return [Value.summed(real) for real in reals]
        if node.op_type in MOVES and is_float and any(v is not None and v.real is not None for v in operands):
            reals = _feed(session, node, [None if v is None else _wide(v) for v in operands])
            is_sum = any(v is not None and v.is_sum for v in operands)
            return [Value(p, np.asarray(r, np.float64), is_sum) for p, r in zip(plain, reals, strict=True)]
        return [Value(array) for array in plain]

    def _session(self, node: Any) -> ReferenceEvaluator:
        inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", inputs, outputs)
        try:
            return ReferenceEvaluator(helper.make_model(graph, opset_imports=self._imports))
        except Exception as error:  # operators that it doesn't have
            raise CannotEvaluateError(f"{node.op_type}: {str(error)[:200]}") from error


def _wide(value: Value) -> Array:
    return value.exact if value.plain.dtype.kind == "f" else value.plain


def _feed(session: ReferenceEvaluator, node: Any, operands: Sequence[Array | None]) -> list[Array]:
    feeds = {name: array for name, array in zip(node.input, operands, strict=True) if array is not None}
    evaluator: Any = session  # `run` isn't typed
    return [np.asarray(result) for result in evaluator.run(None, feeds)]


def dequantize(operands: Sequence[Value | None], axis: int) -> Value:
    """DequantizeLinear: the float32 tensor that ONNX defines, with the real numbers behind it."""
    x, scale, zero_point = _parameters(operands, axis)
    real = (x.astype(np.float64) - zero_point) * scale.astype(np.float64)
    return Value((x.astype(np.float32) - zero_point.astype(np.float32)) * scale, real)


def quantize(operands: Sequence[Value | None], attributes: Mapping[str, Any]) -> Value:
    """QuantizeLinear, halves to even, saturated. A sum is rounded as the real number that it is."""
    dtype = _quantized_type(operands, attributes)
    value = operands[0]
    if value is None:
        raise CannotEvaluateError("QuantizeLinear without an operand")
    x, scale, zero_point = _parameters(operands, int(attributes.get("axis", 1)))
    steps = np.rint(value.exact / scale.astype(np.float64) if value.is_sum else x / scale)
    limits = np.iinfo(dtype)
    found = np.clip(steps.astype(np.float64) + zero_point, limits.min, limits.max)
    return Value(np.nan_to_num(found).astype(dtype))


def _quantized_type(operands: Sequence[Value | None], attributes: Mapping[str, Any]) -> np.dtype:
    """Of the zero point, else what the attribute says, else uint8."""
    zero_point = operands[2] if len(operands) > 2 else None
    wanted = int(attributes.get("output_dtype", 0))
    if zero_point is not None:
        dtype = zero_point.plain.dtype
    else:
        dtype = np.dtype(np.uint8 if not wanted else helper.tensor_dtype_to_np_dtype(wanted))
    if dtype.name not in ("int8", "uint8", "int16", "uint16"):
        raise CannotEvaluateError(f"QuantizeLinear to {dtype}")
    return dtype


def _parameters(operands: Sequence[Value | None], axis: int) -> tuple[Array, Array, Array]:
    """(tensor, scale, zero point in float64), the last two so that they broadcast."""
    if operands[0] is None or operands[1] is None:
        raise CannotEvaluateError("an operand is missing")
    x, scale = operands[0].plain, operands[1].plain
    given = operands[2] if len(operands) > 2 else None
    zero_point = np.zeros(1) if given is None else given.plain.astype(np.float64)

    def fit(array: Array) -> Array:
        if array.size == 1:
            return array.reshape(())
        return array.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])

    return x, fit(scale.astype(np.float32)), fit(zero_point)


def gemm(attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value:
    a, b = (v.exact if v is not None else np.zeros(0) for v in operands[:2])
    c = operands[2].exact if len(operands) > 2 and operands[2] is not None else 0.0
    a, b = (a.T if attributes.get("transA") else a), (b.T if attributes.get("transB") else b)
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    return Value.summed(alpha * (a @ b) + beta * np.asarray(c))


def mean(attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Array:
    """ReduceMean; the axes are an attribute or, from opset 18 on, an operand."""
    x = operands[0]
    given = operands[1] if len(operands) > 1 else None
    axes = attributes.get("axes") if given is None else given.plain.tolist()
    if x is None:
        raise CannotEvaluateError("ReduceMean without an operand")
    if not axes and attributes.get("noop_with_empty_axes"):
        return x.exact
    axis = tuple(int(a) for a in axes) if axes else None
    return np.mean(x.exact, axis=axis, keepdims=bool(attributes.get("keepdims", 1)))


def softmax(x: Value, attributes: Mapping[str, Any], opset: int) -> Value:
    """Below opset 13 over all axes from `axis` on."""
    axis = int(attributes.get("axis", -1 if opset >= 13 else 1))
    values = x.exact
    if opset < 13:
        axis = axis % max(1, values.ndim)
        values = values.reshape(prod(values.shape[:axis]), -1)
        axis = 1
    exponentials = np.exp(values - values.max(axis=axis, keepdims=True))
    return Value.summed((exponentials / exponentials.sum(axis=axis, keepdims=True)).reshape(x.plain.shape))


def convolution(attributes: Mapping[str, Any], operands: Sequence[Array | None]) -> Array:
    """Conv over any number of axes, in float64."""
    x, weights = operands[0], operands[1]
    if x is None or weights is None:
        raise CannotEvaluateError("Conv without operands")
    kernel, rank = weights.shape[2:], weights.ndim - 2
    strides = list(attributes.get("strides") or [1] * rank)
    dilations = list(attributes.get("dilations") or [1] * rank)
    groups = int(attributes.get("group", 1))
    pads = padding(attributes, x.shape[2:], kernel, strides, dilations)
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, 2 + rank)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
    windows = windows[(..., *(slice(None, None, d) for d in dilations))]
    batch, outer = x.shape[0], windows.shape[2 : 2 + rank]
    of_group = windows.shape[1] // groups
    columns = windows.reshape(batch, groups, of_group, *outer, *kernel)
    columns = np.moveaxis(columns, 2, 2 + rank).reshape(batch, groups, prod(outer), of_group * prod(kernel))
    matrix = weights.reshape(groups, weights.shape[0] // groups, -1).transpose(0, 2, 1)
    result = np.matmul(columns, matrix).transpose(0, 1, 3, 2).reshape(batch, weights.shape[0], *outer)
    bias = operands[2] if len(operands) > 2 else None
    return result if bias is None else result + bias.reshape(1, -1, *[1] * rank)


def padding(
    attributes: Mapping[str, Any],
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(begin, end) of each spatial axis."""
    mode = attributes.get("auto_pad", b"NOTSET")
    mode = mode.decode() if isinstance(mode, bytes) else str(mode)
    rank = len(sizes)
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode == "NOTSET":
        pads = list(attributes.get("pads") or [0] * (2 * rank))
        return [(pads[i], pads[i + rank]) for i in range(rank)]
    found = list[tuple[int, int]]()
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        small, large = total // 2, total - total // 2
        found.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return found
