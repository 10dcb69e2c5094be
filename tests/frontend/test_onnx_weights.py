"""Constants as quantisers write them: few bits, blocks, moved by other operators; and activations of 16 bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile.errors import FloatIslandWarning, UnsupportedError
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected

MICROSOFT = "com.microsoft"
BITS = {"INT2": (-2, 1), "UINT2": (0, 3), "INT4": (-8, 7), "UINT4": (0, 15)}


class Layer:
    """A MatMul of an int8 row with constant weights (8, 4)."""

    def __init__(self, opset: int, seed: int = 0) -> None:
        self.b, self.rng = OnnxBuilder(opset), np.random.default_rng(seed)
        self.x = self.b.input((3, 8))
        self.a = self.b.activation(self.x, 0.05, 3)

    def packed(self, values: np.ndarray, kind: str) -> str:
        """An initialiser of a type that NumPy doesn't have."""
        name = self.b.name("packed")
        code = getattr(TensorProto, kind)
        self.b.initializers.append(helper.make_tensor(name, code, values.shape, values.ravel().tolist()))
        return name

    def scales(self, *shape: int) -> str:
        return self.b.constant(self.rng.uniform(0.01, 0.1, shape), np.float32)

    def finish(self, weights: str) -> tuple[list[str], list[str]]:
        """(kinds of the graph's operators, warnings), of a model whose meaning is onnxruntime's."""
        self.b.output(self.b.activation(self.b.node("MatMul", self.a, weights), 0.2, 1))
        return self.checked()

    def checked(self) -> tuple[list[str], list[str]]:
        model = self.b.model()
        model.ir_version = 10
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", FloatIslandWarning)
            graph, _ = imported(model, floats="islands")
        x = self.rng.normal(0, 3, (3, 8)).astype(np.float32)
        assert not Agreement(model, graph).difference({self.x: x})
        return kinds(graph.without_dead()), [str(w.message) for w in raised]


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("domain", ["", MICROSOFT])
@pytest.mark.parametrize("per_channel", [False, True])
def test_few_bits(kind, domain, per_channel):
    """onnxruntime's operator has them below opset 21."""
    if domain and "2" in kind:
        pytest.skip("com.microsoft's DequantizeLinear has no 2 bits")
    layer = Layer(17 if domain else 25, 1)
    low, high = BITS[kind]
    shape = (4,) if per_channel else ()
    weights = layer.packed(layer.rng.integers(low, high + 1, (8, 4)), kind)
    zero = layer.packed(np.full(shape, (low + high) // 2 + 1), kind)
    axis = {"axis": 1} if per_channel else {}
    operators, raised = layer.finish(
        layer.b.node("DequantizeLinear", weights, layer.scales(*shape), zero, domain=domain, **axis)
    )
    assert operators == ["quantize", "fully_connected", "dequantize"] and not raised


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("block", [2, 3, 4, 8])
def test_blocks_are_integers(kind, block):
    """Whatever the zero points are, and however many elements the last block has."""
    layer, (low, high) = Layer(25, 2), BITS[kind]
    shape = -(-8 // block), 4
    weights, zeros = (layer.packed(layer.rng.integers(low, high + 1, size), kind) for size in ((8, 4), shape))
    w = layer.b.node("DequantizeLinear", weights, layer.scales(*shape), zeros, axis=0, block_size=block)
    operators, raised = layer.finish(w)
    wanted = "fully_connected" if block == 8 else "blockwise_fully_connected"
    assert operators == ["quantize", wanted, "dequantize"] and not raised


@pytest.mark.parametrize("small", [False, True])
def test_blocks_of_gemm_and_of_convolutions_of_single_pixels(small):
    """With scales that are small multiples of one number, sums have 32 bits and are exact in all cases."""
    b, rng = OnnxBuilder(21), np.random.default_rng(6)
    layer = Layer(21)
    layer.b = b

    def blocks(shape: tuple[int, ...], axis: int) -> str:
        weights = layer.packed(rng.integers(-8, 8, shape), "INT4")
        sizes = tuple(-(-n // 4) if i == axis else n for i, n in enumerate(shape))
        scales = rng.integers(1, 16, sizes) * 0.00390625 if small else rng.uniform(0.01, 0.1, sizes)
        return b.node("DequantizeLinear", weights, b.constant(scales, np.float32), axis=axis, block_size=4)

    x = b.input((1, 10, 5, 2))
    bias = b.constant(rng.normal(0, 1, 6), np.float32)
    y = b.node("Relu", b.node("Conv", b.activation(x, 0.05, 3), blocks((6, 10, 1, 1), 1), bias, strides=[2, 1]))
    flat = b.node("Flatten", b.activation(y, 0.1, -20))
    b.output(b.activation(b.node("Gemm", flat, blocks((5, 36), 1), transB=1, alpha=0.5), 0.2, 1))
    model = b.model()
    model.ir_version = 10
    graph, _ = imported(model, floats="islands")
    feed = rng.normal(0, 3, (1, 10, 5, 2)).astype(np.float32)
    assert not Agreement(model, graph).difference({x: feed})
    layers = [node for node in graph.nodes if isinstance(node.op, BlockwiseFullyConnected)]
    assert len(layers) == 2 and all(isinstance(node.op.rule, StepRequant) == small for node in layers)


@pytest.mark.parametrize(("before", "behind"), [("int16", "int16"), ("int16", "int8"), ("int8", "uint16")])
def test_blocks_beside_16_bits(before, behind):
    layer = Layer(21, 8)
    b, scales = layer.b, {"int8": 0.05, "int16": 0.0002, "uint16": 0.0003}
    weights = layer.packed(layer.rng.integers(-8, 8, (8, 4)), "INT4")
    w = b.node("DequantizeLinear", weights, layer.scales(2, 4), axis=0, block_size=4)
    y = b.node("MatMul", b.activation(layer.x, scales[before], 3, before), w)
    b.output(b.activation(y, scales[behind], 30000 if behind == "uint16" else 3, behind))
    operators, raised = layer.checked()
    assert "blockwise_fully_connected" in operators and not raised


@pytest.mark.parametrize("form", ["a scale for each input", "a window", "far apart", "wide"])
def test_blocks_that_take_floats_say_why(form):
    layer = Layer(21, 7)
    b, rng, wide = layer.b, layer.rng, form == "wide"
    scales = rng.uniform(0.01, 0.1, (8 if form == "a scale for each input" else 4, 4))
    scales[0] = 1e-6 if form == "far apart" else scales[0]
    block = {"block_size": 8 // len(scales), "axis": 0}
    weights = (
        b.constant(rng.integers(0, 256, (8, 4)), np.uint8) if wide else b.constant(rng.integers(-8, 8, (8, 4)), np.int8)
    )
    zeros = b.constant(np.zeros(scales.shape), np.uint8 if wide else np.int8)
    w = b.node("DequantizeLinear", weights, b.constant(scales, np.float32), zeros, **block)
    reasons = {"far apart": "too far apart", "wide": "more than 8 bits"}
    if form == "a window":
        x = b.node("Reshape", layer.a, ints(b, 1, 8, 3, 1))
        kernel = b.node("Reshape", b.node("Transpose", w, perm=[1, 0]), ints(b, 2, 8, 2, 1))
        y = b.node("Conv", x, kernel)
    else:
        y = b.node("MatMul", layer.a, w)
    b.output(b.activation(y, 0.2, 1))
    model = b.model()
    model.ir_version = 10
    with pytest.warns(FloatIslandWarning, match=reasons.get(form, form)):
        imported(model, floats="islands")


WAYS: dict[str, Callable[[OnnxBuilder, str], str]] = {
    "transpose": lambda b, w: b.node("Transpose", w, perm=[1, 0]),
    "identity, unsqueeze, reshape": lambda b, w: b.node(
        "Transpose",
        b.node("Reshape", b.node("Unsqueeze", b.node("Identity", w), ints(b, 2)), ints(b, 4, 8)),
        perm=[1, 0],
    ),
    "squeeze": lambda b, w: b.node(
        "Squeeze", b.node("Transpose", b.node("Unsqueeze", w, ints(b, 0)), perm=[0, 2, 1]), ints(b, 0)
    ),
}


@pytest.mark.parametrize(("block", "scales"), [(10**12, 2), (-4, 2), (4, 3)])
def test_blocks_that_do_not_fit_are_refused(block, scales):
    """Nothing is allocated by what a file says of them."""
    layer = Layer(21, 9)
    weights = layer.packed(layer.rng.integers(-8, 8, (8, 4)), "INT4")
    w = layer.b.node("DequantizeLinear", weights, layer.scales(scales, 4), axis=0, block_size=block)
    layer.b.output(layer.b.activation(layer.b.node("MatMul", layer.a, w), 0.2, 1))
    model = layer.b.model()
    model.ir_version = 10
    with pytest.raises(UnsupportedError, match=rf"\[{scales}, 4\] for blocks of {block} in axis 0 of \[8, 4\]"):
        imported(model, floats="islands")


def ints(b: OnnxBuilder, *values: int) -> str:
    return b.constant(values, np.int64)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_scales_move_with_the_weights(way, per_channel):
    layer = Layer(17, 3)
    values = layer.rng.integers(-127, 128, (4, 8)).astype(np.int8)
    w = layer.b.weights(values, layer.rng.uniform(0.01, 0.1, 4) if per_channel else 0.03, [0] * 4 if per_channel else 0)
    operators, _ = layer.finish(WAYS[way](layer.b, w))
    assert "fully_connected" in operators and operators.count("dequantize") == 1


def test_bounds_and_rounding_of_weights_at_compile_time():
    """Brevitas clips integers, AIMET quantises floats in the file."""
    layer = Layer(13, 4)
    b = layer.b
    clipped = b.node(
        "Clip", b.constant(layer.rng.integers(-8, 8, (8, 4)), np.int8), *(b.constant(n, np.int8) for n in (-7, 7))
    )
    first = b.node("DequantizeLinear", clipped, b.constant(0.03, np.float32), b.constant(0, np.int8))
    y = b.activation(b.node("MatMul", layer.a, first), 0.2, 1)
    parameters = layer.scales(4), b.constant([0] * 4, np.int8)
    rounded = b.node("QuantizeLinear", b.constant(layer.rng.normal(0, 1, (4, 4)), np.float32), *parameters, axis=1)
    second = b.node("DequantizeLinear", rounded, *parameters, axis=1)
    b.output(b.activation(b.node("MatMul", y, second), 0.2, 1))
    operators, raised = layer.checked()
    assert operators == ["quantize", "fully_connected", "fully_connected", "dequantize"] and not raised


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("domain", ["", MICROSOFT])
def test_layers_of_16_bit_activations_are_integers(dtype, domain):
    layer = Layer(17 if domain else 21, 5)
    b = layer.b
    parameters = b.constant(0.0007, np.float32), b.constant(1000 if dtype == np.int16 else 33000, dtype)
    between = b.node("QuantizeLinear", layer.x, *parameters, domain=domain)
    a = b.node("DequantizeLinear", b.node("Reshape", between, ints(b, 3, 8)), *parameters, domain=domain)
    w = b.weights(layer.rng.integers(-127, 128, (8, 4)).astype(np.int8), np.full(4, 0.02), [0] * 4, 1)
    y = b.node("QuantizeLinear", b.node("MatMul", a, w), *parameters, domain=domain)
    b.output(b.node("DequantizeLinear", y, *parameters, domain=domain))
    operators, raised = layer.checked()
    assert "fully_connected" in operators and not raised
