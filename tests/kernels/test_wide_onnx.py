"""16 bits by ONNX's rule: the integer forms, and cases that tests/kernels/test_wide.py runs on emulated cores."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest

from tests.support.kernel_checks import int8, site_of
from tinycompile.dtypes import FLOAT32, INT8, INT16
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import onnx_ops, resize_bilinear, wide_lanes, wide_layers, wide_lookup, wide_onnx, wide_ops
from tinycompile.kernels.base import Factory
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._elementwise import DequantizedBinary
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.div import Div
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mul import Mul
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.ops.wide_lookup import WideLookup


def wide(shape: Sequence[int], scale: float = 0.001, zero_point: int = 0) -> TensorType:
    return TensorType(tuple(shape), INT16, Quantization.per_tensor(scale, zero_point))


def pair(op: DequantizedBinary, a: TensorType, b: TensorType, y: TensorType) -> Site:
    return site_of(op, [a, b], [None, None], y)


def cases() -> list[tuple[Factory, Site]]:
    a, b = wide((4, 50), 3e-4, -32768), wide((50,), 2e-4, 700)
    slopes = np.random.default_rng(0).normal(0, 0.5, (50,)).astype(np.float32)
    types = [a, TensorType((50,), FLOAT32)]
    x = np.arange(-(1 << 15), 1 << 15).astype(np.float32) * np.float32(0.001)
    curve, many = np.tanh(x), wide((40, 25))
    found: list[tuple[Factory, Site]] = [
        (wide_onnx.in_floats, site_of(Prelu((-30000, 30000), "onnx"), types, [None, slopes], wide((), 2e-4, -9))),
        (wide_lookup.pieces, site_of(WideLookup(curve.tobytes()), [many], [None], wide((), 2**-15, 5))),
        (wide_lookup.pieces, site_of(WideLookup(curve.tobytes(), INT8), [many], [None], int8((), 0.01, 5))),
        (wide_lookup.table, site_of(WideLookup(curve[::256].tobytes()), [int8((40, 3))], [None], wide((), 2**-15))),
        (wide_lookup.table, site_of(Quantize(INT16), [int8((40, 3), 0.3, 5)], [None], wide((), 0.001))),
        (wide_ops.narrow, site_of(Quantize(INT8), [wide((40, 3), 0.001)], [None], int8((), 0.2, 5))),
        (onnx_ops.onnx_wide_softmax, site_of(Softmax(rule="onnx"), [a], [None], wide((), 1 / 65535, -32768))),
    ]
    for op, y in ((Add, 4e-4), (Mul, 1e-3), (Div, 0.1), (Maximum, 4e-4)):
        site = pair(op((-30000, 32767), "onnx"), a, b, wide((), y, -1000))
        found += [
            (each, site)
            for each in (wide_onnx.in_floats, wide_onnx.in_integers)
            if op in (Add, Mul) or each == wide_onnx.in_floats
        ]
    image = wide((1, 3, 4, 3), 0.001, 77)
    found += [
        (resize_bilinear.wide_resize_bilinear, site_of(ResizeBilinear(size, rule="onnx"), [image], [None], image))
        for size in ((6, 8), (5, 7))
    ]
    return [*found, transposed()]


def dual_products() -> list[tuple[Factory, Site]]:
    """Layers by dual products: the first channel has ties, the last ones large factors and large sums."""

    def site(
        op: type[Conv2D | DepthwiseConv2D | FullyConnected],
        x: Sequence[int],
        weights: Sequence[int],
        outputs: int,
        **window: Any,
    ) -> Site:
        slope = [Fraction(1, 2**9), *(Fraction(7**i, 500 + 30 * i) for i in range(outputs - 1))]
        offset = [Fraction(i, 4) for i in range(outputs)]
        taps = prod(weights) // outputs
        rule = RealRequant.of(slope, offset, [taps * 2**22] * outputs, -30, (-30000, 32767))
        values = np.random.default_rng(outputs).integers(-128, 128, weights).astype(np.int8)
        types = [
            wide(x, 0.001, window.pop("zero_point", 0)),
            TensorType(tuple(weights), INT8, Quantization.per_tensor(0.01, 0)),
        ]
        return site_of(op(**window, wide_rule=rule), types, [None, values], wide((), 0.02, -30))

    conv = site(Conv2D, (1, 5, 6, 3), (5, 2, 3, 3), 5, padding=(1, 0, 1, 1))
    return [
        (wide_lanes.conv2d_wide_lanes, conv),
        (wide_lanes.conv2d_wide_lanes, site(Conv2D, (1, 4, 5, 8), (6, 1, 1, 8), 6, zero_point=-32768)),
        (wide_lanes.fully_connected_wide_lanes, site(FullyConnected, (3, 600), (5, 600), 5)),
        (wide_lanes.depthwise_wide_planes, site(DepthwiseConv2D, (1, 6, 7, 6), (1, 3, 3, 6), 6, stride=(1, 2))),
    ]


def transposed() -> tuple[Factory, Site]:
    """Where it reads nothing it adds nothing, whatever the zero point."""
    rule = RealRequant.of([Fraction(1, 2**12)] * 5, [Fraction(0)] * 5, [2**27] * 5, -9, (-30000, 32767))
    weights = np.random.default_rng(1).integers(-128, 128, (5, 2, 3, 300)).astype(np.int8)
    types = [wide((1, 2, 3, 300), 0.001, -32768), TensorType(weights.shape, INT8, Quantization.per_tensor(0.01, 0))]
    op = TransposeConv((5, 7), (2, 2), wide_rule=rule)
    return wide_layers.transpose_conv, site_of(op, types, [None, weights], wide((), 0.02, -9))


SCALES = [(3e-4, 2e-4, 4e-4), (0.5, 0.25, 1.0), (1e-4, 2e-2, 1e-2), (1.7, 1e-9, 3.0)]


@pytest.mark.parametrize("zero_points", [(0, 0, 0), (-32768, 32767, -1000)])
@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("operator", [Add, Sub, Mul])
def test_integers_are_floats_but_near_ties(operator, scales, zero_points):
    """Ends of the ranges and random elements; scales of powers of two have exact ties."""
    y = scales[2] if operator is not Mul else scales[0] * scales[1] * 20000
    a, b, result = (wide((4000,), s, z) for s, z in zip((*scales[:2], y), zero_points, strict=True))
    site = pair(operator((-30000, 32767), "onnx"), a, b, result)
    form = wide_onnx.real_form(site.node.op, site.sig)
    rng = np.random.default_rng(0)
    ends = np.array([-32768, -32767, 0, 32767])
    x = np.concatenate([ends.repeat(4), rng.integers(-32768, 32768, 3984)])
    z = np.concatenate([np.tile(ends, 4), rng.integers(-32768, 32768, 3984)])
    if operator is Mul:
        factors = ((x - a.zero_point) * (z - b.zero_point) >> 2) * form.first
    else:
        factors = x * form.first + z * form.second
    value = factors + form.offset >> form.drop
    near = (value + form.near & (1 << form.fraction) - 1) < 2 * form.near
    (expected,) = site.node.op.evaluate(site.sig, [x.astype(np.int16), z.astype(np.int16)])
    found = np.clip(value >> form.fraction, -30000, 32767)
    np.testing.assert_array_equal(found[~near], expected[~near])
    assert 0 < form.in_floats < 0.05


def test_scales_without_a_form():
    for scales in ((1e-4, 1e-4, 1e-9), (1e-30, 1e-30, 1e-30)):
        a, b, y = (wide((4,), scale) for scale in scales)
        site = pair(Add(rule="onnx"), a, b, y)
        assert wide_onnx.real_form(site.node.op, site.sig) is None
