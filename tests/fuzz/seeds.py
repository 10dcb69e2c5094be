"""Small sound models of both formats; mutations start from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx

from tests.conftest import DIGITS
from tests.frontend.models import X as SMALL_X
from tests.frontend.models import Y as SMALL_Y
from tests.frontend.models import small_model
from tests.frontend.option_models import MODELS
from tests.frontend.typed_models import COLUMNS, operators, typed_model
from tests.ops.signal_models import forms_of
from tests.support.onnx_builder import OnnxBuilder
from tests.support.onnx_nodes import cases
from tests.support.random_forest import ensemble, new_ensemble
from tests.support.random_model import RandomModel
from tests.support.random_qoperators import KINDS, RandomQOperators
from tests.support.tflite_builder import NONE, RELU, SAME, VALID, TfliteBuilder
from tinycompile.frontend.tflite_ops import IMPORTERS

TfliteSeed = tuple[TfliteBuilder, list[int], list[int]]
"""A model under construction, its inputs and its outputs."""

_ONE_TO_ONE: dict[str, dict[str, Any]] = {
    "RELU": {},
    "RELU6": {},
    "LOGISTIC": {},
    "TANH": {},
    "HARD_SWISH": {},
    "LEAKY_RELU": {"Alpha": 0.1},
    "SOFTMAX": {"Beta": 1.0},
    "QUANTIZE": {},
}


@cache
def tflite_seeds() -> tuple[TfliteSeed, ...]:
    """One model with a convolution, one per operator family, random networks; of every operator that is imported one
    with options, and one with elements of each type that it takes.
    """
    seeds: list[TfliteSeed] = [(small_model(), [SMALL_X], [SMALL_Y])]
    seeds += [_chain([name]) for name in _ONE_TO_ONE]
    seeds += [_pool("MAX_POOL_2D"), _pool("AVERAGE_POOL_2D"), _moves(), _mean(), _two_inputs(), _classifier()]
    seeds += [_dynamic_range(), _table(), _blocks()]
    seeds += [_random(seed) for seed in range(6)]
    models = [make() for make in MODELS.values()]
    typed = (typed_model(name, dtype) for name in operators() for dtype in COLUMNS)
    models += [model for model in typed if model is not None]
    seeds += [(model.builder, model.places, model.outputs) for model in models]
    return (*seeds, *_signals())


def _signals() -> Iterator[TfliteSeed]:
    """One model of each of TFLM's signal operators and each type of elements."""
    for name in sorted(name for name in IMPORTERS if name.startswith("Signal")):
        by_type = {form.inputs[0][1]: form for form in reversed(forms_of(name))}
        yield from (form.parts() for form in by_type.values())


def _chain(names: list[str]) -> TfliteSeed:
    b = TfliteBuilder()
    x = first = b.tensor((1, 3, 4, 2), 0.05, 3, name="x")
    for name in names:
        y = b.tensor((1, 3, 4, 2), 1 / 256 if name in ("SOFTMAX", "LOGISTIC") else 0.0625, -128, name=f"net/{name}")
        b.op(name, [x], [y], **_ONE_TO_ONE[name])
        x = y
    return b, [first], [x]


def _pool(name: str) -> TfliteSeed:
    b = TfliteBuilder()
    x, y = b.tensor((1, 5, 6, 3), 0.05, 3), b.tensor((1, 3, 3, 3), 0.05, 3)
    fields = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": SAME}
    b.op(name, [x], [y], FusedActivationFunction=NONE, **fields)
    return b, [x], [y]


def _moves() -> TfliteSeed:
    """Pad, transpose, reshape, concatenate, resize."""
    b = TfliteBuilder()
    x = b.tensor((1, 3, 4, 2), 0.05, 3)
    padded, turned = b.tensor((1, 5, 5, 2), 0.05, 3), b.tensor((1, 5, 5, 2), 0.05, 3)
    b.op("PAD", [x, b.constant(np.array([[0, 0], [1, 1], [0, 1], [0, 0]], np.int32))], [padded])
    b.op("TRANSPOSE", [padded, b.constant(np.array([0, 2, 1, 3], np.int32))], [turned])
    both, larger, flat = b.tensor((1, 5, 5, 4), 0.05, 3), b.tensor((1, 10, 10, 4), 0.05, 3), b.tensor((1, 400), 0.05, 3)
    b.op("CONCATENATION", [padded, turned], [both], Axis=3, FusedActivationFunction=NONE)
    b.op("RESIZE_NEAREST_NEIGHBOR", [both, b.constant(np.array([10, 10], np.int32))], [larger])
    b.op("RESHAPE", [larger, b.constant(np.array([1, -1], np.int32))], [flat])
    return b, [x], [flat]


def _mean() -> TfliteSeed:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4, 4, 3), 0.05, 3), b.tensor((1, 3), 0.04, 2)
    b.op("MEAN", [x, b.constant(np.array([1, 2], np.int32))], [y], KeepDims=False)
    return b, [x], [y]


def _two_inputs() -> TfliteSeed:
    b = TfliteBuilder()
    x, z = b.tensor((1, 4, 4, 3), 0.05, 3, name="left"), b.tensor((1, 1, 1, 3), 0.07, -9, name="right")
    values = [b.tensor((1, 4, 4, 3), 0.2, 1) for _ in range(3)]
    b.op("SUB", [x, z], [values[0]], FusedActivationFunction=RELU)
    b.op("MUL", [values[0], z], [values[1]], FusedActivationFunction=NONE)
    b.op("ADD", [values[1], x], [values[2]], FusedActivationFunction=NONE)
    return b, [x, z], [values[2], values[0]]


def _classifier() -> TfliteSeed:
    b, rng = TfliteBuilder(), np.random.default_rng(1)
    x = b.tensor((1, 6, 6, 2), dtype="float32")
    q, d = b.tensor((1, 6, 6, 2), 0.02, 5), b.tensor((1, 4, 4, 4), 0.1, 0)
    b.op("QUANTIZE", [x], [q])
    w = b.constant(rng.integers(-127, 128, (1, 3, 3, 4)).astype(np.int8), [0.01] * 4, axis=3)
    bias = b.constant(rng.integers(-99, 99, 4).astype(np.int32), [0.0002] * 4)
    b.op("DEPTHWISE_CONV_2D", [q, w, bias], [d], StrideH=1, StrideW=1, Padding=VALID, DepthMultiplier=2)
    dense, y = b.tensor((1, 5), 0.4, -2), b.tensor((1, 5), dtype="float32")
    w = b.constant(rng.integers(-127, 128, (5, 64)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [d, w, -1], [dense], FusedActivationFunction=NONE)
    b.op("DEQUANTIZE", [dense], [y])
    return b, [x], [y]


def _dynamic_range() -> TfliteSeed:
    """Layers of floats with integers as weights."""
    b, rng = TfliteBuilder(), np.random.default_rng(2)

    def weights(*shape: int, axis: int = 0) -> int:
        scales = np.linspace(0.01, 0.02, shape[axis])
        return b.constant(rng.integers(-127, 128, shape).astype(np.int8), scales, axis=axis)

    def floats(*shape: int) -> int:
        return b.tensor(shape, dtype="float32")

    x, steps = floats(1, 4, 4, 2), {"StrideH": 1, "StrideW": 1, "Padding": SAME}
    a, c, d, e, y = floats(1, 4, 4, 3), floats(1, 4, 4, 3), floats(1, 4, 4, 3), floats(1, 4), floats(1, 5)
    b.op("CONV_2D", [x, weights(3, 3, 3, 2), b.constant(np.ones(3, np.float32))], [a], **steps)
    b.op("DEPTHWISE_CONV_2D", [a, weights(1, 3, 3, 3, axis=3), -1], [c], DepthMultiplier=1, **steps)
    shape = b.constant(np.array([1, 4, 4, 3], np.int32))
    b.op("TRANSPOSE_CONV", [shape, weights(3, 2, 2, 3), c], [d], **steps).version = 3
    b.op("FULLY_CONNECTED", [d, weights(4, 48), -1], [e], AsymmetricQuantizeInputs=True).version = 9
    matrix = b.constant(rng.integers(-127, 128, (4, 5)).astype(np.int8), 0.01)
    b.op("BATCH_MATMUL", [e, matrix], [y], AdjX=False, AdjY=False).version = 4
    return b, [x], [y]


def _table() -> TfliteSeed:
    b = TfliteBuilder()
    x, y = b.tensor((3,), dtype="int32"), b.tensor((3, 4), dtype="float32")
    table = b.constant(np.arange(20, dtype=np.int8).reshape(5, 4), np.linspace(0.1, 0.5, 5))
    b.op("EMBEDDING_LOOKUP", [x, table], [y]).version = 4
    return b, [x], [y]


def _blocks() -> TfliteSeed:
    """Weights with a scale for every four."""
    b = TfliteBuilder()
    x, y = b.tensor((2, 8), dtype="float32"), b.tensor((2, 3), dtype="float32")
    scales = b.constant(np.linspace(0.1, 1, 6).astype(np.float16).reshape(3, 2))
    weights = b.constant(np.arange(24, dtype=np.int8).reshape(3, 8))
    b.tensors[weights].blocks = {0: scales, 1: -1, 2: 4}
    b.op("FULLY_CONNECTED", [x, weights, -1], [y])
    return b, [x], [y]


def _random(seed: int) -> TfliteSeed:
    """Two or three layers; its file is not used, only what it was built from."""
    model = RandomModel(seed)
    found: list[TfliteSeed] = []
    build = model.builder.build
    model.builder.build = lambda inputs, outputs: found.append((model.builder, list(inputs), list(outputs))) or b""
    model.build(layers=2 + seed % 2)
    model.builder.build = build
    return found[0]


@cache
def onnx_seeds() -> tuple[onnx.ModelProto, ...]:
    """QDQ models, the operators of `onnx.backend.test`, quantised operators, trees, and the example's float model."""
    built = [_qdq(tail) for tail in _QDQ]
    nodes = [case.model for name, case in sorted(cases().items()) if case.model.ByteSize() < 1 << 14]
    quantized = tuple(RandomQOperators(kind, seed).build() for kind in KINDS for seed in range(3))
    return (*built * 8, *nodes, *quantized, *_forests() * 6, onnx.load(str(DIGITS / "digits.onnx")))


def _forests() -> list[onnx.ModelProto]:
    """Trees as ai.onnx.ml has had them, and the example's pipeline."""
    rng = np.random.default_rng(3)
    trees = [ensemble(rng, "Regressor", 2, trees=2, depth=2), ensemble(rng, "Classifier", 3, trees=2, depth=2)]
    return [*trees, new_ensemble(rng, 2), onnx.load(str(DIGITS.parent / "wine" / "wine.onnx"))]


Tail = Callable[[OnnxBuilder, str], str]


def _conv(b: OnnxBuilder, x: str) -> str:
    rng = np.random.default_rng(3)
    w = b.weights(rng.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8), [0.01] * 4, [0] * 4)
    bias = b.dequantize(b.constant(np.array([5, -5, 9, 0], np.int32)), [0.001] * 4, [0] * 4, "int32", axis=0)
    return b.node("Relu", b.node("Conv", x, w, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))


def _gemm(b: OnnxBuilder, x: str) -> str:
    w = b.weights(np.arange(-60, 60).reshape(40, 3).astype(np.int8), 0.02, 0)
    return b.node("Softmax", b.node("MatMul", b.node("Flatten", x), w))


def _matmul_of_bits(b: OnnxBuilder, x: str) -> str:
    rng = np.random.default_rng(4)
    packed = b.constant(rng.integers(0, 256, (3, 3, 8)), np.uint8)
    scales, zeros = (
        b.constant(rng.uniform(0.01, 0.1, (3, 3)), np.float32),
        b.constant([[3, 7], [8, 9], [1, 2]], np.uint8),
    )
    form = {"K": 40, "N": 3, "bits": 4, "block_size": 16}
    return b.node("MatMulNBits", b.node("Flatten", x), packed, scales, zeros, domain="com.microsoft", **form)


def _residual(b: OnnxBuilder, x: str) -> str:
    y = b.activation(b.node("HardSwish", x), 0.05, -3)
    pooled = b.node("MaxPool", b.node("Concat", y, x, axis=1), kernel_shape=[2, 2], strides=[2, 1])
    return b.node("Transpose", b.node("Add", pooled, b.constant(0.5, np.float32)), perm=[0, 2, 3, 1])


def _moved(b: OnnxBuilder, x: str) -> str:
    y = b.node("Pad", x, b.constant([0, 0, 1, 1, 0, 0, 0, 1], np.int64))
    y = b.node("Slice", y, b.constant([1], np.int64), b.constant([4], np.int64), b.constant([2], np.int64))
    return b.node("ReduceMean", b.node("Reshape", y, b.constant([1, -1, 3], np.int64)), axes=[1], keepdims=0)


_QDQ: tuple[Tail, ...] = (_conv, _gemm, _matmul_of_bits, _residual, _moved)


def _qdq(tail: Tail) -> onnx.ModelProto:
    b = OnnxBuilder(17)
    x = b.activation(b.input((1, 2, 4, 5)), 0.1, 3)
    b.output(b.activation(tail(b, x), 0.1, 0))
    return b.model()
