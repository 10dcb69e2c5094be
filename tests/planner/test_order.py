"""Order of execution: against every topological order of small graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.networks import kernel, network
from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Group, fused
from tinycompile.planner import order as order_module
from tinycompile.planner.order import best_order, reordered
from tinycompile.planner.values import Values


@st.composite
def networks(draw: st.DrawFn, most: int = 6) -> tuple[Graph, list[list[Kernel]]]:
    """Nodes of one result each, which read earlier results or the input, with a kernel each."""
    sizes, edges, kernels = {"in": 8 * draw(st.integers(1, 9))}, dict[str, list[str]](), list[list[Kernel]]()
    for index in range(draw(st.integers(1, most))):
        reads = draw(st.lists(st.sampled_from(list(sizes)), min_size=1, max_size=3, unique=True))
        overlap = {i: 8 * draw(st.integers(-2, 4)) for i in range(len(reads)) if draw(st.booleans())}
        kernels.append([kernel(1, 8 * draw(st.integers(0, 4)), overlap=overlap)])
        sizes[f"v{index}"], edges[f"v{index}"] = 8 * draw(st.integers(1, 9)), reads
    unread = set(sizes) - {name for reads in edges.values() for name in reads} - {"in"}
    return network(sizes, edges, sorted(unread | {draw(st.sampled_from(sorted(edges)))})), kernels


def all_orders(graph: Graph, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(done) == len(graph.nodes):
        yield done
    known = {*graph.inputs, *(graph.nodes[i].outputs[0] for i in done)}
    for index, node in enumerate(graph.nodes):
        if index not in done and known.issuperset(node.inputs):
            yield from all_orders(graph, (*done, index))


def peak(graph: Graph, kernels: list[list[Kernel]], order: tuple[int, ...]) -> int:
    """By the planner's own lower bound of the reordered graph; the time after the last node doesn't count."""
    values = Values(replace(graph, nodes=tuple(graph.nodes[i] for i in order)), [kernels[i] for i in order])
    return max(values.needs([kernels[i][0] for i in order])[:-1])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(networks())
def test_no_order_needs_less(drawn: tuple[Graph, list[list[Kernel]]]) -> None:
    graph, kernels = drawn
    found = best_order(Values(graph, kernels))
    peaks = {order: peak(graph, kernels, order) for order in all_orders(graph)}
    given_order = tuple(range(len(graph.nodes)))
    assert found.optimal
    assert found.peak == peaks[found.order] == min(peaks.values())
    assert found.order == given_order or found.peak < peaks[given_order]


def test_a_cut_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five independent branches, wide first: the better order goes through one branch after the other."""
    wide, narrow = [f"w{i}" for i in range(5)], [f"n{i}" for i in range(5)]
    sizes = {"in": 16, **{name: 80 + 8 * i for i, name in enumerate(wide)}, **dict.fromkeys(narrow, 8)}
    graph = network(
        sizes, {**dict.fromkeys(wide, ("in",)), **{n: (w,) for w, n in zip(wide, narrow, strict=True)}}, narrow
    )
    kernels = [[kernel()]] * 10
    found = best_order(Values(graph, kernels))
    assert found.optimal
    assert found.peak < 200
    monkeypatch.setattr(order_module, "EFFORT", 0)
    cut = best_order(Values(graph, kernels))
    assert sorted(cut.order) == sorted(found.order)
    assert cut.peak > found.peak or not cut.optimal


def test_graph_and_kernels_move_together() -> None:
    sizes = {"x": 8, "wide": 800, "thick": 400, "w": 8, "t": 8, "y": 8}
    edges = {"wide": ("x",), "thick": ("x",), "w": ("wide",), "t": ("thick",), "y": ("w", "t")}
    graph, kernels = network(sizes, edges, ["y"]), [[kernel(i)] for i in range(5)]
    moved, kernels_moved, optimal = reordered(graph, kernels)
    assert optimal
    assert [graph.nodes[k[0].instructions].name for k in kernels_moved] == [n.name for n in moved.nodes]


def test_groups_follow_each_other() -> None:
    """Another node would be between them, because less is in use then."""
    edges = {"a": ("x",), "b": ("x",), "c": ("b",), "d": ("a", "c"), "e": ("d",)}
    graph = network({"x": 8, "a": 64, "b": 64, "c": 8, "d": 8, "e": 8}, edges, ("e",))
    kernels = [[kernel(step)] for step in range(5)]
    assert [node.name for node in reordered(graph, kernels)[0].nodes] == ["b", "c", "a", "d", "e"]
    group = Group((2, 3), fused(graph.nodes[2:4], graph.types), [kernel(7)])
    ordered, options, optimal = reordered(graph, kernels, [group])
    assert [node.name for node in ordered.nodes] == ["a", "b", "c", "d", "e"]
    assert [each[0].instructions for each in options] == [0, 1, 2, 3, 4]
    assert optimal
