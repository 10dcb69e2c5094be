"""Gradients of operators without weights, and losses, in portable C."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Node, Signature, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_loops
from tinycompile.kernels.equivalent import equivalent_for
from tinycompile.kernels.generic_c import Fields, Struct, positions_fields, struct_call
from tinycompile.kernels.training_layers import PORTABLE, on
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.numerics.training_losses import POWERS, logit_factor, squared_error_factors
from tinycompile.ops._training.losses import BeginBackward, CrossEntropyGradient, SquaredErrorGradient
from tinycompile.ops._training.masks import ClampMask, MaskedGradient
from tinycompile.ops._training.placed_gradient import PlacedGradient
from tinycompile.ops._training.pool_gradient import AveragePoolGradient, MaxPoolGradient, PoolGradient
from tinycompile.ops._training.scaled_gradient import ProductGradient, SpreadGradient
from tinycompile.ops._training.sums import JoinedGradients, ReducedGradient
from tinycompile.ops.pad import Pad
from tinycompile.targets.core import Core

HEADER = "tc_gradients.h"
GRADIENT = ("const int16_t *gradient", "const int32_t *exponent")
RESULT = ("int16_t *output", "int32_t *output_exponent")
LOOPS = 4
"""Of `tc_spread_loops`."""


@kernel_for(BeginBackward, dtype=None)
def begin_backward(site: Site, core: Core) -> Kernel | None:
    """No code: a place in the order of execution."""
    return Kernel("begin_backward", None, alias_of=0)


@kernel_for(ClampMask)
def clamp_mask(site: Site, core: Core) -> Kernel | None:
    """`tc_clamp_mask`."""
    op, count = site.node.op, site.sig.input.elements
    if not isinstance(op, ClampMask):
        return None
    fields = {"count": count, "low": op.clamp[0], "high": op.clamp[1]}
    return Kernel(
        "clamp_mask_portable",
        struct_call(
            f"clamp_mask_{count}",
            "tc_clamp_mask",
            HEADER,
            ("const int8_t *input", "uint8_t *output"),
            (Struct("tc_clamp_shape", fields),),
            "A bit for each output that wasn't clamped.",
        ),
        instructions=count * 7 // 4 if core.has("dsp") else on(core, count * 7),
        code_bytes=120,
        notes=PORTABLE,
    )


@kernel_for(MaskedGradient, dtype=None)
def masked_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_masked_by_bits`, `tc_masked_by_values`."""
    op, count = site.node.op, site.sig.input.elements
    if not isinstance(op, MaskedGradient):
        return None
    low, high = op.clamp or (0, 0)
    name, kept = ("bits", "const uint8_t *mask") if op.clamp is None else ("values", "const int8_t *values")
    return Kernel(
        f"masked_by_{name}",
        struct_call(
            f"masked_by_{name}_{count}",
            f"tc_masked_by_{name}",
            HEADER,
            ("const int16_t *gradient", kept, "int16_t *output"),
            (Struct("tc_clamp_shape", {"count": count, "low": low, "high": high}),),
            "Nothing of the gradient where an output was clamped.",
        ),
        instructions=count * 4 if core.has("dsp") else on(core, count * 8),
        code_bytes=80,
        overlap={0: 0},
        notes=PORTABLE,
    )


@kernel_for(JoinedGradients, dtype=None)
def joined_gradients(site: Site, core: Core) -> Kernel | None:
    """`tc_joined_gradients`."""
    count = site.sig.input.elements
    return Kernel(
        "joined_gradients_portable",
        struct_call(
            f"joined_gradients_{count}",
            "tc_joined_gradients",
            HEADER,
            (
                "const int16_t *a",
                "const int32_t *a_exponent",
                "const int16_t *b",
                "const int32_t *b_exponent",
                "int16_t *output",
                "int32_t *exponent",
            ),
            (Struct("tc_joined_shape", {"count": count}),),
            "The sum of two gradients of one value.",
        ),
        instructions=on(core, count * 34),
        code_bytes=200,
        overlap={0: 0, 2: 0},
        notes=PORTABLE,
    )


def _spread_fields(
    small: tuple[int, ...],
    large: tuple[int, ...],
    factor: tuple[int, int] = (0, 0),
    shift: int = 0,
    change: int = 0,
    zero_point: int = 0,
) -> Fields | None:
    """Members of a `tc_spread_shape`; None for more loops than the C has."""
    loops = broadcast_loops(small, large)
    if len(loops) > LOOPS:
        return None
    sizes, strides, _ = zip(*([(1, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    return {
        "loops": {"size": sizes, "stride": strides},
        "count": int(np.prod(small)),
        "mantissa": factor[0],
        "shift": shift,
        "exponent_change": change,
        "zero_point": zero_point,
    }


def _spread_kernel(
    site: Site,
    name: str,
    parameters: tuple[str, ...],
    fields: Fields,
    cost: int,
    comment: str,
    arguments: tuple[str, ...] | None = None,
    *,
    scratch: int = 0,
    constants: tuple[Constant, ...] = (),
) -> Kernel:
    """`arguments`: the callee's, by default in the order of the parameters."""
    size = "x".join(map(str, site.sig.output.shape))
    return Kernel(
        f"{name}_portable",
        struct_call(
            f"{name}_{size}",
            f"tc_{name}",
            HEADER,
            (*parameters, *(("void *scratch",) if scratch else ())),
            (Struct("tc_spread_shape", fields),),
            comment,
            arguments,
        ),
        constants,
        scratch_bytes=-(-scratch // 8) * 8,
        instructions=cost,
        code_bytes=250,
        notes=PORTABLE,
    )


@kernel_for(SpreadGradient, dtype=None)
def spread_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_spread_gradient`."""
    op = site.node.op
    if not isinstance(op, SpreadGradient):
        return None
    fields = _spread_fields(op.kept, op.shape, op.share, MANTISSA_BITS, MANTISSA_BITS + op.share[1])
    if fields is None:
        return None
    cost = on(core, site.sig.output.elements * 7)
    return _spread_kernel(site, "spread_gradient", (*GRADIENT, *RESULT), fields, cost, "Shares of a gradient.")


@kernel_for(ReducedGradient, dtype=None)
def reduced_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_reduced_gradient`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, ReducedGradient):
        return None
    narrowing = MANTISSA_BITS - op.bits(sig)
    fields = _spread_fields(op.shape, sig.input.shape, shift=narrowing, change=narrowing)
    if fields is None:
        return None
    cost = on(core, sig.input.elements * 7 + sig.output.elements * 16)
    comment = "Sums over the axes along which an operand broadcast."
    return _spread_kernel(
        site, "reduced_gradient", (*GRADIENT, *RESULT), fields, cost, comment, scratch=4 * sig.output.elements
    )


@kernel_for(ProductGradient, dtype=None)
def product_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_product_gradient`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, ProductGradient):
        return None
    other, change = sig.inputs[2], MANTISSA_BITS + op.scale[1]
    fields = _spread_fields(other.shape, sig.input.shape, op.scale, MANTISSA_BITS, change, other.zero_point)
    if fields is None:
        return None
    known, names = site.constants[2], ("gradient", "exponent", "other", "output", "output_exponent")
    declared = "const int8_t *other"
    parameters = (*GRADIENT, declared, *RESULT) if known is None else (*GRADIENT, *RESULT, declared)
    constants = () if known is None else (Constant("other", "int8_t", known.ravel(), "the other factor"),)
    cost = on(core, sig.input.elements * 24)
    return _spread_kernel(
        site, "product_gradient", parameters, fields, cost, "The gradient of a factor.", names, constants=constants
    )


def _pool_kernel(
    site: Site,
    core: Core,
    op: PoolGradient,
    fields: Fields,
    read: tuple[str, ...],
    constants: tuple[Constant, ...] = (),
) -> Kernel:
    _, rows, columns, channels = op.shape
    looked_at = op.window.kernel[0] * op.window.kernel[1] if read else 0
    size = "x".join(map(str, op.window.kernel))
    given = tuple(f"const {each.ctype} *{each.suffix}" for each in constants)
    return Kernel(
        f"{op.kind}_portable",
        struct_call(
            f"{op.kind}_{size}_{rows}x{columns}x{channels}",
            f"tc_{op.kind}",
            HEADER,
            (*GRADIENT, *read, *RESULT, *given),
            (Struct("tc_pool_gradient_shape", fields),),
            "What a window hands to what is under it.",
        ),
        constants,
        instructions=on(core, 2 * rows * columns * channels * (40 + op.overlaps * (20 + 12 * looked_at))),
        code_bytes=400,
        notes=PORTABLE,
    )


@kernel_for(AveragePoolGradient, dtype=None)
def average_pool_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_average_pool_gradient`."""
    op = site.node.op
    if not isinstance(op, AveragePoolGradient):
        return None
    mantissas, exponent = op.shares()
    shift = 2 * MANTISSA_BITS - op.bits
    fields = {
        "window": positions_fields(op.window, op.image, op.window.output_size(*op.image)),
        "channels": op.shape[3],
        "shift": shift,
        "exponent_change": shift + exponent,
    }
    shares = Constant("mantissas", "int16_t", mantissas.astype(np.int16).ravel(), "1 / positions of each window")
    return _pool_kernel(site, core, op, fields, (), (shares,))


@kernel_for(MaxPoolGradient, dtype=None)
def max_pool_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_max_pool_gradient`."""
    op = site.node.op
    if not isinstance(op, MaxPoolGradient):
        return None
    shift = MANTISSA_BITS - op.bits
    fields = {
        "window": positions_fields(op.window, op.image, op.window.output_size(*op.image)),
        "channels": op.shape[3],
        "shift": shift,
        "exponent_change": shift,
    }
    return _pool_kernel(site, core, op, fields, ("const int8_t *input",))


@equivalent_for(PlacedGradient)
def padded(site: Site) -> Site | None:
    """What surrounds a slice is 0."""
    op, t = site.node.op, site.sig.input
    if not isinstance(op, PlacedGradient):
        return None
    amounts = tuple((b, n - b - own) for b, n, own in zip(op.begin, op.shape, t.shape, strict=True))
    node = Node(site.node.name, Pad(amounts, 0), site.node.inputs, site.node.outputs)
    return Site(node, Signature(site.sig.inputs, site.sig.outputs), site.constants)


@kernel_for(CrossEntropyGradient)
def cross_entropy_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_cross_entropy_gradient`."""
    op = site.node.op
    if not isinstance(op, CrossEntropyGradient):
        return None
    classes, (mantissa, exponent) = site.sig.input.elements, logit_factor(op.scale(site.sig))
    return Kernel(
        "cross_entropy_portable",
        struct_call(
            f"cross_entropy_{classes}",
            "tc_cross_entropy_gradient",
            "tc_losses.h",
            (
                "const int8_t *logits",
                "const int32_t *label",
                "int16_t *gradient",
                "int32_t *exponent",
                "int32_t *loss",
                "const uint16_t *powers",
                "void *scratch",
            ),
            (Struct("tc_cross_entropy_shape", {"classes": classes, "mantissa": mantissa, "exponent": exponent}),),
            "Softmax with cross-entropy: the loss, and its gradient by the scores.",
        ),
        (Constant("powers", "uint16_t", POWERS, "2^(-i / 256) with 15 fractional bits", of_shapes=True),),
        scratch_bytes=-(-4 * classes // 8) * 8,
        instructions=on(core, classes * 80 + 400),
        code_bytes=600,
        notes=PORTABLE,
    )


@kernel_for(SquaredErrorGradient)
def squared_error_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_squared_error_gradient`."""
    y, target = site.sig.inputs
    mantissas, exponent, mean = squared_error_factors((y.scale, target.scale), y.elements)
    fields = {
        "count": y.elements,
        "output_mantissa": mantissas[0],
        "target_mantissa": mantissas[1],
        "exponent": exponent,
        "output_zero_point": y.zero_point,
        "target_zero_point": target.zero_point,
        "mean_mantissa": mean[0],
        "mean_exponent": mean[1],
    }
    return Kernel(
        "squared_error_portable",
        struct_call(
            f"squared_error_{y.elements}",
            "tc_squared_error_gradient",
            "tc_losses.h",
            (
                "const int8_t *output",
                "const int8_t *target",
                "int16_t *gradient",
                "int32_t *exponent",
                "int32_t *loss",
            ),
            (Struct("tc_squared_error_shape", fields),),
            "The mean of squared errors, and its gradient by the output.",
        ),
        instructions=on(core, y.elements * 40 + 300),
        code_bytes=500,
        notes=PORTABLE,
    )
