"""QDQ models of a few nodes."""

from __future__ import annotations

import numpy as np

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, check_model, imported
from tinycompile.ir import Graph


def random_ints(shape, dtype, rng):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


MIDDLE = {"uint8": 1 << 7, "uint16": 1 << 15}
"""Where the zero points of unsigned types lie."""


class Qdq:
    """A model from one float input through an operator between quantised tensors."""

    def __init__(self, shape, dtype="int8", seed=0, opset=17, scale=0.05):
        self.rng = np.random.default_rng(seed)
        self.type_name, self.shape = dtype, shape
        self.b = OnnxBuilder(opset)
        self.x = self.b.input(shape)
        self.scale = scale
        self.zero = int(self.rng.integers(-40, 40)) + MIDDLE.get(dtype, 0)
        self.a = self.b.activation(self.x, self.scale, self.zero, dtype)

    def finish(self, y: str, scale=0.07, zero=None, **options):
        zero = int(self.rng.integers(-30, 30)) + MIDDLE.get(self.type_name, 0) if zero is None else zero
        self.b.output(self.b.activation(y, scale, zero, self.type_name))
        x = self.rng.normal(0, 3, self.shape).astype(np.float32)
        return check_model(self.b.model(), {self.x: x}, **options)

    def conv_weights(self, shape, dtype="int8", per_channel=True, zero=0, axis=0):
        values = random_ints(shape, dtype, self.rng)
        scale = self.rng.uniform(0.001, 0.01, shape[axis]).astype(np.float32) if per_channel else 0.004
        zeros = np.full(shape[axis], zero) if per_channel else zero
        return self.b.weights(values, scale, zeros, axis), scale

    def bias(self, channels, w_scale):
        scale = np.broadcast_to(np.float32(self.scale) * np.float32(w_scale), (channels,)).astype(np.float32)
        values = self.rng.integers(-3000, 3000, channels).astype(np.int32)
        return self.b.dequantize(self.b.constant(values), scale, np.zeros(channels), "int32", axis=0)

    def agrees(self, y: str, scale: float = 0.07, zero: int = 0) -> Graph:
        """As `finish`, but compared with onnxruntime."""
        self.b.output(self.b.activation(y, scale, zero + MIDDLE.get(self.type_name, 0), self.type_name))
        graph, _ = imported(self.b.model())
        x = self.rng.normal(0, 3, self.shape).astype(np.float32)
        assert not Agreement(self.b.model(), graph).difference({self.x: x})
        return graph
