"""Which node of a QDQ model a layer of its graph is, and what `quantize(weight_bits=...)` calls it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinycompile.quantize.qdq import INNER

_LINEAR = ("Conv", "Gemm", "MatMul")


def nodes_in_file(proto: Any, layers: Collection[str]) -> dict[str, Any]:
    """Nodes by layer: those behind which QuantizeLinear makes the value that the layer is called by.

    Args:
        layers: names of a graph's nodes that compute layers: of the tensor that QuantizeLinear makes.
    """
    readers = dict[str, list[Any]]()
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = dict[str, Any]()
    for node in proto.graph.node:
        if node.op_type in _LINEAR:
            at = node
            while at is not None and at.op_type != "QuantizeLinear":
                behind = readers.get(at.output[0], [])
                at = behind[0] if len(behind) == 1 else None
            if at is not None and at.output[0] in layers:
                found[at.output[0]] = node
    return found


def results_in_model(proto: Any, layers: Collection[str], results: Collection[str]) -> dict[str, str]:
    """What layers make in the float model that this QDQ model was made of. Its nodes may have no names.

    Args:
        layers: as for `nodes_in_file`. results: of the float model's nodes.
    """
    made = ((name, node.output[0]) for name, node in nodes_in_file(proto, layers).items())
    return {name: result if result in results else result.removesuffix(INNER) for name, result in made}
