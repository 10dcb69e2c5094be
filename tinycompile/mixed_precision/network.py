"""An int8 network on many samples at once, with weights that can be replaced: what low bits are tried with.

Values are real numbers, float32 (samples, *shape). A network runs in two ways: with every result on its tensor's grid,
as on the microcontroller but for sums that are all but halfway between two numbers, or with results that only saturate
where the grid ends. The second way is smooth: what a layer's weights do to the outputs isn't hidden by the roundings
behind it, which turn any small change into a whole step here and there.

Layers with constant weights run in onnxruntime, all samples together; other operators compute their own definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array, Graph, Node, Op, Signature, TensorType
from tinycompile.mixed_precision.scores import scores_of
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._elementwise import Binary
from tinycompile.ops._typed import Typed
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.identity import Identity
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose
from tinycompile.passes.fold_pad import fold_pad
from tinycompile.passes.merge_reshapes import merge_reshapes
from tinycompile.quantize.execution import onnxruntime_module

THREADS = 2
_TOGETHER = 1 << 21
"""Elements of a value that are computed at a time, about."""
_OPSET = 21
_IR_VERSION = 10
_MOVES = (Identity, Reshape, Transpose)
"""They compute nothing: real numbers go through them as integers do."""


_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Parameters:
    """Weights and bias of a layer in real numbers: float32 (outputs, products of each) and float64 (outputs,)."""

    weights: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of int8 with constant weights.

    Attributes:
        own: the parameters that it has. weight_scales: float64 (outputs,).
        has_bias: whether the model has one.
    """

    node: Node
    op: Conv2D | DepthwiseConv2D | FullyConnected
    sig: Signature
    own: Parameters
    weight_scales: Array
    has_bias: bool

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def operand(self) -> str:
        return self.node.inputs[0]

    @property
    def result(self) -> str:
        return self.node.outputs[0]

    @property
    def outputs(self) -> int:
        return len(self.own.weights)

    @property
    def is_depthwise(self) -> bool:
        return isinstance(self.op, DepthwiseConv2D)

    @cached_property
    def by_rows(self) -> bool:
        """Whether each place of the result is a product with one row of the operand: no windows."""
        if isinstance(self.op, FullyConnected):
            return True
        window = self.op.window(self.sig.input, self.sig.inputs[1])
        plain = (window.kernel, window.stride, tuple(self.op.padding)) == ((1, 1), (1, 1), (0, 0, 0, 0))
        return plain and self.groups == 1

    @cached_property
    def groups(self) -> int:
        """Parts of the outputs, each of which reads other inputs."""
        if isinstance(self.op, FullyConnected):
            return 1
        return self.sig.input.shape[3] // (1 if self.is_depthwise else self.sig.inputs[1].shape[3])


def layer_of(graph: Graph, node: Node) -> Layer | None:
    """None for what isn't a layer of int8 with constant weights."""
    op, sig = node.op, graph.signature(node)
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        return None
    types, quant = (sig.input, sig.inputs[1], sig.output), sig.inputs[1].quant
    constants = [graph.constants.get(name) for name in node.inputs[1:]]
    if quant is None or any(t.dtype != INT8 or t.quant is None for t in types) or any(c is None for c in constants):
        return None
    if not _follows_scales(op, sig):
        return None
    rows = np.moveaxis(cast(Array, constants[0]), weight_axis(op), 0)
    rows = rows.reshape(len(rows), -1)
    scale, zero = (np.broadcast_to(each, len(rows)) for each in (quant.scale.astype(np.float64), quant.zero_point))
    weights = ((rows - zero[:, None]) * scale[:, None]).astype(np.float32)
    bias = cast(Array, constants[1]) if len(constants) > 1 else np.zeros(len(rows))
    own = Parameters(weights, bias * (scale * sig.input.scale))
    return Layer(node, op, sig, own, scale, len(constants) > 1)


def _follows_scales(op: Op, sig: Signature) -> bool:
    """Whether results are sums times the scales of operand and weights: an importer may have made a layer of something
    else, a product with a constant say, with a rule of its own."""
    rule, quant = getattr(op, "rule", None), sig.inputs[1].quant if len(sig.inputs) > 1 else None
    if not isinstance(rule, StepRequant) or quant is None or sig.output.quant is None:
        return True
    slopes = quant.scale.astype(np.float64) * sig.input.scale / sig.output.scale
    nothing = rule.apply(np.zeros((1, rule.channels), np.int64))
    ours = np.clip(rule.zero_point, rule.low, rule.high)
    return rule.is_straight() and np.allclose(rule.scale, slopes, rtol=1e-5) and bool((nothing == ours).all())


def weight_axis(op: Op) -> int:
    """The output channels' axis of a layer's weights."""
    return op.weight_axis if isinstance(op, Convolution) else 0


class Network:
    """A graph, and how it is run.

    Attributes:
        layers: by name, in execution order.
        scores: values that are looked at in place of the outputs, see `scores_of`.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = fold_pad(merge_reshapes(graph))
        self.scores = scores_of(self.graph)
        found = (layer_of(self.graph, node) for node in self.graph.nodes)
        self.layers = {layer.name: layer for layer in found if layer is not None}
        self._sessions = dict[tuple[str, bool], Any]()
        self._last = {name: index for index, node in enumerate(self.graph.nodes) for name in node.inputs}

    def inputs(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs as real numbers on the grids of theirs; of integers what they stand for."""
        found = dict[str, Array]()
        for name, value in given.items():
            t = self.graph.types[name]
            found[name] = _on_grid(value, t) if value.dtype.kind == "f" else _real(value, t)
        return found

    def outputs(self, inputs: Mapping[str, Array], replaced: Mapping[str, Parameters], *, rounded: bool) -> list[Array]:
        """The scores: (samples, elements) each."""
        found = self.before(len(self.graph.nodes), inputs, replaced, rounded=rounded)
        return [flat(found[name]) for name in self.scores]

    def before(
        self, count: int, inputs: Mapping[str, Array], replaced: Mapping[str, Parameters], *, rounded: bool
    ) -> dict[str, Array]:
        """The values that the first `count` nodes leave to those behind them, and scores among them."""

        def run(part: slice) -> dict[str, Array]:
            values = {name: value[part] for name, value in inputs.items()}
            for node in islice(self.stepped(values), count):
                results = self.compute(node, values, replaced.get(node.name), rounded)
                values.update(zip(node.outputs, results, strict=True))
            return values

        parts = in_parts(len(next(iter(inputs.values()))), self._largest)
        found = together(run, parts)
        return {name: np.concatenate([values[name] for values in found]) for name in found[0]}

    @cached_property
    def _largest(self) -> int:
        """Elements of the largest value."""
        types = self.graph.types.items()
        return max(t.elements for name, t in types if name not in self.graph.constants)

    def stepped(self, *runs: dict[str, Array], first: int = 0) -> Iterator[Node]:
        """Each node whose results are to be put into the runs' values; those that nobody reads any more are dropped.

        Args:
            first: the node to begin with; values are those that are there before it.
        """
        for index, node in enumerate(self.graph.nodes[first:], first):
            yield node
            for name in dict.fromkeys(node.inputs):
                if self._last[name] == index and name not in self.scores:
                    for values in runs:
                        values.pop(name, None)

    def changed(self, start: Mapping[str, Array], replaced: Mapping[str, Parameters], *, rounded: bool) -> list[Array]:
        """The scores with the parameters of some layers replaced, as `outputs`.

        Args:
            start: all values of the network as it is.
        """
        return self.behind(start, (), replaced, rounded=rounded)

    def behind(
        self,
        start: Mapping[str, Array],
        changed: Collection[str],
        replaced: Mapping[str, Parameters] | None = None,
        *,
        rounded: bool,
    ) -> list[Array]:
        """The scores where some values of `start` aren't what the network makes; only what depends on these and on
        layers with other parameters is computed.
        """
        touched, values, others = set(changed), dict(start), replaced or {}
        for node in self.graph.nodes:
            if touched.isdisjoint(node.outputs) and (node.name in others or touched.intersection(node.inputs)):
                values.update(
                    zip(node.outputs, self.compute(node, values, others.get(node.name), rounded), strict=True)
                )
                touched.update(node.outputs)
        return [flat(values[name]) for name in self.scores]

    def compute(self, node: Node, values: Mapping[str, Array], given: Parameters | None, rounded: bool) -> list[Array]:
        """A node's results.

        Args:
            given: of a layer, instead of its own parameters.
        """
        layer = self.layers.get(node.name)
        if layer is not None:
            return [self._layer(layer, values[layer.operand], given or layer.own, rounded)]
        sig = self.graph.signature(node)
        constants = [self.graph.constants.get(name) for name in node.inputs]
        given_values: list[Array | None] = [
            values[n] if c is None else None for n, c in zip(node.inputs, constants, strict=True)
        ]
        smooth = _smooth(node, sig)
        if rounded and not isinstance(node.op, Binary):  # of which integers differ by ties alone
            smooth = None
        if smooth is None:
            operands = [
                c if v is None else _integers(v, t) for v, c, t in zip(given_values, constants, sig.inputs, strict=True)
            ]
        else:
            operands = [
                _real(cast(Array, c), t) if v is None else v
                for v, c, t in zip(given_values, constants, sig.inputs, strict=True)
            ]
        moving = [i for i, value in enumerate(given_values) if value is not None]
        if isinstance(node.op, Binary) and len({t.shape for t in sig.inputs}) == 1 and len(moving) == len(operands):
            results = node.op.evaluate(smooth or sig, cast("list[Array]", operands))
            return self._settled(node.op, smooth is None, sig, results, rounded)
        count = len(cast(Array, operands[moving[0]])) if moving else 1
        rows = [
            node.op.evaluate(
                smooth or sig, [cast(Array, v)[i] if j in moving else cast(Array, v) for j, v in enumerate(operands)]
            )
            for i in range(count)
        ]
        stacked = [np.stack(column) for column in zip(*rows, strict=True)]
        return self._settled(node.op, smooth is None, sig, stacked, rounded)

    @staticmethod
    def _settled(op: Op, integers: bool, sig: Signature, results: Sequence[Array], rounded: bool) -> list[Array]:
        """Results as real numbers, those that aren't integers within their reach, and on their grids if `rounded`."""
        if integers:
            return [_real(value, t) for value, t in zip(results, sig.outputs, strict=True)]
        kept = [np.clip(value, *_reach(op, t)) for value, t in zip(results, sig.outputs, strict=True)]
        return [_on_grid(value, t) for value, t in zip(kept, sig.outputs, strict=True)] if rounded else kept

    def _layer(self, layer: Layer, x: Array, given: Parameters, rounded: bool) -> Array:
        key = layer.name, rounded
        if key not in self._sessions:
            self._sessions[key] = _session_of(_model_of(layer, rounded))
        weights, count = given.weights, len(x)
        if layer.by_rows:
            weights, x = weights.T, x.reshape(-1, x.shape[-1])
        else:
            weights, x = windows_first(layer, weights), x.reshape(-1, *x.shape[-3:])
        session = self._sessions[key]
        constants = {"weights": np.ascontiguousarray(weights, np.float32), "bias": given.bias.astype(np.float32)}
        parts = in_parts(len(x), layer.sig.output.elements * count // max(1, len(x)))
        results = together(lambda part: session.run(None, {"x": x[part], **constants})[0], parts)
        return np.concatenate(results).reshape(-1, *layer.sig.output.shape)


def in_parts(count: int, elements: int) -> list[slice]:
    """Of so many samples with so many elements each: as many at a time as a processor's caches hold. Large arrays also
    cost the system a new page for every 1,000 elements."""
    size = max(1, _TOGETHER // max(1, elements))
    return [slice(first, first + size) for first in range(0, count, size)]


def together(compute: Callable[[slice], _Result], parts: Sequence[slice]) -> list[_Result]:
    """Of each part, on all cores: NumPy and onnxruntime let other threads work."""
    if len(parts) == 1:
        return [compute(parts[0])]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(compute, parts))


def windows_first(layer: Layer, weights: Array) -> Array:
    """(outputs, channels, rows, columns) of a convolution's weights (outputs, products)."""
    _, rows, columns, depth = layer.sig.inputs[1].shape
    return weights.reshape(layer.outputs, rows, columns, 1 if layer.is_depthwise else depth).transpose(0, 3, 1, 2)


def flat(value: Array) -> Array:
    return value.reshape(len(value), -1)


def _on_grid(value: Array, t: TensorType) -> Array:
    return value.astype(np.float32) if t.quant is None else _real(_integers(value, t), t)


def _integers(value: Array, t: TensorType) -> Array:
    if t.quant is None:
        return value.astype(t.dtype.carrier)
    low, high = t.dtype.range
    return np.clip(np.rint(value / np.float32(t.scale)) + t.zero_point, low, high).astype(t.dtype.carrier)


def _real(value: Array, t: TensorType) -> Array:
    quant = t.quant
    if quant is None:
        return value
    shape = [-1 if axis == quant.axis else 1 for axis in range(len(t.shape))] if quant.axis is not None else [1]
    scale, zero = quant.scale.astype(np.float32).reshape(shape), quant.zero_point.astype(np.float32).reshape(shape)
    return (value.astype(np.float32) - zero) * scale


def _reach(op: Op, t: TensorType) -> tuple[float, float]:
    """Where a result saturates."""
    if t.quant is None:
        return -np.inf, np.inf
    low, high = cast("tuple[int, int]", getattr(op, "clamp", t.dtype.range))
    return (low - t.zero_point) * t.scale, (high - t.zero_point) * t.scale


def _smooth(node: Node, sig: Signature) -> Signature | None:
    """The signature with which an operator computes on real numbers; None where only its integers have a meaning."""
    types = (*sig.inputs, *sig.outputs)
    if isinstance(node.op, Convolution | FullyConnected) and not _follows_scales(node.op, sig):
        return None
    if any(t.quant is None and t.dtype != FLOAT32 and t not in sig.inputs[1:] for t in types):
        return None
    as_floats = Signature(
        *(
            tuple(t if t.quant is None else TensorType(t.shape, FLOAT32) for t in each)
            for each in (sig.inputs, sig.outputs)
        )
    )
    op = node.op
    if isinstance(op, _MOVES):
        return as_floats
    if isinstance(op, Typed) and FLOAT32 in op.meanings() and op.unsupported(as_floats) is None:
        return as_floats
    return None


def _session_of(proto: Any) -> Any:
    """With onnxruntime's optimisations, for many samples. Raises ToolMissingError without it."""
    onnxruntime = onnxruntime_module("low bits are tried with it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # others spin while they wait for work, those of a hundred sessions at once
    options.enable_cpu_mem_arena = False  # each of a hundred sessions would keep the most that it ever had
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # 1.31 moves them over Transpose and then fails
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _model_of(layer: Layer, rounded: bool) -> Any:
    """The layer as an ONNX model of x, weights and bias."""
    onnx = onnx_module()
    helper, op, sig = onnx.helper, layer.op, layer.sig
    nodes, numbers = list[Any](), dict[str, Array]()
    if layer.by_rows:  # as a convolution it would be moved to channels first and back
        nodes.append(helper.make_node("Gemm", ["x", "weights", "bias"], ["sums"]))
    elif not isinstance(op, FullyConnected):
        top, bottom, left, right = op.padding
        windows = {"strides": list(op.stride), "dilations": list(op.dilation), "pads": [top, left, bottom, right]}
        nodes.append(helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]))
        nodes.append(helper.make_node("Conv", ["planes", "weights", "bias"], ["made"], group=layer.groups, **windows))
        nodes.append(helper.make_node("Transpose", ["made"], ["sums"], perm=[0, 2, 3, 1]))
    low, high = _reach(op, sig.output)
    numbers |= {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    nodes.append(helper.make_node("Clip", ["sums", "low", "high"], ["clipped" if rounded else "y"]))
    if rounded:
        numbers |= {"scale": np.array(sig.output.scale, np.float32), "zero": np.array(sig.output.zero_point, np.int8)}
        nodes.append(helper.make_node("QuantizeLinear", ["clipped", "scale", "zero"], ["integers"]))
        nodes.append(helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["y"]))
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in numbers.items()]
    float_ = onnx.TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(name, float_, None) for name in ("x", "weights", "bias")]
    graph = helper.make_graph(nodes, "layer", inputs, [helper.make_tensor_value_info("y", float_, None)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
