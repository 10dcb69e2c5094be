"""Integers for weights, chosen together: by what the layer's results lose, and not weight by weight.

The second moment of a layer's operands says it: rounding errors e of an output's weights change the output by e x,
whose mean square is e^T (mean of x x^T) e.

Sources: E. Frantar et al., "GPTQ", ICLR 2023, section 3: columns are rounded one by one, and what each rounding costs
is made up for by columns that aren't rounded yet. M. Nagel et al., "Up or Down? Adaptive Rounding", ICML 2020, section
3: the quadratic form that roundings are judged by; here it is descended coordinate by coordinate.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array

_SWEEPS = 2
_BYTE = (-127, 127)


def one_by_one(wanted: Array, moment: Array, levels: tuple[int, int] = _BYTE, steps: Array | float = 1.0) -> Array:
    """GPTQ's integers, without its inverse, times their steps.

    With moment = V V^T and V upper triangular, the error of a row costs the squares of its products with V's columns.
    Each column of weights is the last in one of these: it makes that product as small as it can.

    Source: J. Chen et al., "The Geometry of LLM Quantization: GPTQ as Babai's Nearest Plane Algorithm", 2025.

    Args:
        wanted: (parts, outputs, depth).
        moment: (parts, depth, depth), positive definite.
        levels: the smallest and the largest integer.
        steps: what the integers are multiplied with: a number, or an array that has the shape of `wanted`.
    """
    factor = np.linalg.cholesky(moment[:, ::-1, ::-1])[:, ::-1, ::-1]
    # Each column of the products is one row here, its diagonal element 1.
    columns = np.ascontiguousarray((factor / np.einsum("gii->gi", factor)[:, None]).swapaxes(1, 2))[..., None]
    result, error = np.empty_like(wanted), np.empty_like(wanted)
    for column in range(wanted.shape[2]):
        step = steps[..., column] if isinstance(steps, np.ndarray) else steps
        due = wanted[..., column] + (error[..., :column] @ columns[:, column, :column])[..., 0]
        result[..., column] = np.minimum(np.maximum(np.rint(due / step), levels[0]), levels[1]) * step
        error[..., column] = wanted[..., column] - result[..., column]
    return result


def descended(
    result: Array,
    wanted: Array,
    moment: Array,
    levels: tuple[int, int] = _BYTE,
    steps: Array | float = 1.0,
    sweeps: int = _SWEEPS,
) -> Array:
    """The same, each weight in turn replaced by the best one, the others as they are. `result` is overwritten."""
    power = np.einsum("gii->gi", moment)
    slope = (result - wanted) @ moment
    for _ in range(sweeps):
        settled = True
        for column in range(wanted.shape[2]):
            step = steps[..., column] if isinstance(steps, np.ndarray) else steps
            before = result[..., column]
            best = np.rint((before - slope[..., column] / power[:, None, column]) / step)
            change = np.minimum(np.maximum(best, levels[0]), levels[1]) * step - before
            part, output = np.nonzero(change)
            if len(part):
                changed = change[part, output]
                result[part, output, column] += changed
                slope[part, output] += changed[:, None] * moment[part, column]
                settled = False
        if settled:
            break
    return result
