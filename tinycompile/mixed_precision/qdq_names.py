"""Which node of a QDQ model a layer of its graph is: what `quantize(weight_bits=...)` calls it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_LINEAR = ("Conv", "Gemm", "MatMul")


def names_in_file(proto: Any, layers: Collection[str]) -> dict[str, str]:
    """Names of nodes by layer: of those behind which QuantizeLinear makes the value that the layer is called by.

    Args:
        layers: names of a graph's nodes that compute layers: of the tensor that QuantizeLinear makes.
    """
    readers = dict[str, list[Any]]()
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = dict[str, str]()
    for node in proto.graph.node:
        if node.op_type in _LINEAR:
            at = node
            while at is not None and at.op_type != "QuantizeLinear":
                behind = readers.get(at.output[0], [])
                at = behind[0] if len(behind) == 1 else None
            if at is not None and at.output[0] in layers:
                found[at.output[0]] = node.name or node.output[0]
    return found
