"""QDQ networks of several widths whose integer weights are leading blocks of the widest one's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tests.support.onnx_builder import OnnxBuilder

Layer = tuple[str, int, int, int]
"""(kind, output channels of the widest, window, stride); kinds are "conv" and "depthwise"."""

SMALL: tuple[Layer, ...] = (
    ("conv", 16, 3, 1), ("conv", 32, 1, 1), ("depthwise", 32, 3, 2), ("conv", 64, 1, 1), ("conv", 32, 3, 2),
)  # fmt: skip


@dataclass
class Slimmable:
    """A network of some layers, of which every width is a part.

    Attributes:
        shape: of an image, (channels, height, width).
    """

    layers: Sequence[Layer] = SMALL
    shape: tuple[int, int, int] = (1, 12, 12)
    classes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self.weights, channels = list[np.ndarray](), self.shape[0]
        for kind, outputs, window, _ in self.layers:
            inputs = 1 if kind == "depthwise" else channels
            self.weights.append(self._random((outputs, inputs, window, window)))
            channels = outputs
        self.weights.append(self._random((self.classes, channels)))

    def _random(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._rng.normal(0, 40, shape).round().clip(-127, 127).astype(np.int8)

    def model(self, share: float) -> onnx.ModelProto:
        """With this share of the channels, and scales, biases and ranges of its own."""
        rng, b = np.random.default_rng(self.seed + round(1000 * share)), OnnxBuilder()
        x = b.activation(b.input((1, *self.shape)), 0.04, 3)
        scale, channels = 0.04, self.shape[0]
        for (kind, outputs, window, stride), weights in zip(self.layers, self.weights[:-1], strict=True):
            outputs = round(share * outputs)
            part = weights[:outputs, :1] if kind == "depthwise" else weights[:outputs, :channels]
            taps = part[0].size
            scales = (rng.uniform(0.5, 1.5, outputs) / (60 * taps**0.5)).astype(np.float32)
            attributes = {"pads": [window // 2] * 4, "strides": [stride] * 2, "kernel_shape": [window] * 2}
            if kind == "depthwise":
                attributes["group"] = outputs
            y = b.node("Conv", x, *self._operands(b, rng, part, scales, scale), **attributes)
            scale, zero = float(rng.uniform(0.03, 0.06)), -128
            x, channels = b.activation(b.node("Relu", y), scale, zero), outputs
        x = b.activation(b.node("GlobalAveragePool", x), scale, -128)
        part = self.weights[-1][:, :channels]
        scales = (rng.uniform(0.5, 1.5, self.classes) / (60 * channels**0.5)).astype(np.float32)
        y = b.node("Gemm", b.node("Flatten", x), *self._operands(b, rng, part, scales, scale), transB=1)
        b.output(b.activation(y, 0.05, int(rng.integers(-20, 20))))
        return b.model()

    def _operands(self, b: OnnxBuilder, rng: np.random.Generator, part: np.ndarray, scales: np.ndarray, scale: float):
        zeros = np.zeros(len(part), np.int8)
        bias = rng.integers(-2000, 4000, len(part)).astype(np.int32)
        by = (np.float32(scale) * scales).astype(np.float32)
        return b.weights(np.ascontiguousarray(part), scales, zeros), b.dequantize(
            b.constant(bias), by, np.zeros(len(part), np.int32), "int32", axis=0
        )

    def saved(self, folder: Path, shares: Sequence[float]) -> list[Path]:
        """A file for each share, the widest first."""
        files = [folder / f"net_{round(100 * share)}.onnx" for share in shares]
        for file, share in zip(files, shares, strict=True):
            onnx.save(self.model(share), str(file))
        return files
