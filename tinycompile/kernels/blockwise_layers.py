"""Layers whose weights have a factor for each block of inputs, in plain C: on every core."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call, weight_constant
from tinycompile.kernels.generic_finish import ARGUMENTS, step_finish
from tinycompile.kernels.generic_overlap import rowwise_distance
from tinycompile.kernels.wide_layers import channel_table, range_of
from tinycompile.numerics.block_scales import blocks
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected
from tinycompile.targets.core import Core

_PER_PRODUCT, _PER_BLOCK, _PER_WIDE_BLOCK, _PER_WORD_BLOCK, _PER_WIDE_OUTPUT = 5, 16, 22, 35, 80


@dataclass(frozen=True, eq=False)
class BlockwiseLayer:
    """Facts of such a layer. A kernel's sums are of inputs as they are, to which `start` is added.

    Attributes:
        weights: int8 (C_out, C_in).
        factors: int32 (C_out, blocks).
        rows: of inputs.
    """

    op: BlockwiseFullyConnected
    weights: Array
    factors: Array
    zero_point: int
    rows: int

    @staticmethod
    def of(site: Site) -> BlockwiseLayer | None:
        """None where weights or factors aren't constants."""
        op = site.node.op
        if not isinstance(op, BlockwiseFullyConnected) or any(value is None for value in site.constants[1:]):
            return None
        weights, factors = site.constant(1), site.constant(2)
        return BlockwiseLayer(
            op, weights, factors, site.sig.input.zero_point, site.sig.input.elements // weights.shape[1]
        )

    @property
    def start(self) -> Array:
        """What the zero point takes off each channel's sum, int64 (C_out,)."""
        of_blocks = blocks(self.weights, self.op.block).sum(axis=-1)
        return -self.zero_point * (of_blocks * self.factors.astype(np.int64)).sum(axis=1)

    @property
    def acc_range(self) -> tuple[Array, Array]:
        """The lowest and the highest sum of inputs minus their zero point, int64 (C_out,)."""
        products = blocks(self.weights, self.op.block) * self.factors.astype(np.int64)[:, :, None]
        above, below = products.clip(min=0).sum(axis=(1, 2)), products.clip(max=0).sum(axis=(1, 2))
        low, high = -128 - self.zero_point, 127 - self.zero_point
        return above * low + below * high, above * high + below * low

    @property
    def sizes(self) -> Fields:
        """Members of a shape."""
        outputs, inputs = self.weights.shape
        return {"rows": self.rows, "inputs": inputs, "outputs": outputs, "block": self.op.block}

    @property
    def stem(self) -> str:
        outputs, inputs = self.weights.shape
        return f"{self.rows}x{inputs}_{outputs}_by_{self.op.block}"


@kernel_for(BlockwiseFullyConnected)
def portable(site: Site, core: Core) -> Kernel | None:
    """`tc_blockwise_s8` or, where sums have more than 32 bits, `tc_blockwise_wide_s8`."""
    layer = BlockwiseLayer.of(site)
    if layer is None:
        return None
    rule = layer.op.rule
    return _narrow(layer, rule, core) if isinstance(rule, StepRequant) else _wide(layer, rule, core)


def _narrow(layer: BlockwiseLayer, rule: StepRequant, core: Core) -> Kernel:
    finish = step_finish(rule, layer.start, *layer.acc_range)
    parameters = (*finish.parameters[:3], "const int32_t *factors", finish.parameters[3])
    function = struct_call(
        f"blockwise_{layer.stem}",
        "tc_blockwise_s8",
        "tc_blockwise.h",
        parameters,
        (Struct("tc_blockwise_shape", {**layer.sizes, "range": finish.range}),),
        "Fully connected layer with a factor for each block of inputs.",
        (*ARGUMENTS[:3], "factors", ARGUMENTS[3], finish.function),
    )
    constants = (weight_constant(layer.weights), _factors(layer), finish.constant)
    return _kernel(layer, core, "blockwise", function, constants, (_PER_BLOCK, finish.instructions), finish.form)


def wide_channels(start: Array, rule: RealRequant) -> Constant:
    """What a row's 63-bit sum is rounded with, a `tc_blockwise_channel` for each of `start`."""
    table = structured(
        start=start,
        bias=rule.offset,
        multiplier=(rule.slope >> 32).astype(np.int32),
        right=(rule.slope & 0xFFFFFFFF).astype(np.uint32).view(np.int32),
    )
    text = "start, offset and both words of the factor of each channel"
    return Constant("channels", "tc_blockwise_channel", table, text)


def _wide(layer: BlockwiseLayer, rule: RealRequant, core: Core) -> Kernel:
    channels = wide_channels(layer.start, rule)
    parameters = (
        "const int8_t *input",
        "int8_t *output",
        "const int8_t *weights",
        "const int32_t *factors",
        "const tc_blockwise_channel *channels",
    )
    function = struct_call(
        f"blockwise_wide_{layer.stem}",
        "tc_blockwise_wide_s8",
        "tc_blockwise.h",
        parameters,
        (Struct("tc_blockwise_wide_shape", {**layer.sizes, "range": range_of(rule)}),),
        "Fully connected layer with a factor for each block of inputs, summed in 64 bits.",
        names_of(parameters),
    )
    constants = (weight_constant(layer.weights), _factors(layer), channels)
    work = _PER_WIDE_BLOCK, _PER_WIDE_OUTPUT
    return _kernel(layer, core, "blockwise_wide", function, constants, work, "64-bit product")


@kernel_for(BlockwiseFullyConnected, dtype=INT16)
def portable_words(site: Site, core: Core) -> Kernel | None:
    """`tc_blockwise_s16`."""
    layer = BlockwiseLayer.of(site)
    if layer is None or not isinstance(layer.op.rule, RealRequant):
        return None
    parameters = (
        "const int16_t *input",
        "int16_t *output",
        "const int8_t *weights",
        "const int32_t *factors",
        "const tc_wide_channel *channels",
    )
    function = struct_call(
        f"blockwise_s16_{layer.stem}",
        "tc_blockwise_s16",
        "tc_blockwise.h",
        parameters,
        (Struct("tc_blockwise_wide_shape", {**layer.sizes, "range": range_of(layer.op.rule)}),),
        "Fully connected layer of 16-bit activations with a factor for each block of inputs.",
        names_of(parameters),
    )
    constants = (weight_constant(layer.weights), _factors(layer), channel_table(site, layer.op.rule))
    kernel = _kernel(
        layer, core, "blockwise_s16", function, constants, (_PER_WORD_BLOCK, _PER_WIDE_OUTPUT), "64-bit product"
    )
    return replace(kernel, overlap={0: INT16.item_bytes * kernel.overlap[0]})


def _kernel(
    layer: BlockwiseLayer,
    core: Core,
    variant: str,
    function: Function,
    constants: tuple[Constant, ...],
    work: tuple[int, int],
    form: str,
) -> Kernel:
    """`work`: instructions for a block and for an output."""
    outputs, inputs = layer.weights.shape
    per_block, per_output = work
    of_output = inputs * _PER_PRODUCT + layer.factors.shape[1] * per_block + per_output
    slower = 1 if core.has("multiply_accumulate") else 3
    return Kernel(
        variant,
        function,
        constants,
        instructions=40 + slower * layer.rows * outputs * of_output,
        code_bytes=300,
        overlap={0: rowwise_distance(layer.rows, inputs, outputs)},
        notes={"requantisation": form, "reason": "a scale for each block, in plain C"},
    )


def _factors(layer: BlockwiseLayer) -> Constant:
    return Constant("factors", "int32_t", layer.factors.ravel(), "of each row's blocks")
