"""Constants as quantisers write them: few bits, blocks, moved by other operators; and activations of 16 bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile.errors import FloatIslandWarning

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


def test_blocks_are_named_as_the_reason():
    layer = Layer(21, 2)
    weights = layer.packed(layer.rng.integers(-8, 8, (8, 4)), "INT4")
    zeros = layer.packed(layer.rng.integers(-8, 8, (3, 4)), "INT4")
    _, raised = layer.finish(layer.b.node("DequantizeLinear", weights, layer.scales(3, 4), zeros, axis=0, block_size=3))
    assert len(raised) == 1 and "MatMul" in raised[0] and "a scale for each block" in raised[0]


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
