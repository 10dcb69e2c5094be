"""A few channels of a depthwise layer with a trained bias, computed beside the kernel of all others.

A bias in RAM gives a channel a wide range of sums. Where channels' scales are far apart, those with the smallest ones
then have no short requantisation with the shift of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.depthwise_pairs import requantized
from tinycompile.kernels.generic_c import Struct, names_of, positions_fields, struct_call
from tinycompile.kernels.generic_finish import Finish, finish_of
from tinycompile.kernels.linear_layer import LinearLayer, SiteOfAddedBias
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

HEADER = "tc_few_channels.h"
BITS = (14, 12, 10, 8)
"""A few channels are those whose scale is so many bits below the largest one's."""

SHARE = 8
"""They are one in so many at most."""


@dataclass(frozen=True, eq=False)
class FewChannels:
    """Attributes:
    whole: the layer. others: the same, where the few channels have the rule of another one.
    few: which, ascending.
    """

    whole: SiteOfAddedBias
    others: SiteOfAddedBias
    few: Array

    @staticmethod
    def of(site: SiteOfAddedBias) -> FewChannels | None:
        """None where all channels have a short requantisation, or those that have none are too many."""
        op = site.node.op
        if not isinstance(op, DepthwiseConv2D) or requantized(LinearLayer.of(site)) is not None:
            return None
        rule = op.requant(site.sig)
        scale = np.resize(rule.real_scale(), site.sig.output.shape[-1])
        for bits in BITS:
            is_few = scale < scale.max() / (1 << bits)
            if is_few.sum() > scale.size // SHARE:
                return None
            if not is_few.any():
                continue
            taken = np.where(is_few, int(np.argmax(scale)), np.arange(scale.size))
            others = replace(site, node=replace(site.node, op=replace(op, rule=rule.take(taken))))
            if requantized(LinearLayer.of(others)) is not None:
                return FewChannels(site, others, np.flatnonzero(is_few))
        return None

    def beside(self, inner: Kernel) -> Kernel:
        """A kernel for `others` as one for the whole layer."""
        own, finish = inner.function, self._finish
        if own is None:
            raise ValueError(f"{inner.variant} has no function")
        w, y = self.whole.sig.inputs[1], self.whole.sig.output
        found = y.elements // y.shape[-1] * self.few.size
        room, stem = -(-found // 8) * 8, own.stem
        constants = (
            Constant("few", "uint16_t", self.few.astype(np.uint16), "channels with a requantisation of their own"),
            Constant("few_weights", "int8_t", self.whole.constant(1)[..., self.few].ravel(), "of these channels"),
            replace(finish.constant, suffix="few_channels"),
        )
        names = [constant.suffix for constant in inner.constants]
        text = (
            "    int8_t *const found = (int8_t *)scratch;\n"
            "    $1(input, few, few_weights, bias, found, few_channels);\n"
            f"    $0(input, bias, output, {', '.join(names)}, found + {room});\n"
            "    $2(found, few, output);\n"
        )
        declared = [f"const {each.ctype} *{each.suffix}" for each in (*inner.constants, *constants)]
        parameters = (*own.parameters[:3], *declared, "void *scratch")
        comment = "Some channels have a requantisation of their own."
        callees = (own, self._computing(stem, finish), self._putting(stem))
        positions = found // self.few.size
        cost = found * (w.elements // w.shape[-1] * 9 + 30 + finish.instructions) + positions * 20
        return replace(
            inner,
            variant=f"{inner.variant}_beside_few",
            function=Function(f"{stem}_beside_few", parameters, text, (f"kernels/{HEADER}",), comment, callees=callees),
            constants=(*inner.constants, *constants),
            scratch_bytes=room + inner.scratch_bytes,
            instructions=inner.instructions + cost,
            cycles=None if inner.cycles is None else inner.cycles + cost,
            code_bytes=inner.code_bytes + 400,
        )

    @property
    def _finish(self) -> Finish:
        op, sig = self.whole.node.op, self.whole.sig
        if not isinstance(op, DepthwiseConv2D):
            raise ValueError(f"{op.kind} isn't a depthwise layer")
        taps = sig.inputs[1].elements // sig.output.shape[-1]
        reach = np.full(self.few.size, taps * 255 * 128 + self.whole.limit, np.int64)
        none: Array = np.zeros(self.few.size, np.int64)
        return finish_of(self.whole, op.requant(sig).take(self.few), none, op.clamp, (-reach, reach))

    def _shape(self, finish: Finish) -> Struct:
        op, sig = self.whole.node.op, self.whole.sig
        if not isinstance(op, DepthwiseConv2D):
            raise ValueError(f"{op.kind} isn't a depthwise layer")
        fields = {
            "window": positions_fields(op.window_of(sig), sig.input.shape[1:3], sig.output.shape[1:3]),
            "input_channels": sig.input.shape[3],
            "output_channels": sig.output.shape[3],
            "few": self.few.size,
            "input_zero_point": sig.input.zero_point,
            "range": finish.range,
            "bias_limit": self.whole.limit,
        }
        return Struct("tc_few_channels_shape", fields)

    def _computing(self, stem: str, finish: Finish) -> Function:
        parameters = (
            *("const int8_t *input", "const uint16_t *few", "const int8_t *weights", "const int32_t *bias"),
            *("int8_t *found", f"const {finish.ctype} *channels"),
        )
        arguments = (*names_of(parameters), finish.function)
        shape, comment = (self._shape(finish),), "A few channels of a depthwise convolution."
        return struct_call(f"{stem}_few", "tc_few_channels", HEADER, parameters, shape, comment, arguments)

    def _putting(self, stem: str) -> Function:
        parameters = ("const int8_t *found", "const uint16_t *few", "int8_t *output")
        shape, comment = (self._shape(self._finish),), "These channels to their places."
        return struct_call(f"{stem}_put", "tc_put_few_channels", HEADER, parameters, shape, comment)
