"""Masks: a number in place of elements, so low that a softmax makes nothing of them, and the range that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import FloatGraph, attributes_of

SHARE = 2.0**-8
"""What all masked elements of a row have together, at most, as a part of its largest other one: a step of 8 bits."""

LOWEST = -1e9
"""In place of minus infinity, which has no 8-bit number: a softmax makes nothing of either."""

_MOVES = frozenset("Transpose Reshape Squeeze Unsqueeze Identity".split())


@dataclass(frozen=True)
class Mask:
    """A Where in front of a softmax that puts a number in place of some elements.

    Attributes:
        kept: the value whose other elements stay.
        of_rows: whether its last axis is the softmax's.
    """

    kept: str
    number: float
    of_rows: bool

    def keeps(self, result: Array) -> Array:
        """Which elements aren't masked."""
        return result != self.number

    def end(self, result: Array) -> float:
        """The least value that the range of the results needs; minus infinity if the number isn't below that.

        A row's elements that are as far below its largest one as masked ones are make as little difference.
        """
        kept = np.where(self.keeps(result), result, -np.inf).reshape(-1, result.shape[-1] if self.of_rows else 1)
        largest = kept.max(axis=-1)
        least = float(largest[np.isfinite(largest)].min(initial=np.inf)) + float(np.log(SHARE / result.shape[-1]))
        return least if np.isfinite(least) and self.number < least else -np.inf


def masks(graph: FloatGraph) -> dict[str, Mask]:
    """By result."""
    found = dict[str, Mask]()
    for node in graph.nodes:
        mask = _mask(graph, node)
        if mask is not None and _feeds_softmax(graph, node.output[0]):
            found[node.output[0]] = mask
    return found


def _has_rows(graph: FloatGraph, name: str) -> bool:
    """Whether a softmax along the last axis reads a value as it is."""
    softmax, rank = graph.only_consumer(name), len(graph.shapes.get(name, ()))
    return (
        softmax is not None
        and softmax.op_type == "Softmax"
        and attributes_of(softmax).get("axis", -1) in (-1, rank - 1)
    )


def _mask(graph: FloatGraph, node: Any) -> Mask | None:
    if node.op_type != "Where":
        return None
    for kept, other in (node.input[1:], reversed(node.input[1:])):
        number = graph.constants.get(other)
        if kept not in graph.constants and number is not None and number.size == 1:
            return Mask(kept, float(number.reshape(())), _has_rows(graph, node.output[0]))
    return None


def _feeds_softmax(graph: FloatGraph, name: str) -> bool:
    while name not in graph.outputs:
        node = graph.only_consumer(name)
        if node is None or node.op_type not in _MOVES:
            return node is not None and node.op_type == "Softmax"
        name = node.output[0]
    return False


def rounded_behind_masks(graph: FloatGraph) -> set[str]:
    """The values that only such a Where reads, and the products of two computed operands that a number scales on the
    way there: they are rounded once, behind it.
    """
    found, producers = set[str](), graph.producers()
    for kept in (mask.kept for mask in masks(graph).values()):
        if graph.only_consumer(kept) is None or kept in graph.outputs:
            continue
        found.add(kept)
        node = producers.get(kept)
        if node is not None and node.op_type in ("Mul", "Div") and _is_number(graph, node.input[1]):
            product = producers.get(node.input[0])
            if product is not None and product.op_type == "MatMul" and graph.only_consumer(node.input[0]) is node:
                found.add(node.input[0])
    return found


def _is_number(graph: FloatGraph, name: str) -> bool:
    value = graph.constants.get(name)
    return value is not None and value.size == 1 and float(value.reshape(())) > 0


def make_masks_finite(graph: FloatGraph) -> None:
    """Replace minus infinity by a number where it masks elements."""
    producers = graph.producers()
    for name, mask in masks(graph).items():
        if mask.number == -np.inf:
            node = producers[name]
            other = 3 - list(node.input).index(mask.kept, 1)
            node.input[other] = graph.constant(f"{name}_number", np.array(LOWEST, np.float32))
