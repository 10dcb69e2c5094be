"""Where what a network says is compared: in front of a last softmax or sigmoid.

Behind it, errors are hidden where the network is sure and count double where it isn't, so that they don't add up.
"""

from __future__ import annotations

from typing import Any

from tinycompile.ir import Graph
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.identity import Identity
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax

_AS_THEY_ARE = (Dequantize, Identity, Reshape)
"""They change no number that their operand stands for."""
_OPERATORS, _NAMES = (Softmax, LogSoftmax, Logistic), ("Softmax", "LogSoftmax", "Sigmoid")


def scores_of(graph: Graph) -> list[str]:
    """Values in place of a graph's outputs."""
    made = {name: node for node in graph.nodes for name in node.outputs}
    found = list[str]()
    for name in graph.outputs:
        node = made.get(name)
        while node is not None and isinstance(node.op, _AS_THEY_ARE):
            node = made.get(node.inputs[0])
        found.append(node.inputs[0] if node is not None and isinstance(node.op, _OPERATORS) else name)
    return found


def scores_of_onnx(proto: Any) -> list[str]:
    """The same of an ONNX model."""
    made = {name: node for node in proto.graph.node for name in node.output}
    found = list[str]()
    for value in proto.graph.output:
        node = made.get(value.name)
        found.append(node.input[0] if node is not None and node.op_type in _NAMES else value.name)
    return found
