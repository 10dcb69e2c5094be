"""BATCH_MATMUL against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.agreement import agree
from tests.ops.floats import check_float, normal
from tests.ops.oracle import check, full_range, only_site, scales, seeds, thorough, zero_points
from tests.support.kernel_checks import check as check_kernel
from tests.support.tflite_builder import NONE, RELU6, TfliteBuilder
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.batch_matmul import batch_matmul, float_batch_matmul
from tinycompile.kernels.matrix_product import matrix_product
from tinycompile.ops.batch_matmul import BatchMatMul

SAME = [((), ()), ((1,), (1,)), ((2,), (2,))]
BATCHES = [*SAME, ((1,), (3,)), ((3,), ()), ((), (3,)), ((2, 1), (3,)), ((2, 1, 2), (1, 3, 2))]
sizes = st.tuples(*[st.integers(1, 6)] * 3)
quantizations = st.tuples(scales, zero_points)


def model(batches, size, adjoint, constants, quant, seed):
    """(builder, operands by tensor, output): an output scale at which the sums fill the range, or nearly so."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    rows, depth, columns = size
    shapes = ((rows, depth), (depth, columns))
    places, samples = list[int](), {}
    for index, (batch, matrix) in enumerate(zip(batches, shapes, strict=True)):
        shape = (*batch, *(matrix[::-1] if adjoint[index] else matrix))
        values = full_range(rng, shape)
        if index in constants:
            places.append(b.constant(values, *quant[index]))
        else:
            places.append(b.tensor(shape, *quant[index]))
            samples[places[-1]] = values
    scale = float(np.float32(quant[0][0] * quant[1][0] * depth**0.5 * 80))
    y = b.tensor((*np.broadcast_shapes(*batches), rows, columns), scale, quant[2])
    b.op("BATCH_MATMUL", places, [y], AdjX=adjoint[0], AdjY=adjoint[1])
    return b, samples, y


@thorough
@given(
    st.sampled_from(BATCHES), sizes, st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([(), (0,), (1,)]), quantizations, quantizations, zero_points, seeds,
)  # fmt: skip
def test_random(batches, size, adjoint, constants, x, y, zero, seed):
    b, samples, result = model(batches, size, adjoint, constants, (x, y, zero), seed)
    check(b, [result], samples)


@pytest.mark.parametrize("power", [-8, -7, -6])
def test_ties(power):
    """Power-of-two scales: many sums are exactly between two outputs."""
    b = TfliteBuilder()
    x, y = b.tensor((4, 9, 2), 0.5, 1), b.tensor((4, 2, 7), 2.0**power, -3)
    z = b.tensor((4, 9, 7), 8.0, 0)
    b.op("BATCH_MATMUL", [x, y], [z])
    rng = np.random.default_rng(power + 9)
    check(b, [z], {x: full_range(rng, (4, 9, 2)), y: full_range(rng, (4, 2, 7))})


def imported(batches, constants, adjoint=(False, False), zero=0):
    b, samples, y = model(batches, (3, 4, 5), adjoint, constants, ((0.5, 3), (0.25, zero), -1), 0)
    (node,) = import_tflite(b.build(list(samples), [y]), "model", "model.tflite").nodes
    return node.op.kind


def test_rows_times_a_constant_are_fully_connected():
    assert imported(((2,), ()), (1,)) == "fully_connected"
    assert imported(((2,), (1,)), (1,), (False, True), zero=-100) == "fully_connected"
    assert imported(((2,), (2,)), (1,)) == "batch_matmul", "a matrix for each"
    assert imported(((2,), ()), (1,), (True, False)) == "batch_matmul"
    assert imported(((2,), ()), (0,)) == "batch_matmul"


def test_what_it_refuses():
    quant = ((0.5, 3), (0.25, 0), -1)
    b, samples, y = model(((1, 1, 1, 1), ()), (3, 4, 5), (False, False), (), quant, 0)
    with pytest.raises(UnsupportedError, match="6 and 2 axes, supported are 2 to 5"):
        import_tflite(b.build(list(samples), [y]), "model", "model.tflite")
    b, samples, y = model(((), ()), (3, 4, 5), (False, False), (), quant, 0)
    b.tensors[1].shape = [3, 5]
    with pytest.raises(ModelFileError, match="can't be multiplied"):
        import_tflite(b.build(list(samples), [y]), "model", "model.tflite")
    b, samples, y = model(((), ()), (3, 4, 5), (False, False), (), quant, 0)
    b.tensors[1].scale, b.tensors[1].zero_point, b.tensors[1].axis = [0.5] * 5, [0] * 5, 1
    with pytest.raises(UnsupportedError, match="the second operand is quantised per channel"):
        import_tflite(b.build(list(samples), [y]), "model", "model.tflite")
    with pytest.raises(ValueError, match="are no matrices"):
        BatchMatMul().infer([TensorType((3,), INT8), TensorType((3, 4), INT8)])


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 5)), ((1, 4), (4, 1))])
@pytest.mark.parametrize("constants", [(), (1,), (0,)])
def test_products_of_floats(shapes, constants):
    check_float(float_batch_matmul, BatchMatMul(), [normal(*shapes[0]), normal(*shapes[1], seed=1)], constants)


def test_floats():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1, 4, 3)).astype(np.float32), rng.normal(size=(5, 6, 4)).astype(np.float32)
    op = BatchMatMul(adj_x=True, adj_y=True)
    types = tuple(TensorType(v.shape, FLOAT32) for v in (x, y))
    ((shape, dtype),) = op.infer(types)
    sig = Signature(types, (TensorType(shape, dtype),))
    assert op.unsupported(sig) is None
    (result,) = op.evaluate(sig, [x, y])
    np.testing.assert_allclose(
        result, np.einsum("abki,bjk->abij", np.broadcast_to(x, (2, 5, 4, 3)), y), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("activation", [NONE, RELU6])
@pytest.mark.parametrize("seed", range(6))
def test_fully_connected_by_computed_weights(activation, seed):
    """It rounds once."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    x, w = b.tensor((2, 7, 9), 0.5, int(rng.integers(-128, 128))), b.tensor((5, 9), 0.03 + seed / 64, 3 * seed)
    y = b.tensor((2, 7, 5), 2.0, int(rng.integers(-128, 128)))
    b.op("FULLY_CONNECTED", [x, w], [y], KeepNumDims=True, FusedActivationFunction=activation)
    graph = check(b, [y], {x: full_range(rng, (2, 7, 9)), w: full_range(rng, (5, 9))})
    site = only_site(graph)
    assert site.node.op.kind == "batch_matmul"
    check_kernel(batch_matmul, site)
    if activation == NONE or site.node.op.requant(site.sig).high >= 0:  # no block clamps to negative values only
        check_kernel(matrix_product, site)


def test_computed_weights_with_a_bias_are_refused():
    b = TfliteBuilder()
    x, w, y = b.tensor((2, 9), 0.5), b.tensor((5, 9), 0.5), b.tensor((2, 5), 2.0)
    b.op("FULLY_CONNECTED", [x, w, b.constant(np.zeros(5, np.int32), 0.25)], [y])
    with pytest.raises(UnsupportedError, match="is computed at run time, supported is that without a bias"):
        import_tflite(b.build([x, w], [y]), "model", "model.tflite")


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_computed_weights_of_rows_with_more_axes(dtype):
    """The result has two axes unless the operator keeps those of the input."""
    rng, b, quant = np.random.default_rng(0), TfliteBuilder(), {"int8": 0.05, "int16": 1e-4, "float32": None}[dtype]
    x, w = b.tensor((2, 3, 9), quant, dtype=dtype), b.tensor((5, 9), quant, dtype=dtype)
    scale = None if quant is None else quant * quant * (1000 if dtype == "int8" else 1e5)
    y = b.tensor((6, 5), scale, dtype=dtype)
    b.op("FULLY_CONNECTED", [x, w], [y])
    spread = 8000 if dtype == "int16" else 20
    samples = [rng.normal(0, spread, shape).astype(dtype) for shape in ((2, 3, 9), (5, 9))]
    agree(b, [x, w], [y], [samples], tolerance=1e-4, kernels=False)
