"""Constant-channel elimination changes no output and no surviving value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder, check_model
from tests.support.random_model import RandomModel
from tests.support.tflite_builder import SAME, VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array, Graph, verify
from tinycompile.passes.eliminate_channels import eliminate_channels


def assert_same(before: Graph, after: Graph, x: Array) -> None:
    """Outputs are equal, and every value that survives equals its source's channels."""
    verify(after)
    full, reduced = interpreter.run(before, [x]), interpreter.run(after, [x])
    for name in after.outputs:
        np.testing.assert_array_equal(reduced[name], full[name])
    for node in after.nodes:
        for name in node.outputs:
            channels = after.sources[name].channels
            expected = full[name] if channels is None else full[name][..., channels]
            np.testing.assert_array_equal(reduced[name], expected)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed: int) -> None:
    content, shape = RandomModel(seed).build(3 + seed % 8)
    before = import_tflite(content, "net", "net")
    after = eliminate_channels(before)
    rng = np.random.default_rng(seed)
    for x in (rng.integers(-128, 128, shape), np.full(shape, 127), np.full(shape, -128)):
        assert_same(before, after, x.astype(np.int8))


def test_the_random_networks_have_something_to_eliminate() -> None:
    graphs = [import_tflite(RandomModel(seed).build(3 + seed % 8)[0], "net", "net") for seed in range(40)]
    assert sum(eliminate_channels(graph).macs() < graph.macs() for graph in graphs) >= 3


def two_layers(bias: int, zero_point: int, padding: int) -> bytes:
    """A pointwise layer whose channel 1 has no weights, then a 3x3 convolution that reads it."""
    b, rng = TfliteBuilder(), np.random.default_rng(1)
    x, fields = b.tensor((1, 5, 5, 2), 0.1, 3), {"StrideH": 1, "StrideW": 1}
    fields |= {"DilationHFactor": 1, "DilationWFactor": 1}
    weights = rng.integers(-127, 128, (3, 1, 1, 2)).astype(np.int8)
    weights[1] = 0
    w, biases = b.constant(weights, 0.01), b.constant(np.array([0, bias, 0], np.int32), 0.001)
    y = b.tensor((1, 5, 5, 3), 0.05, zero_point)
    b.op("CONV_2D", [x, w, biases], [y], Padding=SAME, **fields)
    w2 = b.constant(rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 0.01)
    b2 = b.constant(np.zeros(4, np.int32), 0.0005)
    size = 5 if padding == SAME else 3
    z = b.tensor((1, size, size, 4), 0.2, 0)
    b.op("CONV_2D", [y, w2, b2], [z], Padding=padding, **fields)
    return b.build([x], [z])


@pytest.mark.parametrize(
    ("bias", "zero_point", "padding", "goes"),
    [(0, 5, SAME, True), (1000, 5, VALID, True), (1000, 5, SAME, False), (0, -128, SAME, True)],
)
def test_padding_decides(bias: int, zero_point: int, padding: int, goes: bool) -> None:
    """A constant that isn't the padded value survives next to padding, where borders see something else."""
    before = import_tflite(two_layers(bias, zero_point, padding), "net", "net")
    after = eliminate_channels(before)
    assert (after.macs() < before.macs()) == goes
    assert_same(before, after, np.random.default_rng(0).integers(-128, 128, (1, 5, 5, 2)).astype(np.int8))


@pytest.mark.parametrize(("axes", "goes"), [([1, 2], True), ([1, 3], False)])
@pytest.mark.parametrize("keep", [False, True])
def test_means_keep_channels_unless_they_are_what_is_averaged(axes: list[int], keep: bool, goes: bool) -> None:
    """A layer without weights for channel 1, a mean over axes of its image, and a layer that reads what is left."""
    b, rng = TfliteBuilder(), np.random.default_rng(2)
    x, y = b.tensor((1, 4, 3, 2), 0.1, 3), b.tensor((1, 4, 3, 3), 0.05, 7)
    weights = rng.integers(-127, 128, (3, 1, 1, 2)).astype(np.int8)
    weights[1] = 0
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    operands = [x, b.constant(weights, 0.01), b.constant(np.array([0, 900, 0], np.int32), 0.001)]
    b.op("CONV_2D", operands, [y], Padding=VALID, **fields)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate((1, 4, 3, 3)) if keep or axis not in axes)
    mean, z = b.tensor(shape, 0.04, -5), b.tensor((*shape[:-1], 4), 0.2, 0)
    b.op("MEAN", [y, b.constant(np.array(axes, np.int32), 1.0)], [mean], KeepDims=keep)
    matrix = b.constant(rng.integers(-127, 128, (4, shape[-1])).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [mean, matrix, b.constant(np.zeros(4, np.int32), 0.0004)], [z], KeepNumDims=True)
    before = import_tflite(b.build([x], [z]), "net", "net")
    after = eliminate_channels(before)
    assert (after.macs() < before.macs()) == goes
    assert_same(before, after, rng.integers(-128, 128, (1, 4, 3, 2)).astype(np.int8))


def test_a_graph_without_constants_is_returned_as_it_is(shared: Callable[[str], Path]) -> None:
    graph = load(shared("models/kws_ref_model.tflite"))
    assert eliminate_channels(graph) is graph


def test_half_of_the_visual_wake_words_model_is_dead(shared: Callable[[str], Path]) -> None:
    before = load(shared("models/vww_96_int8.tflite"))
    after = eliminate_channels(before)
    assert before.macs() == 7_489_664
    assert after.macs() <= 3_733_029
    assert sum(c.nbytes for c in after.constants.values() if c.dtype == np.int8) < 30_000
    samples = np.load(shared("golden/vww_96_int8.npz"))["input_0"]
    for x in samples[:3]:
        assert_same(before, after, x.reshape(before.types[before.inputs[0]].shape))


def test_what_a_constant_comes_from_stays_what_it_was() -> None:
    """A layer with one channel saturates wherever its operand, which nobody else reads, may be."""
    b = OnnxBuilder()

    def layer(x: str, scale: float, weights: list[list[int]], bias: int, result: tuple[float, int]) -> str:
        count, by = len(weights), np.full(len(weights), 1 / 64, np.float32)
        zeros = np.zeros(count, np.int32)
        w = b.weights(np.array(weights, np.int8), by, zeros.astype(np.int8))
        biases = b.dequantize(b.constant(zeros + bias), np.float32(scale) * by, zeros, "int32", axis=0)
        return b.activation(b.node("Gemm", x, w, biases, transB=1), *result)

    x = b.activation(b.input((1, 2)), 1 / 64, 0)  # -2 to 2
    high = layer(x, 1 / 64, [[64, 0], [0, 64]], 5 * 64 * 64, (1 / 16, -128))  # 3 to 7
    total = layer(high, 1 / 16, [[64, 64]], 0, (1 / 16, -128))  # 6 to 14
    constant = layer(total, 1 / 16, [[127]], -8 * 64 * 16, (1 / 200, -128))  # at least 4, which saturates
    shift = layer(constant, 1 / 200, [[64], [32]], 0, (1 / 64, 0))
    own = layer(x, 1 / 64, [[64, 0], [0, 64]], 0, (1 / 64, 0))
    b.output(b.activation(b.node("Add", shift, own), 1 / 32, 0))
    check_model(b.model(), {"x": np.array([[-1.9, -1.9]], np.float32)})
