"""What operators share that are told by a tensor of integers where to read or write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import INT16, INT32, INT64
from tinycompile.ir import Array, TensorType
from tinycompile.ops._rules import wrong_dtype

INDEX_TYPES = (INT32, INT64, INT16)


def inside(indices: Array, size: int) -> Array:
    """int64: what lies outside of an axis becomes its nearest end, so that nothing else is ever read or written.

    LiteRT ends the inference with an error there, which a device has nobody to report to.
    """
    return np.clip(indices.astype(np.int64), 0, size - 1)


def wrong_indices(t: TensorType) -> str | None:
    return wrong_dtype(t, "the tensor of indices", *INDEX_TYPES)


def tuples(indices: Array, sizes: Sequence[int]) -> tuple[Array, ...]:
    """The last axis as coordinates along the first axes of a tensor: int64 arrays for NumPy's indexing."""
    return tuple(inside(indices[..., axis], size) for axis, size in enumerate(sizes[: indices.shape[-1]]))
