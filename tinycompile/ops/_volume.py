"""What convolutions of volumes share: (N, depth, rows, columns, C), and three numbers for each step of a window."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.ir import TensorType

Triple = tuple[int, int, int]
"""Of depth, rows, columns."""


def check_volume(inputs: Sequence[TensorType]) -> None:
    """Operands of a convolution: x, weights (C_out, kd, kh, kw, C_in), optionally the bias (C_out,).

    Raises ValueError where they contradict each other.
    """
    x, w = inputs[0], inputs[1]
    if len(x.shape) != 5 or len(w.shape) != 5 or 0 in w.shape:
        raise ValueError(f"a convolution of volumes needs a 5-D input and 5-D weights, got {x} and {w}")
    if x.shape[4] != w.shape[4]:
        raise ValueError(f"an input of {x.shape[4]} channels, weights {w}")
    if len(inputs) > 2 and inputs[2].shape != w.shape[:1]:
        raise ValueError(f"the bias has shape {inputs[2].shape}, the weights have {w.shape[0]} output channels")
