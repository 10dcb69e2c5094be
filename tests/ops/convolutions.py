"""Random convolution models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range
from tests.support.tflite_builder import SAME, VALID, TfliteBuilder
from tinycompile.dtypes import DType
from tinycompile.ir import Graph

paddings = st.sampled_from([SAME, VALID])
sizes = st.tuples(st.integers(7, 12), st.integers(7, 12))


def fitting_scale(factor: float | np.ndarray, terms: int, spread: float = 1.0) -> float:
    """An output scale at which sums of `terms` products of random int8 values fill the range `spread` times."""
    return float(np.float32(np.mean(factor) * np.sqrt(terms) * 73 * 73 / 60 / spread))


def weight_scales(rng: np.random.Generator, channels: int, per_channel: bool) -> np.ndarray:
    scales = rng.uniform(0.002, 0.05, channels if per_channel else 1)
    return scales.astype(np.float32)


def check_convolution(
    kind: str,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    seed: int,
    *,
    per_channel: bool = True,
    scales: tuple[float, float | None] = (0.5, None),
    zero_points: tuple[int, int] = (0, 0),
    bias: int = 5000,
    weights: str = "int8",
    **options: int,
) -> Graph:
    """One convolution with random weights of a type and full-range inputs; `scales` are those of input and output."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    w_scale = weight_scales(rng, w_shape[axis], per_channel)
    terms = int(np.prod(w_shape)) // w_shape[axis]
    y_scale = scales[1] or fitting_scale(scales[0] * w_scale, terms)
    x = b.tensor(x_shape, scales[0], zero_points[0])
    dtype = DType.of(weights)
    values = rng.integers(dtype.range[0], dtype.range[1] + 1, w_shape).astype(dtype.carrier)
    w = b.tensor(w_shape, w_scale, dtype=weights, axis=axis, data=dtype.pack(values).tobytes())
    biases = rng.integers(-bias, bias + 1, w_shape[axis]).astype(np.int32)
    y = b.tensor(y_shape, y_scale, zero_points[1])
    b.op(kind, [x, w, b.constant(biases, np.float32(scales[0]) * w_scale)], [y], **options)
    return check(b, [y], {x: full_range(rng, x_shape)})


def output_shape(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
    channels: int,
) -> tuple[int, int, int, int]:
    """As TFLite computes it."""
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    free = [n if padding == SAME else n - e + 1 for n, e in zip(size, extent, strict=True)]
    rows, columns = (-(-n // s) for n, s in zip(free, stride, strict=True))
    return 1, rows, columns, channels
