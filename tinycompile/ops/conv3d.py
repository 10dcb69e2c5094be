"""Three-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Whole, Windowed
from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._typed import Meaning, Meanings, Typed
from tinycompile.ops._volume import Triple, check_volume


@dataclass(frozen=True)
class Conv3D(Typed):
    """float32, as LiteRT has it: any kernel, stride, dilation, padding and batch, one group; fused RELU, RELU6 and
    RELU_N1_TO_1.

    Operands: x in NDHWC, weights (C_out, kd, kh, kw, C_in), optionally bias (C_out,).

    Attributes:
        stride, dilation: (depth, rows, columns).
        padding: (before, after) for each of these; a padded position reads 0.
        bounds: inclusive range of the output, which a fused activation narrows.
    """

    kind: ClassVar[str] = "conv3d"

    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 0))
    bounds: tuple[float, float] = real.UNBOUNDED

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_volume(inputs)
        x, w, sizes = inputs[0].shape, inputs[1].shape, list[int]()
        for axis, (before, after) in enumerate(self.padding):
            extent = (w[1 + axis] - 1) * self.dilation[axis] + 1
            room = x[1 + axis] + before + after - extent
            if room < 0:
                raise ValueError(f"a window of {extent} positions does not fit into {inputs[0]} with its padding")
            sizes.append(room // self.stride[axis] + 1)
        return (((x[0], *sizes, w[0]), inputs[0].dtype),)

    def meanings(self) -> Meanings:
        return {FLOAT32: Meaning(self._real, real.other_types)}

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, weights = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
        padded = np.pad(x, ((0, 0), *self.padding, (0, 0)))
        sums = np.zeros(sig.output.shape)
        with np.errstate(all="ignore"):
            for tap in np.ndindex(weights.shape[1:4]):
                read = (
                    slice(first, first + (n - 1) * stride + 1, stride)
                    for first, n, stride in zip(
                        (k * d for k, d in zip(tap, self.dilation, strict=True)),
                        sig.output.shape[1:4],
                        self.stride,
                        strict=True,
                    )
                )
                sums += padded[:, *read] @ weights[:, *tap].T
            sums = sums + inputs[2] if len(inputs) > 2 else sums
            return (np.clip(sums, *self.bounds).astype(np.float32),)

    def access(self, sig: Signature, operand: int) -> Access:
        if operand:
            return Whole()
        return Windowed(sig.inputs[1].shape[1:4], self.stride, self.dilation, self.padding, 0)

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        left = tuple((0, 0) if n is not None else pair for n, pair in zip(sizes, self.padding, strict=True))
        return replace(self, padding=left)

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.inputs[1].elements // sig.inputs[1].shape[0]
