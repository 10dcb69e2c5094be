"""Small models that the tests of the frontend spoil."""

from __future__ import annotations

import numpy as np

from tests.support.tflite_builder import SAME, TfliteBuilder
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph

X, W, BIAS, CONV, SUM, Y = range(6)
"""Tensors of `small_model`."""


def small_model() -> TfliteBuilder:
    """conv (with a bias) -> add (of the input) -> dequantize; input X, output Y."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    b.tensor((1, 4, 4, 2), 0.5, 3, name="x")
    b.constant(rng.integers(-127, 128, (2, 3, 3, 2)).astype(np.int8), [0.1, 0.2], name="w")
    b.constant(np.array([5, -5], np.int32), [0.05, 0.1], name="bias")
    b.tensor((1, 4, 4, 2), 2.0, -1, name="conv")
    b.tensor((1, 4, 4, 2), 2.5, 1, name="sum")
    b.tensor((1, 4, 4, 2), dtype="float32", name="y")
    b.op("CONV_2D", [X, W, BIAS], [CONV], StrideH=1, StrideW=1, Padding=SAME)
    b.op("ADD", [X, CONV], [SUM])
    b.op("DEQUANTIZE", [SUM], [Y])
    return b


def imported(b: TfliteBuilder, inputs: tuple[int, ...] = (X,), outputs: tuple[int, ...] = (Y,)) -> Graph:
    return import_tflite(b.build(inputs, outputs), "small", "small.tflite")
