"""Operators of int16 tensors without weights, in plain C."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_loops
from tinycompile.kernels.generic_c import Struct, factor_fields, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import channelwise_distance
from tinycompile.kernels.reduce_loops import LOOPS as MEAN_LOOPS
from tinycompile.kernels.reduce_loops import padded, reduce_loops
from tinycompile.kernels.wide_layers import distance_in_bytes
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._arithmetic.wide import SIGMOID_STEPS, TableInput, exponential_table, reciprocal_table
from tinycompile.ops._sum import Sum
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh
from tinycompile.targets.core import Core

LOOPS = 6
"""TC_WIDE_LOOPS."""
Factor = tuple[int, int]
"""(multiplier, shift) of `quantize_multiplier`."""
_IN_OUT = ("const int16_t *input", "int16_t *output")
_ONE = {"multiplier": 0, "shift": 0}
_NOTES = {"reason": "16-bit activations in plain C"}


def _kernel(
    site: Site, function: Function, work: int, constants: tuple[Constant, ...] = (), overlap: Mapping[int, int] = {}
) -> Kernel:
    return Kernel(
        f"{site.node.op.kind}_wide",
        function,
        constants,
        instructions=30 + work,
        code_bytes=300,
        overlap=dict(overlap),
        notes=_NOTES,
    )


def only_factor(rule: TfliteRequant) -> Factor:
    """Of a rule with one channel."""
    return int(rule.multiplier[0]), int(rule.shift[0])


class Rescaling(NamedTuple):
    """A factor for values that aren't negative and one for those that are, and the range of the results."""

    positive: Factor
    negative: Factor
    low: int
    high: int

    @staticmethod
    def of(site: Site) -> Rescaling | None:
        """None for other operators than RELU, LEAKY_RELU and QUANTIZE, and for another type of output than int16."""
        op, sig = site.node.op, site.sig
        if sig.output.dtype != INT16:
            return None
        match op:
            case LeakyRelu():
                multipliers, shifts = quantize_multiplier(op.multipliers(sig))
                positive, negative = ((int(m), int(s)) for m, s in zip(multipliers, shifts, strict=True))
                return Rescaling(positive, negative, *INT16.range)
            case Relu() | Quantize():
                rule = op.requant(sig)
                return Rescaling(only_factor(rule), only_factor(rule), rule.low, rule.high)
            case _:
                return None


@kernel_for(Relu, LeakyRelu, Quantize, dtype=INT16)
def rescale(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_rescale`; None for another type of output."""
    op, sig, rescaling = site.node.op, site.sig, Rescaling.of(site)
    if rescaling is None:
        return None
    factors = {"positive": factor_fields(rescaling.positive), "negative": factor_fields(rescaling.negative)}
    fields = {"count": sig.output.elements, **factors, "low": rescaling.low, "high": rescaling.high}
    function = struct_call(
        f"wide_{op.kind}_{sig.output.elements}",
        "tc_wide_rescale",
        "tc_wide.h",
        _IN_OUT,
        (Struct("tc_wide_rescale_shape", fields),),
        f"{op.kind} of 16-bit values.",
    )
    return _kernel(site, function, sig.output.elements * 30, overlap={0: 0})


@kernel_for(Quantize, dtype=INT16)
def narrow(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_narrow`, to int8."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Quantize) or sig.output.dtype != INT8:
        return None
    fields = {"count": sig.output.elements, "factor": factor_fields(only_factor(op.requant(sig)))}
    fields |= {"input_zero_point": sig.input.zero_point, "zero_point": sig.output.zero_point}
    function = struct_call(
        f"narrow_{sig.output.elements}",
        "tc_wide_narrow",
        "tc_wide.h",
        ("const int16_t *input", "int8_t *output"),
        (Struct("tc_wide_narrow_shape", fields),),
        "16-bit values to 8 bits.",
    )
    return _kernel(site, function, sig.output.elements * (20 if core.has("long_multiply") else 60), overlap={0: 0})


@kernel_for(Tanh, Logistic, dtype=INT16)
def interpolated(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_tanh` or `tc_wide_logistic`."""
    op, sig = site.node.op, site.sig
    table = TableInput.of(sig.input.scale)
    half = (1 << table.shift) >> 1
    fields = {"count": sig.output.elements, "multiplier": table.multiplier, "shift": table.shift, "half": half}
    function = struct_call(
        f"wide_{op.kind}_{sig.output.elements}",
        f"tc_wide_{op.kind}",
        "tc_wide.h",
        (*_IN_OUT, "const uint16_t *table"),
        (Struct("tc_wide_table_shape", fields),),
        f"{op.kind} of 16-bit values, between the entries of a table.",
    )
    steps = Constant("table", "uint16_t", np.array(SIGMOID_STEPS, np.uint16), "sigmoid(i / 24), 2^16 being 1")
    return _kernel(site, function, sig.output.elements * 25, (steps,), {0: 0})


@kernel_for(Softmax, dtype=INT16)
def softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_softmax`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax) or op.rule != "tflite":
        return None
    depth = sig.input.shape[-1]
    rows = sig.input.elements // depth
    function = struct_call(
        f"wide_softmax_{rows}x{depth}",
        "tc_wide_softmax",
        "tc_wide.h",
        (*_IN_OUT, "const int16_t *exponentials", "const int16_t *reciprocals"),
        (
            Struct(
                "tc_wide_softmax_shape",
                {"rows": rows, "depth": depth, "input": factor_fields(op.wide_factor(sig))},
            ),
        ),
        "Softmax over the last axis, with two tables.",
    )
    constants = (
        Constant("exponentials", "int16_t", exponential_table(), "exp over [-10, 0], 2^15 being 1"),
        Constant("reciprocals", "int16_t", reciprocal_table(op.runtime), "1 / (1 + x) over [0, 1], 2^15 being 1"),
    )
    return _kernel(site, function, rows * 70 + sig.input.elements * _softmax_instructions(core), constants, {0: 0})


def _softmax_instructions(core: Core) -> int:
    if core.has("dsp"):
        return 25
    return 33 if core.has("long_multiply") else 65


@kernel_for(Add, Sub, Mul, dtype=INT16)
def binary(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_binary`; None for shapes with more loops than it has."""
    op, sig = site.node.op, site.sig
    loops = broadcast_loops(sig.inputs[0].shape, sig.inputs[1].shape)
    if not isinstance(op, Sum | Mul) or op.rule != "tflite" or len(loops) > LOOPS:
        return None
    sizes, a_strides, b_strides = zip(*([(1, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    count = sig.output.elements
    fields: dict[str, object] = {"count": count, "size": sizes, "a_stride": a_strides, "b_stride": b_strides}
    if isinstance(op, Sum):
        p = op.parameters(sig)
        fields |= {"left_shift": p.left_shift, "first": factor_fields(p.first), "second": factor_fields(p.second)}
        fields |= {"output": factor_fields(p.output)}
    else:
        fields |= {
            "left_shift": 0,
            "first": _ONE,
            "second": _ONE,
            "output": factor_fields(only_factor(op.requant(sig))),
        }
    fields |= {"low": op.clamp[0], "high": op.clamp[1]}
    dynamic = [f"const int16_t *{'ab'[index]}" for index, _ in site.dynamic_inputs()]
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    function = struct_call(
        f"wide_{op.kind}_{count}",
        "tc_wide_binary",
        "tc_wide.h",
        (*dynamic, "int16_t *output", *(f"const int16_t *{'ab'[index]}" for index in constant)),
        (Struct("tc_wide_binary_shape", fields),),
        f"{op.kind} of 16-bit values.",
        ("a", "b", "output", f"tc_wide_{op.kind}"),
    )
    values = (Constant(f"operand_{i}", "int16_t", site.constant(i).ravel(), str(sig.inputs[i])) for i in constant)
    same = {i: 0 for i, t in site.dynamic_inputs() if t.shape == sig.output.shape}
    return _kernel(site, function, count * (25 if isinstance(op, Mul) else 50), tuple(values), same)


@kernel_for(MaxPool2D, AveragePool2D, dtype=INT16)
def pool2d(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_pool2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, MaxPool2D | AveragePool2D):
        return None
    fields = {
        "window": window_fields(op.slid, sig.input, sig.output),
        "channels": sig.input.shape[3],
        "average": int(isinstance(op, AveragePool2D)),
        "low": op.clamp[0],
        "high": op.clamp[1],
    }
    function = struct_call(
        f"wide_{op.kind}_{window_stem(op.slid, sig.input, sig.output)}",
        "tc_wide_pool2d",
        "tc_wide.h",
        _IN_OUT,
        (Struct("tc_wide_pool_shape", fields),),
        f"{op.kind} of 16-bit values.",
    )
    work = sig.output.elements * (20 + prod(op.kernel) * 8)
    return _kernel(site, function, work, overlap=distance_in_bytes(channelwise_distance, op.access(sig, 0), sig))


@kernel_for(Mean, ReduceSum, dtype=INT16)
def mean(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_mean`, whose factor TFLM's sums have as well; None for more alternations of kept and reduced axes than
    it has loops.
    """
    op, sig = site.node.op, site.sig
    if not (isinstance(op, Mean) or (isinstance(op, ReduceSum) and op.runtime == "tflm")):
        return None
    kept, reduced = reduce_loops(sig.input.shape, op.axes)
    rule = op.requant(sig)
    if max(len(kept), len(reduced)) > MEAN_LOOPS or not isinstance(rule, TfliteRequant):
        return None
    fields = dict[str, object]()
    for name, loops in (("kept", kept), ("reduced", reduced)):
        sizes, strides = padded(loops)
        fields |= {f"{name}_size": sizes, f"{name}_stride": strides}
    function = struct_call(
        f"wide_{op.kind}_{'x'.join(map(str, sig.input.shape))}",
        "tc_wide_mean",
        "tc_wide.h",
        _IN_OUT,
        (Struct("tc_wide_mean_shape", {**fields, "factor": factor_fields(only_factor(rule))}),),
        f"{op.kind} of 16-bit values over some axes.",
    )
    return _kernel(site, function, sig.input.elements * 6 + sig.output.elements * 40)
