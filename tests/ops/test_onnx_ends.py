"""ONNX's sums of products at the ends of their ranges, against exact rational arithmetic: biases at the ends of int32,
scale ratios from 2^-40 to 2^40. Sums are real numbers here, so nothing wraps.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check
from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile import interpreter
from tinycompile.ir import Graph, Site
from tinycompile.kernels import kernels_of
from tinycompile.passes import optimize

MAX, MIN = 2**31 - 1, -(2**31)
BIASES = [MAX, MIN, MAX - 9000, MIN + 9000, 100, -100, 2**30, 0]


def gemm(weights: np.ndarray, exponent: int, zero_points: tuple[int, int]) -> tuple[Graph, OnnxBuilder]:
    """Between dequantised operands; the bias is int32, with the scale of the products."""
    b = OnnxBuilder()
    x = b.activation(b.input((3, weights.shape[1])), 1.0, zero_points[0])
    w = b.weights(weights, 2.0**exponent * 1.25, 0)
    bias = b.weights(np.array(BIASES, np.int32), 2.0**exponent * 1.25, 0)
    b.output(b.activation(b.node("Gemm", x, w, bias, transB=1), 1.0, zero_points[1]))
    return imported(b.model())[0], b


def exact(x: np.ndarray, weights: np.ndarray, exponent: int, zero_points: tuple[int, int]) -> np.ndarray:
    sums = (x.astype(int) - zero_points[0]) @ weights.T.astype(int) + np.array(BIASES, object)
    factor = Fraction(5, 4) * Fraction(2) ** exponent
    rounded = np.vectorize(lambda total: round(int(total) * factor) + zero_points[1], otypes=[object])(sums)
    return np.clip(rounded, -128, 127).astype(np.int8)


def layer_of(graph: Graph) -> Site:
    return next(graph.site(node) for node in graph.nodes if node.op.kind in ("fully_connected", "conv2d"))


@pytest.mark.parametrize("zero_points", [(77, -5), (-128, 127)])
def test_sums_are_exact(zero_points: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (len(BIASES), 8)).astype(np.int8)
    weights[1] = 0  # a dead filter
    x = rng.choice([-128, 127, 3], (3, 8)).astype(np.int8)
    for exponent in (-40, -32, -31, -25, -24, -8, -1, 1, 16, 40):
        graph, _ = gemm(weights, exponent, zero_points)
        want = exact(x, weights, exponent, zero_points)
        for version in (graph, optimize(graph)):
            site = layer_of(version)
            values = [x.reshape(site.sig.input.shape), *(c for c in site.constants if c is not None)]
            (got,) = site.node.op.evaluate(site.sig, values)
            np.testing.assert_array_equal(got.reshape(want.shape), want, err_msg=f"2^{exponent}")
        assert kernels_of(layer_of(graph), M7) and kernels_of(layer_of(graph), core_named("host"))
        assert interpreter.run(graph, [x.astype(np.float32)])


@pytest.mark.parametrize("exponent", [-31, -24, -8, 1])
def test_kernels_are_exact(exponent: int) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (len(BIASES), 8)).astype(np.int8)
    site = layer_of(gemm(weights, exponent, (77, -5))[0])
    for index, _ in enumerate(kernels_of(site, M7)):
        check(lambda s, i, index=index: kernels_of(s, i)[index], site, M7)
