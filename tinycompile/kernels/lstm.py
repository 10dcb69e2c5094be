"""Long short-term memory of integers, in plain C and by the byte-lane product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Signature, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Fields, Struct, factor_fields, range_fields, struct_call
from tinycompile.kernels.sigmoid16 import table_constants
from tinycompile.kernels.simd_sums import lane_stream, pair_stream, sum_factors
from tinycompile.ops._arithmetic.integer_lstm import Factor, clip_steps
from tinycompile.ops._arithmetic.wide import SIGMOID_STEPS, WideRequant
from tinycompile.ops._recurrent import Recurrent
from tinycompile.ops.lstm import Lstm
from tinycompile.targets.core import Core

NO_FACTOR: Fields = {"multiplier": 0, "shift": 0}


def sequence_fields(op: Recurrent, sig: Signature) -> dict[str, int]:
    """Members of a `tc_lstm_sizes` that any recurrent layer has."""
    steps, sequences, inputs = op.sizes(sig.input)
    outputs = sig.output.shape[-1]
    by_step = op.time_major or len(sig.input.shape) == 2
    return {
        "steps": steps,
        "sequences": sequences,
        "inputs": inputs,
        "outputs": outputs,
        "x_step": inputs * (sequences if by_step else 1),
        "x_sequence": inputs * (1 if by_step else steps),
        "y_step": outputs * (sequences if by_step else 1),
        "y_sequence": outputs * (1 if by_step else steps),
        "backward": int(op.backward),
    }


def recurrent_stem(op: Recurrent, sig: Signature) -> str:
    steps, sequences, inputs = op.sizes(sig.input)
    return f"{op.kind}_{steps}x{sequences}x{inputs}_{sig.output.shape[-1]}"


def sequence_overlap(op: Recurrent, sig: Signature) -> dict[int, int]:
    """`Kernel.overlap` of a layer that reads a step of operand 0 before it writes that step's result.

    Results of steps behind a sequence's length are zeros that are written at another time: then there is none.
    """
    if op.lengths is not None:
        return {}
    sizes = sequence_fields(op, sig)
    sequence, at = np.divmod(np.arange(sizes["sequences"] * sizes["steps"]), sizes["steps"])
    step = sizes["steps"] - 1 - at if op.backward else at
    read = sequence * sizes["x_sequence"] + step * sizes["x_step"]
    written = sequence * sizes["y_sequence"] + step * sizes["y_step"] + sizes["outputs"]
    # Before the last step its successors' operands are pending; the last one's are read when it writes.
    pending = np.minimum.accumulate(read[:0:-1])[::-1]
    so_far = np.maximum.accumulate(written)[:-1]
    element = sig.input.dtype.bits // 8
    steps = zip((pending * element).tolist(), (so_far * element).tolist(), strict=True)
    return {0: safe_distance(steps)}


def per_gate(factor: Factor, gates: int, wanted: int) -> list[Fields]:
    """Members of so many `tc_lstm_factor`, of which those behind the gates are unused."""
    rows = factor.multiplier.size // gates
    found = [factor_fields((int(factor.multiplier[i * rows]), int(factor.shift[i * rows]))) for i in range(gates)]
    return found + [NO_FACTOR] * (wanted - gates)


def cell_fields(op: Lstm, sig: Signature) -> Fields:
    """Members of a `tc_lstm_cell`."""
    mixing = op.mixing(sig)
    factors = {"keep": mixing.keep, "add": mixing.add, "output": mixing.output}
    return {
        "micro": int(op.runtime == "tflm"),
        "power": mixing.power,
        "clip": mixing.cell_clip,
        **{name: factor_fields((int(f.multiplier[0]), int(f.shift[0]))) for name, f in factors.items()},
        "range": range_fields(mixing.zero_point, (mixing.low, mixing.high)),
    }


def folded_bias(weights: Array, operand: TensorType, bias: Array | None = None) -> Array:
    """int32: with what the zero point of an operand adds, modulo 2^32."""
    own = np.zeros(len(weights), np.int64) if bias is None else bias.astype(np.int64)
    return (own - operand.zero_point * weights.astype(np.int64).sum(axis=1)).astype(np.int32)


def steps_constant() -> Constant:
    """The table of TFLM's sigmoid."""
    return Constant("steps", "uint16_t", np.array(SIGMOID_STEPS, np.uint16), "sigmoid(i / 24), 2^16 being 1")


def _constants(op: Lstm, site: Site) -> Iterator[Constant]:
    sig = site.sig
    w, r, bias = (site.constant(operand) for operand in (3, 4, 5))
    yield Constant("input_weights", "int8_t", w.ravel(), "gate by gate, cell by cell")
    yield Constant("hidden_weights", "int8_t", r.ravel(), "the same of the state")
    if op.normalised:
        yield Constant("bias", "int32_t", folded_bias(w, sig.input), "what the input's zero point adds")
    else:
        yield Constant("bias", "int32_t", folded_bias(w, sig.input, bias), "with what the input's zero point adds")
    yield Constant("hidden_bias", "int32_t", folded_bias(r, sig.inputs[1]), "what the state's zero point adds")
    if op.peephole:
        yield Constant("peephole", "int16_t", site.constant(6), "gate by gate")
    if op.projection:
        projection, own = site.constant(7 if op.peephole else 6), site.constant(8 if op.peephole else 7)
        # Its operand's zero point is taken from the products, and comes back by the bias.
        added = own + op.hidden_quantization(sig)[1] * projection.astype(np.int64).sum(axis=1)
        yield Constant("projection", "int8_t", projection.ravel(), "output by output")
        yield Constant("projection_bias", "int32_t", added.astype(np.int32), "with what the zero point adds")
    if op.normalised:
        yield Constant("factors", "int16_t", site.constant(op.factors_at), "of normalised gates")
        yield Constant("norm_bias", "int32_t", bias, "of normalised gates")
    if op.runtime == "tflm":
        yield steps_constant()


_PARAMETERS = ("const int8_t *input", "const int8_t *h", "const int16_t *c", "int8_t *output", "int8_t *h_next")
_NAMES = (
    "input_weights",
    "hidden_weights",
    "bias",
    "hidden_bias",
    "peephole",
    "projection",
    "projection_bias",
)


def _norm_fields(op: Lstm, sig: Signature) -> Fields:
    """Members of a `tc_lstm_norm_shape`."""
    norms = op.normalisations(sig)
    factors = [factor_fields((int(norm.factor.multiplier[0]), int(norm.factor.shift[0]))) for norm in norms]
    unused = 4 - len(norms)
    return {
        "scale": factors + [NO_FACTOR] * unused,
        "least_variance": [norm.least_variance for norm in norms] + [0] * unused,
    }


@kernel_for(Lstm)
def lstm(site: Site, core: Core) -> Kernel | None:
    """`tc_lstm_s8`, or `tc_lstm_normalised_s8`: every form, every core."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Lstm) or any(constant is None for constant in site.constants[3:]):
        return None
    outputs, cells = sig.inputs[1].shape[1], sig.inputs[2].shape[1]
    gates, looking = len(op.gates), len(op.peepholes)
    of_input, of_hidden = op.factors(sig)
    one = Factor(np.zeros(1, np.int32), np.zeros(1, np.int32))
    projection = op.projection_factor(sig) if op.projection else one
    fields: Fields = {
        "sizes": {**sequence_fields(op, sig), "cells": cells},
        "coupled": int(op.coupled == "input"),
        "looks": int(op.peephole),
        "look": per_gate(op.peephole_factor(sig), looking, 3) if op.peephole else [NO_FACTOR] * 3,
        "of_input": per_gate(of_input, gates, 4),
        "of_hidden": per_gate(of_hidden, gates, 4),
        "cell": cell_fields(op, sig),
        "projects": int(op.projection),
        "projection": per_gate(projection, 1, 1)[0],
        "projected": range_fields(sig.inputs[1].zero_point, (-128, 127)),
        "projection_clip": clip_steps(op.projection_clip, sig.output.scale, 8),
    }
    constants = tuple(_constants(op, site))
    there = {constant.suffix for constant in constants}
    parameters = (
        *_PARAMETERS,
        "int16_t *c_next",
        *(f"const {c.ctype} *{c.suffix}" for c in constants),
        "void *scratch",
    )
    arguments = ("input", "h", "c", "output", "h_next", "c_next")
    further = ("factors", "norm_bias") if op.normalised else ("steps",)
    arguments += (*(name if name in there else "NULL" for name in (*_NAMES, *further)), "scratch")
    structs = (Struct("tc_lstm_shape", fields),)
    structs += (Struct("tc_lstm_norm_shape", _norm_fields(op, sig), "norm"),) if op.normalised else ()
    function = struct_call(
        f"{recurrent_stem(op, sig)}_normalised" if op.normalised else recurrent_stem(op, sig),
        "tc_lstm_normalised_s8" if op.normalised else "tc_lstm_s8",
        "tc_lstm_normalised.h" if op.normalised else "tc_lstm.h",
        parameters,
        structs,
        "Long short-term memory, gate by gate." if op.normalised else "Long short-term memory, cell by cell.",
        arguments,
    )
    steps, sequences, inputs = op.sizes(sig.input)
    tap, finish, function_cost, normal = (5, 24, 130, 40) if core.has("long_multiply") else (9, 60, 180, 200)
    each = gates * ((inputs + outputs) * tap + 2 * finish + function_cost) + function_cost + 60
    if op.normalised:
        each += gates * normal
    projected = outputs * (cells * tap + finish) if op.projection else 0
    each_step = 40 + projected + (gates * (150 + 10 * finish) if op.normalised else 0)
    return Kernel(
        "lstm",
        function,
        constants,
        scratch_bytes=-(-cells * (7 if op.normalised else 1) // 8) * 8,
        instructions=60 + steps * sequences * (cells * each + each_step),
        code_bytes=2100 if op.normalised else 1500,
        overlap=sequence_overlap(op, sig),
        notes={"reason": "plain C"},
    )


@kernel_for(Lstm, dtype=INT16)
def lstm_wide(site: Site, core: Core) -> Kernel | None:
    """`tc_lstm_s16`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Lstm) or any(constant is None for constant in site.constants[3:]):
        return None
    cells = sig.inputs[2].shape[1]
    factors = (
        WideRequant(f.multiplier[::cells], f.shift[::cells], -(2**15), 2**15 - 1, "reduced") for f in op.factors(sig)
    )
    of_input, of_hidden = (
        [
            {"multiplier": multiplier, "right": right}
            for multiplier, right in zip(*map(np.ndarray.tolist, f.factors), strict=True)
        ]
        for f in factors
    )
    fields: Fields = {
        "sizes": {**sequence_fields(op, sig), "cells": cells},
        "of_input": of_input,
        "of_hidden": of_hidden,
        "cell": cell_fields(op, sig),
    }
    constants = (
        Constant("input_weights", "int8_t", site.constant(3).ravel(), "gate by gate, cell by cell"),
        Constant("hidden_weights", "int8_t", site.constant(4).ravel(), "the same of the state"),
        Constant("bias", "int64_t", site.constant(5), "gate by gate"),
        steps_constant(),
    )
    states = ("const int16_t *input", "const int16_t *h", "const int16_t *c")
    results = ("int16_t *output", "int16_t *h_next", "int16_t *c_next")
    function = struct_call(
        f"{recurrent_stem(op, sig)}_wide",
        "tc_lstm_s16",
        "tc_lstm_wide.h",
        (*states, *results, *(f"const {c.ctype} *{c.suffix}" for c in constants), "void *scratch"),
        (Struct("tc_lstm_wide_shape", fields),),
        "Long short-term memory of 16-bit values, cell by cell.",
    )
    steps, sequences, inputs = op.sizes(sig.input)
    tap, finish = (6, 60) if core.has("long_multiply") else (20, 300)
    return Kernel(
        "lstm_wide",
        function,
        constants,
        scratch_bytes=-(-2 * cells // 8) * 8,
        instructions=60 + steps * sequences * cells * (4 * ((inputs + cells) * tap + finish) + finish),
        code_bytes=900,
        overlap=sequence_overlap(op, sig),
        notes={"reason": "16-bit activations in plain C"},
    )


@kernel_for(Lstm, needs={"dsp"})
def lstm_lanes(site: Site, core: Core) -> Kernel | None:
    """`tc_lstm_lanes_s8`: the byte-lane product, functions computed."""
    return _simd(site, table=False, pairs=False)


@kernel_for(Lstm, needs={"dsp"})
def lstm_lanes_table(site: Site, core: Core) -> Kernel | None:
    """The same with a table of the sigmoid, 24 KB that all layers share."""
    return _simd(site, table=True, pairs=False)


@kernel_for(Lstm, needs={"dsp"})
def lstm_pairs_table(site: Site, core: Core) -> Kernel | None:
    """Pairs of 16-bit products, with the table; the weights take twice the memory, so only where they are few."""
    return _simd(site, table=True, pairs=True) if site.sig.inputs[3].elements <= MOST_PAIRED else None


MOST_PAIRED = 1 << 14
"""Weights of x that are made 16 bits wide."""


def _simd(site: Site, *, table: bool, pairs: bool) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Lstm) or op.coupled or op.peephole or op.projection or op.normalised:
        return None
    if any(constant is None for constant in site.constants[3:]) or (table and op.runtime != "litert"):
        return None
    w, r, of_sums = site.constant(3), site.constant(4), op.factors(sig)
    biases = folded_bias(w, sig.input, site.constant(5)), folded_bias(r, sig.inputs[1])
    streams = [(pair_stream if pairs else lane_stream)(*layer) for layer in zip((w, r), biases, strict=True)]
    factors = [sum_factors(*of, 4, pairs=pairs) for of in zip(of_sums, (w, r), biases, strict=True)]
    if any(part is None for part in (*streams, *factors)):
        return None
    cells, rows = sig.inputs[2].shape[1], 6 if pairs else 8
    sums = -(-4 * cells // rows) * rows
    steps, sequences, inputs = op.sizes(sig.input)
    constants = tuple(
        Constant(f"{name}_weights", "int32_t", stream, f"per {rows} rows: starts, weights side by side")
        for name, stream in zip(("input", "hidden"), streams, strict=True)
        if stream is not None
    )
    shape: Fields = {
        "sizes": {**sequence_fields(op, sig), "cells": cells},
        "pairs": int(pairs),
        "sums": sums,
        "input_words": constants[0].layout[0][0],
        "hidden_words": constants[1].layout[0][0],
        "of_input": factors[0],
        "of_hidden": factors[1],
        "cell": cell_fields(op, sig),
    }
    constants += table_constants() if table else ()
    constants += (steps_constant(),) if op.runtime == "tflm" else ()
    variant = f"lstm_{'pairs' if pairs else 'lanes'}{'_table' if table else ''}"
    there = {constant.suffix for constant in constants}
    parameters = (
        *_PARAMETERS,
        "int16_t *c_next",
        *(f"const {c.ctype} *{c.suffix}" for c in constants),
        "void *scratch",
    )
    arguments = ("input", "h", "c", "output", "h_next", "c_next", "input_weights", "hidden_weights")
    arguments += (*(name if name in there else "NULL" for name in ("low", "rest", "steps")), "scratch")
    function = struct_call(
        f"{recurrent_stem(op, sig)}_{'pairs' if pairs else 'lanes'}",
        "tc_lstm_lanes_s8",
        "tc_lstm_lanes.h",
        parameters,
        (Struct("tc_lstm_lanes_shape", shape),),
        f"Long short-term memory, {rows} sums in registers.",
        arguments,
    )
    groups, blocks = -(-inputs // 4) + -(-cells // 4), sums // rows
    function_cost = 15 if table else 24 if op.runtime == "tflm" else 146
    each_group = 16.8 if pairs else 30.5
    each_step = 180 + 6 * groups + blocks * (2 * 10 + each_group * groups) + cells * (5 * function_cost + 4 * 13 + 30)
    return Kernel(
        variant,
        function,
        constants,
        scratch_bytes=-(-8 * sums // 8) * 8 + 8 * -(-max(inputs, cells) // 4),
        instructions=int(60 + steps * sequences * each_step),
        code_bytes=1300,
        overlap=sequence_overlap(op, sig),
        notes={"requantisation": "smmlar"},
    )
