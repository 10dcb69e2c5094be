"""Layers whose weights have a factor for each block of inputs, with weights of 4 or 2 bits by the byte-lane product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.blockwise_layers import BlockwiseLayer, wide_channels
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.generic_finish import step_finish
from tinycompile.kernels.generic_overlap import rowwise_distance
from tinycompile.kernels.lane_row_packed import PART, TOGETHER, row_words
from tinycompile.kernels.wide_layers import range_of
from tinycompile.kernels.work import Work
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected
from tinycompile.targets.core import Core

LOW_BITS = (2, 4)

INPUT_OFFSET = 127
"""By which an odd input is less in the byte-lane product."""


@dataclass(frozen=True, eq=False)
class PackedBlocks:
    """Such a layer.

    Attributes:
        bits: of a weight.
    """

    layer: BlockwiseLayer
    core: Core
    bits: int

    @staticmethod
    def of(site: Site, core: Core) -> PackedBlocks | None:
        """None where weights have more bits, or blocks are no multiple of 4 inputs or too long for exact sums."""
        layer = BlockwiseLayer.of(site)
        if layer is None or layer.op.block % 4 or layer.op.block > 4 * PART or site.latitude is not None:
            return None
        low, high = int(layer.weights.min(initial=0)), int(layer.weights.max(initial=0))
        bits = next((bits for bits in LOW_BITS if -(1 << bits - 1) <= low and high < 1 << bits - 1), None)
        return None if bits is None else PackedBlocks(layer, core, bits)

    @property
    def inputs(self) -> int:
        return self.layer.weights.shape[1]

    @property
    def outputs(self) -> int:
        return self.layer.weights.shape[0]

    @property
    def eights(self) -> int:
        """Groups of 8 channels, the last one filled up."""
        return -(-self.outputs // TOGETHER)

    @property
    def groups(self) -> int:
        """Of 4 inputs."""
        return -(-self.inputs // 4)

    @property
    def blocks(self) -> int:
        return self.layer.factors.shape[1]

    @property
    def start(self) -> Array:
        """What each channel's sum begins with, int64 (C_out,): of the zero point and of odd inputs."""
        odd = self.layer.weights.astype(np.int64).copy()
        odd[:, 0::2] = 0
        factors = np.repeat(self.layer.factors.astype(np.int64), self.layer.op.block, axis=1)[:, : self.inputs]
        return self.layer.start + INPUT_OFFSET * (odd * factors).sum(axis=1)

    @property
    def weights(self) -> Constant:
        """The constant array."""

        def stream() -> Array:
            rows, columns = TOGETHER * self.eights - self.outputs, 4 * self.groups - self.inputs
            return row_words(np.pad(self.layer.weights.astype(np.int64), ((0, rows), (0, columns))), self.bits).ravel()

        comment = f"per 8 channels and block words with {self.bits} bits for each weight"
        return Constant(
            "weights", "int32_t", Deferred(self.eights * self.groups * self.bits, np.int32, stream), comment
        )

    @property
    def factor_bytes(self) -> int:
        return 1 if int(self.layer.factors.max(initial=0)) < 256 else 4

    @property
    def factors(self) -> Constant:
        """The constant array."""
        dtype = np.uint8 if self.factor_bytes == 1 else np.int32
        filled = np.pad(self.layer.factors, ((0, TOGETHER * self.eights - self.outputs), (0, 0)))
        values = filled.reshape(self.eights, TOGETHER, self.blocks).transpose(0, 2, 1).astype(dtype).ravel()
        return Constant("factors", f"{np.dtype(dtype).name}_t", values, "per 8 channels and block 8 factors")

    @property
    def corrections(self) -> int:
        """Words of scratch in front of what belongs to blocks."""
        return 2 * self.groups

    def work(self, per_factor: int, per_output: int) -> Work:
        """Of the layer, counted from the assembly."""
        group = Work(34, 18) if self.core.issue.single_loads else Work(33, 33)
        block = self.blocks * (40 + TOGETHER * (5 + per_factor)) + self.groups * group + self.groups * 2
        row = 60 + 11 * self.groups + 20 * self.blocks + self.eights * (40 + block) + self.outputs * (12 + per_output)
        return 60 + self.layer.rows * row

    def kernel(
        self, wide: str, channels: Constant, structs: Sequence[Struct], finish: Sequence[str], work: Work, form: str
    ) -> Kernel:
        """`wide`: "_wide" or "". `finish`: what requantises, if it isn't always the same."""
        parameters = (
            "const int8_t *input",
            "int8_t *output",
            "const int32_t *weights",
            f"const {self.factors.ctype} *factors",
            f"const {channels.ctype} *channels",
            "void *scratch",
        )
        name = f"blockwise_sums_{self.bits}"
        macro = "TC_BLOCKWISE_SUMS" + "_SINGLE" * self.core.issue.single_loads
        fields = {**self.layer.sizes, "bits": self.bits, "factor_bytes": self.factor_bytes}
        function = struct_call(
            f"blockwise{wide}_{self.bits}_bits_{self.layer.stem}",
            f"tc_blockwise_packed{wide}_s8",
            "tc_blockwise_packed.h",
            parameters,
            (Struct("tc_blockwise_packed_shape", {**fields, "corrections": self.corrections}), *structs),
            f"Fully connected layer with a factor for each block of inputs, weights of {self.bits} bits in registers.",
            (*names_of(parameters), name, *finish),
            (f"{macro}({name}, {self.bits})",),
        )
        return Kernel(
            f"blockwise{wide}_{self.bits}_bits",
            function,
            (self.weights, self.factors, channels),
            scratch_bytes=4 * (self.corrections + 2 * self.blocks),
            instructions=work.instructions,
            cycles=work.cycles_on(self.core),
            code_bytes=900,
            overlap={0: rowwise_distance(self.layer.rows, self.inputs, self.outputs)},
            notes={"requantisation": form, "weights": f"{self.bits} bits each, unpacked in registers"},
        )


@kernel_for(BlockwiseFullyConnected, needs={"dsp"})
def blockwise_packed(site: Site, core: Core) -> Kernel | None:
    """8 channels of a block in registers; the whole row is expanded first."""
    layer = PackedBlocks.of(site, core)
    if layer is None:
        return None
    rule = layer.layer.op.rule
    return _narrow(layer, rule) if isinstance(rule, StepRequant) else _wide(layer, rule)


def _narrow(layer: PackedBlocks, rule: StepRequant) -> Kernel:
    finish = step_finish(rule, layer.start, *layer.layer.acc_range)
    work = layer.work(5, finish.instructions)
    structs = (Struct("tc_output_range", finish.range, name="range"),)
    return layer.kernel("", finish.constant, structs, (finish.function,), work, finish.form)


def _wide(layer: PackedBlocks, rule: RealRequant) -> Kernel:
    channels = wide_channels(layer.start, rule)
    structs = (Struct("tc_wide_range", range_of(rule), name="range"),)
    return layer.kernel("_wide", channels, structs, (), layer.work(6, 80), "64-bit product")
