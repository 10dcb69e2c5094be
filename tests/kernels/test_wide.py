"""int16 activations on cores with and without a long multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from tests.kernels import test_wide_onnx
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import site_of
from tinycompile.dtypes import INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Op, Quantization, Site, TensorType
from tinycompile.kernels import reductions, resize_bilinear, wide_functions, wide_layers, wide_ops
from tinycompile.kernels.base import Factory
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic.wide import HIGH, LOW
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.div import Div
from tinycompile.ops.exp import Exp
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.neg import Neg
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose_conv import TransposeConv

CLAMP = (LOW, HIGH)


def wide(shape: Sequence[int], scale: float = 0.001) -> TensorType:
    return TensorType(tuple(shape), INT16, Quantization.per_tensor(scale, 0))


def layer(op: Op, x: Sequence[int], weights: Sequence[int], outputs: int, bias: DType) -> Site:
    rng = np.random.default_rng(outputs)
    w = TensorType(tuple(weights), INT8, Quantization.per_tensor(0.01, 0))
    b = TensorType((outputs,), bias)
    values = rng.integers(-128, 128, weights).astype(np.int8), rng.integers(-(2**20), 2**20, outputs)
    constants = [None, values[0], values[1].astype(bias.carrier)]
    return site_of(op, [wide(x), w, b], constants, wide((1,), 0.02))


def real_layers() -> list[tuple[Factory, Site]]:
    """With ONNX's rule: every output channel has a factor and an offset of its own, some results are ties."""

    def rule(outputs: int, taps: int) -> RealRequant:
        slope = [Fraction(1, 2**9), *(Fraction(1, 500 + 30 * i) for i in range(outputs - 1))]
        offset = [Fraction(i, 4) for i in range(outputs)]
        return RealRequant.of(slope, offset, [taps * 2**22] * outputs, -30, CLAMP)

    def site(op: Op, x: Sequence[int], weights: Sequence[int], outputs: int) -> Site:
        rng = np.random.default_rng(outputs)
        w = TensorType(tuple(weights), INT8, Quantization.per_tensor(0.01, 0))
        values = rng.integers(-128, 128, weights).astype(np.int8)
        return site_of(op, [wide(x), w], [None, values], wide((1,), 0.02))

    conv = Conv2D(padding=(1, 0, 1, 1), wide_rule=rule(6, 18))
    depthwise = DepthwiseConv2D((1, 2), (2, 1), wide_rule=rule(6, 6))
    transposed = TransposeConv((10, 13), (2, 2), wide_rule=rule(5, 18))
    return [
        (wide_layers.conv2d, site(conv, (1, 5, 6, 3), (6, 2, 3, 3), 6)),
        (wide_layers.depthwise, site(depthwise, (1, 5, 6, 3), (1, 2, 3, 6), 6)),
        (wide_layers.fully_connected, site(FullyConnected(wide_rule=rule(5, 600)), (2, 600), (5, 600), 5)),
        (wide_layers.transpose_conv, site(transposed, (1, 5, 6, 3), (5, 2, 3, 3), 5)),
    ]


def cases() -> list[tuple[Factory, Site]]:
    conv, depthwise = Conv2D(padding=(1, 0, 1, 1), clamp=CLAMP), DepthwiseConv2D((1, 2), (2, 1), clamp=CLAMP)
    found: list[tuple[Factory, Site]] = [
        (wide_layers.conv2d, layer(conv, (1, 5, 6, 3), (6, 2, 3, 3), 6, bias)) for bias in (INT64, INT32)
    ]
    found.append((wide_layers.depthwise, layer(depthwise, (1, 5, 6, 3), (1, 2, 3, 6), 6, INT64)))
    found.append((wide_layers.fully_connected, layer(FullyConnected(CLAMP), (2, 600), (5, 600), 5, INT64)))
    found.append((wide_ops.binary, site_of(Add(CLAMP), [wide((4, 5)), wide((4, 1))], [None, None], wide((1,), 0.002))))
    found.append((wide_ops.mean, site_of(Mean((1,), False), [wide((4, 5, 3))], [None], wide((1,)))))
    found.append((wide_ops.softmax, site_of(Softmax(), [wide((4, 9))], [None], wide((1,), 2.0**-15))))
    found.append((wide_ops.interpolated, site_of(Tanh(), [wide((300,), 0.0003)], [None], wide((1,), 2.0**-15))))
    pools = (AveragePool2D((2, 3), (1, 2), clamp=CLAMP), MaxPool2D((2, 3), (1, 2), clamp=CLAMP))
    found.extend((wide_ops.pool2d, site_of(op, [wide((1, 5, 7, 3))], [None], wide((1,)))) for op in pools)
    found.extend(function_cases())
    found.extend(real_layers())
    found.extend(test_wide_onnx.cases())
    found.append((wide_ops.rescale, site_of(Relu((0, HIGH)), [wide((4, 9))], [None], wide((1,), 0.0007))))
    return found


def function_cases() -> list[tuple[Factory, Site]]:
    image, matrix, y = wide((1, 5, 6, 3)), wide((2, 3, 9)), wide((1,), 0.002)
    transposed = layer(TransposeConv((10, 13), (2, 2), clamp=CLAMP), (1, 5, 6, 3), (5, 2, 3, 3), 5, INT64)
    return [
        (wide_functions.table, site_of(Exp(), [wide((4, 9), 1e-4)], [None], y)),
        (wide_functions.neg, site_of(Neg(), [matrix], [None], matrix)),
        (wide_functions.absolute, site_of(Abs(), [matrix], [None], y)),
        (wide_functions.rsqrt, site_of(Rsqrt(), [matrix], [None], y)),
        (wide_functions.sqrt, site_of(Sqrt(), [matrix], [None], y)),
        (wide_functions.div, site_of(Div(CLAMP), [wide((4, 5)), wide((4, 1))], [None, None], y)),
        (wide_functions.extremum, site_of(Maximum(), [wide((4, 5)), wide((4, 1))], [None, None], y)),
        (reductions.wide_sum, site_of(ReduceSum((1,), False), [image], [None], y)),
        (reductions.product, site_of(ReduceProd((3,), False), [image], [None], y)),
        *(
            (resize_bilinear.wide_resize_bilinear, site_of(ResizeBilinear(size), [image], [None], y))
            for size in ((10, 12), (7, 11))
        ),
        (wide_layers.transpose_conv, transposed),
        (wide_layers.batch_matmul, site_of(BatchMatMul(adj_y=True), [matrix, matrix], [None, None], y)),
    ]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m7"])
def test_on_emulated_cores(core: str) -> None:
    """Code for a smaller core runs on a larger one."""
    target = "mps2-an500" if core == "cortex-m7" else "mps2-an385"
    check_emulated(cases(), target, core=None if core == "cortex-m7" else [f"-mcpu={core}", "-mthumb"])
