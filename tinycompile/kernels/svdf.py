"""Singular value decomposition filter."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Signature, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_ops import floats, per_operation
from tinycompile.kernels.float_recurrent import activation_fields
from tinycompile.kernels.generic_c import Fields, Struct, range_fields, struct_call
from tinycompile.kernels.lstm import folded_bias
from tinycompile.kernels.simd_sums import lane_stream, pair_stream, sum_factors
from tinycompile.ops._arithmetic.integer_lstm import Factor
from tinycompile.ops.svdf import Svdf
from tinycompile.targets.core import Core

_NO_FACTOR: Fields = {"multiplier": 0, "before": 0, "left": 0, "half": 0, "right": 0}
MOST_PAIRED = 1 << 15
"""Weights of x that are made 16 bits wide."""
MOST_BLOCKS = 8
"""Of 6 filters, for which x is read as it is: its bytes become pairs again for each, for less than a tenth of what the
products cost, and twice its size in RAM isn't needed."""


def _sizes(op: Svdf, sig: Signature) -> Fields:
    """Members of a `tc_svdf_sizes`."""
    batch, inputs = sig.input.shape
    return {
        "batch": batch,
        "inputs": inputs,
        "units": sig.output.shape[1],
        "rank": op.rank,
        "memory": sig.inputs[3].shape[1],
    }


def _stem(sig: Signature) -> str:
    return f"svdf_{'x'.join(map(str, sig.input.shape))}_{'x'.join(map(str, sig.inputs[3].shape))}"


@kernel_for(Svdf)
def svdf(site: Site, core: Core) -> Kernel | None:
    """`tc_svdf_s8` in plain C."""
    return _kernel(site, core, "")


@kernel_for(Svdf, needs={"dsp"})
def svdf_lanes(site: Site, core: Core) -> Kernel | None:
    """The products of x by byte lanes."""
    return _kernel(site, core, "lanes")


@kernel_for(Svdf, needs={"dsp"})
def svdf_pairs(site: Site, core: Core) -> Kernel | None:
    """The products of x by pairs of 16-bit weights, which take twice the memory: only where they are few."""
    return _kernel(site, core, "pairs") if site.sig.inputs[2].elements <= MOST_PAIRED else None


def _kernel(site: Site, core: Core, simd: str) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Svdf) or any(constant is None for constant in site.constants[2:]):
        return None
    weights, of_time, bias = (site.constant(operand) for operand in (2, 3, 4))
    (filters, inputs), memory = weights.shape, of_time.shape[1]
    of_x, of_state = op.factors(sig)
    start, rows = folded_bias(weights, sig.input), {"": 1, "lanes": 8, "pairs": 6}[simd]
    of_sums: Fields = _NO_FACTOR
    if simd:
        stream = (pair_stream if simd == "pairs" else lane_stream)(weights, start)
        every = Factor(np.repeat(of_x.multiplier, filters), np.repeat(of_x.shift, filters))
        found = sum_factors(every, weights, start, 1, pairs=simd == "pairs")
        if stream is None or found is None:
            return None
        of_sums = found[0]
        what = Constant("stream", "int32_t", stream, f"per {rows} filters: starts, weights side by side")
        constants, words = (what,), stream.size
    else:
        constants = (Constant("weights", "int8_t", weights.ravel(), "filter by filter"),)
        constants += (Constant("start", "int32_t", start, "what the input's zero point adds"),)
        words = 0
    constants += (Constant("time_weights", "int16_t", of_time.ravel(), "filter by filter, the oldest result first"),)
    constants += (Constant("bias", "int32_t", bias, "unit by unit"),)
    fields: Fields = {
        "sizes": _sizes(op, sig),
        "multiplier": int(of_x.multiplier[0]),
        "shift": int(of_x.shift[0]),
        "simd": int(bool(simd)),
        "pairs": int(simd == "pairs"),
        "in_place": 0,
        "words": words,
        "of_input": of_sums,
        "output_multiplier": int(of_state.multiplier[0]),
        "output_shift": int(of_state.shift[0]),
        "output": range_fields(sig.output.zero_point, (-128, 127)),
    }
    there = {constant.suffix for constant in constants}
    parameters = ("const int8_t *input", "const int16_t *state", "int8_t *output", "int16_t *state_next")
    parameters += (*(f"const {constant.ctype} *{constant.suffix}" for constant in constants),)
    arguments = ["input", "state", "output", "state_next"]
    arguments += [name if name in there else "NULL" for name in ("weights", "start", "stream", "time_weights", "bias")]
    groups, blocks = -(-inputs // 4), -(-filters // rows)
    in_place = simd == "pairs" and sig.input.shape[0] == 1 and inputs % 4 == 0 and blocks <= MOST_BLOCKS
    fields["in_place"] = int(in_place)
    scratch = (0 if in_place else 8 * groups) + -(-4 * blocks * rows // 8) * 8 if simd else 0
    function = struct_call(
        f"{_stem(sig)}{f'_{simd}' if simd else ''}",
        "tc_svdf_s8",
        "tc_svdf.h",
        (*parameters, *(("void *scratch",) if simd else ())),
        (Struct("tc_svdf_shape", fields),),
        "Filters of the input, and of their own results.",
        (*arguments, "scratch" if simd else "NULL"),
    )
    tap = 7 if core.has("multiply_accumulate") else 12
    products = {"": tap * weights.size, "lanes": blocks * (24 + 30.5 * groups), "pairs": blocks * (20 + 16.8 * groups)}
    if in_place:
        products["pairs"] += (8 if core.strict else 2) * blocks * groups - 5 * groups
    each = filters * (30 + (4 if core.has("dsp") else 8) * memory) + sig.output.shape[1] * 30 + 5 * groups
    return Kernel(
        f"svdf_{simd}" if simd else "svdf",
        function,
        constants,
        scratch_bytes=scratch,
        instructions=int(60 + sig.input.shape[0] * (each + products[simd])),
        code_bytes=500,
        notes={"requantisation": "smmlar"} if simd else {"reason": "plain C"},
    )


@kernel_for(Svdf, dtype=FLOAT32)
def svdf_float(site: Site, core: Core) -> Kernel | None:
    """`tc_float_svdf`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Svdf) or any(constant is None for constant in site.constants[2:]):
        return None
    names = ("weights", "time_weights", "bias")
    constants = tuple(floats(name, site.constant(operand)) for operand, name in enumerate(names, 2))
    parameters = ("const float *input", "const float *state", "float *output", "float *state_next")
    function = struct_call(
        f"float_{_stem(sig)}",
        "tc_float_svdf",
        "tc_svdf.h",
        (*parameters, *(f"const float *{name}" for name in names)),
        (Struct("tc_float_svdf_shape", {"sizes": _sizes(op, sig), "activation": activation_fields(op.activation)}),),
        "Filters of the input, and of their own results.",
    )
    return Kernel(
        "svdf_float",
        function,
        constants,
        instructions=60 + op.macs(sig) * (8 + per_operation(core)) + sig.inputs[1].elements * 4,
        code_bytes=300,
        notes={"reason": "float32 in plain C"},
    )
