"""Shapes of what ai.onnx.ml's operators compute, which onnx's inference leaves unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_schema import ML

Shape = tuple[int, ...]
_HIDDEN = "tinycompile.hidden"


def infer_shapes(model: Any, data_prop: bool = False) -> Any:
    """onnx's shape inference without TreeEnsemble: onnx 1.23.2's ends the process where its operand has no type.

    Raises:
        Exception: whatever onnx says of a broken model.
    """
    onnx = onnx_module()
    found = [i for i, node in enumerate(model.graph.node) if (node.domain, node.op_type) == (ML, "TreeEnsemble")]
    if not found:
        return onnx.shape_inference.infer_shapes(model, data_prop=data_prop)
    clone = copied(model)
    clone.opset_import.append(onnx.helper.make_opsetid(_HIDDEN, 1))
    for index in found:
        clone.graph.node[index].domain = _HIDDEN
    result = onnx.shape_inference.infer_shapes(clone, data_prop=data_prop)
    for index in found:
        result.graph.node[index].domain = ML
    del result.opset_import[-1]
    return result


def stand_in(graph: Any, shapes: Mapping[str, Shape | None]) -> bool:
    """Put zeros in the place of nodes of ai.onnx.ml whose operand's shape is known: of their results' shapes and types.

    Returns:
        Whether there was one.
    """
    kept, helper, found = list[Any](), onnx_module().helper, False
    for node in graph.node:
        operand = shapes.get(node.input[0]) if node.domain == ML and node.input else None
        results = None if operand is None or len(operand) not in (1, 2) else _results(node, operand)
        if results is None:
            kept.append(node)
            continue
        found = True
        for name, (shape, dtype) in zip(node.output, results, strict=False):
            if name:
                size = onnx_module().numpy_helper.from_array(np.array(shape, np.int64), f"{name}/shape")
                value = onnx_module().numpy_helper.from_array(np.zeros(1, dtype))
                graph.initializer.append(size)
                kept.append(helper.make_node("ConstantOfShape", [size.name], [name], value=value))
    if found:
        del graph.node[:]
        graph.node.extend(kept)
    return found


def _results(node: Any, operand: Shape) -> Sequence[tuple[Shape, Any]] | None:
    """Shape and type of each result; None for operators that aren't known."""
    attributes = {a.name: a for a in node.attribute}
    rows = operand[0] if len(operand) == 2 else 1

    def integer(name: str) -> int:
        return int(attributes[name].i) if name in attributes else 1

    match node.op_type:
        case "TreeEnsembleRegressor" | "TreeEnsemble":
            return (((rows, integer("n_targets")), np.float32),)
        case "CoupledProbabilities":
            return (((rows, integer("classes")), np.float32),)
        case "TreeEnsembleClassifier" | "LinearClassifier":
            labels = [a for name in ("classlabels_int64s", "classlabels_ints") if (a := attributes.get(name))]
            classes = len(labels[0].ints) if labels else 1
            return ((rows,), np.int64), ((rows, classes), np.float32)
        case _:
            return None
