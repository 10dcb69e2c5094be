"""Models of ai.onnx.ml without what a firmware has no type for: maps of probabilities, and strings.

ZipMap's map becomes the tensor that it is made of. Every string that a model can give becomes its number in the list of
them, which are the classes' names in their order; so a label is the position of its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_schema import ML

_FLOAT, _INT64, _STRING = 1, 7, 8  # TensorProto
_NUMBERS = {
    "LabelEncoder": {"keys_strings": "keys_int64s", "values_strings": "values_int64s"},
    "LinearClassifier": {"classlabels_strings": "classlabels_ints"},
    "SVMClassifier": {"classlabels_strings": "classlabels_ints"},
    "TreeEnsembleClassifier": {"classlabels_strings": "classlabels_int64s"},
}
"""Attributes with lists of strings, and those with integers in their place."""


def has_ml(proto: Any) -> bool:
    """Whether a model has operators of ai.onnx.ml, or had them before they were rewritten."""
    return any(o.domain == ML for o in proto.opset_import)


def class_names(proto: Any) -> tuple[str, ...]:
    """The strings that a model can give, each once, in the order in which the file has them."""
    return tuple(dict.fromkeys(text for texts in _lists(proto.graph) for text in texts))


def without_maps_and_strings(proto: Any, where: str) -> Any:
    """The model with tensors of numbers only; itself if it has nothing else.

    Raises:
        UnsupportedError: an input is of strings, or an operator needs them.
    """
    if not has_ml(proto):
        return proto
    clone = copied(proto)
    graph = clone.graph
    problems = [
        (f"input {value.name!r}", "it is a string: give its number in a table, as an integer")
        for value in graph.input
        if value.type.tensor_type.elem_type == _STRING
    ]
    numbers = {text: number for number, text in enumerate(class_names(proto))}
    for node in graph.node:
        if node.domain == ML and node.op_type == "ZipMap":
            node.domain, node.op_type = "", "Identity"
            del node.attribute[:]
        elif node.domain == ML:
            _renumber(node, numbers)
        elif node.op_type == "Cast" and any(a.name == "to" and a.i == _STRING for a in node.attribute):
            if not numbers:
                problems.append((f"Cast {node.output[0]!r}", "it makes a string of a number"))
            node.op_type = "Identity"
            del node.attribute[:]
    if problems:
        raise UnsupportedError(problems, where=where)
    for tensor in [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]:
        if tensor.data_type == _STRING:
            found = np.array([numbers[text] for text in _texts(tensor)], np.int64).reshape(list(tensor.dims))
            tensor.CopyFrom(onnx_module().numpy_helper.from_array(found, tensor.name))
    for value in graph.output:
        _declare(value)
    del graph.value_info[:]
    return clone


def _lists(graph: Any) -> list[list[str]]:
    """Strings of attributes that say what comes out, then of constants."""
    lists = list[list[str]]()
    for node in graph.node:
        if node.domain == ML and node.op_type in _NUMBERS:
            named = {a.name: [text.decode(errors="replace") for text in a.strings] for a in node.attribute}
            lists += [named[name] for name in sorted(_NUMBERS[node.op_type], reverse=True) if named.get(name)]
    lists += [_texts(tensor) for tensor in graph.initializer if tensor.data_type == _STRING]
    values = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
    return lists + [_texts(tensor) for tensor in values if tensor.data_type == _STRING]


def _texts(tensor: Any) -> list[str]:
    return [text.decode(errors="replace") for text in tensor.string_data]


def _renumber(node: Any, numbers: dict[str, int]) -> None:
    """Numbers in place of strings, in the attributes of a node."""
    made, names = list[Any](), _NUMBERS.get(node.op_type, {})
    for attribute in node.attribute:
        if attribute.name in names and attribute.strings:
            found = [numbers[text.decode(errors="replace")] for text in attribute.strings]
            made.append(onnx_module().helper.make_attribute(names[attribute.name], found))
        elif attribute.name not in names and not (attribute.name == "default_string" and names):
            made.append(attribute)
    kept: Sequence[Any] = [copied(attribute) for attribute in made]
    del node.attribute[:]
    node.attribute.extend(kept)


def _declare(value: Any) -> None:
    """An output that was a list of maps is a tensor of floats, one of strings one of integers."""
    if value.type.HasField("sequence_type"):
        value.type.Clear()
        value.type.tensor_type.elem_type = _FLOAT
    elif value.type.tensor_type.elem_type == _STRING:
        value.type.tensor_type.elem_type = _INT64
