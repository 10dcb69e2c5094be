"""Normalisations as differences from the mean, their squares' mean, and a factor for each row.

onnx's own bodies take the square of the mean from the mean of the squares, two numbers that are large where the mean
is, so that nothing of their difference may be left, in 8 bits above all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_definitions import Definition, Steps, definition
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ops._arithmetic.normalisation import MAX_DEPTH


def _normalised(step: Definition, do: Steps, x: str, axes: Sequence[int]) -> tuple[str, str, str]:
    """((x - mean) / deviation, mean, 1 / deviation)."""
    mean = do.reduce("ReduceMean", x, axes)
    distance = do("Sub", x, mean)
    variance = do.reduce("ReduceMean", do("Mul", distance, distance), axes)
    inverse = _inverse_root(step, do, variance)
    return do("Mul", distance, inverse), mean, inverse


def _inverse_root(step: Definition, do: Steps, power: str) -> str:
    epsilon = step.like("epsilon", step.take("epsilon", 1e-5))
    return do("Reciprocal", do("Sqrt", do("Add", power, epsilon)))


def _is_operator(step: Definition) -> bool:
    """Whether `onnx_norms.py` reads it as it is: rows along the last axis, one result, constants for each column."""
    shape, rows = step.shape(), step.axis(step.value("axis", -1)) == len(step.shape()) - 1
    operands = [operand for operand in (1, 2) if step.has(operand)]
    if not rows or any(step.node.output[1:]) or step.dtype() != np.float32 or shape[-1] > MAX_DEPTH:
        return False
    try:
        return all(step.known(operand, "a column").shape == shape[-1:] for operand in operands)
    except Rejected:
        return False


@definition("LayerNormalization")
def _layer(step: Definition) -> list[Any]:
    if _is_operator(step):
        return []
    step.take("stash_type", 1)  # the type of the sums: float32, or float64
    do, first = Steps(step), step.axis(step.take("axis", -1))
    x, mean, inverse = _normalised(step, do, step.node.input[0], range(first, len(step.shape())))
    for operand, kind in ((1, "Mul"), (2, "Add")):
        if step.has(operand):
            x = do(kind, x, step.node.input[operand])
    do.give(x, mean, inverse)
    return do.nodes


@definition("RMSNormalization")
def _root_mean_square(step: Definition) -> list[Any]:
    if _is_operator(step):
        return []
    step.take("stash_type", 1)
    x, do, first = step.node.input[0], Steps(step), step.axis(step.take("axis", -1))
    power = do.reduce("ReduceMean", do("Mul", x, x), range(first, len(step.shape())))
    do("Mul", do("Mul", x, _inverse_root(step, do, power)), step.node.input[1])
    return do.result()


@definition("InstanceNormalization")
def _instance(step: Definition) -> list[Any]:
    do, rank = Steps(step), len(step.shape())
    x, _, _ = _normalised(step, do, step.node.input[0], range(2, rank))
    _of_channels(step, do, x, rank)
    return do.result()


@definition("GroupNormalization")
def _group(step: Definition) -> list[Any]:
    """From opset 21 on: before, it had a scale for each group, and is deprecated."""
    step.take("stash_type", 1)
    shape, groups, do = step.shape(), int(step.take("num_groups", 0)), Steps(step)
    if groups < 1 or shape[1] % groups:
        raise Rejected(f"num_groups = {groups} of {shape[1]} channels")
    rows = step.indices("rows", [shape[0], groups, prod(shape[1:]) // groups])
    x, _, _ = _normalised(step, do, do("Reshape", step.node.input[0], rows), [2])
    _of_channels(step, do, do("Reshape", x, step.indices("shape", shape)), len(shape))
    return do.result()


def _of_channels(step: Definition, do: Steps, x: str, rank: int) -> None:
    """Times operand 1, plus operand 2, which have an element for each channel (axis 1)."""
    wide = step.indices("wide", [-1, *(1,) * (rank - 2)])
    for operand, kind in ((1, "Mul"), (2, "Add")):
        x = do(kind, x, do("Reshape", step.node.input[operand], wide))
