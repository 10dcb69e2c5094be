"""CONCATENATION against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.floats import check_float, normal
from tests.ops.moves import TYPES, MoveModel, values
from tests.ops.oracle import check, full_range
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.kernels.movement import concatenation
from tinycompile.ops.concatenation import Concatenation


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("sizes", [(2,), (1, 3), (4, 1, 2, 2)])
@pytest.mark.parametrize("constant", [None, 0])
def test_axes(axis, sizes, constant):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    shapes = [[1, 3, 4, 5] for _ in sizes]
    for shape, size in zip(shapes, sizes, strict=True):
        shape[axis] = size
    values = [full_range(rng, shape) for shape in shapes]
    constant = constant if len(sizes) > 1 else None
    operands = [b.constant(v, 0.2, 5) if i == constant else b.tensor(v.shape, 0.2, 5) for i, v in enumerate(values)]
    y = b.tensor(np.concatenate(values, axis).shape, 0.2, 5)
    b.op("CONCATENATION", operands, [y], Axis=axis)
    inputs = {operand: v for i, (operand, v) in enumerate(zip(operands, values, strict=True)) if i != constant}
    check(b, [y], inputs)


def test_rules():
    quant = Quantization.per_tensor(1.0, 0)
    x, other = TensorType((1, 4, 4, 2), INT8, quant), TensorType((1, 4, 4, 2), INT8, Quantization.per_tensor(2, 0))
    wide, high = TensorType((1, 4, 4, 4), INT8, quant), TensorType((1, 8, 4, 2), INT8, quant)
    assert "rescale" in (Concatenation(3).unsupported(Signature((x, other), (wide,))) or "")
    with pytest.raises(ValueError, match="axis"):
        Concatenation(4).infer([x, x])
    with pytest.raises(ValueError, match="differ"):
        Concatenation(3).infer([x, high])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_pack(dtype, axis):
    if dtype == "bool":
        pytest.skip("LiteRT has none")
    m = MoveModel(0)
    operands = [m.input((2, 3), dtype), m.known(values(m.rng, (2, 3), dtype), dtype), m.input((2, 3), dtype)]
    shape = [2, 3]
    shape.insert(axis % 3, 3)
    m.output(shape, dtype)
    m.op("PACK", operands, Axis=axis, ValuesCount=3)
    m.check()


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype):
    m = MoveModel(0)
    operands = [m.input((2, 1), dtype), m.known(values(m.rng, (2, 2), dtype), dtype), m.input((2, 3), dtype)]
    m.output((2, 6), dtype)
    m.op("CONCATENATION", operands, Axis=1)
    m.check()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_floats(axis, constants):
    parts = [normal(*(n if i == axis else size for i, size in enumerate((2, 3, 4))), seed=n) for n in (1, 2, 3)]
    check_float(concatenation, Concatenation(axis), parts, constants)
