"""States without what one step makes of them last and the next takes back first."""

from __future__ import annotations

import numpy as np
import pytest

from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Graph, Node, Quantization, State, TensorType, verify
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose
from tinycompile.passes.shorten_states import shorten_states

STORED, INNER = (1, 3, 2, 2), (1, 2, 2, 3)


def graph(scale: float = 0.1, permutation: tuple[int, ...] = (0, 3, 1, 2), *, outside: bool = False) -> Graph:
    """h: float, channels first; inside int8 with channels last. `outside`: an output is what the state was."""
    quant, back = Quantization.per_tensor(0.1, 3), Quantization.per_tensor(scale, 3)
    types = {"h": TensorType(STORED, FLOAT32), "q": TensorType(STORED, INT8, quant)}
    types |= {"x": TensorType(INNER, INT8, quant)}
    types |= {"t": TensorType(INNER, INT8, quant), "u": TensorType(INNER, INT8, back), "d": TensorType(INNER, FLOAT32)}
    types |= {"y": TensorType(INNER, INT8, back), "s": TensorType(STORED, FLOAT32)}
    nodes = (
        Node("quantise", Quantize(INT8), ("h",), ("q",)),
        Node("last", Transpose((0, 2, 3, 1)), ("q",), ("t",)),
        Node("add", Add(), ("x", "t"), ("u",)),
        Node("relu", Relu(), ("u",), ("y",)),
        Node("dequantise", Dequantize(), ("u",), ("d",)),
        Node("first", Transpose(permutation), ("d",), ("s",)),
    )
    states = (State("h", np.linspace(-3, 3, 12, dtype=np.float32).reshape(STORED), "s"),)
    found = Graph("g", ("x",), ("y", "h") if outside else ("y",), nodes, types, {}, states=states)
    verify(found)
    return found


def outputs(g: Graph) -> list[np.ndarray]:
    steps = np.random.default_rng(0).integers(-128, 128, (5, *INNER)).astype(np.int8)
    return [values[g.outputs[0]] for values in interpreter.steps(g, [[x] for x in steps])]


def test_integers_in_the_order_of_the_layers() -> None:
    before, after = graph(), shorten_states(graph())
    verify(after)
    assert [node.name for node in after.nodes] == ["add", "relu"]
    assert after.types[after.states[0].name].dtype == INT8
    np.testing.assert_equal(outputs(after), outputs(before))


@pytest.mark.parametrize("kept", [graph(scale=0.11), graph(outside=True)])
def test_what_is_needed_stays(kept: Graph) -> None:
    assert shorten_states(kept) is kept


def test_another_order_stays_moved() -> None:
    before = graph(permutation=(0, 3, 2, 1))
    after = shorten_states(before)
    verify(after)
    assert [node.op.kind for node in after.nodes] == ["transpose", "add", "relu", "transpose"]
    np.testing.assert_equal(outputs(after), outputs(before))


def test_shapes() -> None:
    g = graph()
    types = {**g.types, "flat": TensorType((12,), INT8, g.types["q"].quant)}
    types["v"] = types["flat"]
    nodes = (Node("in", Reshape(INNER), ("flat",), ("t",)), *g.nodes[2:4], Node("out", Reshape((12,)), ("u",), ("v",)))
    states = (State("flat", np.arange(12, dtype=np.int8), "v"),)
    g = Graph("g", ("x",), ("y",), nodes, types, {}, states=states)
    verify(g)
    after = shorten_states(g)
    verify(after)
    assert [node.op.kind for node in after.nodes] == ["add", "relu"]
    np.testing.assert_equal(outputs(after), outputs(g))
