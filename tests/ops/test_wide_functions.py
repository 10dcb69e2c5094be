"""int16 functions, extremes, reductions, resizing and products of matrices against LiteRT, and their kernels."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.agreement import agree, check_kernels
from tests.ops.oracle import full_range, quick, seeds
from tests.ops.test_wide import wide_tensor
from tests.support.tflite_builder import SAME, TYPES, VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.dtypes import INT16
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.rsqrt import Rsqrt

EVERY = np.arange(-32768, 32768).astype(np.int16)
DEFAULT = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
scales = st.floats(2.0**-17, 2.0**-8, width=32)


def unary(kind: str, x_scale: float, y_scale: float, values: np.ndarray, kernels: bool, **options: bool) -> None:
    b = TfliteBuilder()
    x, y = wide_tensor(b, values.shape, x_scale), wide_tensor(b, values.shape, y_scale)
    b.op(kind, [x], [y], **options)
    agree(b, [x], [y], [[values]], kernels=kernels)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("EXP", {}), ("LOG", {}), ("GELU", {}), ("GELU", {"Approximate": True}), ("ABS", {}), ("SQRT", {}), ("NEG", {})],
)
def test_every_value(kind, options):
    """At scales of converted models and others, of which the last two make steps that leave 16 bits; SQRT isn't defined
    below 0.
    """
    values = EVERY[32768:] if kind == "SQRT" else EVERY
    cases = [(1.25e-4, 1.4e-3), (1.1e-4, 7e-5), (3e-5, 3e-5), (2e-3, 1e-2), (6e-4, 6e-4), (1.4696759e-4, 1.9613432e-5)]
    cases += [(0.08, 3e-4), (0.13, 2e-5)]
    for number, (x_scale, y_scale) in enumerate(cases):
        unary(kind, x_scale, x_scale if kind == "NEG" else y_scale, values, number in (0, len(cases) - 1), **options)


@pytest.mark.parametrize(
    ("kind", "x_scale", "y_scale", "options"),
    [
        ("GELU", 5.522735e-05, 4.7126756e-05, {}),
        ("GELU", 2.7145963e-05, 1.4044361e-05, {}),
        ("GELU", 9.037639e-05, 2.2961935e-05, {"Approximate": True}),
        ("EXP", 0.0027595643, 0.0061291223, {}),
        ("EXP", 0.007161363, 0.09842206, {}),
    ],
)
def test_entries_at_the_edge(kind, x_scale, y_scale, options):
    """Of GELU near the middle between two integers, where the last bit of float32 decides; of EXP where floats end and
    neighbouring entries are further apart than int16 holds.
    """
    unary(kind, x_scale, y_scale, EVERY, kind == "EXP", **options)


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_at_random_scales(approximate):
    rng = np.random.default_rng(1)
    for _ in range(30):
        x_scale = 2 ** rng.uniform(-17, -8)
        unary("GELU", x_scale, x_scale * 2 ** rng.uniform(-2, 1), EVERY, False, Approximate=approximate)


def test_neg_of_another_scale():
    b = TfliteBuilder()
    x, y = wide_tensor(b, (4,), 0.1), wide_tensor(b, (4,), 0.2)
    b.op("NEG", [x], [y])
    with pytest.raises(UnsupportedError, match="differ in scale"):
        import_tflite(b.build([x], [y]), "m", "m.tflite")


@pytest.mark.parametrize(("x_scale", "y_scale"), [(1.2e-4, 9.6e-5), (1.3e-5, 4.9e-5), (2.0, 1e-3), (1e-4, 1.0)])
def test_rsqrt_is_near_the_real_value(x_scale, y_scale):
    """LiteRT isn't; that the bits are TFLM's was measured with its Python package (docs/numerics.md)."""
    quants = [Quantization.per_tensor(scale, 0) for scale in (x_scale, y_scale)]
    types = [TensorType(EVERY.shape, INT16, quant) for quant in quants]
    (y,) = Rsqrt().evaluate(Signature((types[0],), (types[1],)), [EVERY])
    exact = 1 / np.sqrt(EVERY[32769:] * np.float64(x_scale)) / y_scale
    assert np.abs(y[32769:] - np.minimum(exact, 32767)).max() < 4
    assert (y[:32769] == 32767).all()


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("shape", [(4, 5), (5,), (4, 1)])
def test_extremes(kind, shape):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x, a, y = wide_tensor(b, (4, 5), 1e-4), wide_tensor(b, shape, 2e-4), wide_tensor(b, (4, 5), 3e-4)
    b.op(kind, [x, a], [y])
    agree(b, [x, a], [y], [[full_range(rng, (4, 5), "int16"), full_range(rng, shape, "int16")]])


@pytest.mark.parametrize("kind", ["SUM", "REDUCE_PROD"])
@pytest.mark.parametrize(("axes", "kept"), [((1,), (2, 4, 3)), ((1, 2), (2, 3)), ((3,), (2, 5, 4))])
def test_reductions(kind, axes, kept):
    """SUM as the default kernels have it."""
    for ratio in (1, 3, 0.7):
        rng, b = np.random.default_rng(int(10 * ratio)), TfliteBuilder()
        x, y = wide_tensor(b, (2, 5, 4, 3), 1.2e-4), wide_tensor(b, kept, 1.2e-4 * ratio)
        b.op(kind, [x, b.constant(np.array(axes, np.int32))], [y])
        samples = [[full_range(rng, (2, 5, 4, 3), "int16") // size] for size in (1, 9)]
        agree(b, [x], [y], samples, resolver=DEFAULT, kernels=ratio == 1)


@quick
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 7)), st.tuples(st.integers(1, 13), st.integers(1, 15)),
    st.sampled_from([{}, {"AlignCorners": True}, {"HalfPixelCenters": True}]),
    st.sampled_from(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"]), seeds,
)  # fmt: skip
def test_resizing(size, result, mode, kind, seed):
    b = TfliteBuilder()
    x, y = wide_tensor(b, (1, *size, 3), 1e-4), wide_tensor(b, (1, *result, 3), 1e-4)
    b.op(kind, [x, b.constant(np.array(result, np.int32))], [y], **mode)
    agree(b, [x], [y], [[full_range(np.random.default_rng(seed), (1, *size, 3), "int16")]], kernels=seed % 5 == 0)


MATRICES = {
    "batch": ((2, 3, 5), (2, 5, 4), {}),
    "broadcast": ((3, 5), (2, 1, 5, 4), {}),
    "turned": ((2, 5, 3), (2, 4, 5), {"AdjX": True, "AdjY": True}),
    "deep": ((2, 600), (600, 3), {}),
}


@pytest.mark.parametrize("case", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("constant", [None, 0, 1])
def test_products_of_matrices(case, constant):
    shapes, options = case[:2], case[2]
    rng, b = np.random.default_rng(0), TfliteBuilder()
    values = [full_range(rng, shape, "int16") for shape in shapes]
    places = [
        b.constant(value, 1e-4) if index == constant else wide_tensor(b, value.shape, 1e-4)
        for index, value in enumerate(values)
    ]
    first, second = (np.empty(shape) for shape in shapes)
    turned = [m.swapaxes(-1, -2) if options.get(n) else m for m, n in ((first, "AdjX"), (second, "AdjY"))]
    y = wide_tensor(b, np.matmul(*turned).shape, 2e-3)
    b.op("BATCH_MATMUL", places, [y], **options)
    given = [index for index in (0, 1) if index != constant]
    agree(b, [places[i] for i in given], [y], [[values[i] for i in given]])


@pytest.mark.parametrize("bias", ["int64", "int32", None])
@pytest.mark.parametrize(("padding", "stride", "channels"), [(SAME, 2, 5), (VALID, 3, 4)])
def test_transposed_convolutions(bias, padding, stride, channels):
    rng, b, kernel = np.random.default_rng(stride), TfliteBuilder(), (3, 2)
    shape = [n * stride if padding == SAME else (n - 1) * stride + k for n, k in zip((4, 3), kernel, strict=True)]
    scale = rng.uniform(0.001, 0.02, channels).astype(np.float32)
    x, y = wide_tensor(b, (1, 4, 3, 3), 4e-4), wide_tensor(b, (1, *shape, channels), 4e-4 * 0.01 * 150)
    size = b.constant(np.array([1, *shape, channels], np.int32))
    operands = [size, b.constant(full_range(rng, (channels, *kernel, 3)), scale, axis=0), x]
    if bias:
        operands.append(b.constant(rng.integers(-(2**20), 2**20, channels).astype(bias), np.float32(4e-4) * scale))
    options = {"QuantizedBiasType": TYPES[bias]} if bias else {}
    b.op("TRANSPOSE_CONV", operands, [y], Padding=padding, StrideH=stride, StrideW=stride, **options).version = 4
    agree(b, [x], [y], [[full_range(rng, (1, 4, 3, 3), "int16")] for _ in range(3)])


def test_sums_of_tflm():
    """In fixed point, rounded twice, as means are; the numbers are those of its Python package (0.dev20261023)."""
    x = np.random.default_rng(0).integers(-3000, 3000, (4, 50)).astype(np.int16)
    for y_scale, wanted in ((1e-4, [-12330, 17842, 11801, 21434]), (7e-5, [-17614, 25489, 16859, 30620])):
        b = TfliteBuilder()
        place, y = wide_tensor(b, x.shape, 1e-4), wide_tensor(b, (4,), y_scale)
        b.op("SUM", [place, b.constant(np.array([1], np.int32))], [y])
        graph = import_tflite(b.build([place], [y]), "m", "m.tflite", match="tflm")
        values = interpreter.run(graph, [x])
        assert values[graph.outputs[0]].tolist() == wanted
        check_kernels(graph, graph.nodes[0], {**graph.constants, **values})
