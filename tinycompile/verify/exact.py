"""The tensors of an ONNX model with exact sums, by onnx's own evaluator: it decides where float arithmetic ties.

ONNX leaves the order of sums open, so that two evaluators may round a value that lies near the middle between two
steps differently. Here DequantizeLinear in front of a sum, and the sum itself, are computed in float64, which for 8-bit
operands is the real number as far as rounding to 8 bits can tell. Everything else is `onnx.reference`'s.
Nothing of `tinycompile.frontend` is used: this is a second reading of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tinycompile.ir import Array
from tinycompile.verify import microsoft
from tinycompile.verify.exact_values import (
    CannotEvaluateError,
    Value,
    convolution,
    dequantize,
    gemm,
    leaky,
    mean,
    normalised,
    normalised_rows,
    quantize,
    quantized_convolution,
    softmax,
)

MICROSOFT = "com.microsoft"
DEFAULT_DOMAINS = ("", "ai.onnx")

MOVES = frozenset(
    "Identity Dropout Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Concat Gather Expand Tile Pad "
    "DepthToSpace SpaceToDepth MaxPool GlobalMaxPool ReduceMax ReduceMin Relu Clip Max Min".split()
)
"""They copy or choose values: of real numbers as of rounded ones."""

_IN_FLOAT64 = frozenset("ConvTranspose AveragePool GlobalAveragePool ReduceSum".split())
"""Sums that onnx's evaluator adds in the type of its operands."""

_NORMALISATION = 5
"""Operands of BatchNormalization."""
_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


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
                    return [microsoft.evaluate(self.by_name, node.op_type, attributes, operands)]
                own = None if node.domain not in DEFAULT_DOMAINS else self.apply(node.op_type, attributes, operands)
                return [own] if own is not None else self._by_onnx(index, operands)
            except CannotEvaluateError:
                raise
            except Exception as error:  # whatever an evaluator of arbitrary nodes raises
                raise CannotEvaluateError(f"{node.op_type}: {str(error)[:200]}") from error

    def apply(self, kind: str, attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value | None:
        """What is defined here, because it rounds or sums; None for the rest, which is onnx's."""
        present = [v for v in operands if v is not None]
        if kind == "DequantizeLinear":
            return dequantize(operands, int(attributes.get("axis", 1)), int(attributes.get("block_size", 0)))
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
        if kind == "QLinearConv":
            return quantized_convolution(attributes, operands)
        if kind == "ReduceMean" and present[0].plain.dtype.kind == "f":
            return Value.summed(mean(attributes, operands))
        if kind in ("LeakyRelu", "PRelu") and present[0].is_sum:
            return leaky(attributes, present)
        if kind == "BatchNormalization" and len(present) == _NORMALISATION:
            return Value.summed(normalised(attributes, present))
        if kind == "Softmax":
            return softmax(present[0], attributes, self.opset)
        if kind in ("LayerNormalization", "RMSNormalization"):
            return Value.summed(normalised_rows(attributes, present, centred=kind == "LayerNormalization"))
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
        if (node.op_type in _IN_FLOAT64 or _interpolates(node)) and is_float:
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


def _interpolates(node: Any) -> bool:
    """Whether it is a Resize that adds products; one of nearest neighbours copies."""
    modes = [helper.get_attribute_value(a) for a in node.attribute if a.name == "mode"]
    return node.op_type == "Resize" and modes in ([b"linear"], [b"cubic"])


def _wide(value: Value) -> Array:
    return value.exact if value.plain.dtype.kind == "f" else value.plain


def _feed(session: ReferenceEvaluator, node: Any, operands: Sequence[Array | None]) -> list[Array]:
    feeds = {name: array for name, array in zip(node.input, operands, strict=True) if array is not None}
    evaluator: Any = session  # `run` isn't typed
    return [np.asarray(result) for result in evaluator.run(None, feeds)]
