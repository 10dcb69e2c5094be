"""A streaming wake-word model: convolutions over time, each with a variable that keeps the rows it reads again.

The kind that is published for microphones on microcontrollers: three frames of 40 features a step, a strided
convolution, four blocks of depthwise convolutions with one or two kernel sizes and a pointwise one, the last frames
flattened into a probability. Six variables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.tflite_builder import NONE, RELU, VALID, SubgraphSpec, TfliteBuilder

FRAMES, FEATURES, FILTERS, CHANNELS = 3, 40, 32, 64
BLOCKS: tuple[tuple[int, ...], ...] = ((5,), (7, 11), (9, 15), (23,))
LAST = 6
"""Frames that are flattened."""


class _WakeWord:
    def __init__(self) -> None:
        self.b, self.rng = TfliteBuilder(), np.random.default_rng(11)
        self.variables = list[tuple[str, tuple[int, ...], float, int]]()

    def vector(self, *values: int) -> int:
        return self.b.constant(np.array(values, np.int32))

    def stream(self, x: int, rows: int, kept: int, channels: int, scale: float, zero_point: int) -> int:
        """The kept rows and the new ones, of which the last are kept."""
        b, name = self.b, f"stream_{len(self.variables)}"
        quant = {"scale": scale, "zero_point": zero_point}
        handle = b.tensor((), dtype="resource", name=f"{name}_handle")
        before, both, after = (
            b.tensor((1, count, 1, channels), name=f"{name}_{what}", **quant)  # type: ignore[arg-type]
            for what, count in (("before", kept), ("both", kept + rows), ("after", kept))
        )
        b.op("VAR_HANDLE", [], [handle], Container="", SharedName=name)
        b.op("READ_VARIABLE", [handle], [before])
        b.op("CONCATENATION", [before, x], [both], Axis=1)
        ends = [self.vector(0, rows, 0, 0), self.vector(0, kept + rows, 0, 0), self.vector(1, 1, 1, 1)]
        b.op("STRIDED_SLICE", [both, *ends], [after], BeginMask=13, EndMask=13)
        b.op("ASSIGN_VARIABLE", [handle, after], [])
        self.variables.append((name, (1, kept, 1, channels), scale, zero_point))
        return both

    def weights(self, shape: tuple[int, ...], axis: int, scale: float) -> tuple[int, int]:
        """(weights, bias) of an input with this scale."""
        scales = self.rng.uniform(0.002, 0.006, shape[axis]).astype(np.float32)
        values = np.clip(np.round(self.rng.normal(0, 40, shape)), -127, 127).astype(np.int8)
        bias = self.rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
        return (
            self.b.constant(values, scales.tolist(), axis=axis),
            self.b.constant(bias, (scales * np.float32(scale)).tolist(), axis=0),
        )

    def depthwise(self, x: int, rows: int, kernel: int, channels: int, scale: float) -> int:
        y = self.b.tensor((1, rows - kernel + 1, 1, channels), scale, 4, name=f"depthwise_{kernel}_{channels}")
        options = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "DepthMultiplier": 1}
        inputs = [x, *self.weights((1, kernel, 1, channels), 3, scale)]
        self.b.op("DEPTHWISE_CONV_2D", inputs, [y], FusedActivationFunction=NONE, **options)  # type: ignore[arg-type]
        return y

    def mixed(self, x: int, kernels: Sequence[int], channels: int, scale: float) -> int:
        """Depthwise convolutions, each of its share of the channels, of one frame."""
        kept, b = max(kernels) - 1, self.b
        both = self.stream(x, 1, kept, channels, scale, -128)
        if len(kernels) == 1:
            return self.depthwise(both, kept + 1, kernels[0], channels, scale)
        share, results = channels // len(kernels), list[int]()
        for i, kernel in enumerate(kernels):
            part = b.tensor((1, kernel, 1, share), scale, -128, name=f"part_{kernel}")
            begin, end = (0, kept + 1 - kernel, 0, i * share), (1, kept + 1, 1, (i + 1) * share)
            ends = [self.vector(*begin), self.vector(*end), self.vector(1, 1, 1, 1)]
            b.op("STRIDED_SLICE", [both, *ends], [part], BeginMask=5, EndMask=5)
            results.append(self.depthwise(part, kernel, kernel, share, scale))
        y = b.tensor((1, 1, 1, channels), scale, 4, name=f"mixed_{kernels[0]}")
        b.op("CONCATENATION", results, [y], Axis=3)
        return y

    def pointwise(self, x: int, kernel: tuple[int, int, int], filters: int, scale: float, out: float) -> int:
        """With RELU; `kernel`: (rows, stride, input channels)."""
        rows, stride, channels = kernel
        y = self.b.tensor((1, 1, 1, filters), out, -128, name=f"pointwise_{len(self.variables)}")
        options = {"Padding": VALID, "StrideH": stride, "StrideW": 1, "FusedActivationFunction": RELU}
        self.b.op("CONV_2D", [x, *self.weights((filters, rows, 1, channels), 0, scale)], [y], **options)  # type: ignore[arg-type]
        return y

    def build(self) -> bytes:
        b = self.b
        x = b.tensor((1, FRAMES, FEATURES), 0.1, -128, name="frames")
        image = b.tensor((1, FRAMES, 1, FEATURES), 0.1, -128, name="image")
        b.op("RESHAPE", [x, self.vector(1, FRAMES, 1, FEATURES)], [image])
        both = self.stream(image, FRAMES, 2, FEATURES, 0.1, -128)
        y, channels, scale = self.pointwise(both, (5, 3, FEATURES), FILTERS, 0.1, 0.05), FILTERS, 0.05
        for kernels in BLOCKS:
            y = self.mixed(y, kernels, channels, scale)
            y, channels, scale = self.pointwise(y, (1, 1, channels), CHANNELS, scale, 0.05), CHANNELS, 0.05
        both = self.stream(y, 1, LAST - 1, channels, scale, -128)
        flat = b.tensor((1, LAST * channels), scale, -128, name="flat")
        b.op("RESHAPE", [both, self.vector(1, LAST * channels)], [flat])
        logit, probability = (
            b.tensor((1, 1), 0.05, 3, name="logit"),
            b.tensor((1, 1), 1 / 256, -128, name="probability"),
        )
        weight = np.clip(np.round(self.rng.normal(0, 30, (1, LAST * channels))), -127, 127).astype(np.int8)
        inputs = [flat, b.constant(weight, 0.004), b.constant(np.array([77], np.int32), 0.004 * scale)]
        b.op("FULLY_CONNECTED", inputs, [logit])
        b.op("LOGISTIC", [logit], [probability])
        self._initialise()
        return b.build([x], [probability])

    def _initialise(self) -> None:
        """Variables begin with zero points, in the subgraph that is called once."""
        first = TfliteBuilder()
        for name, shape, scale, zero_point in self.variables:
            handle = first.tensor((), dtype="resource", name=f"{name}_handle")
            value = first.constant(np.full(shape, zero_point, np.int8), scale, zero_point, name=f"{name}_initial")
            first.op("VAR_HANDLE", [], [handle], Container="", SharedName=name)
            first.op("ASSIGN_VARIABLE", [handle, value], [])
        self.b.others.append(SubgraphSpec(first, [], []))


def wake_word_model() -> bytes:
    """A `.tflite` file; the call that initialises comes first."""
    net = _WakeWord()
    net.b.op("CALL_ONCE", [], [], InitSubgraphIndex=1)
    return net.build()
