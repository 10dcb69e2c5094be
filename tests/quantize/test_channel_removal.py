"""A float network without some of its channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinycompile.ir import Array
from tinycompile.quantize.channel_removal import without_channels
from tinycompile.quantize.execution import Sample, outputs_of
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.measure import sqnr
from tinycompile.quantize.prepare import prepared, with_biases

GONE = np.array([0, 3, 7])
IMAGE = (1, 8, 6, 6)
SHAPES = {"x": (1, 3, 6, 6), **dict.fromkeys("abcs", IMAGE), "m": (1, 8, 1, 1), "f": (1, 8), "y": (1, 5)}


def _network(transposed: int) -> FloatGraph:
    """A convolution, another one around which the first is added, a mean, and a matrix."""
    random = np.random.default_rng(3)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 8, 3, 3), "w3": (5, 8) if transposed else (8, 5), "b1": (8,), "b3": (5,)}
    weights = {name: random.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["b"]),
        make("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1]),
        make("Add", ["b", "c"], ["s"]),
        make("GlobalAveragePool", ["s"], ["m"]),
        make("Flatten", ["m"], ["f"]),
        make("Gemm", ["f", "w3", "b3"], ["y"], transB=transposed),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPES[name]) for name in "xy")
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return with_biases(prepared(proto, SHAPES))


def _samples(count: int, seed: int) -> list[Sample]:
    mixed = np.random.default_rng(seed).normal(0, 1, (count, 1, 3, 6, 6)).cumsum(axis=3)
    return [{"x": each.astype(np.float32)} for each in mixed]


def _values(graph: FloatGraph, names: Sequence[str], samples: Sequence[Sample]) -> dict[str, Array]:
    return outputs_of(graph.model(), list(names), samples, SHAPES)


@pytest.mark.parametrize("transposed", [0, 1])
def test_nobody_reads_or_makes_them_and_others_make_up_for_them(transposed: int) -> None:
    graph, unseen = _network(transposed), _samples(32, 2)
    reads, makes = (dict[str, Array].fromkeys(names, GONE) for names in ("cy", "ac"))
    found = without_channels(graph, _samples(64, 1), reads, makes)
    weights = {node.output[0]: found.constants.get(node.input[1]) for node in found.nodes if len(node.input) == 3}
    second, last = weights["c"], weights["y"]
    assert second is not None and last is not None
    assert not second[:, GONE].any() and not (last[:, GONE] if transposed else last[GONE]).any()
    values = _values(found, ["b", "s", "y"], unseen)
    assert not values["b"][:, GONE].any() and not values["s"][:, GONE].any()
    wanted = _values(graph, ["y"], unseen)["y"]
    dropped = graph.copy()
    for name in ("w2", "w3"):
        value = dropped.constants[name].copy()
        np.moveaxis(value, 1 if name == "w2" or transposed else 0, 0)[GONE] = 0
        dropped.constants[name] = value
    assert sqnr(wanted, values["y"]) > sqnr(wanted, _values(dropped, ["y"], unseen)["y"]) + 4
    assert np.allclose(values["y"].mean(axis=0), wanted.mean(axis=0), atol=0.2 * float(wanted.std()))
    assert graph.constants.keys() < found.constants.keys()  # the network that was given stays what it was
