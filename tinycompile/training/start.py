"""Parameters that a model has learned elsewhere, in the place of those that its file has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.errors import SamplesError
from tinycompile.ir import Array
from tinycompile.numerics.block_floating import BIAS_LIMIT, MASTER_LIMIT
from tinycompile.training.step import TrainingStep


def starting_with(step: TrainingStep, parameters: Mapping[str, Array], where: str) -> TrainingStep:
    """The same step, whose trained states begin with these values.

    Args:
        parameters: by the states' names, all of them, of their types and shapes: int16 master weights, int32 biases.

    Raises:
        SamplesError: one is missing or unknown, or has another type, shape or range.
    """
    missing = [name for name in step.parameters if name not in parameters]
    unknown = [name for name in parameters if name not in step.parameters]
    if missing or unknown:
        raise SamplesError(
            f"{', '.join(missing or unknown)} {'is missing' if missing else 'is nothing that is trained'}",
            where=where,
            why=f"trained are: {', '.join(step.parameters)}",
            hint="the file that `tinycompile train` wrote, with the same --train",
        )
    for name in step.parameters:
        _check(parameters[name], step, name, where)
    states = tuple(
        replace(state, initial=np.ascontiguousarray(parameters[state.name])) if state.name in parameters else state
        for state in step.graph.states
    )
    return replace(step, graph=replace(step.graph, states=states))


def _check(array: Array, step: TrainingStep, name: str, where: str) -> None:
    t = step.graph.types[name]
    if array.shape != t.shape or array.dtype != t.dtype.carrier:
        found = f"{array.dtype} of shape {array.shape}"
        raise SamplesError(f"{name} is {found}, the model has {t.dtype} of shape {t.shape}", where=where)
    low, high = (-MASTER_LIMIT, MASTER_LIMIT - 1) if t.dtype == INT16 else (-BIAS_LIMIT, BIAS_LIMIT)
    if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
        raise SamplesError(f"{name} has values outside of {low} to {high}", where=where)
