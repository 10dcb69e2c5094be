"""What a layer with few bits will lose once a fit has chosen its codes together, without fitting all of it.

A fit of all weights takes the longest of everything here, and losses decide before there is one. So all weights are
rounded on their own, which is cheap and gives an error that can be sent through the network; how much less a fit
makes of it is found on a few of the layer's outputs. That part depends on the operands: where they say much of each
other, as the pixels of a window do, it is a tenth, where they don't, nearly all stays.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.low_bits import LowBitWeights, fit_weights, levels_of
from tinycompile.quantize.rounding import descended, one_by_one

_OUTPUTS = 12
"""Outputs of a group that are fitted, about."""
_LEAST = 1e-30


def expected(rows: Array, moment: Array, bits: int, damping: float) -> tuple[LowBitWeights, float]:
    """(weights rounded on their own, the part of their error's power that codes chosen together leave).

    The codes are for the same scales. A fit changes scales as well, which lowers all layers' errors by about as much.

    Args:
        rows, moment, damping: as for `fit_weights`.
    """
    found = fit_weights(rows, moment, bits, method="awq", damping=damping)
    chosen = slice(None, None, max(1, rows.shape[1] // _OUTPUTS))
    power = max(float(np.einsum("gii->gi", moment).mean()), _LEAST)
    relative = (moment / power).astype(np.float32)
    damped = relative + np.float32(damping) * np.eye(rows.shape[2], dtype=np.float32)
    wanted, steps = rows[:, chosen].astype(np.float32), found.scales[:, chosen][..., found.blocks]
    levels = levels_of(bits)
    together = descended(one_by_one(wanted, damped, levels, steps), wanted, damped, levels, steps)

    def lost(result: Array) -> float:
        error = result - wanted
        return float(np.sum((error @ relative) * error, dtype=np.float64))

    return found, min(1.0, max(lost(together), 0.0) / max(lost(found.weights[:, chosen]), _LEAST))
