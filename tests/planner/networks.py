"""Graphs and kernels that are nothing but memory: no operator of a real model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tinycompile.dtypes import INT8, DType
from tinycompile.ir import Array, Graph, Node, Op, Signature, TensorType
from tinycompile.kernels.base import Kernel


@dataclass(frozen=True)
class Box(Op):
    """Any operator."""

    kind = "box"
    bytes: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return (((self.bytes,), INT8),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        raise NotImplementedError


def network(sizes: dict[str, int], edges: dict[str, Sequence[str]], outputs: Sequence[str]) -> Graph:
    """A node per entry of `edges` (result: operands), named like its result; what no node computes is an input."""
    nodes = tuple(Node(name, Box(sizes[name]), tuple(operands), (name,)) for name, operands in edges.items())
    inputs = tuple(name for name in sizes if name not in edges)
    types = {name: TensorType((size,), INT8) for name, size in sizes.items()}
    return Graph("network", inputs, tuple(outputs), nodes, types, {})


def chain(sizes: Sequence[int]) -> Graph:
    names = [f"v{index}" for index in range(len(sizes))]
    edges = {name: (before,) for before, name in pairwise(names)}
    return network(dict(zip(names, sizes, strict=True)), edges, names[-1:])


def residual_blocks(blocks: int, widths: Sequence[int]) -> Graph:
    """Blocks of two nodes and a sum with the block's input; their inner sizes follow `widths` in turn."""
    sizes, edges, name = {"x": widths[0]}, dict[str, Sequence[str]](), "x"
    for block in range(blocks):
        inner, outer, total = f"inner{block}", f"outer{block}", f"sum{block}"
        sizes |= {inner: widths[block % len(widths)] * 3, outer: widths[0], total: widths[0]}
        edges |= {inner: (name,), outer: (inner,), total: (outer, name)}
        name = total
    return network(sizes, edges, (name,))


def kernel(instructions: int = 1, scratch: int = 0, **rest: Any) -> Kernel:
    return Kernel("test", None, scratch_bytes=scratch, instructions=instructions, **rest)
