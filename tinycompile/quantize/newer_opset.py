"""A float graph in the words of a newer opset, for operators that older ones don't have."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.quantize.float_graph import FloatGraph, attributes_of

_REDUCTIONS_TAKE_AXES = 18
_SPLIT_NEEDS_A_NUMBER = 18
_GRID_SAMPLE_MODES = 20
_MODES = {b"bilinear": b"linear", b"bicubic": b"cubic"}
_ALWAYS_TOOK_AXES = "ReduceSum"
_SUBGRAPHS = (5, 10)
"""Attribute types."""


def can_be_raised(graph: FloatGraph) -> bool:
    """Whether no node has graphs inside, whose nodes would be old ones."""
    return not any(a.type in _SUBGRAPHS for node in graph.nodes for a in node.attribute)


def raise_opset(graph: FloatGraph, version: int) -> None:
    """The graph says that it has opset `version`; a no-op if it has a newer one.

    Of all operators whose form changed between opsets 13 and 23 only reductions, Split and GridSample are left when
    shapes are known: what ONNX defines by others has been replaced by these.
    """
    before = graph.opset
    if before >= version:
        return
    for node in graph.nodes:
        _rewrite(graph, node, before, version)
    proto = type(graph.proto)()
    proto.CopyFrom(graph.proto)
    for imported in proto.opset_import:
        if imported.domain in ("", "ai.onnx"):
            imported.version = version
    graph.proto = proto


def _rewrite(graph: FloatGraph, node: Any, before: int, after: int) -> None:
    attributes = attributes_of(node)
    if (
        before < _REDUCTIONS_TAKE_AXES <= after
        and node.op_type.startswith("Reduce")
        and node.op_type != _ALWAYS_TOOK_AXES
    ):
        axes = attributes.get("axes")
        if axes is not None:
            _drop(node, "axes")
            node.input.append(graph.constant(f"{node.output[0]}_axes", np.array(axes, np.int64)))
    if before < _SPLIT_NEEDS_A_NUMBER <= after and node.op_type == "Split" and len(node.input) < 2:
        node.attribute.append(_integer("num_outputs", len(node.output)))
    if before < _GRID_SAMPLE_MODES <= after and node.op_type == "GridSample":
        for attribute in node.attribute:
            if attribute.name == "mode":
                attribute.s = _MODES.get(attribute.s, attribute.s)


def _drop(node: Any, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)


def _integer(name: str, value: int) -> Any:
    from tinycompile.frontend.onnx_module import onnx_module

    return onnx_module().helper.make_attribute(name, value)
