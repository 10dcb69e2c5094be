"""Models of ai.onnx.ml as onnxruntime runs them to be compared with a firmware: everything is a tensor of numbers.

ZipMap's list of maps is the tensor that it is made of, and classes' names are their positions. A reading of its own: it
shares nothing with the frontend's, so that a mistake there shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_INTEGERS = {"classlabels_strings": ("classlabels_int64s", "classlabels_ints")}


def in_tensors(model: Any) -> Any:
    """The model itself if it has nothing of that."""
    if not any(node.domain == "ai.onnx.ml" for node in model.graph.node):
        return model
    clone = onnx.ModelProto()
    clone.CopyFrom(model)
    names = _names(clone)
    for node in clone.graph.node:
        if node.op_type == "ZipMap" or (node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.STRING):
            _become(node, "Identity")
        for attribute in node.attribute:
            if attribute.name == "classlabels_strings" and attribute.strings:
                numbers = [names.index(text.decode()) for text in attribute.strings]
                name = _INTEGERS[attribute.name][node.op_type != "TreeEnsembleClassifier"]
                attribute.CopyFrom(helper.make_attribute(name, numbers))
            elif attribute.name == "values_strings" and attribute.strings:
                numbers = [names.index(text.decode()) for text in attribute.strings]
                attribute.CopyFrom(helper.make_attribute("values_int64s", numbers))
        if node.op_type == "LabelEncoder":
            _drop(node, "default_string")
    for tensor in clone.graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            numbers = np.array([names.index(text.decode()) for text in tensor.string_data], np.int64)
            tensor.CopyFrom(numpy_helper.from_array(numbers.reshape(tensor.dims), tensor.name))
    for value in clone.graph.output:
        if value.type.HasField("sequence_type"):
            value.type.CopyFrom(helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
        elif value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            value.type.tensor_type.elem_type = onnx.TensorProto.INT64
    del clone.graph.value_info[:]
    return clone


def _names(model: Any) -> list[str]:
    """Of classes: those of operators, then those of constants."""
    attributes = [a for node in model.graph.node for a in node.attribute]
    wanted = ("classlabels_strings", "values_strings")
    zipped = {id(a) for node in model.graph.node if node.op_type == "ZipMap" for a in node.attribute}
    found = [text for a in attributes if a.name in wanted and id(a) not in zipped for text in a.strings]
    constants = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.STRING]
    found += [text for tensor in constants for text in tensor.string_data]
    return list(dict.fromkeys(text.decode() for text in found))


def _become(node: Any, kind: str) -> None:
    node.op_type, node.domain = kind, ""
    del node.attribute[:]


def _drop(node: Any, name: str) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
