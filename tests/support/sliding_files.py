"""Model files of networks on windows that overlap: keyword spotting without padding in time, or causal."""

from __future__ import annotations

import numpy as np

from tests.support.tflite_builder import NONE, RELU, VALID, TfliteBuilder

ROWS, COLUMNS, CLASSES = 49, 10, 12
ZERO, SCALE = -20, 0.05


class _Keywords:
    def __init__(self, channels: int) -> None:
        self.b, self.rng, self.channels = TfliteBuilder(), np.random.default_rng(7), channels

    def weights(self, shape: tuple[int, ...], axis: int) -> tuple[int, int]:
        scales = self.rng.uniform(0.001, 0.004, shape[axis]).astype(np.float32)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-900, 900, shape[axis]).astype(np.int32)
        of_bias = (scales * np.float32(SCALE)).tolist()
        return self.b.constant(values, scales.tolist(), axis=axis), self.b.constant(bias, of_bias, axis=0)

    def vector(self, *values: int) -> int:
        return self.b.constant(np.array(values, np.int32))

    def padded(self, x: int, shape: tuple[int, ...], rows: int) -> tuple[int, tuple[int, ...]]:
        """With so many rows in front."""
        shape = (1, shape[1] + rows, *shape[2:])
        y = self.b.tensor(shape, SCALE, ZERO, name=f"padded_{shape[1]}_{len(self.b.ops)}")
        self.b.op("PAD", [x, self.b.constant(np.array([[0, 0], [rows, 0], [0, 0], [0, 0]], np.int32))], [y])
        return y, shape

    def convolution(
        self, x: int, shape: tuple[int, ...], kernel: tuple[int, int], stride: int, *, depthwise: bool
    ) -> tuple[int, tuple[int, ...]]:
        rows, columns = ((n - k) // stride + 1 for n, k in zip(shape[1:3], kernel, strict=True))
        result = (1, rows, columns, self.channels)
        y = self.b.tensor(result, SCALE, ZERO, name=f"layer_{len(self.b.ops)}")
        options = {"Padding": VALID, "StrideH": stride, "StrideW": stride, "FusedActivationFunction": RELU}
        if depthwise:
            operands = [x, *self.weights((1, *kernel, self.channels), 3)]
            self.b.op("DEPTHWISE_CONV_2D", operands, [y], DepthMultiplier=1, **options)  # type: ignore[arg-type]
        else:
            operands = [x, *self.weights((self.channels, *kernel, shape[3]), 0)]
            self.b.op("CONV_2D", operands, [y], **options)  # type: ignore[arg-type]
        return y, result

    def build(self, *, causal: bool, blocks: int) -> bytes:
        b, shape = self.b, (1, ROWS, COLUMNS, 1)
        x = b.tensor(shape, SCALE, ZERO, name="features")
        y, shape = self.padded(x, shape, 8) if causal else (x, shape)
        y, shape = self.convolution(y, shape, (10, 4), 2, depthwise=False)
        for _ in range(blocks):
            y, shape = self.padded(y, shape, 2) if causal else (y, shape)
            y, shape = self.convolution(y, shape, (3, 1), 1, depthwise=True)
            y, shape = self.convolution(y, shape, (1, 1), 1, depthwise=False)
        width = self.channels if not causal else shape[2] * self.channels
        flat = b.tensor((1, width), SCALE, ZERO, name="flat")
        if causal:
            last = b.tensor((1, 1, *shape[2:]), SCALE, ZERO, name="last")
            b.op("SLICE", [y, self.vector(0, shape[1] - 1, 0, 0), self.vector(1, 1, *shape[2:])], [last])
            b.op("RESHAPE", [last, self.vector(1, width)], [flat])
        else:
            b.op("MEAN", [y, self.vector(1, 2)], [flat], KeepDims=False)
        weights = b.constant(self.rng.integers(-127, 128, (CLASSES, width)).astype(np.int8), 0.004)
        bias = b.constant(self.rng.integers(-300, 300, CLASSES).astype(np.int32), 0.004 * SCALE)
        logits, probabilities = b.tensor((1, CLASSES), 0.1, 3), b.tensor((1, CLASSES), 1 / 256, -128)
        b.op("FULLY_CONNECTED", [flat, weights, bias], [logits], FusedActivationFunction=NONE)
        b.op("SOFTMAX", [logits], [probabilities], Beta=1.0)
        return b.build([x], [probabilities])


def keyword_model(*, causal: bool, channels: int = 64, blocks: int = 4) -> bytes:
    """49 frames of 10 features: a strided convolution, depthwise separable ones over time, classes of the average, or,
    causal, of the last row.
    """
    return _Keywords(channels).build(causal=causal, blocks=blocks)
