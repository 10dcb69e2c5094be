"""TRANSPOSE_CONV against LiteRT, and against the definition: a convolution of the inputs with zeros between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import fitting_scale, paddings, weight_scales
from tests.ops.oracle import activations, check, full_range, pairs, quick, seeds, thorough, zero_points
from tests.support.tflite_builder import RELU, SAME, VALID, TfliteBuilder
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.transpose_conv import TransposeConv, phases_of

kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))


def model(size, kernel, stride, padding, activation, zero, per_channel, bias, channels, more, seed):
    """(builder, input, output, samples); `more` rows and columns than the least for which there is such an input."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    depth, outputs = channels
    y_size = [
        max(1, (n - 1) * s + (k if padding == VALID else 1) + min(extra, s - 1))
        for n, k, s, extra in zip(size, kernel, stride, more, strict=True)
    ]
    scale = weight_scales(rng, outputs, per_channel)
    x = b.tensor((1, *size, depth), 0.5, zero[0])
    w = b.constant(full_range(rng, (outputs, *kernel, depth)), scale, axis=0)
    terms = 1 + kernel[0] * kernel[1] * depth // (stride[0] * stride[1])
    y = b.tensor((1, *y_size, outputs), fitting_scale(0.5 * scale, terms), zero[1])
    operands = [b.constant(np.array([1, *y_size, outputs], np.int32)), w, x]
    if bias:
        values = rng.integers(-5000, 5001, outputs).astype(np.int32)
        operands.append(b.constant(values, np.float32(0.5) * scale))
    op = b.op(
        "TRANSPOSE_CONV", operands, [y], Padding=padding, StrideH=stride[0], StrideW=stride[1],
        FusedActivationFunction=activation,
    )  # fmt: skip
    op.version = 4
    return b, x, y, full_range(rng, (1, *size, depth))


@thorough
@given(
    sizes, kernels, pairs, paddings, activations, st.tuples(zero_points, zero_points), st.booleans(), st.booleans(),
    st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(0, 2), st.integers(0, 2)), seeds,
)  # fmt: skip
def test_random(size, kernel, stride, padding, activation, zero, per_channel, bias, channels, more, seed):
    b, x, y, samples = model(size, kernel, stride, padding, activation, zero, per_channel, bias, channels, more, seed)
    check(b, [y], {x: samples})


def test_an_output_that_litert_refuses():
    b, x, y, _ = model((3, 3), (2, 2), (2, 2), SAME, RELU, (0, 0), True, True, (2, 2), (1, 1), 0)
    b.tensors[x].shape = [1, 4, 3, 2]
    with pytest.raises(ModelFileError, match="an output of 6 rows comes from 3, the file says 4"):
        import_tflite(b.build([x], [y]), "model", "model.tflite")


def test_a_shape_that_is_computed():
    b, x, y, _ = model((3, 3), (2, 2), (2, 2), SAME, RELU, (0, 0), True, True, (2, 2), (1, 1), 0)
    b.tensors[b.ops[0].inputs[0]].data = None
    with pytest.raises(UnsupportedError, match="the shape of the output is computed at run time"):
        import_tflite(b.build([x, b.ops[0].inputs[0]], [y]), "model", "model.tflite")


def spread(x, weights, op, groups):
    """The definition: zeros between the inputs, then a convolution with the kernel turned around."""
    outputs, kh, kw, depth = weights.shape
    n, height, width, _ = x.shape
    (sh, sw), (dh, dw) = op.stride, op.dilation
    full = np.zeros((n, (height - 1) * sh + (kh - 1) * dh + 1, (width - 1) * sw + (kw - 1) * dw + 1, outputs))
    each = outputs // groups
    for y in range(height):
        for c in range(width):
            for o in range(outputs):
                part = x[:, y, c, o // each * depth : (o // each + 1) * depth]
                for i in range(kh):
                    for j in range(kw):
                        full[:, y * sh + i * dh, c * sw + j * dw, o] += part @ weights[o, i, j]
    result = np.zeros((n, *op.size, outputs))
    inside = full[:, op.cut[0] : op.cut[0] + op.size[0], op.cut[1] : op.cut[1] + op.size[1]]
    result[:, : inside.shape[1], : inside.shape[2]] = inside
    return result


@quick
@given(pairs, pairs, pairs, sizes, st.integers(1, 2), st.tuples(st.integers(0, 3), st.integers(0, 3)), seeds)
def test_floats_with_dilation_and_groups(kernel, stride, dilation, size, groups, cut, seed):
    rng = np.random.default_rng(seed)
    op = TransposeConv((7, 5), stride, dilation, cut)
    x = rng.normal(size=(2, *size, 2 * groups)).astype(np.float32)
    weights = rng.normal(size=(3 * groups, *kernel, 2)).astype(np.float32)
    bias = rng.normal(size=3 * groups).astype(np.float32)
    types = tuple(TensorType(v.shape, FLOAT32) for v in (x, weights, bias))
    ((shape, dtype),) = op.infer(types)
    sig = Signature(types, (TensorType(shape, dtype),))
    assert op.unsupported(sig) is None
    (result,) = op.evaluate(sig, [x, weights, bias])
    np.testing.assert_allclose(result, spread(x, weights, op, groups) + bias, rtol=1e-5, atol=1e-5)


@given(*[st.integers(1, 6)] * 4, st.integers(0, 4))
def test_phases_are_all_pairs_that_meet(size, kernel, stride, dilation, cut):
    """Every (output, input, kernel position) of the definition is in one phase, and nothing else."""
    met = {
        (i * stride + k * dilation - cut, i, k)
        for i in range(-20, 20)
        for k in range(kernel)
        if 0 <= i * stride + k * dilation - cut < size
    }
    found = [
        (phase.first + m * stride, m + phase.origin + j * phase.apart, k)
        for phase in phases_of(size, kernel, stride, dilation, cut)
        for m in range(phase.count)
        for j, k in enumerate(phase.taps)
    ]
    assert len(found) == len(set(found))
    assert set(found) == met


def test_what_it_refuses():
    quant = Quantization.per_tensor(0.5, 0)
    x, w = TensorType((2, 3, 3, 2), INT8, quant), TensorType((2, 2, 2, 2), INT8, quant)
    op = TransposeConv((6, 6), (2, 2))
    sig = Signature((x, w), (TensorType((2, 6, 6, 2), INT8, quant),))
    assert op.unsupported(sig) == "the batch is 2, supported is 1"
    floats = Signature(
        (TensorType(x.shape, FLOAT32), TensorType(w.shape, FLOAT32)), (TensorType((2, 6, 6, 2), FLOAT32),)
    )
    assert op.unsupported(floats) is None
    clamped = TransposeConv((6, 6), (2, 2), clamp=(0, 127))
    assert clamped.unsupported(floats) == "a fused activation, the range (0, 127), of floats"
    with pytest.raises(ValueError, match="don't divide"):
        op.infer([x, TensorType((2, 2, 2, 3), INT8, quant)])
    with pytest.raises(ValueError, match="the bias has shape"):
        op.infer([x, w, TensorType((3,), INT8)])
    with pytest.raises(ValueError, match="for an output of"):
        TransposeConv((0, 6)).infer([x, w])
