"""Layers of float activations and int8 weights against LiteRT: the same integers, the same floats to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import output_shape, paddings, sizes, weight_scales
from tests.ops.oracle import activations, check_model, pairs, quick, seeds
from tests.support.litert import Oracle
from tests.support.tflite_builder import NO_TENSOR, SAME, TfliteBuilder
from tinycompile import interpreter
from tinycompile.dtypes import DType
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite

pytestmark = pytest.mark.filterwarnings("ignore::tinycompile.errors.FloatIslandWarning")

packed = st.sampled_from(["int8", "int4"])


def activations_of(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Rows with another mean and another spread each; some have few values, whose quotients are halves; some are 0."""
    rows = (shape[0], *(1,) * (len(shape) - 1))
    x = rng.normal(rng.normal(0, 1, rows), 1, shape) * 10 ** rng.uniform(-3, 3, rows)
    halves = np.round(x / np.abs(x).max() * 127) + rng.choice([0, 0.5], shape)
    kind = rng.integers(0, 6, rows)
    return np.where(kind < 4, x, np.where(kind == 4, halves, 0)).astype(np.float32)


class Layer:
    """A model of one layer under construction."""

    def __init__(self, seed: int) -> None:
        self.rng, self.b = np.random.default_rng(seed), TfliteBuilder()

    def weights(self, shape: tuple[int, ...], axis: int, dtype: str, per_channel: bool) -> int:
        scale, t = weight_scales(self.rng, shape[axis], per_channel), DType.of(dtype)
        values = self.rng.integers(t.range[0], t.range[1] + 1, shape).astype(t.carrier)
        return self.b.tensor(shape, scale, dtype=dtype, axis=axis, data=t.pack(values).tobytes())

    def bias(self, count: int, biased: bool = True) -> int:
        return self.b.constant(self.rng.normal(0, 1, count).astype(np.float32)) if biased else NO_TENSOR

    def input(self, shape: tuple[int, ...]) -> int:
        return self.b.tensor(shape, dtype="float32")

    def model(
        self, name: str, inputs: list[int], x: int, y_shape: tuple[int, ...], version: int = 1, **options: int
    ) -> tuple[bytes, np.ndarray]:
        """And its input."""
        y = self.b.tensor(y_shape, dtype="float32")
        self.b.op(name, inputs, [y], **options).version = version
        return self.b.build([x], [y]), activations_of(self.rng, tuple(self.b.tensors[x].shape))

    def check(
        self, name: str, inputs: list[int], x: int, y_shape: tuple[int, ...], version: int = 1, **options: int
    ) -> None:
        model, values = self.model(name, inputs, x, y_shape, version, **options)
        check_model(model, [values])


@quick
@given(
    st.integers(1, 40), st.integers(1, 70), st.integers(1, 20), activations, st.booleans(), packed, st.booleans(),
    st.booleans(), seeds,
)  # fmt: skip
def test_fully_connected(rows, inputs, outputs, activation, asymmetric, dtype, per_channel, biased, seed):
    m = Layer(seed)
    x = m.input((rows, inputs))
    operands = [x, m.weights((outputs, inputs), 0, dtype, per_channel), m.bias(outputs, biased)]
    options = {"FusedActivationFunction": activation, "AsymmetricQuantizeInputs": asymmetric}
    m.check("FULLY_CONNECTED", operands, x, (rows, outputs), 9, **options)


@quick
@given(
    sizes, pairs, pairs, st.integers(1, 3), paddings, activations, st.sampled_from([1, 2]), packed, st.booleans(),
    st.integers(1, 3), seeds,
)  # fmt: skip
def test_conv2d(size, kernel, stride, dilation, padding, activation, groups, dtype, per_channel, batch, seed):
    m, stride = Layer(seed), (1, 1) if dilation > 1 else stride
    x = m.input((batch, *size, 4))
    shape = output_shape(size, kernel, stride, (dilation, dilation), padding, 6)
    weights = m.weights((6, *kernel, 4 // groups), 0, dtype, per_channel or groups > 1)
    m.check(
        "CONV_2D", [x, weights, m.bias(6)], x, (batch, *shape[1:]), 6, Padding=padding, StrideH=stride[0],
        StrideW=stride[1], DilationHFactor=dilation, DilationWFactor=dilation, FusedActivationFunction=activation,
    )  # fmt: skip


@quick
@given(sizes, pairs, st.integers(1, 2), paddings, activations, st.integers(1, 2), st.integers(1, 2), seeds)
def test_depthwise_conv2d(size, kernel, stride, padding, activation, multiplier, batch, seed):
    m = Layer(seed)
    x, outputs = m.input((batch, *size, 3)), 3 * multiplier
    shape = output_shape(size, kernel, (stride, stride), (1, 1), padding, outputs)
    m.check(
        "DEPTHWISE_CONV_2D", [x, m.weights((1, *kernel, outputs), 3, "int8", True), m.bias(outputs)], x,
        (batch, *shape[1:]), 6, Padding=padding, StrideH=stride, StrideW=stride, DilationHFactor=1, DilationWFactor=1,
        DepthMultiplier=multiplier, FusedActivationFunction=activation,
    )  # fmt: skip


@quick
@given(pairs, st.integers(1, 3), st.integers(1, 2), seeds)
def test_transpose_conv(kernel, stride, batch, seed):
    """LiteRT adds floats, one for each product: near, not equal."""
    m, size = Layer(seed), (5, 4)
    x, y_shape = m.input((batch, *size, 3)), (batch, size[0] * stride, size[1] * stride, 5)
    shape = m.b.constant(np.array(y_shape, np.int32))
    operands = [shape, m.weights((5, *kernel, 3), 0, "int8", True), x, m.bias(5)]
    model, values = m.model("TRANSPOSE_CONV", operands, x, y_shape, 3, Padding=SAME, StrideH=stride, StrideW=stride)
    graph = import_tflite(model, "model", "model.tflite")
    (output,) = graph.outputs
    expected = Oracle(model).run([values])[graph.sources[output].index]
    largest = np.abs(expected).max()
    np.testing.assert_allclose(interpreter.run(graph, [values])[output], expected, rtol=1e-5, atol=1e-5 * largest)


@quick
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.integers(1, 8), st.booleans(), st.booleans(), seeds)
def test_batch_matmul(batch, rows, depth, columns, adj_y, asymmetric, seed):
    m = Layer(seed)
    x, shape = m.input((batch, rows, depth)), (columns, depth) if adj_y else (depth, columns)
    matrix = m.weights(shape, 0, "int8", False)
    options = {"AdjX": False, "AdjY": adj_y, "AsymmetricQuantizeInputs": asymmetric}
    m.check("BATCH_MATMUL", [x, matrix], x, (batch, rows, columns), 4, **options)


def test_refused_products() -> None:
    """Of a transposed first operand, of several matrices, and with scales along the depth."""
    for adj_x, shape, axis in ((True, (3, 5), None), (False, (2, 3, 5), None), (False, (3, 5), 0)):
        m = Layer(0)
        x = m.input((2, 3, 3))
        matrix = m.weights(shape, axis or 0, "int8", axis is not None)
        model, _ = m.model("BATCH_MATMUL", [x, matrix], x, (2, 3, 5), 4, AdjX=adj_x, AdjY=False)
        with pytest.raises(UnsupportedError, match="supported"):
            import_tflite(model, "model", "model.tflite")


def test_tflm_has_none() -> None:
    m = Layer(0)
    x = m.input((1, 4))
    model, _ = m.model("FULLY_CONNECTED", [x, m.weights((3, 4), 0, "int8", True), NO_TENSOR], x, (1, 3))
    with pytest.raises(UnsupportedError, match="its weights are int8, for which TFLM has no kernel"):
        import_tflite(model, "model", "model.tflite", match="tflm")


def test_refused_layers() -> None:
    """Weights with a zero point, which LiteRT would ignore; a table with one."""
    m = Layer(0)
    x, weights = m.input((1, 4)), m.b.constant(np.ones((3, 4), np.int8), 0.5, 7)
    model, _ = m.model("FULLY_CONNECTED", [x, weights, NO_TENSOR], x, (1, 3))
    with pytest.raises(UnsupportedError, match="zero points other than 0"):
        import_tflite(model, "model", "model.tflite")
    m = Layer(0)
    rows, y = m.b.tensor((2,), dtype="int32"), m.b.tensor((2, 4), dtype="float32")
    m.b.op("EMBEDDING_LOOKUP", [rows, m.b.constant(np.ones((3, 4), np.int8), 0.5, 7)], [y])
    with pytest.raises(UnsupportedError, match="zero points other than 0"):
        import_tflite(m.b.build([rows], [y]), "model", "model.tflite")


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("per_row", [False, True])
def test_embedding_lookup(dtype, per_row):
    m = Layer(0)
    indices, table = m.b.tensor((3,), dtype="int32"), m.weights((5, 6), 0, dtype, per_row)
    y = m.b.tensor((3, 6), dtype="float32")
    m.b.op("EMBEDDING_LOOKUP", [indices, table], [y]).version = 4
    check_model(m.b.build([indices], [y]), [np.array([4, 0, 4], np.int32)])
