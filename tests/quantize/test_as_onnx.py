"""Graphs of floats as ONNX models: onnxruntime computes what the graph means, and layouts cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

import tinycompile
from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import NO_TENSOR, RELU, SAME, VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT32, INT64, UINT8, DType
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array, Graph, Node, Op, Quantization, Signature, TensorType
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.elu import Elu
from tinycompile.ops.equal import Equal
from tinycompile.ops.exp import Exp
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.greater import Greater
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.identity import Identity
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.less import Less
from tinycompile.ops.less_equal import LessEqual
from tinycompile.ops.log import Log
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.pad import Pad
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.slice import Slice
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.sub import Sub
from tinycompile.ops.take import Take
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose import Transpose
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.quantize import quantize
from tinycompile.quantize.as_onnx import as_onnx
from tinycompile.quantize.as_onnx_writer import EXPORTS
from tinycompile.quantize.measure import float_outputs
from tinycompile.verify.compare import verify_build

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

IMAGE = (1, 5, 6, 4)
ONE = (1, 1)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).normal(0, 1, shape).astype(np.float32)


def graph_of(op: Op, shapes: Sequence[tuple[int, ...]], constants: Sequence[Array], *, behind_layer: bool) -> Graph:
    """The operator alone, or between two layers of one tap, so that its images come and go with channels first."""
    types = {f"x{i}": TensorType(shape, FLOAT32) for i, shape in enumerate(shapes)}
    known = {f"c{i}": value for i, value in enumerate(constants)}
    types |= {name: TensorType(value.shape, FLOAT32) for name, value in known.items()}
    inputs, nodes, operands = tuple(f"x{i}" for i in range(len(shapes))), list[Node](), list[str]()

    def add(op: Op, read: Sequence[str], name: str) -> str:
        ((shape, dtype),) = op.infer([types[n] for n in read])
        types[name] = TensorType(shape, dtype)
        assert op.unsupported(Signature(tuple(types[n] for n in read), (types[name],))) is None
        nodes.append(Node(name, op, tuple(read), (name,)))
        return name

    def layer(value: str, name: str) -> str:
        channels = types[value].shape[3]
        known[f"{name}_w"] = normal(channels, 1, 1, channels)
        types[f"{name}_w"] = TensorType(known[f"{name}_w"].shape, FLOAT32)
        return add(Conv2D(), [value, f"{name}_w"], name)

    for name in inputs:
        operands.append(layer(name, f"{name}_layer") if behind_layer and len(types[name].shape) == 4 else name)
    y = add(op, [*operands, *(f"c{i}" for i in range(len(constants)))], "y")
    if behind_layer and len(types[y].shape) == 4:
        y = layer(y, "z")
    return Graph("model", inputs, (y,), tuple(nodes), types, known)


def check(graph: Graph) -> onnx.ModelProto:
    model = as_onnx(graph, "model.tflite")
    onnx.checker.check_model(model, full_check=True)
    values = {name: normal(*graph.types[name].shape, seed=i) for i, name in enumerate(graph.inputs)}
    (found,) = float_outputs(model, [values])
    expected = interpreter.run(graph, values)[graph.outputs[0]]
    assert found[0].shape == expected.shape
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5 * np.nanmax(np.abs(expected)))
    return model


W = normal(6, 3, 2, 4)
REDUCTIONS = (Mean, ReduceMax, ReduceMin, ReduceProd, ReduceSum)
USES: list[tuple[Op, list[tuple[int, ...]], list[Array]]] = [
    (Conv2D((2, 1), (1, 2), (1, 0, 2, 1), bounds=(0, np.inf)), [IMAGE], [W, normal(6)]),
    (Conv2D((1, 1), (1, 1), bounds=(-1, 1)), [IMAGE], [normal(6, 2, 2, 2)]),
    (DepthwiseConv2D((1, 2), (1, 1), (1, 1, 0, 0), bounds=(0, 6)), [IMAGE], [normal(1, 3, 2, 8), normal(8)]),
    (TransposeConv((10, 12), (2, 2)), [IMAGE], [normal(6, 2, 2, 4), normal(6)]),
    (TransposeConv((10, 11), (2, 2), cut=(1, 0)), [IMAGE], [normal(6, 3, 2, 4)]),
    (FullyConnected(bounds=(0, np.inf)), [(3, 8)], [normal(5, 8), normal(5)]),
    (FullyConnected(), [(2, 3, 8)], [normal(5, 8), normal(5)]),
    (FullyConnected(), [IMAGE], [normal(5, 4)]),
    (BatchMatMul(True, True), [(2, 4, 3), (2, 5, 4)], []),
    (BatchMatMul(), [(2, 3, 4)], [normal(4, 5)]),
    (MaxPool2D((3, 2), (2, 1), (1, 0, 1, 1)), [IMAGE], []),
    (AveragePool2D((3, 2), (1, 2), (1, 1, 0, 1)), [IMAGE], []),
    *((op((1, 2), keep), [IMAGE], []) for op in REDUCTIONS for keep in (True, False)),
    *((op((3,), keep), [IMAGE], []) for op in (Mean, ReduceMax) for keep in (True, False)),
    (Mean((0, 2), False), [(2, 3, 4)], []),
    (Softmax(0.5), [IMAGE], []),
    (LogSoftmax(), [IMAGE], []),
    (Softmax(), [(3, 7)], []),
    (L2Normalization(), [IMAGE], []),
    *((op, [IMAGE], []) for op in (Abs(), Exp(), HardSwish(), Logistic(), Neg(), Relu(), Sign(), Tanh())),
    *((op, [IMAGE], []) for op in (Elu(0.7), Gelu(), Gelu(approximate=True), LeakyRelu(0.2))),
    *((op, [(3, 4)], []) for op in (Log(), Sqrt(), Rsqrt())),
    *((ElementwiseFunction(name, 0.1, 0.4), [IMAGE], []) for name in ("clip", "square", "floor", "sin", "reciprocal")),
    *((op, [IMAGE, IMAGE], []) for op in (Add(), Sub(), Mul(), Div(), Maximum(), Minimum(), SquaredDifference())),
    *((Add(), [IMAGE], [normal(*shape)]) for shape in ((4,), (6, 1), IMAGE, (1, 5, 1, 1), ())),
    (Mul(), [IMAGE, (1, 1, 1, 4)], []),
    (Add(), [IMAGE, (6, 4)], []),
    (Prelu(), [IMAGE], [normal(1, 1, 4)]),
    (Pow(), [(3, 4)], [np.float32(2)]),
    (Transpose((0, 2, 3, 1)), [IMAGE], []),
    (Transpose((0, 3, 1, 2)), [IMAGE], []),
    (Transpose((0, 2, 1, 3)), [IMAGE], []),
    (Reshape((1, 120)), [IMAGE], []),
    (Reshape((4, 4)), [(1, 1, 1, 16)], []),
    (Reshape((1, 30, 1)), [(1, 5, 6, 1)], []),
    (Identity(), [IMAGE], []),
    (Concatenation(3), [IMAGE, IMAGE], []),
    (Concatenation(1), [IMAGE, IMAGE], []),
    (Pad(((0, 0), (1, 2), (0, 1), (2, 0)), 0.5), [IMAGE], []),
    (MirrorPad(((0, 0), (1, 2), (0, 1), (0, 0)), "reflect"), [IMAGE], []),
    (Take(3, (2, 0)), [IMAGE], []),
    (Take(2, (1, 0, 0)), [IMAGE], []),
    (Slice((0, 4, 1, 0), (1, 3, 2, 4), (1, -2, 2, 1)), [IMAGE], []),
    (Repeat((1, 2, 1, 3)), [IMAGE], []),
    (BroadcastTo((2, 3, 4)), [(3, 1)], []),
    (DepthToSpace(2), [IMAGE], []),
    (SpaceToDepth(2), [(1, 4, 6, 4)], []),
    *((ResizeNearestNeighbor((9, 8), a, c), [IMAGE], []) for a, c in ((False, False), (True, False), (False, True))),
    *((ResizeBilinear((9, 7), aligned, centred), [IMAGE], []) for aligned, centred in ((0, 0), (1, 0), (0, 1))),
]


@pytest.mark.parametrize("behind_layer", [False, True])
@pytest.mark.parametrize(("op", "shapes", "constants"), USES, ids=lambda value: getattr(value, "kind", ""))
def test_each_operator(op: Op, shapes: list[tuple[int, ...]], constants: list[Array], behind_layer: bool) -> None:
    if behind_layer and not any(len(shape) == 4 for shape in shapes):
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        check(graph_of(op, shapes, constants, behind_layer=behind_layer))


Typed = tuple[tuple[int, ...], DType]
CHOICES: list[tuple[Op, list[Typed]]] = [
    *((op, [((3, 4), FLOAT32), ((4,), FLOAT32)]) for op in (Greater(), GreaterEqual(), Less(), LessEqual())),
    *((op, [((3, 4), INT32), ((3, 4), INT32)]) for op in (Equal(), NotEqual(), Add(), Mul())),
    *((op, [((3, 4), BOOL), ((3, 4), BOOL)]) for op in (LogicalAnd(), LogicalOr())),
    (LogicalNot(), [((3, 4), BOOL)]),
    (Select(), [((6, 1), BOOL), ((6, 5), FLOAT32), ((5,), FLOAT32)]),
    (Select(), [((3, 4), BOOL), ((3, 4), FLOAT32), ((3, 4), FLOAT32)]),
    *((Cast(to), [((3, 4), INT32)]) for to in (FLOAT32, INT64, BOOL)),
    *((op(axis, to), [(IMAGE, FLOAT32)]) for op in (ArgMax, ArgMin) for axis, to in ((3, INT32), (1, INT64))),
    (CumulativeSum(1, exclusive=True, reverse=True), [((3, 4), FLOAT32)]),
    (Gather(1), [((2, 5, 3), FLOAT32), ((4,), INT32)]),
    (GatherND(), [((4, 5, 3), FLOAT32), ((6, 2), INT32)]),
]


def of_type(t: TensorType, seed: int) -> Array:
    """Few numbers, so that some are equal, and indices are inside."""
    values = np.random.default_rng(seed).integers(0, 4, t.shape)
    return values > 1 if t.dtype == BOOL else values.astype(t.dtype.carrier)


@pytest.mark.parametrize(("op", "operands"), CHOICES, ids=lambda value: getattr(value, "kind", ""))
def test_choices_and_indices(op: Op, operands: list[Typed]) -> None:
    types = {f"x{i}": TensorType(*operand) for i, operand in enumerate(operands)}
    ((shape, dtype),) = op.infer(list(types.values()))
    inputs = tuple(types)
    types["y"] = TensorType(shape, dtype)
    graph = Graph("model", inputs, ("y",), (Node("y", op, inputs, ("y",)),), types, {})
    values = {name: of_type(types[name], seed) for seed, name in enumerate(inputs)}
    (found,) = float_outputs(as_onnx(graph, "model.tflite"), [values])
    np.testing.assert_allclose(found[0], interpreter.run(graph, values)["y"], rtol=1e-6)


def test_no_operator_is_left_out() -> None:
    assert {type(op) for op, *_ in (*USES, *CHOICES)} == EXPORTS.keys()


def network(seed: int = 0) -> tuple[bytes, onnx.ModelProto]:
    """A small network as litert-torch writes it, with images between two TRANSPOSE, and as PyTorch's ONNX export."""
    rng, b, o = np.random.default_rng(seed), TfliteBuilder(), OnnxBuilder()

    def weights(*shape: int) -> Array:
        return rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)

    def floats(*shape: int) -> int:
        return b.tensor(shape, dtype="float32")

    first, depthwise, last = weights(8, 3, 3, 3), weights(8, 1, 3, 3), weights(4, 8, 1, 1)
    biases = [weights(n, 1).ravel() for n in (8, 8, 4)]
    x, image, a, c, d, y = floats(1, 3, 12, 10), floats(1, 12, 10, 3), *(floats(1, 6, 5, n) for n in (8, 8, 4)), 0
    y = floats(1, 4, 6, 5)
    b.op("TRANSPOSE", [x, b.constant(np.array([0, 2, 3, 1], np.int32))], [image])
    steps = {"StrideH": 2, "StrideW": 2, "FusedActivationFunction": RELU}
    b.op("CONV_2D", [image, b.constant(first.transpose(0, 2, 3, 1)), b.constant(biases[0])], [a], Padding=SAME, **steps)
    steps = {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": RELU, "DepthMultiplier": 1}
    operands = [a, b.constant(depthwise.transpose(1, 2, 3, 0)), b.constant(biases[1])]
    b.op("DEPTHWISE_CONV_2D", operands, [c], Padding=SAME, **steps)
    operands = [c, b.constant(last.transpose(0, 2, 3, 1)), b.constant(biases[2])]
    b.op("CONV_2D", operands, [d], Padding=VALID, StrideH=1, StrideW=1)
    b.op("TRANSPOSE", [d, b.constant(np.array([0, 3, 1, 2], np.int32))], [y])
    v = o.input((1, 3, 12, 10))
    for w, bias, relu, attributes in (
        (first, biases[0], True, {"strides": [2, 2], "pads": [0, 0, 1, 1]}),
        (depthwise, biases[1], True, {"group": 8, "pads": [1, 1, 1, 1]}),
        (last, biases[2], False, {}),
    ):
        v = o.node("Conv", v, o.constant(w, np.float32), o.constant(bias, np.float32), **attributes)
        v = o.node("Relu", v) if relu else v
    o.output(v)
    return b.build([x], [y]), o.model()


def test_a_network_from_pytorch_has_the_same_form_on_both_roads() -> None:
    content, model = network()
    ours = as_onnx(import_tflite(content, "model", "model.tflite", floats="all"), "model.tflite")
    assert [node.op_type for node in ours.graph.node] == ["Conv", "Relu", "Conv", "Relu", "Conv"]
    x = normal(1, 3, 12, 10)
    names = ours.graph.input[0].name, model.graph.input[0].name
    (a,), (b,) = (float_outputs(m, [{name: x}]) for m, name in zip((ours, model), names, strict=True))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_command_makes_int8_of_a_float_file(tmp_path: Path) -> None:
    """As good as from ONNX; the firmware is what onnxruntime computes of the quantised model."""
    content, model = network()
    (tmp_path / "net.tflite").write_bytes(content)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "calib.npz", input_0=np.random.default_rng(3).normal(0, 1, (40, 1, 3, 12, 10)))
    roads = [quantize(tmp_path / f"net.{form}", tmp_path / "calib.npz", method="minmax") for form in ("tflite", "onnx")]
    ratios = [road.trials[0].sqnr for road in roads]
    assert ratios[0] > 30 and ratios[0] >= ratios[1] - 0.01
    options = {"calib": tmp_path / "calib.npz", "calib_method": "minmax"}
    build = tinycompile.compile(tmp_path / "net.tflite", "mps2-an386", output=tmp_path / "out", **options)
    convolutions = [layer for layer in build.report["layers"] if "conv2d" in layer["op"]]
    assert {entry["dtype"] for layer in convolutions for entry in layer["outputs"]} == {"int8"}
    assert verify_build(build, [normal(2, 1, 3, 12, 10)]).differences == 0


def test_weights_of_integers_are_floats_again() -> None:
    """So that a dynamic-range file can be calibrated, too."""
    values = np.random.default_rng(0).integers(-127, 128, (5, 8)).astype(np.int8)
    graph = graph_of(FullyConnected(), [(2, 8)], [values.astype(np.float32)], behind_layer=False)
    quant = Quantization(np.linspace(0.01, 0.02, 5).astype(np.float32), np.zeros(5, np.int64), 0)
    graph.types["c0"] = TensorType((5, 8), INT8, quant)  # type: ignore[index]
    graph.constants["c0"] = values  # type: ignore[index]
    (found,) = float_outputs(as_onnx(graph, "m"), [{"x0": normal(2, 8)}])
    np.testing.assert_allclose(found[0], normal(2, 8) @ (values * quant.scale[:, None]).T, rtol=1e-5)


def test_everything_without_a_form_is_named_at_once() -> None:
    graph = graph_of(Cast(UINT8), [(3, 4)], [], behind_layer=False)
    with pytest.raises(UnsupportedError, match="cast 'y': --calib has no form for this operator of uint8"):
        as_onnx(graph, "model.tflite")


def test_a_quantised_file_is_refused() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.5, 3), b.tensor((1, 3), 0.5)
    b.op("FULLY_CONNECTED", [x, b.constant(np.ones((3, 4), np.int8), 0.1), NO_TENSOR], [y])
    with pytest.raises(UsageError, match="quantised already"):
        as_onnx(import_tflite(b.build([x], [y]), "model", "model.tflite"), "model.tflite")


def test_a_table_that_integers_are_looked_up_in(tmp_path: Path) -> None:
    """The integers stay, the table becomes int8; so do the layers behind it."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, rows, y = (
        b.tensor((1, 6), dtype="int32"),
        b.tensor((1, 6, 8), dtype="float32"),
        b.tensor((1, 4), dtype="float32"),
    )
    table = b.constant(rng.normal(0, 1, (20, 8)).astype(np.float32))
    b.op("GATHER", [table, x], [rows], Axis=0)
    weights = b.constant(rng.normal(0, 0.1, (4, 48)).astype(np.float32))
    b.op("FULLY_CONNECTED", [rows, weights, NO_TENSOR], [y])
    (tmp_path / "net.tflite").write_bytes(b.build([x], [y]))
    np.savez(tmp_path / "calib.npz", input_0=rng.integers(0, 20, (30, 1, 6)).astype(np.int32))
    found = quantize(tmp_path / "net.tflite", tmp_path / "calib.npz", method="minmax")
    assert found.trials[0].sqnr > 30
    kinds = [node.op_type for node in found.proto.graph.node]
    assert kinds.count("QuantizeLinear") == 1 and kinds.index("Gather") > kinds.index("DequantizeLinear")
