"""What convolutions and pooling read of their options."""

from __future__ import annotations

from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Scope
from tinycompile.ops._spatial import Padding, same_padding


def window_padding(
    scope: Scope, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Padding:
    """Explicit padding for SAME and VALID."""
    shape = scope.input_type().shape
    if len(shape) != 4:
        raise scope.fail(f"the input has {len(shape)} dimensions instead of 4")
    scheme = scope.options.integer("Padding")
    if scheme == tflite.Padding.VALID:
        return 0, 0, 0, 0
    if scheme != tflite.Padding.SAME:
        raise scope.fail(f"its option padding is {scheme}")
    rows, columns = (same_padding(shape[i + 1], kernel[i], stride[i], dilation[i]) for i in range(2))
    return (*rows, *columns)
