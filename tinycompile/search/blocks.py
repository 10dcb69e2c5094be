"""The blocks of a network: its layers by the names that `Network.named` gave them, and what tells them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from tinycompile.costing import LayerCost
from tinycompile.frontend.onnx_module import onnx_module

WHOLE = "network"
"""The block of what has no name."""


def block_of(node: Any) -> str:
    """The block of a node of a ModelProto."""
    return node.name.rpartition("/")[0] or WHOLE


def signatures(proto: Any) -> dict[str, str]:
    """By block: the same for blocks of the same operators on the same shapes, whose prices are the same."""
    onnx = onnx_module()
    graph = onnx.shape_inference.infer_shapes(proto).graph
    shapes = {each.name: f"{list(each.dims)}" for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        shapes[each.name] = str([d.dim_value for d in each.type.tensor_type.shape.dim])
    found = dict[str, Any]()
    for node in _working(graph):
        facts = [node.op_type, *(shapes.get(name, "") for name in node.input)]
        content = "\0".join(facts).encode()
        content += b"".join(each.SerializeToString(deterministic=True) for each in node.attribute)
        found.setdefault(block_of(node), hashlib.sha256()).update(content)
    return {name: digest.hexdigest()[:24] for name, digest in found.items()}


def layers_by_block(proto: Any, layers: Iterable[LayerCost]) -> dict[str, list[LayerCost]]:
    """The priced layers of each block; one that computes parts of two is of the later."""
    blocks = {node.output[0]: block_of(node) for node in _working(proto.graph)}
    found = {name: list[LayerCost]() for name in blocks.values()}
    last = next(iter(found))
    for layer in layers:
        last = next((blocks[part] for part in _parts(layer.name) if part in blocks), last)
        found[last].append(layer)
    return found


def _working(graph: Any) -> list[Any]:
    """The nodes but for those that only give a value another name."""
    return [node for node in graph.node if node.op_type != "Identity"]


def _parts(name: str) -> Iterable[str]:
    """Values after which a layer may be called: the last of what it computes, without what quantisation appended."""
    part = name.rpartition(" + ")[2]
    while part:
        yield part
        part = part.rpartition("_")[0]
