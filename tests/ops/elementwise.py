"""Models of one operator whose operands may have any types, compared with LiteRT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.ops.oracle import only_site
from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, verify

Array = NDArray[np.generic]
Quant = tuple[float, int]
SEVERAL = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((4,), (2, 1, 4)), ((), (5,)), ((2, 1, 3, 4), (5, 1, 4))]
"""Shapes of two operands; LiteRT broadcasts up to four axes everywhere."""
EVERY_PAIR = tuple(
    np.ascontiguousarray(grid) for grid in np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2, indexing="ij")
)
"""All 65,536 pairs of int8 values, shape (256, 256) each."""


def compare(
    kind: str,
    operands: Sequence[Array],
    quants: Sequence[Quant | None] = (),
    dtype: str | None = None,
    tolerance: float = 0,
    skip: Array | None = None,
    shape: Sequence[int] | None = None,
    **options: int | float | bool,
) -> Graph:
    """The interpreter's result is LiteRT's, bit for bit, or of floats within a relative tolerance.

    Args:
        quants: scale and zero point of each operand, then of the result.
        dtype: of the result; by default the first operand's.
        shape: of the result, where it isn't what NumPy makes of the operands'.
        skip: where LiteRT's result counts for nothing.
    """
    b, quants = TfliteBuilder(), quants or [None] * (len(operands) + 1)
    inputs = [b.tensor(x.shape, *(q or ()), dtype=x.dtype.name) for x, q in zip(operands, quants, strict=False)]
    shape = np.broadcast_shapes(*(x.shape for x in operands)) if shape is None else shape
    y = b.tensor(shape, *(quants[-1] or ()), dtype=dtype or operands[0].dtype.name)
    b.tensor((1,), 0.5)  # so that the model isn't float altogether
    b.op(kind, inputs, [y], **options)
    model = b.build(inputs, [y])
    graph = import_tflite(model, "model", "model.tflite")
    verify(graph)
    ours = interpreter.run(graph, list(operands))[graph.outputs[0]]
    theirs = Oracle(model).run(operands)[y]
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if tolerance:
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    else:
        wrong = (ours != theirs) & ~(skip if skip is not None else np.zeros(ours.shape, bool))
        assert not wrong.any(), f"{np.count_nonzero(wrong)} of {wrong.size} differ"
    return graph


def compare_floats(kind: str, x: Array, tolerance: float = 1e-6, **options: bool) -> None:
    graph = compare(kind, [x], tolerance=tolerance, **options)
    assert only_site(graph).sig.input.dtype.is_float


def compare_pairs(kind: str, dtype: str, low: int, high: int, result: str | None = None, tolerance: float = 0) -> None:
    """Operands of several shapes, of numbers from `low` to `high`."""
    rng = np.random.default_rng(0)
    for shapes in SEVERAL:
        a, b = (np.asarray(rng.uniform(low, high, shape)).astype(dtype) for shape in shapes)
        compare(kind, [a, b], dtype=result, tolerance=tolerance)


def every_pair(kind: str, quants: Sequence[Quant], dtype: str = "int8", skip: Array | None = None) -> Graph:
    """int8 operands of these scales and zero points, all pairs."""
    return compare(kind, EVERY_PAIR, quants if dtype == "int8" else [*quants[:2], None], dtype, skip=skip)
