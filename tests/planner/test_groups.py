"""Nodes of a pattern that gathers, in whole programs: brought together, and the same bits."""

from __future__ import annotations

from dataclasses import replace

from tests.kernels.attention_sites import graph_of, weighed
from tests.planner.test_poison import random_inputs, run_poisoned
from tests.support.kernel_checks import M7
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.kernels import Covers, kernels_for
from tinycompile.ops.abs import Abs
from tinycompile.ops.reshape import Reshape
from tinycompile.planner import LayerPlanner, Planned


def between(graph: Graph) -> Graph:
    """Attention whose queries, keys and values are computed, the values in the middle of it, from one tensor."""
    x = graph.types["q"]
    flat = TensorType((x.elements,), x.dtype, x.quant)
    types, made = dict(graph.types) | {"x": flat}, dict[str, list[Node]]()
    for name in "qkv":
        types[f"{name}_flat"] = replace(flat, quant=graph.types[name].quant)
        nodes = (
            Node(f"{name}_flat", Abs(), ("x",), (f"{name}_flat",)),
            Node(name, Reshape(x.shape), (f"{name}_flat",), (name,)),
        )
        made[name] = list(nodes)
    split = next(i for i, node in enumerate(graph.nodes) if node.name == "vt")
    nodes = [*made["k"], *made["q"], *graph.nodes[:split], *made["v"], *graph.nodes[split:]]
    return replace(graph, inputs=("x",), nodes=tuple(nodes), types=types)


def planned(graph: Graph, optimize: str) -> Planned:
    covers = Covers(M7)
    planner = LayerPlanner(graph, kernels_for(graph, M7), covers, groups=covers.groups)
    return planner.plan(ram_limit=None, optimize=optimize)


def test_attention_around_other_nodes() -> None:
    """One node, though values are made in its middle; the scores have no memory, and results are where queries were."""
    graph = between(graph_of(2, 24, 24, 8))
    found = planned(graph, "ram")
    (attention,) = [node for node in found.graph.nodes if " + " in node.op.title]
    assert attention.op.title == "batch_matmul + mul + softmax + batch_matmul"  # without moves, of which there are four
    assert found.offsets["z"] == found.offsets["q"]
    size = graph.types["x"].elements
    assert found.arena_bytes <= 3 * size + 32
    run_poisoned(found, random_inputs(graph, 1))


def test_sums_of_columns_beside() -> None:
    """A second result, which no operand is in the memory of while the first is made."""
    graph = between(weighed(graph_of(2, 24, 24, 8)))
    graph = replace(graph, outputs=(*graph.outputs, "sums"))
    found = planned(graph, "ram")
    (attention,) = [node for node in found.graph.nodes if " + " in node.op.title]
    assert attention.outputs == ("z", "sums")
    run_poisoned(found, random_inputs(graph, 1))
