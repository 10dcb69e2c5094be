"""Operators whose output has another scale and zero point than the input: each does what LiteRT's kernel does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.ops.oracle import all_values, check, full_range
from tests.support.litert import Oracle
from tests.support.tflite_builder import NONE, RELU6, SAME, VALID, TfliteBuilder
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph
from tinycompile.passes import optimize

SHAPE = (1, 5, 4, 3)
Quant = tuple[float, int]
PAIRS: list[tuple[Quant, Quant]] = [
    ((0.05, 3), (0.05, -7)),
    ((0.05, 3), (0.2, 3)),
    ((0.5, -128), (0.003, 127)),
    ((0.0313, 11), (0.0314, 11)),
    ((0.02, 0), (1.7, -100)),
]
WINDOW = {"FilterHeight": 3, "FilterWidth": 2, "StrideH": 2, "StrideW": 1}


def integers(b: TfliteBuilder, *values: int) -> int:
    return b.constant(np.array(values, np.int32))


def pool(name: str, padding: int, activation: int) -> Callable[[TfliteBuilder, int, Quant], int]:
    def build(b: TfliteBuilder, x: int, quant: Quant) -> int:
        y = b.tensor((1, 3, 4, 3) if padding == SAME else (1, 2, 3, 3), *quant)
        b.op(name, [x], [y], Padding=padding, FusedActivationFunction=activation, **WINDOW)
        return y

    return build


def plain(
    name: str, shape: Sequence[int], *constants: Sequence[object], **options: float | list[int]
) -> Callable[[TfliteBuilder, int, Quant], int]:
    def build(b: TfliteBuilder, x: int, quant: Quant) -> int:
        y = b.tensor(shape, *quant)
        b.op(name, [x, *(b.constant(np.array(c, np.int32)) for c in constants)], [y], **options)
        return y

    return build


def padv2(b: TfliteBuilder, x: int, quant: Quant) -> int:
    y, amounts = b.tensor((1, 6, 4, 5), *quant), b.constant(np.array([[0, 0], [1, 0], [0, 0], [0, 2]], np.int32))
    b.op("PADV2", [x, amounts, b.constant(np.array(-5, np.int8), *quant)], [y])
    return y


FOLLOWED = {
    "max pool": pool("MAX_POOL_2D", SAME, NONE),
    "max pool, clamped": pool("MAX_POOL_2D", VALID, RELU6),
    "average pool": pool("AVERAGE_POOL_2D", SAME, NONE),
    "average pool, clamped": pool("AVERAGE_POOL_2D", VALID, RELU6),
    "transpose": plain("TRANSPOSE", (3, 1, 4, 5), [3, 0, 2, 1]),
    "reshape": plain("RESHAPE", (15, 4), [15, 4]),
    "squeeze": plain("SQUEEZE", SHAPE[1:], SqueezeDims=[0]),
    "pad": plain("PAD", (1, 7, 4, 5), [[0, 0], [2, 0], [0, 0], [1, 1]]),
    "padv2": padv2,
    "resize nearest": plain("RESIZE_NEAREST_NEIGHBOR", (1, 7, 8, 3), [7, 8], HalfPixelCenters=True),
    "relu": plain("RELU", SHAPE),
    "relu6": plain("RELU6", SHAPE),
    "relu -1..1": plain("RELU_N1_TO_1", SHAPE),
    "leaky relu": plain("LEAKY_RELU", SHAPE, Alpha=0.3),
    "quantize": plain("QUANTIZE", SHAPE),
    "tanh": plain("TANH", SHAPE),
    "mean": plain("MEAN", (1, 4), [1, 3]),
}


def network(build: Callable[[TfliteBuilder, int, Quant], int], x_quant: Quant, y_quant: Quant) -> tuple[bytes, int]:
    b = TfliteBuilder()
    x = b.tensor(SHAPE, *x_quant)
    y = build(b, x, y_quant)
    return b.build([x], [y]), y


@pytest.mark.parametrize("quants", PAIRS, ids=str)
@pytest.mark.parametrize("build", FOLLOWED.values(), ids=FOLLOWED)
def test_differing_quantisation(build: Callable[[TfliteBuilder, int, Quant], int], quants: tuple[Quant, Quant]) -> None:
    b = TfliteBuilder()
    x = b.tensor(SHAPE, *quants[0])
    y = build(b, x, quants[1])
    graph = check(b, [y], {x: full_range(np.random.default_rng(1), SHAPE)})
    assert (graph.types[graph.outputs[0]].scale, graph.types[graph.outputs[0]].zero_point) == (
        np.float32(quants[1][0]),
        quants[1][1],
    )


def refused(content: bytes, reason: str) -> None:
    with pytest.raises(RuntimeError, match=r"failed to (prepare|invoke)"):
        Oracle(content).run([np.zeros(SHAPE, np.int8)])
    with pytest.raises(UnsupportedError, match=reason):
        import_tflite(content, "model", "model.tflite")


@pytest.mark.parametrize("quants", PAIRS, ids=str)
def test_expand_dims_is_refused_as_by_litert(quants: tuple[Quant, Quant]) -> None:
    refused(network(plain("EXPAND_DIMS", (1, *SHAPE), [0]), *quants)[0], "EXPAND_DIMS.*does not rescale")


@pytest.mark.parametrize("quants", [*PAIRS, ((0.05, 3), (0.05000001, 3))], ids=str)
def test_concatenation_is_refused_as_by_litert(quants: tuple[Quant, Quant]) -> None:
    b = TfliteBuilder()
    x, y = b.tensor(SHAPE, *quants[0]), b.tensor((2, *SHAPE[1:]), *quants[1])
    b.op("CONCATENATION", [x, x], [y], Axis=0, FusedActivationFunction=NONE)
    refused(b.build([x], [y]), "CONCATENATION.*does not rescale")


def test_padv2_with_a_fill_of_another_scale_is_refused_as_by_litert() -> None:
    b = TfliteBuilder()
    x, y = b.tensor(SHAPE, 0.05, 3), b.tensor((1, 6, 4, 3), 0.05, 3)
    amounts = b.constant(np.array([[0, 0], [1, 0], [0, 0], [0, 0]], np.int32))
    b.op("PADV2", [x, amounts, b.constant(np.array(9, np.int8), 0.1, 3)], [y])
    refused(b.build([x], [y]), "the fill value has another scale or zero point than the output")


@pytest.mark.parametrize("zero_point", [-128, -100, 0, 127])
def test_logistic_has_any_zero_point(zero_point: int) -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 16, 16, 1), 0.05, 3), b.tensor((1, 16, 16, 1), 1 / 256, zero_point)
    b.op("LOGISTIC", [x], [y])
    check(b, [y], {x: all_values()})


def softmax(scale: float, zero_point: int) -> tuple[TfliteBuilder, int, int]:
    b = TfliteBuilder()
    x, y = b.tensor(SHAPE, 0.05, 3), b.tensor(SHAPE, scale, zero_point)
    b.op("SOFTMAX", [x], [y], Beta=1.0)
    return b, x, y


@pytest.mark.parametrize("factor", [1, 1.0000005, 0.9995, 1.0009])
def test_softmax_scale_within_a_thousandth(factor: float) -> None:
    b, x, y = softmax(factor / 256, -128)
    check(b, [y], {x: full_range(np.random.default_rng(1), SHAPE)})


@pytest.mark.parametrize(("factor", "zero_point"), [(1.002, -128), (0.998, -128), (1, -127), (2, 0)])
def test_softmax_is_refused_as_by_litert(factor: float, zero_point: int) -> None:
    b, x, y = softmax(factor / 256, zero_point)
    refused(b.build([x], [y]), "SOFTMAX.*supported is 1/256 and -128")


def convolved(b: TfliteBuilder, x: int, channels: int, shape: tuple[int, ...], rng: np.random.Generator) -> int:
    """A convolution without padding of its own; one channel has no weights and is constant."""
    values = rng.integers(-90, 90, (4, 3, 3, channels)).astype(np.int8)
    values[1] = 0
    weights = b.constant(values, [0.01] * 4, axis=0)
    bias = b.constant(rng.integers(-900, 900, 4).astype(np.int32), [0.0005] * 4)
    y = b.tensor(shape, 0.1, -9)
    options = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    b.op("CONV_2D", [x, weights, bias], [y], Padding=VALID, FusedActivationFunction=NONE, **options)
    return y


@pytest.mark.parametrize("name", ["PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "TRANSPOSE"])
@pytest.mark.parametrize("zero_point", [-9, 20])
def test_passes_tell_the_scales_apart(name: str, zero_point: int) -> None:
    """A pad is folded only where both sides mean the same by its fill, and constant channels keep their bytes."""
    rng, b = np.random.default_rng(3), TfliteBuilder()
    x = b.tensor((1, 8, 8, 2), 0.05, 3)
    hidden, relabelled = convolved(b, x, 2, (1, 6, 6, 4), rng), b.tensor((1, 6, 6, 4), 0.3, zero_point)
    last = (1, 4, 4, 4)
    if name == "PAD":
        relabelled, last = b.tensor((1, 8, 8, 4), 0.3, zero_point), (1, 6, 6, 4)
        b.op("PAD", [hidden, b.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))], [relabelled])
    elif name == "RESHAPE":
        b.op("RESHAPE", [hidden, integers(b, 1, 6, 6, 4)], [relabelled])
    elif name == "TRANSPOSE":
        b.op("TRANSPOSE", [hidden, integers(b, 0, 2, 1, 3)], [relabelled])
    else:
        window = {"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1, "StrideW": 1, "Padding": VALID}
        b.op(name, [hidden], [relabelled], FusedActivationFunction=NONE, **window)
    y = convolved(b, relabelled, 4, last, rng)
    sample = full_range(rng, (1, 8, 8, 2))
    graph = check(b, [y], {x: sample})
    same_outputs(graph, sample)


def same_outputs(graph: Graph, sample: np.ndarray) -> None:
    from tinycompile import interpreter

    optimized = optimize(graph)
    expected, got = interpreter.run(graph, [sample]), interpreter.run(optimized, [sample])
    for before, after in zip(graph.outputs, optimized.outputs, strict=True):
        np.testing.assert_array_equal(got[after], expected[before])
