"""Support rules shared by the operators: each returns None, or the reason in words a user understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tinycompile.dtypes import INT8, DType
from tinycompile.ir import TensorType


def first_reason(reasons: Iterable[str | None]) -> str | None:
    """The first thing that is wrong, if anything is."""
    return next((reason for reason in reasons if reason is not None), None)


def wrong_dtype(t: TensorType, role: str, *allowed: DType) -> str | None:
    """A tensor whose element type the operator doesn't take."""
    return None if t.dtype in allowed else f"{role} is {t.dtype}, supported is {' or '.join(map(str, allowed))}"


def not_quantized(t: TensorType, role: str, *dtypes: DType) -> str | None:
    """Activations must be int8 (or one of `dtypes`) with one scale and one zero point."""
    reason = wrong_dtype(t, role, *(dtypes or (INT8,)))
    if reason is not None:
        return reason
    if t.quant is None:
        return f"{role} has no quantisation parameters"
    if not t.quant.is_per_tensor:
        return f"{role} is quantised per channel, supported is one scale for the whole tensor"
    return None


def all_quantized(types: Sequence[TensorType], role: str) -> str | None:
    return first_reason(not_quantized(t, f"{role} {index}", INT8) for index, t in enumerate(types))


def rescales(a: TensorType, b: TensorType) -> str | None:
    """For operators that copy int8 values where both sides mean the same by them, which LiteRT demands bit for bit."""
    if a.zero_point == b.zero_point and a.scale == b.scale:
        return None
    return "input and output differ in scale or zero point, and the operator does not rescale"


def bad_weights(w: TensorType, axis: int, *dtypes: DType) -> str | None:
    """Weights must be int8 (or one of `dtypes`), symmetric, with one scale or one per output channel (`axis`)."""
    reason = wrong_dtype(w, "the weight tensor", *(dtypes or (INT8,)))
    if reason is not None:
        return reason
    if w.quant is None:
        return "the weights have no quantisation parameters"
    if w.quant.zero_point.any():
        return "the weights have zero points other than 0, which LiteRT refuses or ignores here"
    if w.quant.block is not None:
        return "the weights have a scale for each block"
    if not w.quant.is_per_tensor and (w.quant.axis, w.quant.scale.size) != (axis, w.shape[axis]):
        return f"the weights are quantised along axis {w.quant.axis}, supported is the output channel ({axis})"
    return None


def invalid(derive: Callable[[], object]) -> str | None:
    """Parameters that can't be derived from the scales: `derive` raises ValueError."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            derive()
    except ValueError as error:
        return str(error)
    return None
