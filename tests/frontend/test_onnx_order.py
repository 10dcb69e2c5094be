"""Files whose nodes aren't in topological order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.support.onnx_builder import OnnxBuilder, kinds
from tinycompile import interpreter
from tinycompile.errors import ModelFileError
from tinycompile.frontend import load
from tinycompile.frontend.onnx_order import sort_nodes


def network() -> onnx.ModelProto:
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x = b.activation(b.input((1, 8)), 0.1, 3)
    for size in (5, 4):
        weights = b.weights(rng.integers(-128, 128, (8 if size == 5 else 5, size)).astype(np.int8), 0.01, 0)
        x = b.activation(b.node("Relu", b.node("MatMul", x, weights)), 0.2, -20)
    b.output(x)
    return b.model()


@pytest.mark.parametrize("seed", range(3))
def test_any_order_is_the_same_model(seed: int, tmp_path: Path) -> None:
    sorted_model, other = network(), network()
    nodes = [sorted_model.graph.node[i] for i in np.random.default_rng(seed).permutation(len(other.graph.node))]
    del other.graph.node[:]
    other.graph.node.extend(nodes)
    graphs = list[object]()
    for name, model in (("a", sorted_model), ("b", other)):
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        graph = load(tmp_path / f"{name}.onnx")
        x = np.random.default_rng(1).normal(0, 2, (1, 8)).astype(np.float32)
        graphs.append((sorted(kinds(graph)), interpreter.run(graph, [x])[graph.outputs[0]].tolist()))
    assert graphs[0] == graphs[1]


def test_sorted_nodes_stay() -> None:
    model = network()
    before = model.SerializeToString()
    sort_nodes(model.graph)
    assert model.SerializeToString() == before


def test_circles_are_named(tmp_path: Path) -> None:
    model = network()
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(ModelFileError, match="not valid"):
        load(tmp_path / "m.onnx")


def test_values_of_subgraphs_are_read() -> None:
    """An If whose branch reads a value that comes later in the file."""
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    branch = helper.make_graph([helper.make_node("Identity", ["late"], ["y"])], "branch", [], [value])
    nodes = [
        helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
        helper.make_node("Relu", ["x"], ["late"]),
    ]
    graph = helper.make_graph(nodes, "g", [], [])
    sort_nodes(graph)
    assert [node.op_type for node in graph.node] == ["Relu", "If"]
