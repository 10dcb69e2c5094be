"""Products of int8 matrices and convolutions whose zero points, scales and biases are values of the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.binary import broadcast_loops
from tinycompile.kernels.float_layers import bounds_fields
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, weight_constant, window_fields, window_stem
from tinycompile.kernels.hybrid_layers import HELIUM, LANES, PORTABLE, Dot
from tinycompile.ops._integer_product import IntegerProduct
from tinycompile.ops.conv_integer import ConvInteger
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.targets.core import Core

PAIRS = Dot("pairs", "tc_integer_dot2x2", 20, 4, 23)
_MOST_TAPS = 2**15 // 256
"""Of values minus a zero point, whose sum has 16 bits."""
_LOOPS = 3
"""Over matrices, in the C."""
_NAMES = ("a", "b", "a_zero", "b_zero", "scale", "bias")
AS_THEY_ARE = (0, 2, 4, 5)
"""Operands that are no weights."""
_OF_CHANNELS = "sum of the weights minus their zero point, zero point of each channel"


@dataclass(frozen=True, eq=False)
class Operands:
    """How a function of the C takes the operands.

    Attributes:
        parameters: C declarations. constants: those of them that are known.
        scale, bias: C expressions.
    """

    parameters: tuple[str, ...]
    constants: tuple[Constant, ...]
    scale: str
    bias: str

    @staticmethod
    def of(site: Site, prepared: tuple[Constant, ...], kept: Collection[int]) -> Operands:
        """`prepared` are made of constants; of the others the operands in `kept` are taken as they are."""
        declared = [f"const {t.dtype.ctype} *{name}" for name, t in zip(_NAMES, site.sig.inputs, strict=False)]
        known = [i for i in range(len(declared)) if site.constants[i] is not None and i in kept]
        constants = tuple(
            Constant(_NAMES[i], t.dtype.ctype, t.dtype.c_elements(site.constant(i)), f"operand {i}")
            for i, t in enumerate(site.sig.inputs)
            if i in known
        )
        dynamic = [declared[i] for i, _ in site.dynamic_inputs()]
        output = f"{site.sig.output.dtype.ctype} *output"
        of_prepared = [f"const {each.ctype} *{each.suffix}" for each in prepared]
        scale, bias = (_NAMES[i] if len(declared) > i else "(const float *)0" for i in (4, 5))
        parameters = (*dynamic, output, *of_prepared, *(declared[i] for i in known))
        return Operands(parameters, (*prepared, *constants), scale, bias)


def form_of(site: Site) -> Fields:
    """Members of a `tc_integer_form`."""
    zeros, sizes = site.constants[3], [t.elements for t in site.sig.inputs]
    some = zeros is None or bool(zeros.any())

    def number(operand: int) -> int:
        return 0 if len(sizes) <= operand else sizes[operand]

    op = site.node.op
    bounds = op.bounds if isinstance(op, IntegerProduct) else (-inf, inf)
    return {
        "zero_points": int(some),
        "scales": number(4),
        "biases": number(5),
        "bounds": bounds_fields(bounds),
    }


def _channels(weights: Array, zero_point: Array) -> Constant:
    """Of weights (..., C, taps) with zero points (C,) or (1,)."""
    sums = weights.sum(axis=-1, dtype=np.int64)
    zeros = np.broadcast_to(zero_point.reshape(-1).astype(np.int64), sums.shape)
    of_weights = sums - zeros * weights.shape[-1]
    values = structured(weight_sum=of_weights.ravel().astype(np.int32), zero_point=zeros.ravel().astype(np.int32))
    return Constant("channels", "tc_integer_channel", values, _OF_CHANNELS)


@kernel_for(MatMulInteger, ConvInteger)
def portable(site: Site, core: Core) -> Kernel | None:
    """On every core."""
    return _kernel(site, core, PORTABLE)


@kernel_for(MatMulInteger, ConvInteger, needs={"dsp"}, unless={"mve"})
def lanes(site: Site, core: Core) -> Kernel | None:
    """Products by pairs of 16 bits."""
    return _kernel(site, core, LANES)


@kernel_for(MatMulInteger, ConvInteger, needs={"mve"})
def helium(site: Site, core: Core) -> Kernel | None:
    """Sixteen products at once."""
    return _kernel(site, core, HELIUM)


@kernel_for(MatMulInteger, ConvInteger, needs={"dsp"}, unless={"mve"})
def pairs(site: Site, core: Core) -> Kernel | None:
    """Two vectors at a time, so that weights are expanded once for both."""
    op, sig = site.node.op, site.sig
    if site.constants[1] is None or site.constants[3] is None:
        return None
    weights = site.constant(1)
    if isinstance(op, MatMulInteger):
        rows, columns = sig.output.elements // weights.shape[-1], weights.shape[-1]
        if weights.size != weights.shape[-1] * weights.shape[-2] or rows < 2 or columns < 2:
            return None
        depth = weights.shape[-2]
        turned = weights.reshape(depth, columns).T
        sizes = {"rows": rows, "depth": depth, "columns": columns, "zero_point_step": 0, "form": form_of(site)}
        fields: Fields = {"batch": (1, 1, 1), "a_stride": (0, 0, 0), "b_stride": (0, 0, 0), **sizes}
        return _in_pairs(site, core, "matmul_integer", f"{rows}x{depth}_{columns}", fields, turned, 1, 0)
    if not isinstance(op, ConvInteger) or sig.output.shape[3] // op.groups(sig) < 2:
        return None
    window, groups = op.window_of(sig), op.groups(sig)
    direct = is_direct(op, site)
    fields = {**window_of_images(site, op), "groups": groups, "direct": int(direct), "form": form_of(site)}
    stem, rows = window_stem(window, sig.input, sig.output), weights.reshape(weights.shape[0], -1)
    return _in_pairs(site, core, "conv_integer", stem, fields, rows, groups, 0 if direct else 2 * rows.shape[1])


def _in_pairs(
    site: Site, core: Core, name: str, stem: str, fields: Fields, rows: Array, groups: int, patches: int
) -> Kernel:
    """`rows`: weights (C, taps) in `groups`; `patches`: bytes that are copied for two vectors."""
    channels, taps = rows.shape
    stride, outputs = -(-taps // 4) * 4, channels // groups
    padded = np.pad(rows, [(0, 0), (0, stride - taps)])
    prepared = (weight_constant(np.ascontiguousarray(padded)), _channels(rows, site.constant(3)))
    operands = Operands.of(site, prepared, AS_THEY_ARE)
    arguments = ["a", "weights", "a_zero", "channels", operands.scale, operands.bias, "output", "scratch"]
    function = _function(f"{name}_pairs_{stem}", f"{name}_pairs", name, operands, arguments, fields, scratch=True)
    two = -(-outputs // 2) * (20 + stride // 4 * 23 + 4 * per_output(site, core)) + stride // 4 * 16 + 40
    vectors = -(-(site.sig.output.elements // channels) // 2) * groups
    work = vectors * (two + (patches // 2 + 100 if patches else 0))
    return _finished(site, PAIRS, function, operands, work, 4 * stride + (2 * stride if patches else 0))


def is_direct(op: ConvInteger, site: Site) -> bool:
    """Whether a window is a pixel, whole."""
    window = op.window_of(site.sig)
    return window.kernel == window.stride == (1, 1) and not any(window.padding) and op.groups(site.sig) == 1


def _kernel(site: Site, core: Core, dot: Dot) -> Kernel | None:
    op = site.node.op
    if isinstance(op, MatMulInteger):
        return _matmul(site, core, dot)
    if not isinstance(op, ConvInteger) or site.constants[1] is None or site.constants[3] is None:
        return None
    groups = op.groups(site.sig)
    return _depthwise(site, op, core, dot) if groups == site.sig.input.shape[3] > 1 else _conv(site, op, core, dot)


def _matmul(site: Site, core: Core, dot: Dot) -> Kernel | None:
    a, b = (t.shape for t in site.sig.inputs[:2])
    rows, depth, columns = a[-2], a[-1], b[-1]
    of_a, of_b = a[:-2], b[:-2]
    if np.prod(of_b, dtype=int) == 1:  # one matrix: all rows of the first operand together
        rows, of_a, of_b = int(np.prod(a[:-1])), (), ()
    loops = broadcast_loops(of_a, of_b)
    if len(loops) > _LOOPS:
        return None
    sizes, a_steps, b_steps = zip(*([(1, 0, 0)] * (_LOOPS - len(loops)) + loops), strict=True)
    fields = {
        "batch": sizes,
        "a_stride": tuple(step * rows * depth for step in a_steps),
        "b_stride": tuple(step * depth * columns for step in b_steps),
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "zero_point_step": int(site.sig.inputs[3].elements > 1),
        "form": form_of(site),
    }
    matrices = int(np.prod(sizes))
    work = matrices * rows * _row(site, core, dot, columns, depth)
    stem = f"matmul_integer_{matrices}x{rows}x{depth}_{columns}"
    if site.constants[1] is not None and site.constants[3] is not None:
        turned = np.ascontiguousarray(site.constant(1).swapaxes(-1, -2))
        prepared = (weight_constant(turned), _channels(turned, site.constant(3)))
        operands, scratch = Operands.of(site, prepared, AS_THEY_ARE), 0
        arguments = ["a", "weights", "a_zero", "channels", operands.scale, operands.bias, "output", dot.function]
        callee = "matmul_integer"
    else:
        operands, scratch = Operands.of(site, (), range(len(_NAMES))), columns * 8 + -(-columns * depth // 4) * 4
        zeros = ["a", "b", "a_zero", "b_zero"]
        arguments = [*zeros, operands.scale, operands.bias, "output", "scratch", dot.function]
        callee = "matmul_integer_turning"
        work += matrices * depth * columns * 7
    function = _function(stem, callee, "matmul_integer", operands, arguments, fields, scratch > 0)
    return _finished(site, dot, function, operands, work, scratch)


def _conv(site: Site, op: ConvInteger, core: Core, dot: Dot) -> Kernel:
    fields, window = window_of_images(site, op), op.window_of(site.sig)
    groups, taps = op.groups(site.sig), site.sig.inputs[1].elements // site.sig.output.shape[3]
    direct, weights = is_direct(op, site), site.constant(1)
    prepared = (weight_constant(weights), _channels(weights.reshape(weights.shape[0], -1), site.constant(3)))
    operands, scratch = Operands.of(site, prepared, AS_THEY_ARE), -(-taps // 4) * 4
    fields = {**fields, "groups": groups, "direct": int(direct), "form": form_of(site)}
    ends = [operands.scale, operands.bias, "output", "scratch", dot.function]
    arguments = ["a", "weights", "a_zero", "channels", *ends]
    stem = f"conv_integer_{window_stem(window, site.sig.input, site.sig.output)}"
    function = _function(stem, "conv_integer", "conv_integer", operands, arguments, fields, scratch=True)
    outputs = site.sig.output.shape[3] // groups
    vectors = site.sig.output.elements // outputs
    work = vectors * (_row(site, core, dot, outputs, taps) + (10 if direct else 60 + taps // 2))
    return _finished(site, dot, function, operands, work, scratch)


def _depthwise(site: Site, op: ConvInteger, core: Core, dot: Dot) -> Kernel | None:
    """By single channels on every core; four side by side, by DSP instructions, which cores with Helium have, too."""
    form, window = form_of(site), op.window_of(site.sig)
    inputs, outputs = site.sig.input.shape[3], site.sig.output.shape[3]
    four = dot != PORTABLE
    if four and (window.kernel[0] * window.kernel[1] > _MOST_TAPS or inputs != outputs or inputs % 4):
        return None
    weights = site.constant(1)
    turned = np.ascontiguousarray(weights.reshape(weights.shape[:3]).transpose(1, 2, 0))
    prepared = (weight_constant(turned), _channels(weights.reshape(outputs, -1), site.constant(3)))
    operands = Operands.of(site, prepared, AS_THEY_ARE)
    fields = {**window_of_images(site, op), "groups": inputs, "direct": 0, "form": form}
    arguments = ["a", "weights", "a_zero", "channels", operands.scale, operands.bias, "output"]
    stem = f"depthwise_integer_{window_stem(window, site.sig.input, site.sig.output)}"
    callee = "depthwise_integer_lanes" if four else "depthwise_integer"
    function = _function(stem, callee, "conv_integer", operands, arguments, fields, scratch=False)
    kh, kw = window.kernel
    each = 6 + kh * (2 + kw * (4 if form["zero_points"] else 3)) if four else 40 + kh * (10 + kw * 10)
    work = site.sig.output.elements * (each + per_output(site, core))
    return _finished(site, dot, function, operands, work, 0, "depthwise_integer")


def window_of_images(site: Site, op: ConvInteger) -> Fields:
    """The first members of a `tc_conv_integer_shape`."""
    sig = site.sig
    return {
        "window": window_fields(op.window_of(sig), sig.input, sig.output),
        "batch": sig.input.shape[0],
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
    }


def _function(
    stem: str, callee: str, struct: str, operands: Operands, arguments: Sequence[str], fields: Fields, scratch: bool
) -> Function:
    """A call of `tc_<callee>` with a `tc_<struct>_shape`."""
    return struct_call(
        stem,
        f"tc_{callee}",
        "tc_integer_pairs.h" if callee.endswith("_pairs") else "tc_integer_product.h",
        (*operands.parameters, *(["void *scratch"] if scratch else [])),
        (Struct(f"tc_{struct}_shape", fields),),
        "Products of int8 whose zero points are computed.",
        arguments,
    )


def _finished(
    site: Site, dot: Dot, function: Function, operands: Operands, work: int, scratch: int, name: str = ""
) -> Kernel:
    return Kernel(
        f"{name or site.node.op.kind}_{dot.name}",
        function,
        operands.constants,
        scratch_bytes=scratch,
        instructions=60 + work,
        code_bytes=600,
        notes={"reason": "zero points and scales that are known when the model runs"},
    )


def per_output(site: Site, core: Core) -> int:
    """Instructions from a sum to an output."""
    op, real = site.node.op, len(site.sig.inputs) > 4
    bounds = sum(isfinite(bound) for bound in op.bounds) if isinstance(op, IntegerProduct) else 0
    return 8 + (0 if not real else 8 + 4 * bounds if core.has("fpu") else 130 + 30 * bounds)


def _row(site: Site, core: Core, dot: Dot, outputs: int, taps: int) -> int:
    """Instructions of a vector times `outputs` rows of `taps` elements."""
    zeros = bool(form_of(site)["zero_points"])
    products = -(-outputs // 4) * dot.instructions(taps) if outputs >= 4 else outputs * (15 + 6 * taps)
    slower = 1 if core.has("multiply_accumulate") else 3
    return 20 + slower * products + outputs * (per_output(site, core) + 4 * zeros) + 3 * taps * zeros
