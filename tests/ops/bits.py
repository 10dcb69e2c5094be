"""Functions of the bits of two integers against LiteRT, and their kernels."""

from __future__ import annotations

import numpy as np

from tests.ops.agreement import agree
from tests.support.tflite_builder import TfliteBuilder

SHAPES = [((2, 3, 4), (3, 1)), ((3,), ()), ((4, 5), (4, 5))]


def check_bits(kind: str, dtype: str) -> None:
    """Numbers of the whole range; the second operand a constant as well."""
    info = np.iinfo(dtype)
    for number, shapes in enumerate(SHAPES):
        rng = np.random.default_rng(number)
        x, z = (rng.integers(info.min, info.max, shape, endpoint=True).astype(dtype) for shape in shapes)
        z = np.where(rng.random(z.shape) < 0.5, z, rng.integers(0, 8 * z.itemsize, z.shape)).astype(dtype)
        b = TfliteBuilder()
        places = [b.tensor(x.shape, dtype=dtype), b.tensor(z.shape, dtype=dtype) if number else b.constant(z)]
        y = b.tensor(np.broadcast_shapes(x.shape, z.shape), dtype=dtype)
        b.op(kind, places, [y])
        given = [(place, value) for place, value in zip(places, (x, z), strict=True) if b.tensors[place].data is None]
        agree(b, [place for place, _ in given], [y], [[value for _, value in given]])
