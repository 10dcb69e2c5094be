"""Attention in one function against its operators one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.attention_sites import graph_of, masked_graph, plain_graph, reshaped_graph, torch_graph, weighed
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.fused_nodes import site_of
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Graph, Node, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.attention import attention_rows
from tinycompile.kernels.attention_lanes import attention_lanes
from tinycompile.kernels.attention_pattern import attention_of
from tinycompile.kernels.base import Factory
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

M0 = core_named("cortex-m0plus")

GRAPHS = {
    "keras": graph_of(2, 6, 6, 8),
    "another scale": graph_of(2, 5, 5, 4, scale=0.17),
    "cross": graph_of(1, 3, 7, 5, 6),
    "one element": graph_of(2, 5, 3, 1),
    "one tensor": plain_graph(9, 6),
    "onnx": plain_graph(4, 8, "onnx"),
    "causal choice": masked_graph(2, 5, 5, 4, "choice"),
    "causal sum": masked_graph(1, 4, 6, 4, "sum"),
    "weighed": weighed(graph_of(2, 5, 7, 4, scale=0.17)),
    "weighed by torch": weighed(torch_graph(3, 7, 4)),
    "weighed masks": weighed(masked_graph(2, 6, 6, 4, "choice")),
    "local": masked_graph(1, 13, 13, 4, "local"),
}


@pytest.mark.parametrize("name", ["cross", "onnx", "causal sum", "weighed"])
def test_one_query_after_the_other(name: str) -> None:
    kernel = check(attention_rows, site_of(GRAPHS[name]), M0 if name == "cross" else M7)
    assert kernel.in_place == (name in ("causal sum", "weighed"))
    assert kernel.scratch_bytes <= 16


@pytest.mark.parametrize(
    "name", ["another scale", "one element", "weighed by torch", "one tensor", "onnx", "weighed masks", "local"]
)
def test_two_queries_at_a_time(name: str) -> None:
    kernel = check(attention_lanes, site_of(GRAPHS[name]))
    assert kernel.in_place == (name not in ("one tensor", "onnx"))


@pytest.mark.parametrize("way", ["choice", "sum", "local"])
def test_a_mask_costs_less_in_one_function_than_apart(way: str) -> None:
    """Its runs are few, and what is masked at the end of a row isn't computed."""
    graph = masked_graph(4, 32, 32, 16, way)
    apart = sum(min(kernel.instructions for kernel in kernels_of(graph.site(node), M7)) for node in graph.nodes)
    together = attention_lanes(site_of(graph), M7)
    assert together is not None and together.instructions < apart


def test_no_kernel_for_masks_of_many_runs() -> None:
    """The operators apart cost less."""
    graph = masked_graph(1, 12, 12, 4, "choice")
    seen = np.random.default_rng(0).random((1, 12, 12)) < 0.5
    site = site_of(replace(graph, constants={**graph.constants, "seen": seen}))
    assert attention_lanes(site, M7) is None and attention_rows(site, M7) is None


def test_short_rows_are_not_computed_one_element_at_a_time() -> None:
    """A call has 40 scores, but there are 20 calls: less work than that of the operators apart."""
    graph = graph_of(2, 20, 20, 8, scale=0.17)
    apart = sum(min(kernel.instructions for kernel in kernels_of(graph.site(node), M7)) for node in graph.nodes)
    together = attention_lanes(site_of(graph), M7)
    assert together is not None
    assert together.instructions < apart


def cases() -> list[tuple[Factory, Site]]:
    """Pairs of lanes that are full and those that aren't; queries and columns that are left over."""
    found = [(attention_lanes, site_of(GRAPHS[name])) for name in ("keras", "weighed", "one tensor")]
    found.append((attention_lanes, site_of(GRAPHS["local"])))
    return [*found, (attention_rows, site_of(GRAPHS["another scale"]))]


def test_in_assembly() -> None:
    check_emulated(cases()[:4])


def test_what_is_known_of_where_vectors_are() -> None:
    found = attention_of(site_of(graph_of(4, 64, 32, 16)))
    assert found is not None
    assert found.batch == (1, 1, 4)
    assert (found.query.batch, found.query.count, found.query.stride, found.query.along) == ((0, 0, 16), 64, 64, 1)
    assert (found.key.count, found.key.stride, found.key.depth) == (32, 64, 16)
    assert (found.value.count, found.value.stride, found.value.along, found.value.depth) == (16, 1, 64, 32)
    assert (found.output.batch, found.output.stride, found.output.along) == ((0, 0, 16), 64, 1)
    assert found.functions is None
    assert found.in_place


def test_a_scale_of_its_own_is_a_table() -> None:
    found = attention_of(site_of(GRAPHS["another scale"]))
    assert found is not None
    assert found.functions is not None and found.mask is None
    assert np.all(np.diff(found.functions[0, np.r_[128:256, 0:128]]) >= 0)


def test_no_kernel_for_sums_of_other_columns() -> None:
    graph = weighed(plain_graph(6, 4))
    image = next(i for i, node in enumerate(graph.nodes) if node.name == "image")
    nodes = list(graph.nodes)
    nodes[image] = replace(nodes[image], op=Reshape((1, 4, 3, 3)))
    types = {**graph.types, "image": replace(graph.types["image"], shape=(1, 4, 3, 3))}
    types["sums"] = replace(types["sums"], shape=(1, 1, 1, 3))
    assert attention_of(site_of(replace(graph, nodes=tuple(nodes), types=types))) is None


def test_a_mask_chooses_among_functions() -> None:
    """One of the two is the score itself, the other one a number."""
    found = attention_of(site_of(GRAPHS["causal choice"]))
    assert found is not None and found.functions is not None and found.mask is not None
    assert np.array_equal(found.mask, np.tril(np.ones((5, 5))))
    assert np.all(found.functions[0] == -128) and np.array_equal(found.functions[1].view(np.uint8), np.arange(256))


def test_no_kernel_for_masks_of_one_head() -> None:
    graph = masked_graph(2, 3, 3, 4, "choice")
    seen = np.concatenate([graph.constants["seen"], np.ones((1, 3, 3), bool)])
    types = {**graph.types, "seen": replace(graph.types["seen"], shape=seen.shape)}
    assert attention_of(site_of(replace(graph, types=types, constants={**graph.constants, "seen": seen}))) is None


def test_no_kernel_where_rows_are_scattered() -> None:
    """A result whose heads' elements are interleaved."""
    graph = graph_of(2, 4, 4, 8)
    site = site_of(_with_last_transposed(graph))
    assert attention_rows(site, M7) is None


def test_batches_by_the_probabilities_that_scores_become() -> None:
    """Two matrices of scores for three of values each, not for one each."""
    check(attention_lanes, site_of(reshaped_graph((2, 3, 6), (2, 1, 3, 6), (3, 6, 4))))
    found = attention_of(site_of(reshaped_graph((2, 3, 6), (2, 1, 3, 6), (2, 6, 4))))
    assert found is not None
    assert (found.batch, found.query.batch, found.value.batch) == ((1, 2, 2), (0, 15, 0), (0, 0, 24))


@pytest.mark.parametrize(
    ("scores", "probabilities", "value", "softmax"),
    [
        ((1, 6, 6), (2, 3, 6), (2, 6, 4), ()),
        ((2, 6, 6), (1, 12, 6), (1, 6, 4), ()),
        ((2, 3, 3), (3, 2, 3), (3, 3, 4), ()),
        ((1, 3, 12), (1, 6, 6), (1, 6, 4), (1, 6, 6)),
        ((1, 6, 6), (1, 6, 6), (1, 6, 4), (1, 3, 12)),
    ],
)
def test_no_kernel_where_rows_change_their_matrix(
    scores: tuple[int, ...], probabilities: tuple[int, ...], value: tuple[int, ...], softmax: tuple[int, ...]
) -> None:
    assert attention_of(site_of(reshaped_graph(scores, probabilities, value, softmax))) is None


def _with_last_transposed(graph: Graph) -> Graph:
    last = graph.nodes[-1]
    node = Node(last.name, Transpose((0, 2, 3, 1)), last.inputs, last.outputs)
    shape = (1, 4, 8, 2)
    types = dict(graph.types) | {last.outputs[0]: TensorType(shape, graph.types["z"].dtype, graph.types["z"].quant)}
    return replace(graph, nodes=(*graph.nodes[:-1], node), types=types)
