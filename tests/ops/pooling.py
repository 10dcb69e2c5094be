"""Random pooling models."""

from __future__ import annotations

import numpy as np

from tests.ops.convolutions import output_shape
from tests.ops.oracle import check, full_range
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ir import Graph


def check_pool(
    kind: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    *,
    scale: float = 0.1,
    zero_point: int = 0,
    seed: int = 0,
    activation: int = 0,
) -> Graph:
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    x = b.tensor((1, *size, 3), scale, zero_point)
    y = b.tensor(output_shape(size, kernel, stride, (1, 1), padding, 3), scale, zero_point)
    b.op(
        kind, [x], [y], FilterHeight=kernel[0], FilterWidth=kernel[1], StrideH=stride[0], StrideW=stride[1],
        Padding=padding, FusedActivationFunction=activation,
    )  # fmt: skip
    return check(b, [y], {x: full_range(rng, (1, *size, 3))})
