"""float32 models, and models whose weights have other types than their activations, against LiteRT."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest

from tests.ops.convolutions import check_convolution
from tests.ops.floats import check_float
from tests.support.litert import Oracle
from tests.support.tflite_builder import NO_TENSOR, NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT16, INT2, INT4, DType
from tinycompile.errors import FloatIslandWarning, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, verify
from tinycompile.kernels.float_ops import unary

ACTIVATIONS = [NONE, RELU, RELU6, RELU_N1_TO_1]
X = (1, 6, 7, 4)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def check(b: TfliteBuilder, inputs: Sequence[int], output: int) -> Graph:
    """The output within 1e-6 of LiteRT's, relative to the largest."""
    model = b.build(inputs, [output])
    graph = import_tflite(model, "model", "model.tflite", floats="all")
    verify(graph)
    values = [normal(*b.tensors[index].shape, seed=index) for index in inputs]
    ours, theirs = interpreter.run(graph, values)[graph.outputs[0]], Oracle(model).run(values)[output]
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())
    return graph


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers(activation: int) -> None:
    b = TfliteBuilder()
    x, y = b.tensor(X, dtype="float32"), b.tensor((1, 3, 4, 5), dtype="float32")
    w, bias = b.constant(normal(5, 3, 3, 4)), b.constant(normal(5))
    b.op("CONV_2D", [x, w, bias], [y], Padding=SAME, StrideH=2, StrideW=2, FusedActivationFunction=activation)
    z = b.tensor((1, 1, 2, 10), dtype="float32")
    w, bias = b.constant(normal(1, 3, 3, 10)), b.constant(normal(10))
    b.op(
        "DEPTHWISE_CONV_2D", [y, w, bias], [z], Padding=VALID, StrideH=1, StrideW=1,
        FusedActivationFunction=activation, DepthMultiplier=2,
    )  # fmt: skip
    r = b.tensor((1, 3), dtype="float32")
    b.op("FULLY_CONNECTED", [z, b.constant(normal(3, 20)), NO_TENSOR], [r], FusedActivationFunction=activation)
    check(b, [x], r)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_binary(kind: str, activation: int) -> None:
    b = TfliteBuilder()
    x, a, y = b.tensor(X, dtype="float32"), b.tensor((7, 1), dtype="float32"), b.tensor(X, dtype="float32")
    b.op(kind, [x, a], [y], FusedActivationFunction=activation)
    check(b, [x, a], y)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(kind: str, activation: int) -> None:
    b = TfliteBuilder()
    x, y = b.tensor(X, dtype="float32"), b.tensor((1, 3, 4, 4), dtype="float32")
    window = {"FilterHeight": 3, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": SAME}
    b.op(kind, [x], [y], FusedActivationFunction=activation, **window)
    check(b, [x], y)


@pytest.mark.parametrize(
    "kind",
    ["RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH", "LOGISTIC", "TANH", "SOFTMAX", "LEAKY_RELU", "MEAN", "PADV2"],
)
def test_others(kind: str) -> None:
    b = TfliteBuilder()
    x, shape, operands, options = b.tensor(X, dtype="float32"), X, list[int](), {}
    if kind == "MEAN":
        shape, operands = (1, 4), [b.constant(np.array([1, 2], np.int32))]
    elif kind == "PADV2":
        shape, pads = (1, 7, 7, 4), np.array([[0, 0], [1, 0], [0, 0], [0, 0]], np.int32)
        operands = [b.constant(pads), b.constant(np.array([-1.5], np.float32))]
    elif kind == "LEAKY_RELU":
        options = {"Alpha": -0.25}
    elif kind == "SOFTMAX":
        options = {"Beta": 0.5}
    y = b.tensor(shape, dtype="float32")
    b.op(kind, [x, *operands], [y], **options)
    check(b, [x], y)


def _stored(b: TfliteBuilder, values: np.ndarray, form: str) -> int:
    """Weights (5, 3) as files have them, behind a DEQUANTIZE."""
    if form == "float16":
        w = b.tensor(values.shape, dtype="float16", data=values.astype(np.float16).tobytes())
    elif form == "int8 per channel":
        w = b.constant(np.rint(values * 10).astype(np.int8), [0.1, 0.2, 0.3, 0.4, 0.5], 0, axis=0)
    else:
        dtype = DType.of(form)
        integers = np.clip(np.rint(values), *dtype.range).astype(dtype.carrier)
        w = b.tensor(values.shape, 0.25, dtype=form, data=dtype.pack(integers).tobytes())
    y = b.tensor(values.shape, dtype="float32")
    b.op("DEQUANTIZE", [w], [y])
    return y


@pytest.mark.parametrize("form", ["float16", "int8 per channel", "int8", "int4"])
def test_constants_behind_dequantize_are_floats(form: str) -> None:
    b = TfliteBuilder()
    x, w, y = b.tensor((2, 3), dtype="float32"), _stored(b, normal(5, 3), form), b.tensor((2, 5), dtype="float32")
    b.op("FULLY_CONNECTED", [x, w, NO_TENSOR], [y])
    assert [node.op.kind for node in check(b, [x], y).nodes] == ["fully_connected"]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_int4_weights_are_those_of_int8(kind: str, per_channel: bool) -> None:
    """LiteRT unpacks them, too; the low half of a byte is the first."""
    w_shape = (4, 3, 3, 3) if kind == "CONV_2D" else (1, 3, 3, 3)
    check_convolution(
        kind, (1, 6, 6, 3), w_shape, (1, 6, 6, w_shape[0] if kind == "CONV_2D" else 3), 1, per_channel=per_channel,
        weights="int4", Padding=SAME, StrideH=1, StrideW=1, FusedActivationFunction=NONE,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["HARD_SWISH", "RELU6", "LEAKY_RELU"])
def test_functions_that_round_once_are_exact(kind: str) -> None:
    """What is quantised behind them must not be a step beside LiteRT's."""
    b = TfliteBuilder()
    x, y = b.tensor((4000,), dtype="float32"), b.tensor((4000,), dtype="float32")
    b.op(kind, [x], [y], **({"Alpha": 0.3} if kind == "LEAKY_RELU" else {}))
    model, values = b.build([x], [y]), normal(4000)
    graph = import_tflite(model, "model", "model.tflite", floats="all")
    np.testing.assert_array_equal(interpreter.run(graph, [values])[graph.outputs[0]], Oracle(model).run([values])[y])
    check_float(unary, graph.nodes[0].op, [values])


def float_relu(quantized: bool) -> bytes:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), dtype="float32"), b.tensor((1, 4), dtype="float32")
    b.op("RELU", [x], [y])
    if not quantized:
        return b.build([x], [y])
    z = b.tensor((1, 4), 0.1)
    b.op("QUANTIZE", [y], [z])
    return b.build([x], [z])


@pytest.mark.parametrize(("quantized", "text"), [(False, "the model runs in float32"), (True, "RELU 't1' .* runs in")])
def test_a_warning_says_what_runs_in_float32(quantized: bool, text: str) -> None:
    model = float_relu(quantized)
    with pytest.warns(FloatIslandWarning, match=text):
        import_tflite(model, "m", "m.tflite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_tflite(model, "m", "m.tflite", floats="all")


def test_strict_int8_refuses_islands() -> None:
    with pytest.raises(UnsupportedError, match="--strict-int8 excludes"):
        import_tflite(float_relu(True), "m", "m.tflite", floats="none")


@pytest.mark.parametrize("dtype", [FLOAT16, INT4, INT2], ids=str)
def test_activations_of_these_types_are_refused(dtype: DType) -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 1.0, dtype=dtype.name), b.tensor((1, 4), dtype="float32")
    b.op("DEQUANTIZE", [x], [y])
    with pytest.raises(UnsupportedError, match=f"has the type {dtype.name.upper()}"):
        import_tflite(b.build([x], [y]), "m", "m.tflite")
