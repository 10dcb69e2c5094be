"""Scalars, vectors and operands without elements: an operator says no in words, or computes them and has a kernel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.ops.samples import Sample, sampler_of
from tests.support.kernel_checks import M7, random_values
from tinycompile.control_flow import WithControlFlow
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.frontend.builder import results_of
from tinycompile.ir import Array, ImpossibleSizeError, Node, Quantization, Signature, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.ops import all_ops
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.reduce_sum import ReduceSum

KINDS = sorted(all_ops())
SAMPLES = 3
_QUANTIZED = {INT8: Quantization.per_tensor(0.1, 3), INT16: Quantization.per_tensor(0.001, 0)}


def typed(t: TensorType, dtype: DType | None) -> TensorType:
    """A tensor of numbers with elements of another type."""
    if dtype is None or t.dtype not in (FLOAT32, INT8):
        return t
    return TensorType(t.shape, dtype, _QUANTIZED.get(dtype))


def reshapings(shapes: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """All operands as scalars or vectors; each of them as one, or without elements."""
    yield [() for _ in shapes]
    yield [shape[-1:] for shape in shapes]
    for operand, shape in enumerate(shapes):
        empty = {(0,) * len(shape), (0, *shape[1:]), (*shape[:-1], 0)} if shape else set[tuple[int, ...]]()
        for changed in ((), shape[-1:], *sorted(empty)):
            yield [changed if i == operand else other for i, other in enumerate(shapes)]


def degenerate(sample: Sample) -> Iterator[tuple[Signature, Sample]]:
    """Operands that the frontends' `results_of` and `unsupported` let through, and that have a result."""
    if not sample.sig.inputs:
        return
    seen = set[str]()
    for shapes in reshapings([t.shape for t in sample.sig.inputs]):
        for dtype in (None, FLOAT32, INT8, INT16, INT32):
            inputs = tuple(replace(typed(t, dtype), shape=s) for t, s in zip(sample.sig.inputs, shapes, strict=True))
            key = " ".join(map(str, inputs))
            if key in seen:
                continue
            seen.add(key)
            try:
                results = results_of(sample.op, inputs)
            except ValueError:
                continue
            outputs = tuple(
                replace(typed(t, dtype), shape=result.shape, dtype=result.dtype)
                for t, result in zip(sample.sig.outputs, results, strict=True)
            )
            sig = Signature(inputs, outputs)
            if sample.op.unsupported(sig) is None:
                yield sig, sample


def _is(value: Array, t: TensorType) -> bool:
    """Whether it still is of the type: what operators look up in constants needn't be anything."""
    return value.shape == t.shape and value.dtype == t.dtype.carrier


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_let_through_is_computed(kind: str) -> None:
    sampler, rng = sampler_of(kind), np.random.default_rng(zlib.crc32(kind.encode()))
    assert sampler is not None
    for _ in range(SAMPLES):
        for sig, sample in degenerate(sampler(rng)):
            constants = [
                value if value is None or _is(value, t) else random_values(t, rng)
                for value, t in zip(sample.constants, sig.inputs, strict=True)
            ]
            values = [random_values(t, rng) if c is None else c for t, c in zip(sig.inputs, constants, strict=True)]
            results = sample.op.evaluate(sig, values)
            assert [r.shape for r in results] == [t.shape for t in sig.outputs], (sample.op, sig)
            names = tuple(f"x{i}" for i in range(len(values))), tuple(f"y{i}" for i in range(len(results)))
            assert WithControlFlow(kernels_of)(Site(Node("layer", sample.op, *names), sig, tuple(constants)), M7), (
                sample.op,
                sig,
            )


def test_nothing_is_computed_of_nothing() -> None:
    """A result without elements, or an operand: no file's operator comes so far."""
    with pytest.raises(ImpossibleSizeError, match=r"an operand is int8\[1x0\], which has no elements"):
        results_of(ReduceSum((1,), keep_dims=False), [TensorType((1, 0), INT8)])
    with pytest.raises(ImpossibleSizeError, match=r"the result is int8\[0x3\], which has no elements"):
        results_of(BroadcastTo((0, 3)), [TensorType((3,), INT8)])
