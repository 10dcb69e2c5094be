"""int16 activations ("16x8") against LiteRT, and their kernels against the definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import activations, check, full_range, pairs, quick, seeds, thorough
from tests.support.kernel_checks import M7
from tests.support.kernel_checks import check as check_kernel
from tests.support.tflite_builder import SAME, TYPES, TfliteBuilder
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_of

scales = st.floats(2.0**-17, 2.0**-8, width=32)
biases = st.sampled_from(["int64", "int32"])


def kernels_agree(graph: Graph) -> None:
    """Every kernel of every node, on random values."""
    for node in graph.nodes:
        site = graph.site(node)
        found = kernels_of(site, M7)
        assert found, node.op.kind
        for kernel in found:
            if kernel.function is not None:
                check_kernel(lambda site, core, kernel=kernel: kernel, site)


def wide_tensor(b: TfliteBuilder, shape: Sequence[int], scale: float) -> int:
    return b.tensor(shape, scale, dtype="int16")


def agree(b: TfliteBuilder, y: int, inputs: Sequence[int], seed: int) -> Graph:
    """LiteRT, the definition and, every fifth time, since C compilers are slow, the kernels."""
    rng = np.random.default_rng(seed)
    graph = check(b, [y], {x: full_range(rng, b.tensors[x].shape, "int16") for x in inputs})
    if seed % 5 == 0:
        kernels_agree(graph)
    return graph


def layer(
    kind: str,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    bias: str,
    seed: int,
    **options: int,
) -> Graph:
    """A layer whose outputs fill their range."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    channels = w_shape[axis]
    w_scale = rng.uniform(0.001, 0.02, channels).astype(np.float32)
    x, terms = wide_tensor(b, x_shape, 0.0004), int(np.prod(w_shape)) // channels
    y = wide_tensor(b, y_shape, float(0.0004 * w_scale.mean() * np.sqrt(terms) * 73))
    w = b.constant(full_range(rng, w_shape), w_scale, axis=axis)
    values = rng.integers(-(2**20), 2**20, channels).astype(bias)
    c = b.constant(values, np.float32(0.0004) * w_scale)
    if kind != "DEPTHWISE_CONV_2D":
        options["QuantizedBiasType"] = TYPES[bias]
    b.op(kind, [x, w, c], [y], **options)
    return agree(b, y, [x], seed)


@quick
@given(pairs, pairs, activations, biases, seeds, st.integers(1, 5), st.integers(1, 6))
def test_conv2d(stride, dilation, activation, bias, seed, depth, outputs):
    rows, columns = (-(-n // s) for n, s in zip((7, 8), stride, strict=True))
    layer(
        "CONV_2D", (1, 7, 8, depth), (outputs, 2, 3, depth), (1, rows, columns, outputs), bias, seed, Padding=SAME,
        StrideH=stride[0], StrideW=stride[1], DilationHFactor=dilation[0], DilationWFactor=dilation[1],
        FusedActivationFunction=activation,
    )  # fmt: skip


def test_many_taps_leave_32_bits():
    layer("CONV_2D", (1, 6, 6, 90), (5, 3, 3, 90), (1, 6, 6, 5), "int64", 0, Padding=SAME, StrideH=1, StrideW=1)


@quick
@given(pairs, pairs, activations, seeds, st.integers(1, 3), st.integers(1, 2))
def test_depthwise_conv2d(stride, dilation, activation, seed, channels, multiplier):
    rows, columns = (-(-n // s) for n, s in zip((7, 8), stride, strict=True))
    outputs = channels * multiplier
    layer(
        "DEPTHWISE_CONV_2D", (1, 7, 8, channels), (1, 2, 3, outputs), (1, rows, columns, outputs), "int64", seed,
        Padding=SAME, StrideH=stride[0], StrideW=stride[1], DilationHFactor=dilation[0], DilationWFactor=dilation[1],
        FusedActivationFunction=activation, DepthMultiplier=multiplier,
    )  # fmt: skip


@quick
@given(st.integers(1, 3), st.integers(1, 90), st.integers(1, 9), activations, biases, seeds)
def test_fully_connected(rows, inputs, outputs, activation, bias, seed):
    layer(
        "FULLY_CONNECTED", (rows, inputs), (outputs, inputs), (rows, outputs), bias, seed,
        FusedActivationFunction=activation,
    )  # fmt: skip


@thorough
@given(
    st.sampled_from(["ADD", "SUB", "MUL"]), scales, scales, activations, seeds, st.sampled_from([(4, 5), (5,), (4, 1)])
)
def test_binary(kind, a_scale, b_scale, activation, seed, shape):
    b = TfliteBuilder()
    x, a = wide_tensor(b, (4, 5), a_scale), wide_tensor(b, shape, b_scale)
    y = wide_tensor(b, (4, 5), a_scale * b_scale * 30000 if kind == "MUL" else 1.7 * max(a_scale, b_scale))
    options = {} if kind == "MUL" else {"PotScaleInt16": False}
    b.op(kind, [x, a], [y], FusedActivationFunction=activation, **options)
    agree(b, y, [x, a], seed)


@quick
@given(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]), pairs, pairs, activations, seeds)
def test_pools(kind, kernel, stride, activation, seed):
    rows, columns = (-(-n // s) for n, s in zip((7, 8), stride, strict=True))
    b = TfliteBuilder()
    x, y = wide_tensor(b, (1, 7, 8, 3), 0.01), wide_tensor(b, (1, rows, columns, 3), 0.01)
    b.op(
        kind, [x], [y], FilterHeight=kernel[0], FilterWidth=kernel[1], StrideH=stride[0], StrideW=stride[1],
        Padding=SAME, FusedActivationFunction=activation,
    )  # fmt: skip
    agree(b, y, [x], seed)


@thorough
@given(st.sampled_from([(1,), (1, 2), (3,), (0, 1, 2, 3)]), scales, st.floats(0.3, 3), st.booleans(), seeds)
def test_mean(axes, scale, ratio, keep_dims, seed):
    shape = (2, 5, 4, 3)
    kept = [(1 if i in axes else n) for i, n in enumerate(shape) if keep_dims or i not in axes]
    b = TfliteBuilder()
    x, y = wide_tensor(b, shape, scale), wide_tensor(b, kept, scale * ratio)
    b.op("MEAN", [x, b.constant(np.array(axes, np.int32))], [y], KeepDims=keep_dims)
    agree(b, y, [x], seed)


@thorough
@given(st.sampled_from(["TANH", "LOGISTIC"]), st.one_of(scales, st.sampled_from([2.0**-11, 2.0**-12])), seeds)
def test_interpolated_functions(kind, scale, seed):
    b = TfliteBuilder()
    x, y = wide_tensor(b, (40, 25), scale), wide_tensor(b, (40, 25), 2.0**-15)
    b.op(kind, [x], [y])
    agree(b, y, [x], seed)


@thorough
@given(st.integers(1, 40), scales, st.sampled_from([1.0, 0.5]), seeds)
def test_softmax(depth, scale, beta, seed):
    b = TfliteBuilder()
    x, y = wide_tensor(b, (20, depth), scale), wide_tensor(b, (20, depth), 2.0**-15)
    b.op("SOFTMAX", [x], [y], Beta=beta)
    agree(b, y, [x], seed)


@quick
@given(st.sampled_from(["RELU", "RELU6", "LEAKY_RELU", "QUANTIZE"]), scales, st.floats(0.3, 3), seeds)
def test_rescaling(kind, scale, ratio, seed):
    b = TfliteBuilder()
    x, y = wide_tensor(b, (20, 25), scale), wide_tensor(b, (20, 25), scale * ratio)
    b.op(kind, [x], [y], **({"Alpha": 0.2} if kind == "LEAKY_RELU" else {}))
    agree(b, y, [x], seed)


@pytest.mark.parametrize("kind", ["PAD", "PADV2", "TRANSPOSE", "CONCATENATION", "RESHAPE"])
def test_movement(kind):
    b = TfliteBuilder()
    x, shape, operands, options = wide_tensor(b, (2, 3, 5), 0.01), (2, 3, 5), list[int](), {}
    if kind in ("PAD", "PADV2"):
        shape, operands = (2, 6, 6), [b.constant(np.array([[0, 0], [1, 2], [1, 0]], np.int32))]
        if kind == "PADV2":
            operands.append(b.constant(np.array([-32768], np.int16), 0.01))
    elif kind == "TRANSPOSE":
        shape, operands = (5, 2, 3), [b.constant(np.array([2, 0, 1], np.int32))]
    elif kind == "CONCATENATION":
        shape, operands, options = (2, 3, 10), [x], {"Axis": 2}
    else:
        shape, operands = (6, 5), [b.constant(np.array([6, 5], np.int32))]
    y = wide_tensor(b, shape, 0.01)
    b.op(kind, [x, *operands], [y], **options)
    agree(b, y, [x], 0)


def test_edges_are_floats():
    b = TfliteBuilder()
    x, q, y = b.tensor((9, 50), dtype="float32"), wide_tensor(b, (9, 50), 0.001), b.tensor((9, 50), dtype="float32")
    b.op("QUANTIZE", [x], [q])
    b.op("DEQUANTIZE", [q], [y])
    kernels_agree(check(b, [y], {x: np.random.default_rng(0).normal(0, 20, (9, 50)).astype(np.float32)}))


def test_power_of_two_sums_are_refused():
    """LiteRT shifts them, where the option says so and all scales are powers of two."""
    b = TfliteBuilder()
    x, a, y = wide_tensor(b, (4,), 2.0**-12), wide_tensor(b, (4,), 2.0**-12), wide_tensor(b, (4,), 2.0**-11)
    b.op("ADD", [x, a], [y], PotScaleInt16=True)
    with pytest.raises(UnsupportedError, match="pot_scale_int16"):
        import_tflite(b.build([x, a], [y]), "m", "m.tflite")


@pytest.mark.parametrize(
    ("kind", "bias", "reason"),
    [
        ("CONV_2D", np.zeros(3, np.int32), "LiteRT reads it as int64"),
        ("CONV_2D", None, "it has no bias"),
        ("DEPTHWISE_CONV_2D", np.zeros(3, np.int32), "the bias is int32, supported is int64"),
    ],
)
def test_biases_that_litert_refuses_or_misreads(kind: str, bias: np.ndarray | None, reason: str) -> None:
    b = TfliteBuilder()
    x, y = wide_tensor(b, (1, 4, 4, 3), 0.1), wide_tensor(b, (1, 4, 4, 3), 0.1)
    shape = (1, 1, 1, 3) if kind == "DEPTHWISE_CONV_2D" else (3, 1, 1, 3)
    operands = [x, b.constant(np.ones(shape, np.int8), 0.1)] + ([] if bias is None else [b.constant(bias, 0.01)])
    b.op(kind, operands, [y], StrideH=1, StrideW=1)
    with pytest.raises(UnsupportedError, match=reason):
        import_tflite(b.build([x], [y]), "m", "m.tflite")
