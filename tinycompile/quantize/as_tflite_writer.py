"""A TFLite model of 8 bits that is being written from an int8 graph, and the registry of how operators are written.

The graph is what the importer makes of a quantised ONNX model: channels last, int8 values with their scales, layers
with int8 weights. Each operator gets TFLite's meaning, which rounds otherwise than ONNX's. What the operator of a graph
may do and TFLite's can't (another scale of a pool's result, padding of one side) is one of its own before or behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tinycompile.dtypes import INT8, DType
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Graph, Node, Op, Quantization, Signature, TensorType
from tinycompile.quantize.as_tflite_file import Operator, Option, Tensor, TfliteModel

Export = Callable[["Writer", Node, Signature], None]
EXPORTS: dict[type[Op], Export] = {}


def exports(*ops: type[Op]) -> Callable[[Export], Export]:
    """Decorator: how these operators are written."""

    def register(export: Export) -> Export:
        EXPORTS.update(dict.fromkeys(ops, export))
        return export

    return register


class Writer:
    """The model so far."""

    def __init__(self, graph: Graph, activations: Mapping[str, str], few_bits: bool) -> None:
        """
        Args:
            activations: names in TFLite's schema of those that layers had in the float network, by the layers' names.
            few_bits: weights are stored as INT4 where they fit.
        """
        self.graph, self.activations, self.few_bits = graph, activations, few_bits
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self._numbers: dict[str, int] = {}
        self._types: dict[str, TensorType] = {}
        self._names = set[str]()

    def type_of(self, name: str) -> TensorType:
        """A value's type; of floats that are int8 in the file, that one."""
        return self._types.get(name, self.graph.types[name])

    def is_integer(self, name: str) -> bool:
        """Whether a value has numbers in the file."""
        return self.type_of(name).dtype.is_integer

    def quant(self, name: str) -> Quantization:
        """Raises Rejected where it has none."""
        t = self.type_of(name)
        if t.dtype != INT8 or t.quant is None or not t.quant.is_per_tensor:
            raise Rejected(f"{name!r} is {t.dtype}, TFLite's operator takes int8 with one scale")
        return t.quant

    def value(self, name: str) -> int:
        """The number of a value's tensor."""
        if name not in self._numbers:
            t = self.type_of(name)
            self._numbers[name] = self._add(name, t.shape, t.dtype, t.quant, self.graph.constants.get(name))
        return self._numbers[name]

    def retyped(self, name: str, t: TensorType) -> None:
        """What a value, floats in the graph, is in the file."""
        self._types[name] = t

    def same(self, name: str, other: str) -> None:
        """A value is another one's tensor."""
        self._types[name] = self.type_of(other)
        self._numbers[name] = self.value(other)

    def tensor(self, stem: str, shape: Sequence[int], quant: Quantization) -> int:
        """A new int8 tensor that an operator makes; its number."""
        return self._add(stem, tuple(shape), INT8, quant, None)

    def constant(self, stem: str, values: Array, quant: Quantization | None = None, dtype: DType | None = None) -> int:
        """A new constant; its number. Its type is that of the values, if none is given."""
        return self._add(stem, values.shape, dtype or DType.of(values.dtype), quant, values)

    def integers(self, stem: str, values: object) -> int:
        """A new constant of int32; its number."""
        return self.constant(stem, np.array(values, np.int32))

    def _add(
        self, stem: str, shape: tuple[int, ...], dtype: DType, quant: Quantization | None, values: Array | None
    ) -> int:
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        self.tensors.append(Tensor(name, shape, dtype, quant, values))
        return len(self.tensors) - 1

    def op(
        self, kind: str, version: int, inputs: Sequence[int], outputs: Sequence[int], table: str = "", **options: Option
    ) -> None:
        """Add an operator; options are named as in TFLite's schema."""
        self.operators.append(Operator(kind, version, inputs, outputs, table, options))

    def operand_with(self, name: str, quant: Quantization) -> int:
        """A value's tensor, rounded again where it has another scale than this."""
        if self.quant(name).same_as(quant):
            return self.value(name)
        result = self.tensor(f"{name}_rescaled", self.type_of(name).shape, quant)
        self.requantise(self.value(name), result)
        return result

    def result_with(self, name: str, quant: Quantization, write: Callable[[int], None]) -> None:
        """Write an operator whose result has this scale, and round it again where the value has another one."""
        if self.quant(name).same_as(quant):
            write(self.value(name))
            return
        made = self.tensor(f"{name}_before", self.type_of(name).shape, quant)
        write(made)
        self.requantise(made, self.value(name))

    def requantise(self, source: int, result: int) -> None:
        self.op("QUANTIZE", 2, [source], [result], "QuantizeOptions")

    def model(self, inputs: Sequence[str], outputs: Sequence[str], description: str) -> TfliteModel:
        """
        Args:
            inputs: the values that the caller gives, in the order of the graph's inputs, whose names they get.
            outputs: what to call the graph's outputs.
        """
        given, results = [self.value(name) for name in inputs], [self.value(name) for name in self.graph.outputs]
        if len(set(results)) < len(results) or {*results} & {*given}:
            raise Rejected("an output is an input or another output")
        for number, name in zip([*given, *results], [*self.graph.inputs, *outputs], strict=True):
            t = self.tensors[number]
            self.tensors[number] = Tensor(name, t.shape, t.dtype, t.quant, t.values)
        return TfliteModel(self.tensors, self.operators, given, results, description)
