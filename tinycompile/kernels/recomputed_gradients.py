"""Gradients that are never whole in memory: their rows are computed again for every use, in portable C.

A MobileNet's expanded tensors are six times as large as what is between its blocks, and their gradients have 16 bits.
A block-floating gradient needs its largest value before its first, so its rows are computed once for the exponent and
once more for what reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from math import prod

from tinycompile.dtypes import INT16
from tinycompile.ir import Node, Op, Site
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import Pattern, Uses, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.training_layers import geometry_fields, geometry_stem, on
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.masks import MaskedGradient
from tinycompile.ops._training.weight_gradient import BiasGradient
from tinycompile.targets.core import Core

HEADER = "tc_recomputed_gradients.h"
NOTES = {"reason": "a gradient's rows are computed again instead of being kept"}


class ForOne(Pattern):
    """The gradient of an input, without what was clamped, and the only operator that reads it."""

    gathers = True

    def __init__(self, reader: type[BiasGradient | InputGradient]) -> None:
        self._ops = (InputGradient, MaskedGradient, reader)

    def ends_in(self, op: type[Op]) -> bool:
        return issubclass(op, self._ops[-1])

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        inside: Collection[int] = (last,)
        for op in reversed(self._ops[:-1]):
            inside = [step for step in uses.before(inside) if isinstance(uses.graph.nodes[step].op, op)] + [*inside]
        if len(inside) == len(self._ops) and self.fits([uses.graph.nodes[step] for step in inside]):
            yield tuple(inside)

    def fits(self, nodes: Sequence[Node]) -> bool:
        if len(nodes) != len(self._ops) or not all(map(_is, nodes, self._ops)):
            return False
        first, masked, reader = nodes
        return first.outputs[0] == masked.inputs[0] and reader.inputs[:2] == (masked.outputs[0], first.outputs[1])


def _is(node: Node, op: type) -> bool:
    return isinstance(node.op, op)


def _recomputed(site: Site) -> tuple[InputGradient, Fields] | None:
    """(the gradient, its layer) of the first part; None where it has no rows, or where the mask isn't of bits."""
    first, masked, _ = parts_of(site)
    op, mask = first.node.op, masked.node.op
    if not (isinstance(op, InputGradient) and isinstance(mask, MaskedGradient)):
        return None
    if mask.clamp is not None or op.geometry.image[0] == 1:
        return None
    return op, _fields(op, first)


def _fields(op: InputGradient, site: Site, geometry: LinearGeometry | None = None) -> Fields:
    """`geometry`: another one than the operator's."""
    one, shift = site.constant(3).size == 1, 2 * MANTISSA_BITS - op.bits
    return geometry_fields(geometry or op.geometry, shift=shift, change=op.exponent_change, one_scale=one)


def _rows_cost(op: InputGradient) -> int:
    """Instructions for all rows, once."""
    geometry = op.geometry
    scaling = geometry.outputs * geometry.terms_of_weight * 8 * geometry.window.kernel[0]
    return geometry.macs * 6 + prod(geometry.image) * 16 + scaling


class _Weights:
    """Those of a layer's gradient: a constant, or an operand."""

    def __init__(self, part: Site, name: str) -> None:
        self._name, known = name, part.constants[2]
        self.constants = () if known is None else (Constant(name, "int8_t", known.ravel(), "int8, not trained"),)
        self.operands = (f"const int8_t *{name}",) if known is None else ()

    @property
    def given(self) -> tuple[str, ...]:
        """The declaration, where it is a constant."""
        return tuple(f"const int8_t *{self._name}" for _ in self.constants)


@cover_for(ForOne(BiasGradient), dtype=INT16)
def recomputed_bias_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_recomputed_bias_gradient`."""
    found = _recomputed(site)
    if found is None:
        return None
    (op, layer), (first, _, last) = found, parts_of(site)
    bias = last.node.op
    if not isinstance(bias, BiasGradient):
        return None
    channels, weights = last.sig.input.shape[-1], _Weights(first, "weights")
    fields = {
        "positions": last.sig.input.elements // channels,
        "channels": channels,
        "shift": MANTISSA_BITS - bias.bits(last.sig),
    }
    parameters = (
        "const int16_t *gradient",
        "const int32_t *exponent",
        *weights.operands,
        "const uint8_t *mask",
        "int32_t *sums",
        "int32_t *sums_exponent",
        *weights.given,
        "const int16_t *mantissas",
        "void *scratch",
    )
    names = ("gradient", "exponent", "weights", "mask", "sums", "sums_exponent", "mantissas", "scratch")
    return Kernel(
        "recomputed_bias_gradient",
        struct_call(
            f"recomputed_bias_gradient_{geometry_stem(op.geometry)}{'' if weights.operands else '_fixed'}",
            "tc_recomputed_bias_gradient",
            HEADER,
            parameters,
            (Struct("tc_layer_geometry", layer, "layer"), Struct("tc_bias_gradient_shape", fields, "bias")),
            "The gradient of a bias, of rows that are computed for it.",
            names,
        ),
        (*weights.constants, _mantissas(first, "mantissas")),
        scratch_bytes=_scratch(4 * prod(op.geometry.image[1:]) + 2 * op.geometry.outputs),
        instructions=on(core, 2 * _rows_cost(op) + last.sig.input.elements * 8),
        code_bytes=900,
        notes=NOTES,
    )


@cover_for(ForOne(InputGradient), dtype=INT16)
def recomputed_input_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_recomputed_input_gradient`: of a pointwise layer's input."""
    found = _recomputed(site)
    if found is None:
        return None
    (op, layer), (first, _, last) = found, parts_of(site)
    pointwise = last.node.op
    if not isinstance(pointwise, InputGradient) or not pointwise.geometry.is_pointwise:
        return None
    of, before = _Weights(last, "weights"), _Weights(first, "from_weights")
    parameters = (
        "const int16_t *gradient",
        "const int32_t *exponent",
        *before.operands,
        "const uint8_t *mask",
        *of.operands,
        "int16_t *output",
        "int32_t *output_exponent",
        *before.given,
        *of.given,
        "const int16_t *from_mantissas",
        "const int16_t *mantissas",
        "void *scratch",
    )
    names = (
        *("gradient", "exponent", "from_weights", "mask", "weights", "output", "output_exponent"),
        *("from_mantissas", "mantissas", "scratch"),
    )
    # A fully connected layer's own rows are single positions.
    own = replace(pointwise.geometry, image=(*op.geometry.image[:2], pointwise.geometry.image[2]))
    if op.geometry.image[2] != own.outputs:
        return None
    rows = prod(op.geometry.image[1:]) + prod(own.image[1:])
    stem = f"{geometry_stem(op.geometry)}_{own.image[2]}"
    fixed = f"{'' if before.operands else '_fixed'}{'' if of.operands else '_and_fixed'}"
    cost = 3 * _rows_cost(op) + 2 * (own.macs * 5 + prod(own.image) * 16 + own.outputs * own.terms_of_weight * 8)
    return Kernel(
        "recomputed_input_gradient",
        struct_call(
            f"recomputed_input_gradient_{stem}{fixed}",
            "tc_recomputed_input_gradient",
            HEADER,
            parameters,
            (
                Struct("tc_layer_geometry", layer, "layer"),
                Struct("tc_layer_geometry", _fields(pointwise, last, own), "pointwise"),
            ),
            "The gradient of a pointwise layer's input, of rows that are computed for it.",
            names,
        ),
        (*before.constants, *of.constants, _mantissas(first, "from_mantissas"), _mantissas(last, "mantissas")),
        scratch_bytes=_scratch(4 * rows + 2 * op.geometry.outputs),
        instructions=on(core, cost),
        code_bytes=1400,
        notes=NOTES,
    )


def _mantissas(part: Site, suffix: str) -> Constant:
    return Constant(suffix, "int16_t", part.constant(3).ravel(), "of the weights' scales")


def _scratch(bytes_: int) -> int:
    return -(-bytes_ // 8) * 8
