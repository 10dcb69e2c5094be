"""From a float graph and the ranges of its tensors to a QDQ model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_regions import UNARY
from tinycompile.ir import Array
from tinycompile.quantize.coded import CodedWeights
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis
from tinycompile.quantize.linear_attention import unrounded_divisors
from tinycompile.quantize.low_bit_storage import stored_type
from tinycompile.quantize.scales import SMALLEST, Operand, RaisedChannel, fitting_scales, raised_channels, weight_scales
from tinycompile.quantize.updates import UPDATES, cached_inputs, written

INNER = "_float"
"""Behind the name of a float value, for what QuantizeLinear reads in the QDQ model where the name goes on behind it."""

Parameters = Mapping[str, tuple[float, int]]
"""(scale, zero point) of tensors by name."""

MOVES = frozenset(
    "Transpose Reshape Flatten Squeeze Unsqueeze MaxPool GlobalMaxPool Slice Split Gather GatherND DepthToSpace "
    "SpaceToDepth Pad Identity Dropout ReduceMax ReduceMin".split()
)
"""Their results are quantised as their operand is, so they need no QuantizeLinear of their own."""

FUNCTIONS = frozenset((*UNARY, "PRelu", "Pow"))
"""Of one element: a table between DequantizeLinear and QuantizeLinear, however many follow each other."""

COMPUTED = FUNCTIONS.union(
    "Conv ConvTranspose Gemm MatMul Softmax Add Sub Mul Div Min Max BatchNormalization AveragePool GlobalAveragePool "
    "LayerNormalization ReduceMean ReduceSum RMSNormalization Concat Resize Where".split(),
    UPDATES,
)
"""Operators that run in 8 bits between DequantizeLinear and QuantizeLinear."""

RANGES_OF_FUNCTIONS = {"Softmax": (0.0, 1.0), "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
"""(low, high) of functions whose range is known."""

WITH_CONSTANTS = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Concat", "Gather", "GatherND")
"""Operators that read tensors which are known."""

DECIDING = frozenset("And ArgMax ArgMin Equal Greater GreaterOrEqual Less LessOrEqual Not Or Shape".split())
"""Operators whose results are no floats."""

FLOAT, UINT8, INT8 = 1, 2, 3
"""Of TensorProto."""

_FIRST_WIDE = 21
"""The first opset whose QuantizeLinear has 16 bits; before it is an operator of com.microsoft."""
_MICROSOFT = "com.microsoft"

_OF_PAIRS = ("Add", "Sub", "Mul", "Div", "Min", "Max")
_CLAMPS = ("Relu", "Clip")
_BEFORE_CLAMP = (*LINEAR, "MatMul", "Add", "Sub", "Mul", "AveragePool", "GlobalAveragePool", "ReduceMean")


def quantized_values(graph: FloatGraph) -> list[str]:
    """The tensors that are rounded to 8 bits: inputs, and results of computing nodes but those a clamp follows."""
    others = not_floats(graph)
    names = [name for name in graph.inputs if any(n.op_type in COMPUTED | MOVES for n in graph.consumers(name))]
    names = [name for name in names if name not in others]
    inner = within_functions(graph) | written(graph) | unrounded_divisors(graph)
    cached = cached_inputs(graph, others)
    names = [name for name in names if name not in cached]
    for node in graph.nodes:
        # Floats begin where integers are cast.
        begins = node.op_type == "Cast" and node.input[0] in others and byte_of(graph, node) is None
        if not (begins or node.op_type in COMPUTED) or node.output[0] in others or node.output[0] in inner:
            continue
        if not _is_part_of_reader(graph, node, inner):
            names.append(node.output[0])
    return names


def _is_part_of_reader(graph: FloatGraph, node: Any, inner: Collection[str]) -> bool:
    """Whether what a node computes is rounded behind the only one that reads it: a clamp, a choice between it and a
    number, of a product also a factor.
    """
    reader = graph.only_consumer(node.output[0])
    if reader is None or node.op_type not in _BEFORE_CLAMP:
        return False
    numbers = [name for name in reader.input if name in graph.constants and graph.constants[name].size == 1]
    if reader.op_type == "Where":
        return node.output[0] in reader.input[1:] and bool(numbers)
    factor = node.op_type == "MatMul" and reader.op_type in ("Mul", "Div") and reader.input[0] == node.output[0]
    return reader.op_type in _CLAMPS or (factor and bool(numbers) and reader.output[0] not in inner)


def byte_of(graph: FloatGraph, node: Any) -> Any | None:
    """The NumPy dtype of 8 bits that a Cast makes floats of, as they are in a camera's pixels; None for other nodes.

    What it makes has 8 bits already: it is DequantizeLinear with a scale of 1.
    """
    if node.op_type != "Cast" or attributes_of(node).get("to") != FLOAT:
        return None
    of = (v.type.tensor_type.elem_type for v in graph.proto.graph.input if v.name == node.input[0])
    return {UINT8: np.uint8, INT8: np.int8}.get(next(of, FLOAT))


def function_origins(graph: FloatGraph) -> dict[str, str]:
    """By result of functions of one element: the value whose elements they are functions of."""
    found = dict[str, str]()
    for node in graph.nodes:
        operands: list[str] = [name for name in node.input if name]
        known = [graph.constants[name] for name in operands if name in graph.constants]
        computed = {found.get(name, name) for name in operands if name not in graph.constants}
        one = len(computed) == 1 and all(value.size == 1 for value in known)
        if one and node.op_type in FUNCTIONS.union(_OF_PAIRS):
            found[node.output[0]] = computed.pop()
    return found


def within_functions(graph: FloatGraph) -> set[str]:
    """The values inside a function of one element, as in SiLU = x * sigmoid(x): they aren't rounded."""
    source = function_origins(graph)
    found, kinds = set[str](), graph.producers()
    for name, origin in source.items():
        readers = graph.consumers(name)
        inside = all(source.get(reader.output[0]) == origin for reader in readers)
        # A clamp behind a layer is part of it, so that what follows starts there.
        starts = kinds[name].op_type in _CLAMPS and _is_clamp_of_layer(graph, kinds[name])
        if readers and inside and not starts and name not in graph.outputs:
            found.add(name)
    return found


def _is_clamp_of_layer(graph: FloatGraph, clamp: Any) -> bool:
    producer = graph.producers().get(clamp.input[0])
    of_layer = producer is not None and producer.op_type in _BEFORE_CLAMP
    return of_layer and graph.only_consumer(clamp.input[0]) is clamp


def not_floats(graph: FloatGraph) -> set[str]:
    """The values that are integers or truth values: indices, positions, conditions."""
    found = {value.name for value in graph.proto.graph.input if value.type.tensor_type.elem_type != FLOAT}
    found |= {name for name, value in graph.constants.items() if value.dtype.kind != "f"}
    for node in graph.nodes:
        of = node.input[1 if node.op_type == "Where" else 0] if node.input else ""
        others = of in found
        if node.op_type == "Cast":
            others = attributes_of(node).get("to") != FLOAT
        if node.op_type in DECIDING or others:
            found.update(node.output)
    return found


def quantized_operand(node: Any, index: int, value: Array) -> bool:
    """Whether a constant becomes an 8-bit tensor of its own, with one scale. Single numbers are part of a function's
    table; a matrix behind an operand is a layer's weights.
    """
    product = node.op_type == "MatMul" and (index == 0 or value.ndim != 2)
    return (
        (node.op_type in WITH_CONSTANTS or product)
        and value.size > 1
        and value.dtype.kind == "f"
        and bool(np.all(np.isfinite(value)))
    )


def linear_layers(graph: FloatGraph) -> list[Any]:
    """Layers with constant weights."""
    return [node for node in graph.nodes if is_layer(graph, node)]


def is_layer(graph: FloatGraph, node: Any) -> bool:
    """Whether it has constant weights; of products of matrices several ones have a scale together, as operands have."""
    weights = graph.constants.get(node.input[1]) if node.op_type in (*LINEAR, "MatMul") else None
    return weights is not None and (weights.ndim == 2 or node.op_type != "MatMul")


def quantize_weights(weights: Array, scale: Array, axis: int) -> Array:
    shaped = scale.reshape([-1 if i == axis and scale.size > 1 else 1 for i in range(weights.ndim)])
    return np.clip(np.rint(weights / shaped), -127, 127).astype(np.int8)


@dataclass(frozen=True, eq=False)
class QdqModel:
    """The result.

    Attributes:
        proto: the ModelProto.
        parameters: (scale, zero point) of every quantised tensor.
        raised: the channels whose weights needed a larger scale than their own.
    """

    proto: Any
    parameters: Parameters
    raised: tuple[RaisedChannel, ...]


def to_qdq(
    graph: FloatGraph,
    parameters: Parameters,
    rounded: Mapping[str, Array] | None = None,
    wide: Collection[str] = (),
    coded: Mapping[str, CodedWeights] | None = None,
) -> QdqModel:
    """The QDQ model.

    Args:
        parameters: of every tensor of `quantized_values`.
        rounded: int8 weights of layers by the name of their result, where they aren't simply the nearest ones.
        wide: the tensors that have 16 bits.
        coded: weights of few bits by the name of their layer's result; see `low_bit_storage.py` for their types.
    """
    writer = _Writer(graph, parameters, rounded or {}, wide, coded or {})
    proto = writer.run()
    return QdqModel(proto, dict(parameters), tuple(writer.raised))


class _Writer:
    def __init__(
        self,
        graph: FloatGraph,
        parameters: Parameters,
        rounded: Mapping[str, Array],
        wide: Collection[str],
        coded: Mapping[str, CodedWeights],
    ) -> None:
        self.graph = graph.copy()
        self.parameters, self.rounded, self.wide, self.coded = parameters, rounded, wide, coded
        self.helper = onnx_module().helper
        self.renamed: dict[str, str] = {}
        self.raised: list[RaisedChannel] = []
        self.bytes: dict[str, Operand] = {}

    def run(self) -> Any:
        graph = self.graph
        nodes, source = list[Any](), graph.nodes
        graph.nodes = nodes
        cached = cached_inputs(graph, not_floats(graph))
        for name in graph.inputs:
            if cached.get(name, name) in self.parameters:
                nodes += self._activation(name, name, cached.get(name, name))
        for node in source:
            byte = byte_of(graph, node)
            if byte is not None:
                nodes.append(self._pixels(node, byte))
                continue
            self._layer(node, nodes)
            self._constants(node, nodes)
            for index, name in enumerate(node.input):
                node.input[index] = self.renamed.get(name, name)
            results = [name for name in node.output if name in self.parameters]
            inner = {name: f"{name}{INNER}" for name in results}
            for index, name in enumerate(node.output):
                node.output[index] = inner.get(name, name)
            nodes.append(node)
            for name in results:
                nodes += self._activation(inner[name], name)
        model = graph.model()
        if any(node.domain == _MICROSOFT for node in nodes) and all(o.domain != _MICROSOFT for o in model.opset_import):
            model.opset_import.append(self.helper.make_opsetid(_MICROSOFT, 1))
        return model

    def _pixels(self, node: Any, dtype: Any) -> Any:
        """DequantizeLinear in place of a Cast."""
        name = node.output[0]
        operands = [
            self.graph.constant(f"{name}_scale", np.array(1, np.float32)),
            self.graph.constant(f"{name}_zero_point", np.array(0, dtype)),
        ]
        self.bytes[name] = Operand(1.0, -128 if dtype == np.uint8 else 0)
        return self.helper.make_node("DequantizeLinear", [node.input[0], *operands], [name], f"{name}_dequantize")

    def _activation(self, source: str, name: str, same: str | None = None) -> list[Any]:
        """QuantizeLinear and DequantizeLinear of a value; an output keeps its name.

        Args:
            same: the value whose scale it has, if that isn't its own.
        """
        scale, zero_point = self.parameters[same or name]
        wide = (same or name) in self.wide
        domain = _MICROSOFT if wide and self.graph.opset < _FIRST_WIDE else ""
        parameters = [
            self.graph.constant(f"{name}_scale", np.array(scale, np.float32)),
            self.graph.constant(f"{name}_zero_point", np.array(zero_point, np.int16 if wide else np.int8)),
        ]
        is_output = name in self.graph.outputs and source != name
        result = name if is_output else f"{name}_dequantized"
        self.renamed[name] = result
        return [
            self.helper.make_node(kind, [read, *parameters], [made], f"{name}_{suffix}", domain=domain)
            for kind, read, made, suffix in (
                ("QuantizeLinear", source, f"{name}_quantized", "quantize"),
                ("DequantizeLinear", f"{name}_quantized", result, "dequantize"),
            )
        ]

    def _layer(self, node: Any, nodes: list[Any]) -> None:
        """Weights and bias of a linear layer in 8 and 32 bits."""
        graph = self.graph
        if not is_layer(graph, node):
            return
        weights, axis = graph.constants[node.input[1]], output_axis(node) if node.op_type in LINEAR else 1
        grouped = node.op_type == "ConvTranspose" and attributes_of(node).get("group", 1) != 1
        x = self._operand(node.input[0])
        if x is None:
            return
        name = node.output[0]
        coded = self.coded.get(name)
        own = weight_scales(weights, axis, per_channel=not grouped) if coded is None else coded.largest_scales
        bias = graph.constants[node.input[2]].reshape(-1) if len(node.input) > 2 and node.input[2] else np.zeros(1)
        wide = np.broadcast_to(bias * _bias_factor(node), (max(bias.size, weights.shape[axis]),))
        scale = fitting_scales(weights, axis, own, wide, x)
        self.raised += raised_channels(name, weights, axis, own, scale, wide, x)
        values, group = quantize_weights(weights, scale, axis), None
        if coded is not None:
            group = coded.group
            coded = coded if group is not None else coded.rescaled(scale, weights)
            values, scale = coded.codes.astype(stored_type(coded.bits, graph.opset)), coded.scales
        elif name in self.rounded:
            same = (scale == own).reshape([-1 if i == axis and scale.size > 1 else 1 for i in range(weights.ndim)])
            values = np.where(same, self.rounded[name], values)
        if coded is not None and group is not None:
            node.input[1] = self._constant(f"{name}_weights", values, scale, coded.block_axis, nodes, group)
            scale = scale.min(axis=coded.block_axis)
        else:
            node.input[1] = self._constant(f"{name}_weights", values, scale, axis if scale.size > 1 else None, nodes)
        if len(node.input) > 2 and node.input[2]:
            self._bias(node, name, scale, x.scale, nodes)

    def _constants(self, node: Any, nodes: list[Any]) -> None:
        """Tensors that are added, multiplied or joined with values."""
        for index, name in enumerate(node.input):
            value = self.graph.constants.get(name)
            if value is None or not quantized_operand(node, index, value):
                continue
            scale = np.float32(max(float(np.abs(value).max()) / 127, SMALLEST))
            values = quantize_weights(value, scale.reshape(1), 0)
            known = self._constant(f"{node.output[0]}_operand_{index}", values, scale.reshape(1), None, nodes)
            self.bytes[known] = Operand(float(scale), 0)
            node.input[index] = known

    def _bias(self, node: Any, name: str, scale: Array, x_scale: float, nodes: list[Any]) -> None:
        graph = self.graph
        bias = graph.constants[node.input[2]].reshape(-1)
        bias_scale = (np.float32(x_scale) * scale).reshape(-1)
        bias = np.broadcast_to(bias, (max(bias.size, bias_scale.size),))
        units = np.rint(bias.astype(np.float64) / bias_scale).astype(np.int32)
        if bias_scale.size == 1 and bias.size > 1:
            node.input[2] = self._constant(f"{name}_bias", units, bias_scale, None, nodes)
        else:
            node.input[2] = self._constant(f"{name}_bias", units, bias_scale, 0, nodes)

    def _operand(self, name: str) -> Operand | None:
        """The quantised tensor that a value is, perhaps moved; None for floats."""
        producers = {output: node for node in self.graph.nodes for output in node.output}
        while name not in self.parameters:
            if name in self.bytes:
                return self.bytes[name]
            node = producers.get(name)
            if node is None or node.op_type not in MOVES:
                return None
            name = _original(self.renamed, node.input[0])
        return Operand(*self.parameters[name], 16 if name in self.wide else 8)

    def _constant(
        self, name: str, values: Array, scale: Array, axis: int | None, nodes: list[Any], group: int | None = None
    ) -> str:
        """A dequantised constant; with a group, so many elements along the axis have one scale."""
        shaped = scale if group is not None else scale.reshape(-1) if axis is not None else scale.reshape(())
        operands = [
            self.graph.constant(f"{name}_quantized", values),
            self.graph.constant(f"{name}_scale", shaped.astype(np.float32)),
            self.graph.constant(f"{name}_zero_point", np.zeros(shaped.shape, values.dtype)),
        ]
        attributes = {} if axis is None else {"axis": axis}
        attributes |= {} if group is None else {"block_size": group}
        nodes.append(self.helper.make_node("DequantizeLinear", operands, [name], f"{name}_dequantize", **attributes))
        return name


def _bias_factor(node: Any) -> float:
    """What a Gemm multiplies its bias with, as a part of what it multiplies the product with."""
    attributes = attributes_of(node) if node.op_type == "Gemm" else {}
    return max(1.0, abs(attributes.get("beta", 1.0) / attributes.get("alpha", 1.0)))


def _original(renamed: Mapping[str, str], name: str) -> str:
    return next((old for old, new in renamed.items() if new == name), name)
