"""com.microsoft's operators whose constants have few bits and a scale for each block, in ONNX's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_parameters import of_elements, positive_axis
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

_BITS = (2, 4, 8)


def _fields(packed: Array, bits: int) -> Array:
    """The numbers in the bytes of the last axis, the first one in the lowest bits; uint8."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    fields = (packed.astype(np.uint8)[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return fields.reshape(*packed.shape[:-1], -1)


def _bits(step: Expansion) -> int:
    bits = int(step.take("bits", 4))
    if bits not in _BITS:
        raise Rejected(f"the attribute bits = {bits}, supported are {', '.join(map(str, _BITS))}")
    return bits


def _matmul(step: Expansion, inputs: list[str]) -> list[Any]:
    """MatMulNBits(A, B, scales, zero_points, g_idx, bias): A times the rows of B, each of K numbers in blocks."""
    a, b, scales, zeros, order, bias = [*inputs, *[""] * (6 - len(inputs))]
    bits, block = _bits(step), int(step.take("block_size", 0))
    inner, outer = int(step.take("K", 0)), int(step.take("N", 0))
    step.take("accuracy_level", 0)  # how exact its sum has to be at least
    if order:
        raise Rejected("the operand g_idx: blocks of elements that aren't beside each other")
    if step.take("weight_prepacked", 0):
        raise Rejected("the attribute weight_prepacked: weights in the order of a GPU")
    if step.attributes or block < 1 or inner < 1 or outer < 1:
        raise Rejected(f"the attributes {sorted(step.attributes)}, block_size = {block}, K = {inner}, N = {outer}")
    blocks = -(-inner // block)
    packed = _shaped(step.known(b, "B"), (outer, blocks, -(-block * bits // 8)), "weights")
    if packed.dtype != np.uint8:
        raise Rejected(f"its weights are {packed.dtype.name}, supported is uint8")
    numbers = _fields(packed, bits)[..., :block].reshape(outer, -1)[:, :inner]
    of_blocks = _shaped(step.known(scales, "scales"), (outer, blocks), "scales")
    zero_points = _zero_points(step, zeros, (outer, blocks), bits)
    real, turned = step.name("weights"), step.name("turned")
    product = step.name("product") if bias else step.node.output[0]
    nodes = [
        *_dequantized(step, numbers, of_blocks, zero_points, 1, block, real),
        step.make("Transpose", [real], turned, perm=[1, 0]),
        step.make("MatMul", [a, turned], product),
    ]
    return [*nodes, step.make("Add", [product, bias], step.node.output[0])] if bias else nodes


def _zero_points(step: Expansion, name: str, shape: tuple[int, int], bits: int) -> Array:
    """(rows, blocks); floats, or packed, each row in bytes of its own."""
    if not name:
        return np.full(shape, 1 << (bits - 1), np.uint8)
    given = step.known(name, "zero_points")
    if given.dtype == np.uint8:
        packed = _shaped(given, (shape[0], -(-shape[1] * bits // 8)), "packed zero points")
        return _fields(packed, bits)[:, : shape[1]]
    return _shaped(given, shape, "zero points")


def _shaped(given: Array, shape: tuple[int, ...], what: str) -> Array:
    """With that shape; files may leave out or join axes. Raises Rejected where there are more or fewer elements."""
    if given.size != prod(shape):
        raise Rejected(f"{what} of the shape {list(given.shape)}; by its attributes they are {list(shape)}")
    return given.reshape(shape)


def _dequantized(
    step: Expansion, numbers: Array, scales: Array, zero_points: Array, axis: int, block: int, result: str
) -> list[Any]:
    """DequantizeLinear by blocks; zero points that are no integers of the numbers' type make floats of it."""
    scales = scales.astype(np.float32)
    if not np.array_equal(zero_points.astype(np.float32), zero_points.astype(numbers.dtype).astype(np.float32)):
        spread = [of_elements(each, axis, block, numbers.shape) for each in (scales, zero_points)]
        floats = (numbers.astype(np.float32) - spread[1].astype(np.float32)) * spread[0]
        return [step.make("Identity", [step.constant("floats", floats, np.float32)], result)]
    names = [
        step.constant("numbers", numbers, numbers.dtype),
        step.constant("scales", scales, np.float32),
        step.constant("zeros", zero_points, numbers.dtype),
    ]
    return [step.make("DequantizeLinear", names, result, axis=axis, block_size=block)]


def _gather(step: Expansion, inputs: list[str]) -> list[Any]:
    """GatherBlockQuantized(data, indices, scales, zero_points): elements of what DequantizeLinear makes of the data."""
    data, indices, scales, zeros = [*inputs, *[""] * (4 - len(inputs))]
    bits, block = _bits(step), int(step.take("block_size", 128))
    axis, gathered = int(step.take("quantize_axis", 1)), int(step.take("gather_axis", 0))
    numbers, of_blocks = step.known(data, "data"), step.known(scales, "scales")
    packed = numbers.dtype == np.uint8
    middle = 1 << (bits - 1)
    if numbers.dtype.name not in ("uint8", "int4", "uint4"):
        raise Rejected(f"its data is {numbers.dtype.name}, supported are uint8, int4 and uint4")
    if numbers.size == 0 or of_blocks.ndim != numbers.ndim:
        raise Rejected(f"scales of the shape {list(of_blocks.shape)} for data of the shape {list(numbers.shape)}")
    numbers = _fields(numbers, bits) if packed else numbers.astype(np.int8)
    if zeros:
        zero_points = step.known(zeros, "zero_points")
        zero_points = _fields(zero_points, bits)[..., : of_blocks.shape[-1]] if packed else zero_points.astype(np.int8)
        if zero_points.shape != of_blocks.shape:
            raise Rejected(f"zero points of the shape {list(zero_points.shape)} for scales {list(of_blocks.shape)}")
    else:
        zero_points = np.full(of_blocks.shape, middle if packed else 0, numbers.dtype)
    axis = positive_axis(axis, numbers.shape)
    of_elements(of_blocks, axis, block, numbers.shape)
    real = step.name("table")
    nodes = _dequantized(step, numbers, of_blocks, zero_points, axis, block, real)
    return [*nodes, step.make("Gather", [real, indices], step.node.output[0], axis=gathered)]


BLOCKS: Mapping[str, Callable[[Expansion, list[str]], list[Any]]] = {
    "GatherBlockQuantized": _gather,
    "MatMulNBits": _matmul,
}
