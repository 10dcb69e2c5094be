"""Floats as whole numbers of steps, so that what follows is computed in integers."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array

HEADER = "kernels/tc_edge.h"
"""Which has the same, `tc_edge_quantize`."""


def in_steps(values: Array, step: np.float32, low: int, high: int) -> Array:
    """value / step as float32 divides, then the nearest integer, halves away from zero, from `low` to `high`; int64.

    A NaN becomes `low`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = (values.astype(np.float32) / step).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
    return np.clip(np.where(np.isnan(rounded), low, rounded), low, high).astype(np.int64)


def literal(step: np.float32) -> str:
    """In C."""
    return f"{np.format_float_scientific(step, unique=True)}f"
