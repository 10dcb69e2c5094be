"""Recurrent layers of floats, in plain C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_ops import floats, per_operation
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.lstm import recurrent_stem, sequence_fields, sequence_overlap
from tinycompile.ops._recurrent import Activation, Function, Recurrent
from tinycompile.ops.gru import Gru
from tinycompile.ops.lstm import Lstm
from tinycompile.ops.rnn import Rnn
from tinycompile.targets.core import Core

_C_NAMES: dict[Function, str] = {"sigmoid": "logistic", "softplus": "soft_plus"}
"""Where functions of `tc_float_recurrent.h` and `tc_float_unary.h` have other names."""


@dataclass(frozen=True)
class CName:
    """A name among the members of a constant struct."""

    name: str

    def __str__(self) -> str:
        return self.name


def activation_fields(activation: Activation) -> Fields:
    """Members of a `tc_activation`."""
    name = CName(f"tc_map_{_C_NAMES.get(activation.function, activation.function)}")
    return {"map": name, "a": np.float32(activation.alpha), "b": np.float32(activation.beta)}


def _kernel(
    site: Site,
    core: Core,
    fields: Fields,
    states: Sequence[str],
    constants: Sequence[tuple[str, int | None]],
    scratch: int,
    functions: int,
) -> Kernel | None:
    """`tc_float_<kind>`.

    Args:
        states: names of the states.
        constants: names in the order of the C, with the operand, or None where the layer hasn't got it.
        scratch: floats of working memory. functions: calls of functions in a step.
    """
    op, first = site.node.op, 1 + len(states)
    if not isinstance(op, Recurrent) or any(constant is None for constant in site.constants[first:]):
        return None
    given = [name for name, value in zip(states, site.constants[1:first], strict=True) if value is None]
    weights = [floats(name, site.constant(operand)) for operand, name in enumerate(states, 1) if name not in given]
    weights += [floats(name, site.constant(operand)) for name, operand in constants if operand is not None]
    if op.lengths is not None:
        weights.append(Constant("lengths", "int32_t", np.array(op.lengths, np.int32), "steps of each sequence"))
    there = {constant.suffix for constant in weights}
    parameters = ("const float *input", *(f"const float *{state}" for state in given), "float *output")
    parameters += (*(f"float *{state}_next" for state in states),)
    arguments = ["input", *states, "output", *(f"{state}_next" for state in states)]
    arguments += [name if name in there else "NULL" for name in (*(name for name, _ in constants), "lengths")]
    function = struct_call(
        f"float_{recurrent_stem(op, site.sig)}",
        f"tc_float_{op.kind}",
        "tc_float_recurrent.h",
        (*parameters, *(f"const {constant.ctype} *{constant.suffix}" for constant in weights), "void *scratch"),
        (Struct(f"tc_float_{op.kind}_shape", fields),),
        f"{op.kind} of floats.",
        (*arguments, "scratch"),
    )
    steps, sequences, _ = op.sizes(site.sig.input)
    each = functions * (60 if core.has("fpu") else 900)
    return Kernel(
        f"{op.kind}_float",
        function,
        tuple(weights),
        scratch_bytes=-(-4 * scratch // 8) * 8,
        instructions=60 + op.macs(site.sig) * (8 + per_operation(core)) + steps * sequences * each,
        code_bytes=1200,
        overlap=sequence_overlap(op, site.sig),
        notes={"reason": "float32 in plain C"},
    )


@kernel_for(Lstm, dtype=FLOAT32)
def lstm(site: Site, core: Core) -> Kernel | None:
    """`tc_float_lstm`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Lstm):
        return None
    cells = sig.inputs[2].shape[1]
    sigmoid, before, behind = op.activations
    projection = (7 if op.peephole else 6) if op.projection else None
    constants = [("input_weights", 3), ("hidden_weights", 4), ("bias", 5), ("peephole", 6 if op.peephole else None)]
    constants += [("projection", projection), ("projection_bias", None if projection is None else projection + 1)]
    constants.append(("factors", len(sig.inputs) - 1 if op.normalised else None))
    fields: Fields = {
        "sizes": sequence_fields(op, sig),
        "cells": cells,
        "input_coupled": int(op.coupled == "input"),
        "forget_coupled": int(op.coupled == "forget"),
        "looks": int(op.peephole),
        "projects": int(op.projection),
        "gate_clip": np.float32(op.gate_clip),
        "cell_clip": np.float32(op.cell_clip),
        "projection_clip": np.float32(op.projection_clip),
        "gates": activation_fields(sigmoid),
        "before": activation_fields(before),
        "behind": activation_fields(behind),
    }
    values = (1 + len(op.gates)) * cells if op.normalised else cells
    return _kernel(site, core, fields, ("h", "c"), constants, values, 5 * cells)


@kernel_for(Gru, dtype=FLOAT32)
def gru(site: Site, core: Core) -> Kernel | None:
    """`tc_float_gru`."""
    op, outputs = site.node.op, site.sig.inputs[1].shape[1]
    if not isinstance(op, Gru):
        return None
    fields: Fields = {
        "sizes": sequence_fields(op, site.sig),
        "reset_after": int(op.reset_after),
        "gate_clip": np.float32(op.gate_clip),
        "gates": activation_fields(op.activations[0]),
        "hidden": activation_fields(op.activations[1]),
    }
    constants = [("input_weights", 2), ("hidden_weights", 3), ("bias", 4), ("hidden_bias", 5)]
    return _kernel(site, core, fields, ("h",), constants, 2 * outputs, 3 * outputs)


@kernel_for(Rnn, dtype=FLOAT32)
def rnn(site: Site, core: Core) -> Kernel | None:
    """`tc_float_rnn`."""
    op, outputs = site.node.op, site.sig.inputs[1].shape[1]
    if not isinstance(op, Rnn):
        return None
    fields: Fields = {
        "sizes": sequence_fields(op, site.sig),
        "gate_clip": np.float32(op.gate_clip),
        "activation": activation_fields(op.activation),
    }
    constants = [("input_weights", 2), ("hidden_weights", 3), ("bias", 4)]
    return _kernel(site, core, fields, ("h",), constants, outputs, outputs)
