"""Linear attention's quotients in one function against its operators one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.fused_nodes import site_of
from tests.support.kernel_checks import M7, check, int8
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Graph, Node, Op, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Factory
from tinycompile.kernels.linear_attention import linear_attention
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.transpose import Transpose


def graph_of(
    heads: int, queries: int, depth: int, columns: int, *, turned: bool = False, factor: float | None = 16
) -> Graph:
    """As it is imported: integer products with a scale, and what else is done with floats.

    Args:
        turned: queries are columns in memory.
    """
    query = (heads, depth, queries) if turned else (heads, queries, depth)
    types = {
        "q": int8(query, 0.05, -128),
        "kv": int8((heads, depth, columns), 0.07, 15),
        "mean": int8((heads, depth, 1), 0.02, -128),
    }
    constants = {name: np.array(zero, np.int8) for name, zero in (("qz", -128), ("kvz", 15), ("mz", -128))}
    floats = {"scale": 0.0035, "mean_scale": 0.001, "tiny": 1e-5, "factor": factor or 1}
    constants |= {name: np.array(value, np.float32) for name, value in floats.items()}
    types |= {name: TensorType((), INT8 if value.dtype == np.int8 else FLOAT32) for name, value in constants.items()}
    nodes = list[Node]()

    def add(name: str, op: Op, *inputs: str, like: TensorType | None = None) -> str:
        ((shape, dtype),) = op.infer([types[each] for each in inputs])
        types[name] = TensorType(shape, dtype, None if like is None else like.quant)
        nodes.append(Node(name, op, inputs, (name,)))
        return name

    q = add("turned", Transpose((0, 2, 1)), "q", like=types["q"]) if turned else "q"
    divided = add("divided", MatMulInteger(), q, "kv", "qz", "kvz", "scale")
    weight = add("weight", MatMulInteger(), q, "mean", "qz", "mz", "mean_scale")
    weight = weight if factor is None else add("scaled", Mul(), weight, "factor")
    quotient = add("quotient", Div(), divided, add("by", Add(), weight, "tiny"))
    add("y", Quantize(INT8, "even"), quotient, like=int8((), 0.03, 4))
    used = {name for node in nodes for name in node.inputs}
    constants = {name: value for name, value in constants.items() if name in used}
    types = {name: t for name, t in types.items() if name in used or name == "y"}
    return Graph("g", ("q", "kv", "mean"), ("y",), tuple(nodes), types, constants)


GRAPHS = {
    "turned": graph_of(2, 5, 8, 6, turned=True),
    "without a factor": graph_of(3, 4, 7, 4, factor=None),
    "few columns": graph_of(1, 1, 3, 2),
    "one element": graph_of(2, 3, 1, 9, turned=True),
}


@pytest.mark.parametrize("name", ["without a factor", "one element"])
def test_two_queries_at_a_time(name: str) -> None:
    check(linear_attention, site_of(GRAPHS[name]))


def cases() -> list[tuple[Factory, Site]]:
    return [(linear_attention, site_of(GRAPHS[name])) for name in GRAPHS]


def test_in_assembly() -> None:
    check_emulated(cases())


def test_it_costs_less_than_the_operators_apart() -> None:
    graph = graph_of(4, 16, 16, 16, turned=True)
    apart = sum(min(kernel.instructions for kernel in kernels_of(graph.site(node), M7)) for node in graph.nodes)
    together = linear_attention(site_of(graph), M7)
    assert together is not None and together.instructions < apart


def test_no_kernel() -> None:
    """Without SIMD products; where zero points differ, or are computed."""
    graph = GRAPHS["without a factor"]
    assert linear_attention(site_of(graph), core_named("cortex-m0plus")) is None
    nodes = [replace(n, inputs=("q", "mean", "mz2", *n.inputs[3:])) if n.name == "weight" else n for n in graph.nodes]
    types = {**graph.types, "mz2": graph.types["mz"]}
    other = replace(graph, nodes=tuple(nodes), types=types, constants={**graph.constants, "mz2": np.array(3, np.int8)})
    assert linear_attention(site_of(other), M7) is None
    assert (
        linear_attention(site_of(replace(other, inputs=(*other.inputs, "mz2"), constants=graph.constants)), M7) is None
    )
