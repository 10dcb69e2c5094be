"""Every output has a producer of its own."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Graph, Node, Source, TensorType, verify
from tinycompile.ops.reshape import Reshape
from tinycompile.passes import optimize
from tinycompile.passes.own_outputs import own_outputs

T = TensorType((1, 4), FLOAT32)


def graph(*outputs: str) -> Graph:
    names = ("x", "y", "c", "x_output")
    nodes = (Node("x_output", Reshape((1, 4)), ("x",), ("y",)), Node("n", Reshape((1, 4)), ("y",), ("x_output",)))
    constants = {"c": np.zeros((1, 4), np.float32)}
    return Graph("g", ("x",), outputs, nodes, dict.fromkeys(names, T), constants, {"x": Source(0, "x")})


def test_what_has_producers_stays():
    before = graph("y", "x_output")
    assert own_outputs(before) is before


def test_names_stay_unique_and_sources_known():
    after = own_outputs(graph("x", "y", "y", "c", "x"))
    verify(after, "own_outputs")
    assert len(set(after.outputs)) == 5 and after.outputs[1] == "y"
    assert set(after.outputs) <= set(after.producers()) and not set(after.outputs) & {"x", "c", "x_output"}
    assert after.sources[after.outputs[0]].index == after.sources[after.outputs[4]].index == 0
    assert own_outputs(after) is after


def test_it_holds_for_what_the_pipeline_returns():
    after = optimize(graph("x", "c", "x_output"))
    assert set(after.outputs) <= set(after.producers()) and len(set(after.outputs)) == 3
