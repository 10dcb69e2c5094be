"""Operators that are products with constant matrices, and Einsum, in terms of MatMul."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_definitions import Definition, Steps, definition
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array


@definition("AffineGrid")
def _affine_grid(step: Definition) -> list[Any]:
    size = [int(n) for n in step.known(1, "the size")]
    corners, spatial, do = bool(step.take("align_corners", 0)), size[2:], Steps(step)

    def places(n: int) -> Array:
        return np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1

    grid = np.meshgrid(*(places(n) for n in spatial), indexing="ij")
    rows = np.stack([*(g.ravel() for g in reversed(grid)), np.ones(prod(spatial))], -1)
    product = do("MatMul", step.like("grid", rows), do("Transpose", step.node.input[0], perm=[0, 2, 1]))
    do("Reshape", product, step.indices("shape", [size[0], *spatial, len(spatial)]))
    return do.result()


@definition("DFT")
def _fourier(step: Definition) -> list[Any]:
    shape, do = step.shape(), Steps(step)
    usual = int(step.take("axis", -2 if step.opset >= 20 else 1))
    axis = step.axis(int(step.known(2, "the axis").reshape(-1)[0]) if step.has(2) else usual)
    inverse, onesided = bool(step.take("inverse", 0)), bool(step.take("onesided", 0))
    length = 2 * (shape[axis] - 1) if inverse and onesided else shape[axis]
    length = int(step.known(1, "the length").reshape(-1)[0]) if step.has(1) else length
    full = 2 * (shape[axis] - 1)
    if inverse and onesided and not (length > full if length % 2 else full - 2 <= length <= full):
        # numpy.fft.irfft and onnx's evaluator agree, with each other: findings/onnxruntime_inverse_dft_length.sh
        raise Rejected(f"{length} samples of {shape[axis]} frequencies: runtimes disagree on the result")
    matrix = _fourier_matrix(shape[axis], shape[-1], length, inverse, onesided)
    rank = len(shape)
    order = [*(a for a in range(rank - 1) if a != axis), axis, rank - 1]
    moved = do("Transpose", step.node.input[0], perm=order)
    outer = [shape[a] for a in order[:-2]]
    rows = do("Reshape", moved, step.indices("rows", [*outer, shape[axis] * shape[-1]]))
    product = do("MatMul", rows, step.like("matrix", matrix))
    parts = 1 if inverse and onesided else 2
    apart = do("Reshape", product, step.indices("parts", [*outer, matrix.shape[1] // parts, parts]))
    do("Transpose", apart, perm=[order.index(a) for a in range(rank)])
    return do.result()


def _fourier_matrix(size: int, parts: int, length: int, inverse: bool, onesided: bool) -> Array:
    """float64 (size * parts, results * 2): from real and imaginary parts side by side, or real ones, to both.

    An inverse of one side is real: (size * parts, results).
    """
    used, results = min(size, length), length if inverse or not onesided else length // 2 + 1
    angle = (2 if inverse else -2) * np.pi * np.outer(np.arange(size), np.arange(results)) / length
    factor = (np.arange(size) < used)[:, None] / (length if inverse else 1)
    if inverse and onesided:
        k = np.arange(size)
        factor = np.where((k == 0) | (2 * k == length), 1.0, 2.0)[:, None] * (k <= length // 2)[:, None] / length
        rows = [np.cos(angle) * factor, -np.sin(angle) * factor][:parts]
        return np.stack(rows, 1).reshape(size * parts, results)
    real = np.stack([np.cos(angle) * factor, np.sin(angle) * factor], -1)
    imaginary = np.stack([-np.sin(angle) * factor, np.cos(angle) * factor], -1)
    return np.stack([real, imaginary][:parts], 1).reshape(size * parts, results * 2)


@definition("STFT")
def _short_time_fourier(step: Definition) -> list[Any]:
    shape, do = step.shape(), Steps(step)
    hop = int(step.known(1, "the step").reshape(-1)[0])
    parts = shape[2] if len(shape) == 3 else 1
    window = step.known(2, "the window").ravel() if step.has(2) else None
    if step.has(3):
        length = int(step.known(3, "the length").reshape(-1)[0])
    elif window is not None:
        length = window.size
    else:
        raise Rejected("neither a window nor a length")
    frames = 1 + (shape[1] - length) // hop
    places = hop * np.arange(frames)[:, None] + np.arange(length)
    signal = do("Reshape", step.node.input[0], step.indices("signal", [shape[0], shape[1], parts]))
    taken = do("Gather", signal, step.indices("places", places), axis=1)
    rows = do("Reshape", taken, step.indices("rows", [shape[0], frames, length * parts]))
    matrix = _fourier_matrix(length, parts, length, False, bool(step.take("onesided", 1)))
    if window is not None:
        matrix = matrix * np.repeat(window.astype(np.float64), parts)[:, None]
    product = do("MatMul", rows, step.like("matrix", matrix))
    do("Reshape", product, step.indices("shape", [shape[0], frames, matrix.shape[1] // 2, 2]))
    return do.result()


@definition("Einsum")
def _einsum(step: Definition) -> list[Any]:
    """Operands one after the other: what only one of two has, and the result hasn't, is summed first; then what both
    have and the result hasn't is a matrix product's inner axis, and what both and the result have its batch.
    """
    do = Steps(step)
    shapes = [step.shape(i) for i in range(len(step.node.input))]
    terms, result = _labels(step.take("equation", b"").decode(), shapes)
    sizes = {label: n for term, shape in zip(terms, shapes, strict=True) for label, n in zip(term, shape, strict=True)}
    name, term = _diagonal(step, do, step.node.input[0], terms[0])
    for index in range(1, len(terms)):
        later = set(result).union(*terms[index + 1 :])
        other, second = _diagonal(step, do, step.node.input[index], terms[index])
        name, term = _summed(do, name, term, later | set(second))
        other, second = _summed(do, other, second, later | set(term))
        name, term = _contracted(step, do, (name, other), (term, second), later, sizes)
    name, term = _summed(do, name, term, set(result))
    do.transpose(name, [term.index(label) for label in result])
    return do.result()


def _labels(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[list[str]], list[str]]:
    """Of each operand's axes, and of the result's; the axes of an ellipsis are called 0, 1 ... from the last one."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_spelled(text, len(shape)) for text, shape in zip(left.split(","), shapes, strict=True)]
    every = [label for term in terms for label in term]
    hidden = sorted({label for label in every if label.isdigit()}, key=int, reverse=True)
    if arrow:
        before, dots, after = right.partition("...")
        return terms, [*before, *(hidden if dots else ()), *after]
    once = sorted(label for label in set(every) if every.count(label) == 1 and not label.isdigit())
    return terms, [*hidden, *once]


def _spelled(text: str, rank: int) -> list[str]:
    before, dots, after = text.partition("...")
    count = rank - len(before) - len(after)
    if count < 0 or (count and not dots):
        raise Rejected(f"the term {text!r} for an operand of {rank} axes")
    return [*before, *(str(i) for i in range(count)[::-1]), *after]


def _diagonal(step: Definition, do: Steps, name: str, term: list[str]) -> tuple[str, list[str]]:
    """Of equal labels one is left, where both axes have the same position."""
    shape = list(step.shape_of(name))
    while len(set(term)) < len(term):
        label = next(each for each in term if term.count(each) > 1)
        first, second = [i for i, each in enumerate(term) if each == label][:2]
        kept = [i for i in range(len(term)) if i not in (first, second)]
        turned = do.transpose(name, [*kept, first, second])
        n, outer = shape[first], [shape[i] for i in kept]
        rows = do("Reshape", turned, step.indices("rows", [*outer, n * n]))
        name = do("Gather", rows, step.indices("diagonal", np.arange(n) * (n + 1)), axis=len(outer))
        term, shape = [*(term[i] for i in kept), label], [*outer, n]
    return name, term


def _summed(do: Steps, name: str, term: list[str], wanted: set[str]) -> tuple[str, list[str]]:
    axes = [i for i, label in enumerate(term) if label not in wanted]
    if axes:
        name = do.reduce("ReduceSum", name, axes, keep=False)
    return name, [label for label in term if label in wanted]


def _contracted(
    step: Definition,
    do: Steps,
    names: tuple[str, str],
    terms: tuple[list[str], list[str]],
    later: set[str],
    sizes: dict[str, int],
) -> tuple[str, list[str]]:
    """The product of two operands, and its labels."""
    first, second = terms
    both = [label for label in first if label in second]
    batch, inner = [x for x in both if x in later], [x for x in both if x not in later]
    own = [[label for label in term if label not in both] for term in terms]

    def matrix(operand: int, order: Sequence[Sequence[str]]) -> str:
        flat = [label for group in order for label in group]
        turned = do.transpose(names[operand], [terms[operand].index(label) for label in flat])
        return do("Reshape", turned, step.indices("matrix", [prod(sizes[x] for x in group) for group in order]))

    product = do("MatMul", matrix(0, (batch, own[0], inner)), matrix(1, (batch, inner, own[1])))
    labels = [*batch, *own[0], *own[1]]
    return do("Reshape", product, step.indices("product", [sizes[label] for label in labels])), labels
