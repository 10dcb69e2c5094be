"""What each operator says that it reads is what it reads: by brute force, of every operator there is.

One position of an operand is changed, and the outputs that change with it are exactly those that read it by the
operator's `access`. Then a part of the output is computed by `part`, from what the receptive field of the part holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.ops.samples import SAMPLERS, Sample, sampler_of
from tests.support.full import FULL
from tests.support.kernel_checks import int8
from tinycompile.access import (
    Access,
    Across,
    Box,
    Enlarged,
    Given,
    Lines,
    Planar,
    Pointwise,
    Spread,
    Summed,
    Whole,
    Windowed,
)
from tinycompile.dtypes import BOOL, FLOAT32
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops import all_ops
from tinycompile.ops.plane_rows import PlaneRows
from tinycompile.ops.transpose import Transpose

KINDS = sorted(all_ops())
WITHOUT_PART = {"transpose", "resize_nearest_neighbor", "batch_matmul", "pixels"}
"""Of some parts."""
SAMPLES, CHANGES = 12 if FULL else 8, 10
Place = tuple[int, ...]
BY_POSITIONS = {
    "average_pool2d": {Windowed},
    "batch_matmul": {Across, Pointwise},
    "blockwise_fully_connected": {Pointwise},
    "concatenation": {Pointwise},
    "conv2d": {Windowed},
    "conv3d": {Windowed},
    "depthwise_conv2d": {Windowed},
    "fully_connected": {Pointwise},
    "identity": {Pointwise},
    "input_rows": {Given},
    "max_pool2d": {Windowed},
    "mean": {Pointwise},
    "pad": {Windowed},
    "pixels": {Lines},
    "plane_rows": {Planar},
    "reduce_all": {Pointwise},
    "reduce_any": {Pointwise},
    "reduce_max": {Pointwise},
    "reduce_min": {Pointwise},
    "reduce_prod": {Pointwise},
    "reduce_sum": {Pointwise},
    "resize_nearest_neighbor": {Enlarged},
    "spatial_sum": {Summed},
    "take": {Pointwise, Enlarged, Windowed},
    "transpose": {Planar},
    "transpose_conv": {Spread},
}
"""Those that say so themselves; what treats every element alike is pointwise, the rest reads operands whole."""


def samples(kind: str, count: int = SAMPLES) -> Iterator[tuple[Sample, np.random.Generator]]:
    sampler, rng = sampler_of(kind), np.random.default_rng(zlib.crc32(kind.encode()))
    assert sampler is not None, f"tests/ops/samples.py has no sampler for {kind}"
    while count:
        sample = sampler(rng)
        if sample.op.kind == kind:
            count -= 1
            yield sample, rng


def accesses(sample: Sample) -> list[Access]:
    return [sample.op.access(sample.sig, operand) for operand in range(len(sample.sig.inputs))]


def positions(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of an output, along each axis."""
    return shape[1:-1]


def aligned(shape: tuple[int, ...], sample: Sample) -> tuple[int, ...]:
    """With the axes that an operand may lack where it is broadcast."""
    return (1,) * (len(sample.sig.output.shape) - len(shape)) + shape


def changed(
    sample: Sample, operand: int, at: tuple[int | slice, ...], values: list[Array], new: Array, before: Array
) -> set[Place]:
    """Positions of the output that change from `before` where an operand, its axes aligned, changes in one place."""
    shape, other = aligned(new.shape, sample), list(values)
    other[operand] = values[operand].copy()
    other[operand].reshape(shape)[at] = new.reshape(shape)[at]
    differs = before != sample.op.evaluate(sample.sig, other)[0]
    return {tuple(int(n) for n in where) for where in np.argwhere(differs.any(axis=(0, -1)))}


def readers(access: Access, position: Place, shape: Place) -> set[Place]:
    """Positions of an output of some shape that read a position of the operand, by the description."""
    along = [access.along(axis) for axis in range(len(shape))]
    found = [
        [y for y in range(n) if reach is not None and at in reach.taps(y)]
        for n, reach, at in zip(shape, along, position, strict=True)
    ]
    return set(product(*found))


def blocks(places: set[Place], access: Spread) -> set[Place]:
    """Those of a stride that positions of the output are in."""
    return {tuple(n // stride for n, stride in zip(place, access.stride, strict=True)) for place in places}


def contrasts(t: TensorType, rng: np.random.Generator, sample: Sample, operand: int) -> Iterator[tuple[Array, Array]]:
    """(value, other value) of an operand: random ones, and from one end of the range to the other; integers also 0 and
    1, as shifts by most others leave nothing."""
    low, high = {FLOAT32: (-100, 100), BOOL: (False, True)}.get(t.dtype) or t.dtype.range
    ends = np.full(t.shape, low, t.dtype.carrier), np.full(t.shape, high, t.dtype.carrier)
    for _ in range(12 if t.dtype == BOOL else 1):  # half of what the other operand is hides a change
        yield ends
        yield ends[::-1]
    if t.dtype not in (FLOAT32, BOOL):
        yield np.zeros_like(ends[0]), np.ones_like(ends[0])
    for _ in range(CHANGES):
        yield sample.values(rng)[operand], sample.values(rng)[operand]


def changes(sample: Sample, operand: int, rng: np.random.Generator) -> dict[Place, set[Place]]:
    """For each position of an operand those of the output that change with it, whatever the values."""
    access, t = sample.op.access(sample.sig, operand), sample.sig.inputs[operand]
    own = aligned(t.shape, sample)[access.first_axis :][: len(positions(sample.sig.output.shape))]
    found = {position: set[Place]() for position in product(*map(range, own))}
    for value, new in contrasts(t, rng, sample, operand):
        values = sample.values(rng)
        values[operand] = value
        before = sample.op.evaluate(sample.sig, values)[0]
        for position, places in found.items():
            at = (*[slice(None)] * access.first_axis, *position)
            places |= changed(sample, operand, at, values, new, before)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_that_change_are_those_that_read(kind: str) -> None:
    for sample, rng in samples(kind):
        for operand, access in enumerate(accesses(sample)):
            if isinstance(access, Whole | Summed) or sample.constants[operand] is not None:
                continue
            shape, t = positions(sample.sig.output.shape), sample.sig.inputs[operand]
            for position, found in changes(sample, operand, rng).items():
                expected = readers(access, position, shape)
                if isinstance(access, Spread):
                    assert found <= expected, (sample.op, str(t), operand, position)
                    found, expected = blocks(found, access), blocks(expected, access)
                if isinstance(access, Lines):  # which says of rows alone what is read, and of them no less
                    assert found <= expected, (sample.op, str(t), operand, position)
                    continue
                assert found == expected, (sample.op, str(t), operand, position)


@pytest.mark.parametrize("kind", KINDS)
def test_every_description_is_met(kind: str) -> None:
    """The samples don't all happen to be `Whole`."""
    found = {type(sample.op.access(sample.sig, 0)) for sample, _ in samples(kind, 50)}
    if kind in BY_POSITIONS:
        assert found - {Whole} == BY_POSITIONS[kind]
    else:
        assert found in ({Whole}, {Pointwise})


def test_samplers_are_of_operators() -> None:
    assert SAMPLERS.keys() <= all_ops().keys()


def cut(value: Array, access: Access, box: Box, divided: set[int]) -> Array:
    """What a part reads of an operand: along divided axes the receptive field, with what padding reads."""
    for axis in divided:
        dimension = access.first_axis + axis
        wanted = box[axis]
        before, after = max(0, -wanted.start), max(0, wanted.stop - value.shape[dimension])
        amounts = [(before, after) if i == dimension else (0, 0) for i in range(value.ndim)]
        if before or after:
            value = np.pad(value, amounts, constant_values=access.fill)
        value = value.take(range(wanted.start + before, wanted.stop + before), axis=dimension)
    return value


def boxes(sample: Sample, rng: np.random.Generator) -> tuple[Box, set[int]] | None:
    """A part of the output in whole blocks, and the axes along which it is less than all; None where blocks are odd."""
    shape, found, divided = positions(sample.sig.output.shape), list[range](), set[int]()
    for axis, n in enumerate(shape):
        reaches = [access.along(axis) for access in accesses(sample)]
        up = max((reach.up for reach in reaches if reach is not None), default=1)
        first = int(rng.integers(0, n // up))
        last = int(rng.integers(first, n // up)) + 1
        if rng.random() < 0.7:
            divided.add(axis)
        found.append(range(first * up, last * up) if axis in divided else range(n))
    return tuple(found), divided


def is_told_apart(sample: Sample, divided: set[int]) -> bool:
    """As the planner demands it: what is padded with nothing can't be in memory; nor can a constant be divided."""
    for access, constant, t in zip(accesses(sample), sample.constants, sample.sig.inputs, strict=True):
        for axis in divided:
            reach = access.along(axis)
            if reach is None and constant is None:
                return False
            if reach is None or access.fill is not None:
                continue
            size = aligned(t.shape, sample)[access.first_axis + axis]
            if reach.leaves(positions(sample.sig.output.shape)[axis], size):
                return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_computes_a_part(kind: str) -> None:
    """`part`, on the receptive field and what padding reads, is that part of the whole."""
    for sample, rng in samples(kind, 50):
        if not positions(sample.sig.output.shape) or any(isinstance(a, Summed | Given) for a in accesses(sample)):
            continue
        box, divided = boxes(sample, rng)
        sizes = [len(span) if axis in divided else None for axis, span in enumerate(box)]
        if not divided or not sample.sig.inputs or not is_told_apart(sample, divided):
            continue
        op = sample.op.part(sample.sig, sizes)
        if op is None:
            assert kind in WITHOUT_PART, "no part, and no reason known"
            continue
        values, parts = sample.values(rng), list[Array]()
        for access, value in zip(accesses(sample), values, strict=True):
            needed = access.needs(box)
            whole = value if needed is None else value.reshape(aligned(value.shape, sample))
            parts.append(whole if needed is None else cut(whole, access, needed, divided))
        types = [replace(t, shape=part.shape) for t, part in zip(sample.sig.inputs, parts, strict=True)]
        ((shape, _),) = op.infer(types)
        sig = Signature(tuple(types), (replace(sample.sig.output, shape=shape),))
        (got,) = op.evaluate(sig, parts)
        whole = sample.op.evaluate(sample.sig, values)[0]
        np.testing.assert_array_equal(got, whole[(slice(None), *(slice(s.start, s.stop) for s in box))])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sum_takes_its_terms_one_after_the_other(kind: str) -> None:
    for sample, rng in samples(kind, 8):
        if not any(isinstance(access, Summed) for access in accesses(sample)):
            continue
        (x,) = sample.values(rng)
        split = int(rng.integers(0, x.shape[1] + 1))
        total = np.zeros(sample.sig.output.shape, np.int64)
        for terms in (x[:, :split], x[:, split:]):
            op = sample.op.part(sample.sig, (len(terms[0]), None))
            assert op is not None
            sig = replace(sample.sig, inputs=(replace(sample.sig.input, shape=terms.shape),))
            total += op.evaluate(sig, [terms])[0]
        np.testing.assert_array_equal(total, sample.op.evaluate(sample.sig, [x])[0])


def test_rows_of_planes() -> None:
    """Only rows: a part of the columns isn't worth an operator."""
    sig = Signature((int8((1, 3, 8, 5)),), (int8((1, 8, 5, 3)),))
    op = Transpose((0, 2, 3, 1))
    assert op.part(sig, (2, None)) == PlaneRows(2)
    assert op.part(sig, (2, 2)) is None
