"""Layers of integers whose input is several images: one node for each, between views of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinycompile.frontend.builder import results_of
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import ImpossibleSizeError, Op
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.slice import Slice

MOST_IMAGES = 64
"""Each is a node."""


def emit_images(scope: Scope, op: Op, operands: Sequence[str]) -> None:
    """Add a node for an operator of images, or one for each image where it computes integers.

    An image lies in one piece, and so does its result: neither the slices nor the concatenation is code. The nodes
    share their constants and, as their text is the same, their function.
    """
    x, others = scope.values.builder.types[operands[0]], operands[1:]
    images = x.shape[0] if x.shape else 1
    if len(x.shape) != 4 or images == 1 or x.dtype.is_float:
        return scope.emit(op, operands)
    if images > MOST_IMAGES:
        raise Rejected(f"the batch is {images}, supported are {MOST_IMAGES}")
    one, y, found = replace(x, shape=(1, *x.shape[1:])), scope.output_type(), list[str]()
    try:
        (part,) = results_of(op, [one, *(scope.values.builder.types[name] for name in others)])
    except ImpossibleSizeError:
        raise
    except ValueError as error:
        raise scope.fail(str(error)) from error
    for number in range(images):
        image, result = scope.temporary(f"image_{number}", one), replace(part, quant=y.quant)
        scope.emit(Slice.of_axis(x.shape, 0, number, 1), operands[:1], image)
        found.append(scope.temporary(f"layer_{number}", result))
        scope.emit(op, [image, *others], found[-1])
    return scope.emit(Concatenation(0), found)
