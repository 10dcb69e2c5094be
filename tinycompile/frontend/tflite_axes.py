"""Axes as TFLite files give them: as an option or as an operand, counted from the end where they are negative."""

from __future__ import annotations

from tinycompile.frontend.tflite_scope import Scope


def axis_of(scope: Scope, axis: int, rank: int) -> int:
    """Of so many dimensions, counted from the front. Raises ModelFileError where there is no such axis."""
    if not -rank <= axis < rank:
        raise scope.fail(f"axis {axis} of {rank}")
    return axis % rank


def operand_axis(scope: Scope, operand: int, rank: int) -> int:
    """The only element of a constant operand, as `axis_of`."""
    axes = scope.integers(operand, "the axis")
    if len(axes) != 1:
        raise scope.fail(f"the axis is {axes}")
    return axis_of(scope, axes[0], rank)
