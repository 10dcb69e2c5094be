"""Random models of operators with two operands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, scales, zero_points
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ir import Graph

shape_pairs = st.sampled_from(
    [
        ((1, 4, 5, 6), (1, 4, 5, 6)),
        ((1, 4, 5, 6), (1, 1, 1, 6)),
        ((1, 4, 5, 6), (6,)),
        ((1, 4, 5, 6), ()),
        ((1, 4, 1, 6), (1, 1, 5, 6)),
        ((1, 1, 1, 1), (1, 4, 5, 6)),
        ((3, 7), (1, 7)),
        ((4, 1), (4, 9)),
    ]
)
quantizations = st.tuples(*[st.tuples(scales, zero_points)] * 3)


def check_binary(
    kind: str,
    shapes: tuple[Sequence[int], Sequence[int]],
    quantizations: Sequence[tuple[float, int]],
    activation: int,
    constant: int | None,
    seed: int,
) -> Graph:
    """Full-range operands; operand number `constant` is a constant of the model."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    inputs, operands = {}, []
    for index, shape in enumerate(shapes):
        values = full_range(rng, shape)
        if index == constant:
            operands.append(b.constant(values, *quantizations[index]))
        else:
            operands.append(b.tensor(shape, *quantizations[index]))
            inputs[operands[-1]] = values
    y = b.tensor(np.broadcast_shapes(*map(tuple, shapes)), *quantizations[2])
    b.op(kind, operands, [y], FusedActivationFunction=activation)
    return check(b, [y], inputs)


def every_pair(kind: str, quantizations: Sequence[tuple[float, int]]) -> Graph:
    """All 65,536 pairs of operands."""
    values = np.arange(-128, 128, dtype=np.int8)
    b = TfliteBuilder()
    first, second = b.tensor((256, 256), *quantizations[0]), b.tensor((256, 256), *quantizations[1])
    y = b.tensor((256, 256), *quantizations[2])
    b.op(kind, [first, second], [y])
    grid = np.meshgrid(values, values, indexing="ij")
    return check(b, [y], {first: grid[0].copy(), second: grid[1].copy()})
