"""Transposed three-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._typed import Meaning, Meanings, Typed
from tinycompile.ops._volume import Triple, check_volume


@dataclass(frozen=True)
class Conv3DTranspose(Typed):
    """float32, as LiteRT has it: any kernel, stride, dilation, output size and batch, one group.

    Operands: x in NDHWC, weights (C_out, kd, kh, kw, C_in), optionally bias (C_out,).

    Attributes:
        size: (depth, rows, columns) of the output: what is beyond the inputs' reach is the bias alone.
        stride: between what neighbouring inputs add to. dilation: between a kernel's positions.
        cut: positions that the output lacks at its beginning.
    """

    kind: ClassVar[str] = "conv3d_transpose"

    size: Triple
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    cut: Triple = (0, 0, 0)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_volume(inputs)
        if min(self.size) < 1:
            raise ValueError(f"an output of {self.size}")
        return (((inputs[0].shape[0], *self.size, inputs[1].shape[0]), inputs[0].dtype),)

    def meanings(self) -> Meanings:
        return {FLOAT32: Meaning(self._real, real.other_types)}

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, weights = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
        sums = np.zeros(sig.output.shape)
        with np.errstate(all="ignore"):
            for tap in np.ndindex(weights.shape[1:4]):
                to, read = zip(*(self._meeting(axis, tap[axis], x.shape[1 + axis]) for axis in range(3)), strict=True)
                sums[:, *np.ix_(*to)] += x[:, *np.ix_(*read)] @ weights[:, *tap].T
            return ((sums + inputs[2] if len(inputs) > 2 else sums).astype(np.float32),)

    def _meeting(self, axis: int, tap: int, size: int) -> tuple[Array, Array]:
        """(outputs, inputs) that meet in a position of the kernel along an axis."""
        inputs = np.arange(size)
        outputs = inputs * self.stride[axis] + tap * self.dilation[axis] - self.cut[axis]
        inside = (outputs >= 0) & (outputs < self.size[axis])
        return outputs[inside], inputs[inside]

    def macs(self, sig: Signature) -> int:
        """Each input is multiplied with each position of the kernel: nothing is counted for zeros between inputs."""
        return sig.input.elements * sig.inputs[1].elements // sig.input.shape[4]
